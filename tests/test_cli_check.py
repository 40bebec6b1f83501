"""``datascan check`` through `main`: exit codes, outputs, what reaches the scanner."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli_sources import BROKEN, RECORDS, write_hdf5, write_lmdb

from datascan.backends.errors import UsageError
from datascan.scanner.__main__ import main
from datascan.scanner.cli import check_run
from datascan.scanner.finding import Finding, Location, Severity
from datascan.scanner.report import Coverage, Report, RunInfo, SourceInfo, SourceReport
from datascan.scanner.supervisor import Limits

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``datascan check``: exit code, standard output, standard error."""
    for name in ("DATASCAN_DEBUG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run_main(*argv: object) -> tuple[int, str, str]:
        code = main(["check", *(str(word) for word in argv)])
        return (code, *capsys.readouterr())

    return run_main


def report_of(path: str, **fields: Any) -> SourceReport:
    """A clean report, but for some fields."""
    given: dict[str, Any] = {"coverage": Coverage(60), "run": RunInfo("2026-01-02T03:04:05+00:00", 0.5, 1)} | fields
    return SourceReport(source=SourceInfo(path, "lmdb", "caffe-datum", 60, 4096), **given)


class Scanner:
    """Stands in for `check`: remembers what it is asked for, answers by path, with a report or an exception."""

    def __init__(self) -> None:
        self.answers: dict[str, SourceReport | BaseException] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, source: str, **given: Any) -> Report:
        self.calls.append((source, given))
        answer = self.answers.get(source, report_of(source))
        if isinstance(answer, BaseException):
            raise answer
        return Report((answer,))


@pytest.fixture
def scanner(monkeypatch: pytest.MonkeyPatch) -> Scanner:
    stand_in = Scanner()
    monkeypatch.setattr(check_run, "check", stand_in)
    return stand_in


ERROR = Finding("value-nan", Severity.ERROR, "NaN", Location(b"k", 1))
WARNING = Finding("label-constant", Severity.WARNING, "every label is 3")


# ---- options ----


def test_defaults_reach_the_scanner(run: Run, scanner: Scanner) -> None:
    assert run("a")[0] == 0
    ((source, given),) = scanner.calls
    assert source == "a"
    assert given.pop("crew").limits == Limits(timeout_s=60.0, max_memory=4 << 30)
    assert given == {
        "backend": None,
        "database": None,
        "layout": None,
        "resume": None,
        "progress": None,
        "executor": None,
        "found": None,
        "data_root": None,
        "work_dir": None,
        "cache_dir": None,
        "select": (),
        "ignore": (),
        "severities": {},
        "fail_on": "error",
        "num_classes": None,
        "ignore_labels": (),
        "batch_size": None,
        "crop": None,
        "charset": None,
        "extreme": 1e6,
        "max_pixels": 1 << 28,
        "max_findings": 1000,
        "limit": None,
        "sample": None,
        "expect": None,
        "statistics": "auto",
        "duplicates": "exact",
        "follow_external": False,
        "near": False,
        "probe": None,
    }


def test_every_option_reaches_the_scanner(run: Run, scanner: Scanner) -> None:
    words = """a --backend lmdb --database db --layout raw --select value,label --select image-truncated
        --ignore label-constant,,label-sorted --severity value-nan=Warning --severity box=info --fail-on warning
        --num-classes 10 --ignore-label -1 --ignore-label 255 --batch-size 64 --crop 224 --extreme 1e3
        --max-pixels 5000 --max-findings 0 --limit 7 --jobs 2 --timeout 2.5
        --max-memory 512M --data-root /data"""
    assert run(*words.split())[0] == 0
    given = scanner.calls[0][1]
    assert given["severities"] == {"value-nan": "warning", "box-invalid": "info"}
    assert given["select"] == ("value", "label", "image-truncated")
    assert given["ignore"] == ("label-constant", "label-sorted")
    assert given["ignore_labels"] == (-1, 255)
    expected = {"backend": "lmdb", "database": "db", "layout": "raw", "fail_on": "warning", "num_classes": 10}
    expected |= {
        "data_root": "/data",
        "batch_size": 64,
        "crop": 224,
        "extreme": 1e3,
        "max_pixels": 5000,
        "max_findings": 0,
        "limit": 7,
    }
    assert {name: given[name] for name in expected} == expected
    assert given["crew"].size == 2
    assert given["crew"].limits == Limits(timeout_s=2.5, max_memory=512 << 20)


