from __future__ import annotations

import re

import pytest

from datascan.backends.errors import UsageError
from datascan.scanner import rules
from datascan.scanner.finding import Severity
from datascan.scanner.layouts.base import Traits
from datascan.scanner.options import Options
from datascan.scanner.rules import FAMILIES, RULES, Context, Rule, instantiate, rule_named, select

HEADINGS = ["## What it does", "## Why is this bad?", "## How to fix"]

CONTRACT = {
    "store": "unreadable truncated damaged count-mismatch reader-died empty in-use external-reference bit-rot",
    "record": (
        "undecodable empty size-mismatch shape-mismatch mixed-shapes missing-twin missing-field unsafe-pickle key-gap "
        "key-order duplicate label-conflict near-duplicate"
    ),
    "image": "undecodable truncated corrupt trailing-data constant orientation oddity channels too-small too-large",
    "value": "nan inf extreme constant unscaled",
    "label": (
        "missing nan non-integer negative out-of-range one-hot offset absent-class rare-class imbalance "
        "constant sorted text contradiction"
    ),
    "box": "invalid",
    "probe": "non-finite failed",
    "expect": "store layout records shape dtype value-range",
    "set": "leak near-leak key-conflict label-drift class-missing shape-drift value-drift",
    "drift": "records labels values",
}
"""Names without their family: what reports, configuration files and habits are built on."""


def concrete(rule: type[Rule]) -> set[type[Rule]]:
    """Every subclass that has a name of its own."""
    below = {found for each in rule.__subclasses__() for found in concrete(each)}
    return below | ({rule} if "name" in vars(rule) and rule.__module__.startswith("datascan.") else set())


def test_the_names_that_are_promised_are_there() -> None:
    promised = [f"{family}-{name}" for family, names in CONTRACT.items() for name in names.split()]
    assert sorted(rule.name for rule in RULES) == sorted(promised)


def test_every_rule_is_registered_once() -> None:
    assert len(set(RULES)) == len(RULES)
    assert concrete(Rule) == set(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_page_and_a_name_of_its_family(rule: type[Rule]) -> None:
    page = rule.__doc__ or ""
    assert re.findall(r"^\s*(## .*)$", page, re.MULTILINE) == HEADINGS
    sections = re.split(r"^\s*## .*$", page, flags=re.MULTILINE)
    assert sections[0].strip() == ""
    assert all(len(section.split()) >= 5 for section in sections[1:])
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.name)
    assert rule.__name__ == "".join(word.capitalize() for word in rule.name.split("-"))
    assert isinstance(rule.severity, Severity)
    assert rule(Context(Options(), "test", "lmdb", Traits())).family in FAMILIES


def test_families_stand_in_the_order_of_the_rules() -> None:
    assert FAMILIES == ("store", "record", "image", "value", "label", "box", "probe", "expect", "set", "drift")


@pytest.mark.parametrize(
    ("chosen", "ignored", "expected"),
    [
        (["box-invalid", "value-nan"], [], ["value-nan", "box-invalid"]),
        (["value"], ["value-inf"], ["value-nan", "value-extreme", "value-constant", "value-unscaled"]),
        (["value-nan", "value"], ["value"], []),
        (["box"], [], ["box-invalid"]),
    ],
)
def test_rules_are_chosen_by_name_or_family(chosen: list[str], ignored: list[str], expected: list[str]) -> None:
    assert [rule.name for rule in select(chosen, ignored)] == expected


def test_nothing_chosen_means_all() -> None:
    assert select() == list(RULES)
    assert [rule.name for rule in select((), ["box", "label"])] == [
        rule.name for rule in RULES if not rule.name.startswith(("box", "label"))
    ]


@pytest.mark.parametrize("unknown", ["valeu-nan", "value-", "nan", ""])
def test_an_unknown_name_is_refused(unknown: str) -> None:
    with pytest.raises(UsageError, match="no rule or family"):
        select([unknown])
    with pytest.raises(UsageError):
        select([], [unknown])
    with pytest.raises(UsageError):
        rule_named(unknown)


def test_a_slip_of_the_finger_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="did you mean value-nan"):
        select(["valeu-nan"])


def test_instances_keep_the_order_asked_for() -> None:
    context = Context(Options(), "test", "lmdb", Traits())
    names = ["value-nan", "store-empty"]
    assert [rule.name for rule in instantiate(names, context)] == names
    assert all(name in dir(rules) for name in rules.__all__)
