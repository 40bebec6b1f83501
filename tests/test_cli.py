"""Every way of ending, through `main`: exit code, standard output, standard error."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli_sources import write_lmdb

from datascan.scanner import __main__ as entry
from datascan.scanner.__main__ import main
from datascan.scanner.report import ExitCode

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `main` in an environment without colours or debugging: exit code, standard output, standard error."""
    for name in ("DATASCAN_DEBUG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run_main(*argv: object) -> tuple[int, str, str]:
        code = main([str(word) for word in argv])
        return (code, *capsys.readouterr())

    return run_main


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n")


def test_the_codes_are_those_of_the_report() -> None:
    assert [ExitCode.USAGE, ExitCode.NOT_LOOKED, ExitCode.BUG, ExitCode.INTERRUPTED] == [
        entry.USAGE,
        entry.NOT_LOOKED,
        entry.BUG,
        entry.INTERRUPTED,
    ]


# ---- help, version, usage ----


@pytest.mark.parametrize(
    "argv", [["--help"], ["-h"], ["check", "--help"], ["show", "-h"], ["rules", "-h"], ["demo", "-h"]]
)
def test_help_ends_with_0(run: Run, argv: list[str]) -> None:
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: datascan")


def test_version(run: Run) -> None:
    from datascan.scanner import __version__

    assert run("--version") == (0, f"datascan {__version__}\n", "")


@pytest.mark.parametrize("command", ["--help", "--version"])
def test_help_loads_no_numpy(command: str) -> None:
    code = (
        "import sys; from datascan.scanner.__main__ import main; "
        f"main([{command!r}]); heavy = {{'numpy', 'h5py', 'PIL', 'tqdm'}} & set(sys.modules); sys.exit(len(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "datascan: no command given; to scan a data set: datascan check PATH (try 'datascan --help')"),
        (["chek"], "datascan: there is no command 'chek'; did you mean 'check'? (try 'datascan --help')"),
        (
            ["train_lmdb"],
            "datascan: there is no command 'train_lmdb'; to scan a data set: datascan check train_lmdb "
            "(try 'datascan --help')",
        ),
        (["--nosuch"], "datascan: No such option '--nosuch'. (try 'datascan --help')"),
        (["check"], "datascan: no SOURCE given, and none is configured; to scan a data set: datascan check PATH"),
    ],
)
def test_usage_is_one_line_and_2(run: Run, argv: list[str], message: str) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert err.rstrip("\n").replace(":", ": ").split() == message.replace(":", ": ").split()
    assert one_line(err)


def test_hostile_words_are_escaped_in_complaints(run: Run) -> None:
    code, _, err = run("check", "x", "--select", "\x1b[31mred")
    assert code == 2
    assert "\x1b" not in err
    assert "no rule or family" in err


# ---- crashes, missing libraries, interruptions ----


def crash(exc: BaseException) -> Callable[..., Any]:
    def raise_it(*args: object, **kwargs: object) -> None:
        raise exc

    return raise_it


def test_a_bug_is_4_and_short(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datascan.scanner.cli.rules_run.run_rules", crash(ZeroDivisionError("by \x1b zero")))
    code, out, err = run("rules")
    assert (code, out) == (4, "")
    assert err.startswith("datascan: ZeroDivisionError: by \\x1b zero\nThis is a bug in datascan")
    assert "issue tracker" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("argv", [["--debug", "rules"], ["rules", "--debug"]])
def test_debug_shows_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    monkeypatch.setattr("datascan.scanner.cli.rules_run.run_rules", crash(ZeroDivisionError("zero")))
    code, _, err = run(*argv)
    assert code == 4
    assert "Traceback (most recent call last)" in err
    assert "This is a bug in datascan" in err


def test_the_environment_asks_for_debugging_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASCAN_DEBUG", "1")
    monkeypatch.setattr("datascan.scanner.cli.rules_run.run_rules", crash(ZeroDivisionError("zero")))
    assert "Traceback" in run("rules")[2]


def test_an_import_that_fails_is_a_bug_and_not_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datascan.scanner.cli.session", None)
    code, _, err = run("--help")
    assert code == 4
    assert "This is a bug in datascan" in err


def test_a_missing_library_is_3_and_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ModuleNotFoundError("No module named 'h5py'", name="h5py")
    monkeypatch.setattr("datascan.scanner.cli.rules_run.run_rules", crash(missing))
    code, _, err = run("rules")
    assert code == 3
    assert one_line(err)
    assert "'h5py' is not installed" in err


def test_ctrl_c_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datascan.scanner.cli.rules_run.run_rules", crash(KeyboardInterrupt()))
    code, out, err = run("rules")
    assert (code, out) == (130, "")
    assert "Traceback" not in err


# ---- standard output that takes no more ----


def piped(argv: list[str], stdout: int) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "datascan.scanner", *argv], stdout=stdout, stderr=subprocess.PIPE, check=False
    )


def closed_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("argv", [["rules"], ["--help"], ["rules", "-o", "json"]])
def test_a_reader_that_has_gone_is_no_error(argv: list[str]) -> None:
    ended = piped(argv, closed_pipe())
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_verdict_outlives_the_reader(tmp_path: Path) -> None:
    ended = piped(["check", str(write_lmdb(tmp_path / "set", broken=True)), "--jobs", "1"], closed_pipe())
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_full_disk_is_said_and_never_0(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        ended = piped(["rules"], full.fileno())
    assert ended.returncode == 3
    assert os.strerror(errno.ENOSPC).encode() in ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("broken", [False, True])
def test_the_verdict_needs_no_standard_streams(tmp_path: Path, closed: str, broken: bool) -> None:
    source, report = write_lmdb(tmp_path / "set", broken), tmp_path / "report.json"
    command = f'"{sys.executable}" -m datascan.scanner check "{source}" -o text -o "json={report}" {closed}'
    ended = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert ended.returncode == broken, ended.stderr
    assert b"bug" not in ended.stdout + ended.stderr
    assert len(json.loads(report.read_text())["reports"][0]["findings"]) == broken
