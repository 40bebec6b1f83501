"""Each rule about logs has a log that gives exactly it; healthy logs give nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.training_logs import CLEAN, DAMAGED, HERE

from datascan.scanner.training.log_check import check_log
from datascan.scanner.training.log_reader import read_log
from datascan.scanner.training.log_rules import LOG_RULES

BESIDE = {"log-accuracy-of-nan": {"log-loss-nan"}}


@pytest.mark.parametrize("path", sorted((HERE / "damaged").iterdir()), ids=lambda path: path.stem)
def test_a_damaged_log_gives_its_rule(path: Path) -> None:
    findings = check_log(read_log(path))
    assert {finding.rule for finding in findings} == {path.stem} | BESIDE.get(path.stem, set())
    finding = next(finding for finding in findings if finding.rule == path.stem)
    rule = next(rule for rule in LOG_RULES if rule.name == path.stem)
    assert finding.severity is rule.severity
    assert finding.location.line is not None or path.stem == "log-not-recognised"


@pytest.mark.parametrize("path", sorted((HERE / "clean").iterdir()), ids=lambda path: path.stem)
def test_a_healthy_log_gives_nothing(path: Path) -> None:
    facts = read_log(path)
    assert facts.understood > 0
    assert check_log(facts) == []


def test_every_rule_has_a_log() -> None:
    assert {path.stem for path in (HERE / "damaged").iterdir()} == {rule.name for rule in LOG_RULES}


@pytest.mark.parametrize(("folder", "logs"), [("damaged", DAMAGED), ("clean", CLEAN)])
def test_the_logs_are_what_their_builder_writes(folder: str, logs: dict[str, bytes]) -> None:
    assert {path.stem: path.read_bytes() for path in (HERE / folder).iterdir()} == logs
