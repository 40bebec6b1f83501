"""What was asked for and not looked at is never a pass."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from datascan.backends.errors import UsageError
from datascan.scanner import Severity, check
from datascan.scanner.crew import Crew


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["data"] = rng.normal(0, 1, (40, 6)).astype(np.float32)
        file["label"] = rng.integers(0, 3, 40)
    return tmp_path / "rows.h5"


def test_a_scan_without_rules_is_refused(rows: Path, crew: Crew) -> None:
    with pytest.raises(UsageError, match="no rule is left"):
        check(rows, crew=crew, select=("value",), ignore=("value",))


def test_a_rule_asked_for_by_name_that_can_t_run_leaves_the_scan_incomplete(rows: Path, crew: Crew) -> None:
    (report,) = check(rows, crew=crew, select=("image-too-small", "value-nan")).reports
    assert (report.exit_code, report.verdict) == (3, "incomplete")
    assert any("image-too-small" in reason for reason in report.coverage.reasons)
    assert check(rows, crew=crew, select=("value-nan",)).exit_code == 0


@pytest.mark.parametrize(
    ("data", "label"),
    [("wav", "label"), ("data", "fine_labels"), ("images", "coarse_label"), ("spectra", "class_targets"), (None, "y")],
)
def test_labels_are_checked_whatever_the_samples_are_called(
    tmp_path: Path, crew: Crew, data: str | None, label: str
) -> None:
    labels = np.random.default_rng(1).integers(0, 4, 60)
    labels[17] = -1
    with h5py.File(tmp_path / "set.h5", "w") as file:
        if data:
            file[data] = np.random.default_rng(2).normal(0, 1, (60, 8)).astype(np.float32)
        file[label] = labels
    found = [(f.rule, f.location.index) for f in check(tmp_path / "set.h5", crew=crew) if f.severity is Severity.ERROR]
    assert found == [("label-negative", 17)]