def test_never_and_sample(run: Run, scanner: Scanner) -> None:
    assert run("a", "--fail-on", "never", "--sample", "0.25")[0] == 0
    assert scanner.calls[0][1]["fail_on"] is None
    assert scanner.calls[0][1]["sample"] == 0.25


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--limit", "5", "--sample", "0.5"], "--limit and --sample were both given; choose one"),
        (["--limit", "0"], "--limit"),
        (["--jobs", "0"], "--jobs"),
        (["--timeout", "0"], "--timeout"),
        (["--timeout", "nan"], "--timeout"),
        (["--max-memory", "2X"], "--max-memory"),
        (["--max-memory", "1M"], "the memory limit is 1048576 bytes; a worker needs 256M"),
        (["--resume", "a/b"], "can't open the checkpoint a/b"),
        (["--sample", "0"], "--sample"),
        (["--sample", "1.5"], "--sample"),
        (["--sample", "nan"], "--sample"),
        (["--extreme", "0"], "--extreme"),
        (["--extreme", "nan"], "--extreme"),
        (["--crop", "0"], "--crop"),
        (["--crop", "x"], "--crop"),
        (["--num-classes", "0"], "--num-classes"),
        (["--batch-size", "-3"], "--batch-size"),
        (["--max-pixels", "0"], "--max-pixels"),
        (["--max-findings", "-1"], "--max-findings"),
        (["--backend", "sqlite"], "lmdb"),
        (["--fail-on", "always"], "never"),
        (["--color", "pink"], "--color"),
        (["--select", "vlue-nan"], "--select: no rule or family 'vlue-nan'; did you mean value-nan"),
        (["--ignore", "imag"], "--ignore: no rule or family 'imag'; did you mean image"),
        (["--select", ","], "no name given"),
        (["--severity", "value-nan"], "RULE=LEVEL"),
        (["--severity", "value-nan=fatal"], "RULE=LEVEL"),
        (["--severity", "no-such-rule=error"], "--severity: no rule or family"),
        (["--layout", "caffe-datums"], "--layout: unknown layout 'caffe-datums'; did you mean caffe-datum"),
        (["--output", "jsn"], "--output: no format 'jsn'; did you mean json?"),
        (["--output", "xml"], "there are text, json"),
        (["--output", "json="], "no file after 'json='"),
        (["--output", "json", "--output", "text"], "can't both go to standard output"),
        (["--output", "json", "--output", "json"], "can't both go to standard output"),
        (["--output", "json=/tmp/x", "--output", "text=/tmp/../tmp/x"], "two formats can't both go to /tmp/x"),
        (["--output", "json=/no/such/folder/x"], "can't write /no/such/folder/x: No such file or directory"),
        (["--output", "json=/tmp"], "can't write /tmp"),
        (["--nosuch"], "--nosuch"),
    ],
)
def test_nonsense_is_one_clear_line_and_2(run: Run, scanner: Scanner, argv: list[str], words: str) -> None:
    code, out, err = run("a", *argv)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err
    assert scanner.calls == []


@pytest.mark.parametrize("source", ["", "a\0b"])
def test_a_source_that_is_no_path_is_2(run: Run, scanner: Scanner, source: str) -> None:
    code, out, err = run("good", source)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert scanner.calls == []


def test_the_help_names_the_formats() -> None:
    from datascan.scanner.cli.check import check
    from datascan.scanner.render import RENDERERS

    (output,) = (option for option in check.params if option.name == "outputs")
    assert all(name in str(output.to_info_dict()["help"]) for name in RENDERERS)


# ---- verdicts ----


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, 0),
        ({"findings": (WARNING,)}, 0),
        ({"findings": (ERROR,)}, 1),
        ({"findings": (WARNING,), "fail_on": Severity.WARNING}, 1),
        ({"findings": (ERROR,), "fail_on": None}, 0),
        ({"coverage": Coverage(3, complete=False, reasons=("a limit",))}, 3),
        ({"findings": (ERROR,), "coverage": Coverage(3, complete=False)}, 1),
        ({"error": "no such path"}, 3),
        ({"crashed": True, "findings": (ERROR,)}, 4),
        ({"interrupted": True, "findings": (ERROR,)}, 130),
    ],
)
def test_a_report_becomes_its_exit_code(run: Run, scanner: Scanner, fields: dict[str, Any], code: int) -> None:
    scanner.answers["a"] = report_of("a", **fields)
    ended, out, err = run("a")
    assert ended == code
    assert out.startswith(("PASS  a", "FAIL  a", "INCOMPLETE  a"))
    assert ("This is a bug in datascan" in err) == (code == 4)


def test_of_several_sources_the_gravest_wins_and_all_are_scanned(run: Run, scanner: Scanner) -> None:
    scanner.answers["bad"] = report_of("bad", findings=(ERROR,))
    scanner.answers["gone"] = report_of("gone", error="no such path")
    code, out, _ = run("good", "gone", "bad", "good")
    assert code == 3
    assert [source for source, _ in scanner.calls] == ["good", "gone", "bad", "good"]
    assert "4 sources: 1 failed, 1 incomplete, 2 passed" in out


