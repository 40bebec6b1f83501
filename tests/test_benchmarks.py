"""The benchmark's results, never its times: every path over every workload finds what was planted, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.__main__ import main
from benchmarks.contestants import NAMES
from benchmarks.field import field
from benchmarks.page import AIMS, MARK, Figures, write_page
from benchmarks.workloads import WORKLOADS, Workload

from datascan.scanner import check
from datascan.scanner.crew import Crew
from datascan.scanner.report import SourceReport

NAIVE = {"raw": "naive_raw", "floats": "naive_floats", "images": "naive_images", "hdf5": "naive_hdf5"}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


def found_in(report: SourceReport) -> set[tuple[str, int | None]]:
    return {(found.rule, found.location.index) for found in report.findings}


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_every_path_finds_what_was_planted(workload: Workload, cache: Path, crew: Crew) -> None:
    path = workload.ready(cache, "small")
    reports = [check(path, crew=crew).reports[0]]
    if workload.kind == "images":
        reports += [check(path, crew=crew, statistics=way).reports[0] for way in ("full", "sampled")]
    for report in reports:
        assert found_in(report) == workload.expected("small")
        assert report.findings == reports[0].findings
        assert report.coverage.complete
        assert report.source.records == workload.counts["small"]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's, over the infinities
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_script_of_a_user_finds_what_it_can(workload: Workload, cache: Path) -> None:
    path = workload.ready(cache, "small")
    outcome = NAMES[NAIVE[workload.kind]](workload.store, str(path))
    assert outcome == (workload.counts["small"], workload.seen_naively)


def test_one_worker_and_two_find_the_same(cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The command itself, each contestant in a process of its own."""
    page = tmp_path / "docs" / "performance.md"
    names = ("raw", "hdf5-gzip")
    argv = ["--workloads", ",".join(names), "--scale", "small", "--runs", "1", "--cache", str(cache)]
    assert main([*argv, "--write", str(page)]) == 0
    shown = capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    for workload in WORKLOADS:
        if workload.name in names:
            assert all(one.name in shown and one.name in text for one in field(workload))


def test_an_unknown_workload_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--workloads", "raw,rew"]) == 2
    assert "no workload rew" in capsys.readouterr().out


def test_a_run_that_finds_something_else_is_a_failure(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workload, "expected", lambda self, scale: {("value-nan", 0)})
    assert main(["--workloads", "floats", "--scale", "small", "--runs", "1", "--cache", str(cache)]) == 1


def test_every_aim_is_of_a_workload_that_there_is() -> None:
    assert {name for name, *_ in AIMS} <= {workload.name for workload in WORKLOADS}


def test_the_page_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"by hand\n{MARK}\nold figures\n", encoding="utf-8")
    figures = Figures(1000, 10_000_000, 0.5, 0.6, 0.3, 100_000_000)
    workload = WORKLOADS[0]
    shares = {workload.name: [(0.25, "somewhere: function")]}
    write_page(page, {workload: {one.name: figures for one in field(workload)}}, 3, shares)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"by hand\n{MARK}\n")
    assert "old figures" not in text
    assert "25% `somewhere: function`" in text
    assert "| raw | times the naive script, CPU | 5 | 1.00 | no |" in text
    assert "| raw | MB of memory at the peak, 2 workers, at most | 300 | 100 | yes |" in text
