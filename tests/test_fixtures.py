"""Every committed fixture gives exactly what its folder's name says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datascan.scanner import Report, check
from datascan.scanner.crew import Crew
from datascan.scanner.rules import RULES, SetRule
from datascan.scanner.rules.audit import AuditRule

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
RULE_NAMES = sorted((rule.name for rule in RULES), key=len, reverse=True)
CLEAN = sorted((FIXTURES / "clean").iterdir())
DAMAGED = sorted((FIXTURES / "damaged").iterdir())


def scan(folder: Path, crew: Crew) -> tuple[Report, dict[str, Any]]:
    expectation = folder / "expect.json"
    expected = json.loads(expectation.read_text(encoding="utf-8")) if expectation.exists() else {}
    (source,) = (entry for entry in folder.iterdir() if entry != expectation)
    options = dict(expected.get("options", {}))
    return check(source / options.pop("source", ""), crew=crew, **options), expected


def rule_of(folder: Path) -> str:
    return next(name for name in RULE_NAMES if folder.name.startswith(name + "-"))


def lines(report: Report) -> str:
    return "\n".join(f"{f.severity.value} {f.rule} {f.location} {f.message}" for f in report)


@pytest.mark.parametrize("folder", CLEAN, ids=lambda folder: folder.name)
def test_a_clean_set_gives_no_finding(folder: Path, crew: Crew) -> None:
    report, _ = scan(folder, crew)
    assert len(report) == 0, lines(report)
    assert report.exit_code == 0


@pytest.mark.parametrize("folder", DAMAGED, ids=lambda folder: folder.name)
def test_a_damaged_set_gives_exactly_its_rule(folder: Path, crew: Crew) -> None:
    report, expected = scan(folder, crew)
    rule = rule_of(folder)
    found = {finding.rule for finding in report}
    assert rule in found, lines(report) or report.reports[0].coverage
    assert found <= {rule, *expected["also"]}, lines(report)
    assert expected["index"] in [f.location.index for f in report if f.rule == rule], lines(report)


def test_every_rule_has_a_damaged_set() -> None:
    covered = {rule_of(folder) for folder in DAMAGED}
    needs_a_process = {"store-in-use", "store-reader-died"}
    needs_two_sets = {rule.name for rule in RULES if issubclass(rule, AuditRule | SetRule)}
    assert {rule.name for rule in RULES} - covered == needs_a_process | needs_two_sets
