"""The benchmark's results, never its times: every path over every workload finds what was planted, and nothing else."""

from __future__ import annotations

import ast
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import __main__ as command
from benchmarks import cold, peers
from benchmarks.__main__ import main
from benchmarks.aims import aims
from benchmarks.competition import Competition
from benchmarks.contestants import NAMES
from benchmarks.field import CLEANVISION, COLD, FASTDUP, JPEGINFO, NAIVE, OURS_1, OURS_2, Contestant, field
from benchmarks.page import MARK, write_page
from benchmarks.results import Figures, Kept, Measured, code, machine, times_faster
from benchmarks.workloads import WORKLOADS, Workload, files_of, named

from datascan.scanner import check
from datascan.scanner.crew import Crew
from datascan.scanner.report import SourceReport

NAIVE_SCRIPTS = {"raw": "naive_raw", "floats": "naive_floats", "images": "naive_images", "hdf5": "naive_hdf5"}


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
        assert report.source.records == workload.records("small")


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's, over the infinities
@pytest.mark.parametrize(
    "workload", [one for one in WORKLOADS if one.kind in NAIVE_SCRIPTS], ids=lambda workload: workload.name
)
def test_the_script_of_a_user_finds_what_it_can(workload: Workload, cache: Path) -> None:
    path = workload.ready(cache, "small")
    outcome = NAMES[NAIVE_SCRIPTS[workload.kind]](workload.store, str(path))
    assert outcome == (workload.records("small"), workload.seen_naively)


