from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from tests.test_rules.samples import records, run_rule

from datascan.backends.base import Damage, DamageKind
from datascan.scanner.finding import Finding, Location, Severity
from datascan.scanner.layouts.base import Traits
from datascan.scanner.options import Options
from datascan.scanner.rules import Context, Rule, StoreRule, select
from datascan.scanner.rules.store import StoreCountMismatch, StoreEmpty, damage_findings
from datascan.scanner.sample import TwinBlock
from datascan.scanner.summary import Summary


def context(**options: dict[str, Severity]) -> Context:
    return Context(Options(**options), "test", "lmdb", Traits())  # type: ignore[arg-type]  # as Options checks them


def reported(damage: Damage, **options: dict[str, Severity]) -> list[Finding]:
    rules: list[Rule] = [rule(context(**options)) for rule in select(["store"])]
    return [finding for rule in rules if isinstance(rule, StoreRule) for finding in rule.report(damage)]


@pytest.mark.parametrize("kind", get_args(DamageKind))
def test_every_kind_of_damage_is_reported_by_one_rule(kind: DamageKind) -> None:
    found = reported(Damage(kind, "the reason"))
    assert [(finding.rule, finding.message) for finding in found] == [(f"store-{kind}", "the reason")]
    assert found[0].severity is (Severity.WARNING if kind == "in-use" else Severity.ERROR)


def test_a_finding_tells_all_that_the_damage_knows() -> None:
    damage = Damage("damaged", "page 7", 3, b"k", "/data", 28672, 15, {"page": 7})
    location = Location(key=b"k", index=3, dataset="/data", offset=28672)
    expected = Finding("store-damaged", Severity.ERROR, "page 7", location, {"page": 7, "records_lost": 15})
    assert reported(damage) == [expected]
    assert damage_findings(damage) == expected


def test_the_severity_asked_for_wins() -> None:
    found = reported(Damage("in-use", "a writer"), severities={"store-in-use": Severity.ERROR})
    assert [finding.severity for finding in found] == [Severity.ERROR]


def empty(summary: Summary) -> list[Finding]:
    return list(StoreEmpty(context()).finish(summary))


def test_a_set_without_records_is_empty_unless_damage_explains_it() -> None:
    summary = Summary(Options())
    assert [finding.message for finding in empty(summary)] == ["holds no records"]
    summary.damages = 1
    assert empty(summary) == []


def test_a_set_of_one_record_is_not_empty() -> None:
    assert run_rule(StoreEmpty, records(1, sample_rows=[])) == []


def test_a_claimed_count_must_be_the_number_of_samples() -> None:
    assert run_rule(StoreCountMismatch, records(5, sample_rows=range(4), count_claims=[(4, 4)])) == []
    wrong = records(5, sample_rows=range(4), count_claims=[(4, 7)])
    assert run_rule(StoreCountMismatch, wrong) == [(4, "store-count-mismatch", None)]


@pytest.mark.parametrize(("claimed", "expected"), [(3, []), (2, [(5, "store-count-mismatch", None)])])
def test_pairs_count_once_and_with_one_half_missing(claimed: int, expected: list[object]) -> None:
    twins = [
        TwinBlock("image", np.array([0, 1, 2]), np.array([1, 2, 3])),
        TwinBlock("label", np.array([3, 4]), np.array([1, 2])),
    ]
    samples = records(6, sample_rows=range(3), twins=twins, count_claims=[(5, claimed)])
    assert run_rule(StoreCountMismatch, samples) == expected