def test_a_crash_in_one_source_is_4_and_the_others_are_scanned(run: Run, scanner: Scanner) -> None:
    scanner.answers["bad"] = ZeroDivisionError("zero")
    scanner.answers["worse"] = report_of("worse", findings=(ERROR,))
    code, out, err = run("bad", "worse", "good")
    assert code == 4
    assert "INCOMPLETE  bad: the scan crashed, which is a bug in datascan: ZeroDivisionError: zero" in out
    assert "FAIL  worse" in out
    assert "PASS  good" in out
    assert err.startswith("datascan: ZeroDivisionError: zero\nThis is a bug in datascan")
    assert "Traceback" not in err


def test_a_crash_with_debug_shows_where(run: Run, scanner: Scanner) -> None:
    scanner.answers["bad"] = ZeroDivisionError("zero")
    assert "Traceback" in run("bad", "--debug")[2]


def test_ctrl_c_keeps_the_report_and_leaves_out_the_rest(run: Run, scanner: Scanner) -> None:
    scanner.answers["b"] = report_of(
        "b", interrupted=True, coverage=Coverage(9, complete=False, reasons=("interrupted",))
    )
    code, out, _ = run("a", "b", "c", "--output", "json")
    report = json.loads(out)
    assert code == report["exit_code"] == 130
    assert [source for source, _ in scanner.calls] == ["a", "b"]
    assert [one["coverage"]["complete"] for one in report["reports"]] == [True, False, False]
    assert report["reports"][2]["error"] is not None


def test_ctrl_c_before_the_first_record_is_130_with_a_report(run: Run, scanner: Scanner) -> None:
    scanner.answers["a"] = KeyboardInterrupt()
    code, out, _ = run("a")
    assert code == 130
    assert out == "INCOMPLETE  a: interrupted before the first record\n"


def test_options_that_do_not_fit_the_only_source_are_2(run: Run, scanner: Scanner) -> None:
    scanner.answers["a"] = UsageError("layout raw is not for hdf5 stores")
    assert run("a") == (2, "", "datascan: layout raw is not for hdf5 stores\n")


def test_options_that_do_not_fit_one_of_several_sources_leave_the_others(run: Run, scanner: Scanner) -> None:
    scanner.answers["a"] = UsageError("layout raw is not for hdf5 stores")
    code, out, _ = run("a", "b")
    assert code == 3
    assert "INCOMPLETE  a: layout raw is not for hdf5 stores" in out
    assert "PASS  b" in out


# ---- outputs ----


def test_json_replaces_the_text(run: Run, scanner: Scanner) -> None:
    scanner.answers["a"] = report_of("a", findings=(ERROR,))
    code, out, err = run("a", "--output", "json")
    assert (code, err) == (1, "")
    assert json.loads(out)["reports"][0]["findings"][0]["rule"] == "value-nan"


def test_a_json_file_leaves_the_text_on_standard_output(run: Run, scanner: Scanner, tmp_path: Path) -> None:
    code, out, _ = run("a", "--output", f"json={tmp_path / 'r.json'}")
    assert code == 0
    assert out.startswith("PASS  a")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["verdict"] == "pass"
    assert os.listdir(tmp_path) == ["r.json"]


def test_several_outputs(run: Run, scanner: Scanner, tmp_path: Path) -> None:
    _, out, _ = run("a", "-o", "json", "-o", f"text={tmp_path / 'r.txt'}", "-o", f"json={tmp_path / 'r.json'}")
    assert json.loads(out) == json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (tmp_path / "r.txt").read_text(encoding="utf-8").startswith("PASS  a")


