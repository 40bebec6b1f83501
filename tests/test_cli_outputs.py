"""``--output``: every format to a file or to standard output, and JSON Lines while the scan is under way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from tests.cli_sources import write_hdf5, write_lmdb
from tests.in_process import InProcess
from tests.test_layouts.messages import Datum

from datascan.backends import lmdb_store
from datascan.scanner import Finding, Report, check, read_keys
from datascan.scanner.__main__ import main
from datascan.scanner.cli import check_run
from datascan.scanner.render import RENDERERS

MACHINE = [name for name in RENDERERS if name != "text"]


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_lmdb(tmp_path / "set_lmdb", broken=True)


def test_all_formats_at_once_and_each_to_standard_output(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [part for name in MACHINE for part in ("--output", f"{name}={tmp_path / name}")]
    assert main(["check", str(source), "--jobs", "1", *outputs]) == 1
    assert capsys.readouterr().out.startswith("FAIL")
    for name in MACHINE:
        assert (tmp_path / name).stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*MACHINE, "set_lmdb"])  # nothing left aside
    for name in ("jsonl", "keys", "github"):
        assert main(["check", str(source), "--jobs", "1", "--output", name]) == 1
        assert capsys.readouterr().out.splitlines()[0] == (tmp_path / name).read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.parametrize("pair", [("json", "jsonl"), ("json", "github"), ("github", "github"), ("text", "html")])
def test_two_formats_that_would_mix_are_refused(
    pair: Sequence[str], source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(source), *(part for name in pair for part in ("--output", name))]) == 2
    assert "can't both go to standard output" in capsys.readouterr().err


def test_annotations_stand_beside_the_text(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(source), "--jobs", "1", "--output", "text", "--output", "github"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAIL")
    assert "\n::error title=datascan%3A record-size-mismatch::" in out


def test_the_list_of_keys_is_what_a_loader_skips(source: Path, tmp_path: Path) -> None:
    main(["check", str(source), "--jobs", "1", "--quiet", "--output", f"keys={tmp_path / 'bad.txt'}"])
    assert read_keys(tmp_path / "bad.txt") == {b"00000007"}
    rows = write_hdf5(tmp_path / "set.h5")
    main(["check", str(rows), "--jobs", "1", "--quiet", "--output", f"keys={tmp_path / 'rows.txt'}"])
    assert read_keys(tmp_path / "rows.txt") == {5}


def test_a_net_or_solver_and_a_log_go_through_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solver = tmp_path / "solver.prototxt"
    solver.write_text('net: "net.prototxt"\nbase_lr: -1\nlr_policy: "fixed"\nmax_iter: 10\n')
    for command in (["lint", str(solver)], ["doctor", "--solver", str(solver)]):
        for name in MACHINE:
            assert main([*command, "--output", f"{name}={tmp_path / name}"]) in (1, 3)
            assert (tmp_path / name).stat().st_size
    capsys.readouterr()
    assert main(["lint", str(solver), "--output", "github"]) == 1
    assert f"file={solver},line=2," in capsys.readouterr().out


# ---- JSON Lines ----


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Several partitions, a short record in each, a label that is negative at the end."""
    monkeypatch.setattr(lmdb_store, "PARTITION_BYTES", 1 << 16)
    path = tmp_path / "large_lmdb"
    rng = np.random.default_rng(5)
    with lmdb.open(str(path), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
        for index in range(600):
            data = rng.integers(0, 256, 1200, np.uint8).tobytes()
            data = data[:-1] if index % 60 == 7 else data
            label = -5 if index == 599 else index % 3
            datum = Datum(channels=3, height=20, width=20, data=data, label=label)
            txn.put(f"{index:08d}".encode(), datum.SerializeToString())
    return path


def test_findings_are_told_partition_by_partition_as_they_will_be_in_the_report(large: Path) -> None:
    told: list[list[Finding]] = []
    report = check(large, crew=InProcess(), found=lambda path, findings: told.append(list(findings)))
    assert len(told) > 3
    early = [finding for part in told for finding in part]
    assert [finding.location.index for finding in early if finding.rule == "record-size-mismatch"] == list(
        range(7, 600, 60)
    )
    final = list(report)
    for finding in early:
        assert finding in final


def test_json_lines_hold_the_report_and_end_with_the_summary(large: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(large), "--jobs", "2", "--output", "jsonl"]) == 1
    lines = lines_of(capsys.readouterr().out)
    main(["check", str(large), "--jobs", "1", "--output", "json"])
    document = json.loads(capsys.readouterr().out)
    assert [line["type"] for line in lines[:1] + lines[-2:]] == ["begin", "source", "summary"]
    found = [
        {name: line[name] for name in line if name not in ("type", "source")}
        for line in lines
        if line["type"] == "finding"
    ]
    (one,) = document["reports"]
    order = json.dumps
    assert sorted(found, key=order) == sorted(one["findings"], key=order)
    assert lines[-1]["counts"] == one["counts"]
    assert lines[-1]["exit_code"] == document["exit_code"]
    said = {name: value for name, value in lines[-2].items() if name not in ("type", "run")}
    assert said == {name: value for name, value in one.items() if name not in ("findings", "run")}


def test_json_lines_can_be_followed_while_the_scan_is_under_way(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "findings.jsonl"
    grown: list[list[dict[str, Any]]] = []

    def watched(*sources: str, found: Callable[[str, Sequence[Finding]], None], **given: Any) -> Report:
        def tell(path: str, findings: Sequence[Finding]) -> None:
            found(path, findings)
            grown.append(lines_of(target.read_text(encoding="utf-8")))

        return check(*sources, **{**given, "crew": InProcess(), "executor": None, "found": tell})

    monkeypatch.setattr(check_run, "check", watched)
    assert main(["check", str(large), "--jobs", "1", "--quiet", "--output", f"jsonl={target}"]) == 1
    sizes = [len(lines) for lines in grown]
    assert len(sizes) > 3
    assert sizes == sorted(set(sizes))
    assert {line["type"] for line in grown[-1][1:]} == {"finding"}
    assert lines_of(target.read_text(encoding="utf-8"))[-1]["type"] == "summary"


def test_a_stream_that_can_t_be_written_costs_no_scan(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no device that is always full here")
    code = main(
        ["check", str(source), "--jobs", "1", "--output", f"jsonl={full}", "--output", f"json={tmp_path / 'r.json'}"]
    )
    assert code == 3
    assert "can't write /dev/full" in capsys.readouterr().err
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["verdict"] == "fail"


def test_a_source_is_never_written_to(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in MACHINE:
        assert main(["check", str(source), "--output", f"{name}={source / 'data.mdb'}"]) == 2
        assert "can't write" in capsys.readouterr().err
