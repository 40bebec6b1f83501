"""Small nets, sound and broken, each of which must give its rule alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.test_training.nets import FIXTURES, facts_of

from datascan.scanner.finding import Severity
from datascan.scanner.training.net import check_net
from datascan.scanner.training.net_rules import NET_LAYER_RULES
from datascan.scanner.training.prototxt import parse
from datascan.scanner.training.registry import FILE_RULES

CLEAN = sorted((FIXTURES / "clean").glob("*.prototxt"))
DAMAGED = sorted((FIXTURES / "damaged").glob("*.prototxt"))
NAMES = [rule.name for rule in NET_LAYER_RULES]


def rule_of(path: Path) -> str:
    """The rule that a file is named after: the longest that fits."""
    return max((name for name in NAMES if path.stem == name or path.stem.startswith(f"{name}-")), key=len)


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.stem)
def test_a_sound_net_gives_nothing(path: Path) -> None:
    text = path.read_text()
    assert [finding for finding in check_net(parse(text), facts_of(text)) if finding.severity > Severity.INFO] == []


@pytest.mark.parametrize("path", DAMAGED, ids=lambda path: path.stem)
def test_a_broken_net_gives_its_rule_alone(path: Path) -> None:
    text = path.read_text()
    findings = check_net(parse(text), facts_of(text))
    told = [finding for finding in findings if finding.severity > Severity.INFO] or findings
    assert {finding.rule for finding in told} == {rule_of(path)}
    for finding in told:
        assert finding.location.line is not None
        assert finding.data.get("remedy")


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_has_a_broken_net(name: str) -> None:
    assert any(rule_of(path) == name for path in DAMAGED)


def test_the_rules_are_registered() -> None:
    assert set(NET_LAYER_RULES) <= set(FILE_RULES)
