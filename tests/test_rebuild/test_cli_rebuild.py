"""``datascan rebuild`` through `main`: exit codes, what it prints, its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli_sources import write_lmdb
from tests.test_rebuild.stores import datums, write

from datascan.scanner.__main__ import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command in a folder of its own: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def run_main(*argv: object) -> tuple[int, str, str]:
        code = main(["rebuild", *(str(word) for word in argv), "--jobs", "1"])
        return (code, *capsys.readouterr())

    return run_main


def test_a_rebuild_says_what_it_did(run: Run, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "src", broken=True)
    code, out, err = run("src", "clean", "--renumber", "--output", "json=report.json")
    assert (code, err) == (0, "")
    assert out.startswith(
        "REBUILT  clean: 11 records kept, 1 set aside; all 11 fingerprints compared are equal\n\n"
        "  source      src · lmdb · caffe-datum · 12 records\n"
        "  dropped     record-size-mismatch 1\n"
        "  quarantine  clean-quarantine: the reasons are in quarantine.jsonl\n"
        "  map         clean-map.tsv: old keys and positions to new ones\n\n"
        "PASS  clean: nothing found in 11 records\n"
    )
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["exit_code"], report["verdict"]) == (0, "pass")
    assert [one["source"]["path"] for one in report["reports"]] == ["src", "clean"]
    assert report["rebuild"]["written"] is True
    assert report["rebuild"]["proof"] == {"compared": 11, "differing": 0, "problems": []}


def test_a_target_with_findings_ends_with_1(run: Run, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "src", broken=True)
    code, out, _ = run("src", "copy", "--drop", "never")
    assert code == 1
    assert out.startswith("REBUILT  copy: 12 records kept;")
    assert "FAIL  copy: 1 error" in out


def test_quiet_is_silent_where_all_is_well(run: Run, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "src")
    assert run("src", "copy", "--quiet") == (0, "", "")


def test_a_dry_run_and_a_list_write_no_target(run: Run, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "src", broken=True)
    code, out, _ = run("src", "clean", "--dry-run")
    assert code == 0
    assert out.startswith("DRY RUN  clean: 11 records would be kept, 1 would be set aside\n")
    assert "needed" in out
    code, out, _ = run("src", "--skip-list", "skip.txt")
    assert code == 0
    assert out.startswith("LISTED  src-clean: not written; 1 record to skip in skip.txt\n")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["skip.txt", "src"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["src"], "no TARGET given"),
        (["net.prototxt", "x"], "is a net; name the data set"),
        (["src", "src"], "is the source itself"),
        (["src", "x", "--drop", "no-such"], "no rule or family 'no-such'"),
        (["src", "x", "--fix", "polish"], "no fix 'polish'"),
        (["src", "x", "--split", "1"], "--split"),
        (["src", "x", "--shuffle", "-1"], "--shuffle"),
        (["src", "x", "--validation", "y"], "a validation target was given without a split"),
        (["src", "x", "--drop-keys", "none"], "can't read the list none"),
        (["src", "x", "--scale", "2"], "--scale is about a network; give --probe as well"),
    ],
)
def test_bad_options_end_with_2_and_write_nothing(argv: list[str], said: str, run: Run, tmp_path: Path) -> None:
    write("lmdb", tmp_path / "src", datums(3))
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert said in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["src"]


def test_a_source_that_is_not_there_ends_with_3(run: Run) -> None:
    code, _, err = run("nothing", "x")
    assert code == 3
    assert "no such file or folder" in err
