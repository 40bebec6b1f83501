"""The progress bar: on a terminal alone, with rates and time left, and nothing of it stays."""

from __future__ import annotations

import io
from typing import Any

import pytest
from tests.test_cli_check import Run, Scanner, run, scanner

from datascan.scanner.progress import Progress, progress_bar

__all__ = ["run", "scanner"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_no_bar_where_nobody_watches() -> None:
    stream = io.StringIO()
    with progress_bar("a", stream) as bar:
        assert bar is None
    assert stream.getvalue() == ""


def test_no_bar_where_none_is_wanted() -> None:
    stream = Terminal()
    with progress_bar("a", stream, wanted=False) as bar:
        assert bar is None
    assert stream.getvalue() == ""


def test_the_bar_tells_records_rates_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datascan.scanner.progress.REFRESH_S", 0)
    stream = Terminal()
    with progress_bar("train\x1b[31m_lmdb", stream) as bar:
        assert bar is not None
        bar(Progress(1_000, 2_000_000, 8_000_000, "x"))
        bar(Progress(4_000, 8_000_000, 8_000_000, "x"))
    text = stream.getvalue()
    assert "train\\x1b[31m_lmdb" in text
    assert "\x1b[31m" not in text
    assert "100%" in text
    assert "4,000 records" in text
    assert "records/s" in text
    assert "B/s" in text
    assert "left" in text


def test_nothing_of_the_bar_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datascan.scanner.progress.REFRESH_S", 0)
    stream = Terminal()
    with progress_bar("a", stream) as bar:
        assert bar is not None
        bar(Progress(1, 1, 2, "a"))
    assert stream.getvalue().endswith("\r")
    assert stream.getvalue().split("\r")[-2].strip() == ""
    assert "\n" not in stream.getvalue()


@pytest.mark.parametrize(("argv", "shown"), [([], True), (["--quiet"], False), (["--no-progress"], False)])
def test_options_decide(
    run: Run, scanner: Scanner, monkeypatch: pytest.MonkeyPatch, argv: list[str], shown: bool
) -> None:
    monkeypatch.setattr("sys.stderr", Terminal())
    run("a", *argv)
    progress: Any = scanner.calls[0][1]["progress"]
    assert (progress is not None) == shown
