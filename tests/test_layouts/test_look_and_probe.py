"""Every fixture of every layout can be shown, and probed where it holds samples in that sense."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from datascan.scanner.__main__ import main

CLEAN = Path(__file__).resolve().parent.parent.parent / "fixtures" / "clean"
SETS = sorted(entry.name for entry in CLEAN.iterdir())


def source_of(name: str) -> Path:
    (path,) = (entry for entry in (CLEAN / name).iterdir() if entry.name != "expect.json")
    expectation = CLEAN / name / "expect.json"
    options = json.loads(expectation.read_text(encoding="utf-8"))["options"] if expectation.exists() else {}
    return path / str(options.get("source", ""))


@pytest.mark.parametrize("name", SETS)
def test_every_layout_is_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["show", str(source_of(name)), "#0"])
    out, err = capsys.readouterr()
    if code == 2:  # rows of several datasets: one of those that it names is shown
        dataset = re.findall(r"from (/[^,]*),", err)[0]
        code = main(["show", str(source_of(name)), "#0", "--dataset", dataset])
        out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.strip()


@pytest.mark.parametrize("name", SETS)
def test_every_layout_is_probed_or_says_why_not(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["probe", str(source_of(name)), "--jobs", "1"])
    out, err = capsys.readouterr()
    print(name, code, out, err)
    assert "Traceback" not in out + err
    if code == 0:
        done = re.search(r"loss finite for ([0-9,]+) of ([0-9,]+) samples", out)
        assert done is not None
        assert done[1] == done[2] != "0"
    elif code == 1:
        assert "probe-failed" in out
    else:
        assert code == 2
        assert err.startswith("datascan: ")
        assert err.count("\n") == 1