def test_an_old_report_stands_until_the_new_one_is_whole(
    run: Run, scanner: Scanner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "r.json"
    target.write_text("old")
    target.chmod(0o640)
    seen = []
    scanner.answers["a"] = KeyboardInterrupt()

    def look(source: str, **given: Any) -> Report:
        seen.append(target.read_text())
        return scanner(source, **given)

    monkeypatch.setattr(check_run, "check", look)
    assert run("a", "-o", f"json={target}")[0] == 130
    assert seen == ["old"]
    assert json.loads(target.read_text())["exit_code"] == 130
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_usage_error_leaves_the_old_report_and_nothing_beside_it(run: Run, scanner: Scanner, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("old")
    scanner.answers["a"] = UsageError("does not fit")
    assert run("a", "-o", f"json={tmp_path / 'r.json'}")[0] == 2
    assert os.listdir(tmp_path) == ["r.json"]
    assert (tmp_path / "r.json").read_text() == "old"


def test_a_link_is_followed_and_stays(run: Run, scanner: Scanner, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "r.json")
    run("a", "-o", f"json={tmp_path / 'link.json'}")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real" / "r.json").is_file()


def test_a_device_is_written_directly(run: Run, scanner: Scanner) -> None:
    assert run("a", "-o", "json=/dev/null")[0] == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_disk_that_fills_up_is_3_and_the_text_is_there(run: Run, scanner: Scanner) -> None:
    code, out, err = run("a", "-o", "json=/dev/full")
    assert code == 3
    assert out.startswith("PASS  a")
    assert "can't write /dev/full: No space left on device" in err


@pytest.mark.parametrize("place", ["set/report.json", "set/data.mdb", "train.h5", "other/report.json", "link/r.json"])
def test_nothing_is_written_into_a_data_set(run: Run, tmp_path: Path, place: str) -> None:
    source = write_lmdb(tmp_path / "set")
    write_hdf5(tmp_path / "train.h5")
    write_lmdb(tmp_path / "other")
    (tmp_path / "link").symlink_to(source)
    before = contents(tmp_path)
    code, out, err = run(source, "-o", f"json={tmp_path / place}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "data set" in err
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---- quiet, colours ----


def test_quiet_says_nothing_of_a_success(run: Run, scanner: Scanner) -> None:
    assert run("a", "b", "--quiet") == (0, "", "")


def test_quiet_says_what_failed(run: Run, scanner: Scanner) -> None:
    scanner.answers["b"] = report_of("b", findings=(ERROR,))
    code, out, err = run("a", "b", "-q")
    assert (code, err) == (1, "")
    assert out == "FAIL  b: 1 error in 60 records\n\nerror  value-nan  1 finding\n  #1  k  NaN\n"


def test_quiet_still_writes_the_json_that_was_asked_for(run: Run, scanner: Scanner) -> None:
    assert json.loads(run("a", "-q", "-o", "json")[1])["verdict"] == "pass"


@pytest.mark.parametrize(
    ("argv", "environment", "coloured"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        (["--color", "auto"], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": ""}, False),
    ],
)
def test_who_decides_on_colours(
    run: Run,
    scanner: Scanner,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    environment: dict[str, str],
    coloured: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in run("a", *argv)[1]) == coloured


# ---- real data sets ----


def test_a_clean_lmdb_passes(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set")
    before = contents(tmp_path)
    code, out, err = run(source, "--num-classes", "3", "--jobs", "1")
    assert (code, err) == (0, "")
    assert out.startswith("PASS  ")
    assert f"{source}: " in out.replace("\n      ", "")
    assert contents(tmp_path) == before


def test_a_broken_record_is_named(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set", broken=True)
    code, out, _ = run(source, "--jobs", "1", "--output", "json")
    (finding,) = (one for one in json.loads(out)["reports"][0]["findings"] if one["severity"] == "error")
    assert code == 1
    assert finding["rule"] == "record-size-mismatch"
    assert finding["location"]["key"] == f"{BROKEN:08d}"
    assert finding["location"]["index"] == BROKEN


def test_select_ignore_and_severity_take_effect(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set", broken=True)
    assert run(source, "--jobs", "1", "--select", "label,image")[0] == 0
    assert run(source, "--jobs", "1", "--ignore", "record")[0] == 0
    assert run(source, "--jobs", "1", "--severity", "record=warning")[0] == 0


def test_a_row_of_hdf5_is_named(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(write_hdf5(tmp_path / "train.h5"), "--jobs", "1")
    assert code == 1
    assert "row 5  /data[1, 2, 3]" in out


def test_a_part_is_never_clean(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set")
    code, out, _ = run(source, "--jobs", "1", "--limit", "4")
    assert code == 3
    assert out.startswith("INCOMPLETE  ")
    assert f"4 of {RECORDS} records (33.3%)" in out


def test_a_missing_source_does_not_keep_the_others_from_being_scanned(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set", broken=True)
    code, out, _ = run(tmp_path / "nosuch", source, "--jobs", "1")
    assert code == 3
    assert "nosuch: no such file or folder" in " ".join(out.split())
    assert "record-size-mismatch" in out
    assert "2 sources: 1 failed, 1 incomplete" in out


def test_text_and_json_are_the_same_for_any_number_of_workers(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set", broken=True)
    reports = [json.loads(run(source, "--jobs", jobs, "-o", "json")[1])["reports"][0] for jobs in (1, 2)]
    for report in reports:
        del report["run"]
    assert reports[0] == reports[1]