def test_one_worker_and_two_find_the_same(cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The command itself, each contestant in a process of its own."""
    page = tmp_path / "docs" / "performance.md"
    names = ("raw", "hdf5-gzip")
    argv = ["--workloads", ",".join(names), "--scale", "small", "--runs", "1", "--cache", str(cache)]
    assert main([*argv, "--write", str(page)]) == 0
    shown = capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    for name in names:
        assert all(one.name in shown and one.name in text for one in field(named(name), cache, "small"))


def test_an_unknown_workload_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--workloads", "raw,rew"]) == 2
    assert "no workload rew" in capsys.readouterr().out


def test_a_run_that_finds_something_else_is_a_failure_and_not_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workload, "expected", lambda self, scale: {("value-nan", 0)})
    assert main(["--workloads", "floats", "--scale", "small", "--runs", "1", "--cache", str(cache)]) == 1
    assert Kept(cache, "small").get("floats") is None


# ---- results ----


def figures(*cpu_s: float, records: int = 1000, memory: int = 0) -> Figures:
    return Figures(records, 10_000_000, cpu_s, cpu_s, 0.3, memory)


def measured(table: dict[str, Figures], **changes: object) -> Measured:
    shares = [(0.25, "somewhere: function")]
    whole = Measured(table, shares, {}, {"cleanvision": "1.2.3"}, machine(), "2026-01-31", 3, code())
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_results_are_kept_as_they_were(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "full")
    assert kept.get("raw") is None
    one = measured({NAIVE: figures(1.0, 2.0), OURS_1: figures(0.5)}, absent={CLEANVISION: "it is not there"})
    kept.keep("raw", one)
    assert kept.get("raw") == one
    kept.keep("raw", replace(one, machine="another"))
    assert kept.get("raw") is None


def test_ratios_are_taken_in_turn_and_for_a_record() -> None:
    assert times_faster(figures(1.0, 2.0, 10.0), figures(3.0, 6.0, 20.0)) == 3.0
    assert times_faster(figures(1.0), figures(5.0, records=100)) == pytest.approx(50.0)
    assert times_faster(figures(1.0, 2.0, 3.0), figures(4.0)) == 2.0


def test_a_run_that_was_cut_short_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def over(self: Competition, workload: Workload) -> Measured:
        ran.append(workload.name)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return measured({OURS_1: figures(1.0, 1.0, 1.0), OURS_2: figures(1.0, 1.0, 1.0)})

    monkeypatch.setattr(Competition, "over", over)
    page = tmp_path / "page.md"
    argv = ["--workloads", "raw,floats,hdf5", "--cache", str(tmp_path), "--write", str(page)]
    assert main(argv) == 130
    assert "--resume" in capsys.readouterr().err
    assert "### raw" in page.read_text(encoding="utf-8")
    assert main([*argv, "--resume"]) == 0
    assert ran == ["raw", "floats", "floats", "hdf5"]
    assert all(f"### {name}" in page.read_text(encoding="utf-8") for name in ("raw", "floats", "hdf5"))
    monkeypatch.setattr(command, "code", lambda: "changed since")
    assert main([*argv, "--resume"]) == 0
    assert ran[4:] == ["raw", "floats", "hdf5"]


def test_the_page_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"by hand\n{MARK}\nold figures\n", encoding="utf-8")
    table = {one.name: figures(0.5, memory=100_000_000) for one in field(named("raw"), tmp_path, "small")}
    absent = {COLD: "the system does not let go"}
    write_page(page, {"raw": measured(table, absent=absent), "digits": measured(table, code="before")})
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"by hand\n{MARK}\n")
    assert "old figures" not in text
    assert "25% `somewhere: function`" in text
    assert "cleanvision 1.2.3" in text
    assert "| raw | times the naive script, CPU | 5 | 1.00 | no |" in text
    assert "| raw | of a cold cat, 2 workers, by the clock | 0.9 | not measured | no |" in text
    assert "| raw | MB of memory at the peak, 2 workers, at most | 300 | 100 | yes |" in text
    assert f"Left out: {COLD}, because the system does not let go." in text
    assert text.count("before the last change to the program") == 1


def test_every_figure_can_be_worked_out() -> None:
    """Names of contestants in the figures to reach are those of contestants that there are."""
    results = {
        workload.name: measured(
            {one.name: figures(1.0, records=workload.full, memory=1) for one in _entrants(workload)}
        )
        for workload in WORKLOADS
    }
    found = list(aims(results))
    assert {one.workload for one in found} >= set(results) - {"digits-tenth", "faults-tenth"}
    assert [one.what for one in found if one.measured is None] == []


def _entrants(workload: Workload) -> list[Contestant]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "missing_package", lambda name, cache: None)
        return list(field(workload, Path("nowhere"), "full"))


# ---- other tools, and a cold cache ----


def test_a_peer_that_is_not_there_is_left_out_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(argv: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 1, "", "trying\nno network")

    peers.missing_package.cache_clear()
    monkeypatch.setattr(subprocess, "run", failing)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    absent = {one.name: one.absent for one in field(named("jpeg-q75"), tmp_path, "full")}
    assert "Debian's package jpeginfo" in str(absent[JPEGINFO])
    assert str(absent[CLEANVISION]).endswith("no network")
    assert absent[FASTDUP] is not None
    assert absent[OURS_1] is None


def test_images_are_written_as_files_for_tools_that_know_nothing_else(cache: Path) -> None:
    workload = named("jpeg-q75")
    folder = peers.extracted(workload, workload.ready(cache, "small"))
    files = sorted(folder.iterdir())
    assert len(files) == workload.records("small")
    assert all(file.read_bytes().startswith(b"\xff\xd8\xff") for file in files)
    assert folder.with_suffix(".txt").read_text(encoding="utf-8").split() == [str(file) for file in files]


def test_the_script_for_peers_imports_nothing_of_this_project() -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(peers.SCRIPT.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(f"{'.' * node.level}{node.module}")
    assert imported == {"__future__", "sys", "tempfile", *peers.PACKAGES}


def test_what_is_in_the_page_cache_is_known(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(1 << 20))
    assert cold.resident([file]) == 1.0
    if cold.evict([file]):  # not on every file system
        assert cold.resident([file]) < 0.1
    assert file.read_bytes() == bytes(1 << 20)
    assert cold.resident(files_of(tmp_path)) == 1.0
