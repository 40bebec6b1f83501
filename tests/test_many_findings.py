"""Sets in which most records are at fault: few findings are made, all are counted, and nobody sees the difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.test_rules.samples import records
from tests.test_shards import shards_of, text

from datascan.scanner import check, merge
from datascan.scanner.crew import Crew
from datascan.scanner.finding import Finding, Location, Severity
from datascan.scanner.finding_batch import FindingBatch
from datascan.scanner.layouts.base import Traits
from datascan.scanner.options import Options
from datascan.scanner.partial import FindingLog
from datascan.scanner.rules import known_rules
from datascan.scanner.rules.base import Context
from datascan.scanner.sample import ArrayBlock, Fault, LabelBlock

COUNT = 300_000
"""Rows enough for two partitions."""


def broken_rows() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows of which nine of ten have a NaN, and labels of which three of ten are none."""
    rng = np.random.default_rng(5)
    chance = rng.random(COUNT)
    rows = rng.normal(size=(COUNT, 4)).astype(np.float32)
    rows[chance < 0.9, 1] = np.nan
    rows[(chance > 0.85) & (chance < 0.95), 2] = -np.inf
    rows[(chance > 0.5) & (chance < 0.7), 3] = 3e7
    rows[(chance > 0.6) & (chance < 0.65), 0] = 1e25
    return rows, np.where(rng.random(COUNT) < 0.3, np.nan, np.arange(COUNT) % 5).astype(np.float32)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("broken") / "rows.h5"
    with h5py.File(path, "w") as file:
        file["data"], file["label"] = broken_rows()
    return path


@pytest.mark.parametrize("cap", [0, 7, 1000])
def test_the_report_is_the_same_for_any_number_of_workers_and_shards(
    broken: Path, tmp_path: Path, crew: Crew, cap: int
) -> None:
    two = check(broken, crew=crew, max_findings=cap)
    assert two.reports[0].run.workers == 2
    assert text(check(broken, jobs=1, max_findings=cap)) == text(two)
    assert text(merge(*shards_of(tmp_path, crew, broken, count=3, max_findings=cap), crew=crew)) == text(two)


def test_the_first_ones_are_told_and_all_are_counted(broken: Path, crew: Crew) -> None:
    report = check(broken, crew=crew).reports[0]
    rows, labels = broken_rows()
    large = np.isfinite(rows) & (np.abs(rows) > 1e6)
    at_fault = {
        "value-nan": np.isnan(rows).any(axis=1),
        "value-inf": np.isinf(rows).any(axis=1),
        "value-extreme": large.any(axis=1),
        "label-nan": np.isnan(labels),
    }
    for rule, mask in at_fault.items():
        told = [finding.location.index for finding in report.findings if finding.rule == rule]
        assert told == np.flatnonzero(mask)[:1000].tolist()
        assert report.rule_count(rule) == np.count_nonzero(mask)
    grave = (large & (np.abs(rows) > 1e20)).any(axis=1)
    told_grave = sum(one.severity is Severity.ERROR for one in report.findings if one.rule == "value-extreme")
    assert report.omitted["value-extreme"] == {
        Severity.ERROR: np.count_nonzero(grave) - told_grave,
        Severity.WARNING: np.count_nonzero(at_fault["value-extreme"] & ~grave) - (1000 - told_grave),
    }


# ---- batches of findings ----


def finding(index: int, severity: Severity) -> Finding:
    return Finding("some-rule", severity, f"number {index}", Location(index=index))


GRADES = st.lists(st.lists(st.integers(0, 1), max_size=9), max_size=4)


@given(GRADES, st.integers(0, 12), st.booleans())
def test_a_log_of_batches_is_that_of_their_findings(batches: list[list[int]], cap: int, marked: bool) -> None:
    severities = (Severity.WARNING, Severity.ERROR)
    by_batch, by_finding = FindingLog(cap, marked), FindingLog(cap, marked)
    made = 0

    def counted(index: int, severity: Severity) -> Finding:
        nonlocal made
        made += 1
        return finding(index, severity)

    start = 0
    for grades in batches:
        found = [(start + number, severities[grade]) for number, grade in enumerate(grades)]
        by_batch.add(
            FindingBatch(
                "some-rule",
                np.arange(start, start + len(grades)),
                severities,
                np.array(grades, np.int8),
                lambda number, found=found: counted(*found[number]),  # type: ignore[misc]
            )
        )
        for index, severity in found:
            by_finding.add(finding(index, severity))
        start += len(grades)
    assert list(by_batch) == list(by_finding)
    assert by_batch.omitted == by_finding.omitted
    assert made == min(start, cap)
    if by_batch.marks is not None and by_finding.marks is not None:
        for severity in severities:
            marks = by_batch.marks.of("some-rule", severity)
            assert marks.tolist() == by_finding.marks.of("some-rule", severity).tolist()


def every_fault() -> Iterator[Fault]:
    """Faults of several rules, in the order of rows."""
    for row in range(6):
        for rule in ("record-undecodable", "value-nan", "label-nan", "image-constant", "box-invalid", "label-text"):
            yield Fault(row, rule, f"said of {row}", severe=row % 2 == 0)


@pytest.mark.parametrize("faults", [[], list(every_fault()), [Fault(None, "value-nan", "of all"), *every_fault()]])
def test_what_is_sifted_out_is_what_a_check_finds(faults: list[Fault]) -> None:
    """Every rule, where each record has something: two arrays of floats, a picture of one colour, labels."""
    rng = np.random.default_rng(6)
    floats = rng.choice([np.nan, np.inf, -np.inf, 1.0, 2e6, 1e30], (2, 6, 1, 5, 5), p=[0.02] * 5 + [0.9])
    floats[0] = rng.choice([np.nan, 1.0, -3e7], (6, 1, 5, 5), p=[0.02, 0.96, 0.02])
    pixels = np.repeat(np.arange(6, dtype=np.uint8), 25).reshape(6, 1, 5, 5)
    pixels[3, 0, 2, 2] += 1
    every = np.arange(6)
    samples = records(
        6,
        arrays=[
            ArrayBlock("first", every, floats[0], "CHW"),
            ArrayBlock("second", every[1:], floats[1, 1:].astype(np.float32), "CHW"),
            ArrayBlock("data", every, pixels, "CHW", "GREY"),
        ],
        faults=faults,
        positions=range(20, 26),
    )
    samples.labels = [LabelBlock("one", every, np.array([0, np.nan, 1, np.inf, np.nan, 2]))]
    context = Context(Options(crop=8, max_findings=2), "test", "lmdb", Traits())
    found: dict[str, list[Finding]] = {}
    for rule_class in known_rules():
        rule = rule_class(context)
        one_by_one, at_once = FindingLog(2, marked=True), FindingLog(2, marked=True)
        found[rule.name] = list(rule.check(samples))
        for one in found[rule.name]:
            one_by_one.add(one)
        for some in rule.sift(samples):
            at_once.add(some)
        assert list(at_once) == list(one_by_one) == found[rule.name][:2]
        assert at_once.omitted == one_by_one.omitted
        assert at_once.marks is not None
        assert one_by_one.marks is not None
        assert {key: list(one) for key, one in at_once.marks.positions.items() if one} == {
            key: list(one) for key, one in one_by_one.marks.positions.items()
        }
    assert {"value-nan", "value-extreme", "label-nan", "image-constant", "image-too-small"} <= {
        rule for rule, findings in found.items() if len(findings) > 2
    }
