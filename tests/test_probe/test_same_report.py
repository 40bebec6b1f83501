"""Same input, same report, for any number of workers, and after a worker died."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.probe_sets import floats, with_value, write, write_encoded

from datascan.scanner import SourceReport, check
from datascan.scanner.crew import Crew
from datascan.scanner.journal import Journal


def body(report: SourceReport) -> dict[str, object]:
    return {name: value for name, value in report.to_dict().items() if name != "run"}


def test_the_report_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    data, labels = floats((3, 40, 40), 4000)  # more than one partition
    with_value(np.nan)(data, labels)
    data[3850, 1, 2, 3] = 1e25
    path = write("hdf5", tmp_path, data, labels)
    reports = [
        check(path, jobs=jobs, probe={"train_steps": 3}, batch_size=7, num_classes=5).reports[0] for jobs in (1, 2, 3)
    ]
    assert body(reports[0]) == body(reports[1]) == body(reports[2])
    assert reports[2].run.workers > 1
    found = {f.location.index: f.data["batch"] for f in reports[0].findings if f.rule == "probe-non-finite"}
    assert found == {23: 3, 3850: 550}


def test_images_give_the_same_report_however_they_are_summed_up(tmp_path: Path) -> None:
    path = write_encoded("lmdb", tmp_path, "JPEG")
    first, again = (check(path, jobs=jobs, probe=True, statistics="full").reports[0] for jobs in (1, 2))
    assert body(first) == body(again)


def test_a_scan_that_goes_on_from_a_checkpoint_says_the_same(tmp_path: Path, crew: Crew) -> None:
    data, labels = floats((3, 40, 40), 4000)
    with_value(np.nan)(data, labels)
    data[3000] *= 1e18
    path = write("hdf5", tmp_path, data, labels)
    probe = {"train_steps": 3, "mean_values": (0.1,), "std": (1.0, 1.0, 2.0)}
    whole = check(path, crew=crew, probe=probe).reports[0]
    with Journal(tmp_path / "done", [str(path)]) as journal:
        check(path, crew=crew, probe=probe, resume=journal)
    with Journal(tmp_path / "done", [str(path)]) as journal:
        again = check(path, crew=crew, probe=probe, resume=journal).reports[0]
    assert body(again) == body(whole)
    assert [f.location.index for f in whole.findings if f.rule == "probe-non-finite"] == [None, 23, 3000]
