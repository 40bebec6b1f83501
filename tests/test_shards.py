"""Shards that know nothing of each other give, merged in any order, the report of one whole scan."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli_sources import write_hdf5, write_lmdb
from tests.test_interrupt import ended_midway
from tests.test_layouts.messages import Datum

from datascan.backends.base import Partition, Table
from datascan.backends.errors import UsageError
from datascan.scanner import Report, check, check_shard, merge
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.shards import Shard, ShardError

COUNT = 7


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of five partitions with faults in each, and what only the whole set shows: copies, a gap, a rare class."""
    rng = np.random.default_rng(12)
    path = tmp_path_factory.mktemp("many") / "set"
    noise = rng.integers(0, 256, (3 << 16) + 2000, np.uint8)
    with lmdb.open(str(path), map_size=1 << 29, lock=False) as env, env.begin(write=True) as txn:
        for index in range(1500):
            start = 10 if index in (1100, 1400) else index
            data = noise[start : start + (3 << 16)].tobytes()
            label = 6 if index == 900 else index % 5
            datum = Datum(channels=3, height=256, width=256, data=data[: -1 if index % 200 == 7 else None], label=label)
            txn.put(b"%08d" % (index + index // 700), datum.SerializeToString())
    return path


def text(report: Report) -> str:
    """The report as JSON, without the run."""
    tree = report.to_dict()
    for one in tree["reports"]:
        del one["run"]
    return json.dumps(tree)


def shards_of(folder: Path, crew: Crew, *sources: Path, count: int = COUNT, **options: Any) -> list[Path]:
    """The files of all shards."""
    files = [folder / f"{number}.part" for number in range(1, count + 1)]
    for number, file in enumerate(files, 1):
        scans = check_shard(sources, (number, count), file, crew=crew, **options)
        assert all(scan.error is None for scan in scans)
    return files


@pytest.mark.parametrize("count", [1, 2, COUNT])
def test_merged_shards_give_the_report_of_a_whole_scan(tmp_path: Path, many: Path, crew: Crew, count: int) -> None:
    whole = check(many, crew=crew)
    rules = {finding.rule for finding in whole}
    assert {"record-duplicate", "record-key-gap", "label-rare-class", "record-size-mismatch"} <= rules
    files = shards_of(tmp_path, crew, many, count=count)
    random.Random(count).shuffle(files)
    assert text(merge(*files, crew=crew)) == text(whole)


def test_every_kind_of_source_and_option_can_be_cut(tmp_path: Path, crew: Crew) -> None:
    rows = tmp_path / "rows.h5"
    rng = np.random.default_rng(1)
    with h5py.File(rows, "w") as file:
        file["data"] = rng.normal(size=(9, 2 << 20)).astype(np.float32)
        file["data"][3, 5] = np.inf
        file["label"] = np.arange(9) % 3
    sources = (write_lmdb(tmp_path / "small", broken=True), rows, write_hdf5(tmp_path / "train.h5"), tmp_path / "none")
    options: dict[str, Any] = {
        "num_classes": 2,
        "max_findings": 2,
        "severities": {"value-nan": "warning"},
        "probe": {"train_steps": 2},
        "fail_on": "warning",
    }
    whole = check(*sources, crew=crew, **options)
    assert {report.exit_code for report in whole.reports} == {1, 3}
    files = [tmp_path / f"{number}.part" for number in range(3)]
    for number, file in enumerate(files, 1):
        scans = check_shard(sources, (number, 3), file, crew=crew, **options)
        assert [scan.error is None for scan in scans] == [True, True, True, False]
    assert text(merge(*files, crew=crew)) == text(whole)


@pytest.mark.parametrize("damage", ["killed", "torn"])
def test_a_shard_that_was_ended_goes_on_and_is_refused_until_it_has(
    tmp_path: Path, many: Path, crew: Crew, damage: str
) -> None:
    files = shards_of(tmp_path, crew, many, count=2)
    whole = text(check(many, crew=crew))
    if damage == "killed":
        ended_midway(files[1], signal.SIGKILL, many, "--jobs", 1, "--shard", "2/2", "--partial", files[1])
    else:
        os.truncate(files[1], files[1].stat().st_size - 200)
    before = files[1].read_bytes()
    with pytest.raises(ShardError, match=rf"shard 2/2 \({files[1]}\) is not finished"):
        merge(*files, crew=crew)
    assert files[1].read_bytes() == before, "merging changes nothing"
    check_shard([many], (2, 2), files[1], crew=crew)
    assert text(merge(*files, crew=crew)) == whole


def test_a_shard_that_is_asked_for_twice_scans_once(tmp_path: Path, many: Path, crew: Crew) -> None:
    (file,) = shards_of(tmp_path, crew, many, count=1)
    size, seen = file.stat().st_size, []
    (scan,) = check_shard([many], (1, 1), file, crew=crew, progress=lambda progress: seen.append(progress.records))
    assert scan.tally.records == 1500
    assert len(set(seen)) == scan.partitions, "one step for each partition, all of them from the file"
    assert file.stat().st_size == size


# ---- what does not belong together ----


def refusal(crew: Crew, *files: Path) -> str:
    with pytest.raises(ShardError) as caught:
        merge(*files, crew=crew)
    return str(caught.value)


def test_what_does_not_belong_together_is_refused_by_name(tmp_path: Path, crew: Crew) -> None:
    def made(name: str, number: int = 1, count: int = 2, source: str = "set", **options: Any) -> Path:
        write = write_lmdb(tmp_path / source) if not (tmp_path / source).exists() else tmp_path / source
        check_shard([write], (number, count), tmp_path / f"{name}.part", crew=crew, **options)
        return tmp_path / f"{name}.part"

    one, two = made("one"), made("two", 2)
    assert len(merge(two, one, crew=crew).reports) == 1
    assert "shard 2/2 is missing" in refusal(crew, one)
    assert f"shard 1/2 is there twice: {one} and {made('again')}" in refusal(crew, one, made("again"), two)
    assert "one is cut in 3" in refusal(crew, one, made("third", 3, 3))
    assert "extreme differ" in refusal(crew, one, made("extreme", 2, extreme=7.0))
    assert "the data sets differ" in refusal(crew, one, made("other", 2, source="other"))
    assert "layout differ" in refusal(crew, one, made("raw", 2, layout="raw"))
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"")
    assert "is not a partial report" in refusal(crew, nothing)


def test_another_version_is_refused(tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    files = shards_of(tmp_path, crew, write_lmdb(tmp_path / "set"), count=2)
    files[1].unlink()
    monkeypatch.setattr("datascan.scanner.journal.__version__", "0.0.1")
    check_shard([tmp_path / "set"], (2, 2), files[1], crew=crew)
    assert "the version of datascan differ" in refusal(crew, *files)


def test_a_set_that_changed_between_two_shards_is_refused(tmp_path: Path, crew: Crew) -> None:
    path = write_lmdb(tmp_path / "set")
    check_shard([path], (1, 2), tmp_path / "one", crew=crew)
    with lmdb.open(str(path), map_size=1 << 22, lock=False) as env, env.begin(write=True) as txn:
        txn.put(b"zz", b"new")
    check_shard([path], (2, 2), tmp_path / "two", crew=crew)
    assert "the contents of the data set" in refusal(crew, tmp_path / "one", tmp_path / "two")


def test_a_shard_never_writes_into_a_data_set(tmp_path: Path, crew: Crew) -> None:
    path = write_lmdb(tmp_path / "set")
    before = {file: file.read_bytes() for file in path.iterdir()}
    for file in (path / "part", path / "data.mdb"):
        with pytest.raises(UsageError, match="data set"):
            check_shard([path], (1, 2), file, crew=crew)
    assert {file: file.read_bytes() for file in path.iterdir()} == before


# ---- shares ----


@given(st.lists(st.integers(0, 100), max_size=40), st.integers(1, 12))
def test_shares_are_neighbours_and_cover_everything_once(sizes: list[int], count: int) -> None:
    partitions = [Partition(number, Table(), None, size) for number, size in enumerate(sizes)]
    shares = [Shard(number, count).share(partitions) for number in range(1, count + 1)]
    assert [number for share in shares for number in share] == list(range(len(sizes)))


def test_shares_are_of_about_one_size() -> None:
    partitions = [Partition(number, Table(), None, 10 + number % 3) for number in range(700)]
    sizes = [sum(partitions[at].size_bytes for at in Shard(number, 7).share(partitions)) for number in range(1, 8)]
    assert max(sizes) - min(sizes) <= 12


# ---- the command line ----


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_shards_of_the_command_line(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    path = write_lmdb(tmp_path / "set", broken=True)
    files = [tmp_path / "one", tmp_path / "two"]
    for number, file in enumerate(files, 1):
        code, out, _ = run("check", path, "--shard", f"{number}/2", "--partial", file)
        assert code == 0, "a share that is done is done, whatever it found"
        assert out.startswith(f"shard {number}/2 of {path}: ")
    code, out, err = run("merge", *files)
    assert (code, err) == (1, "")
    assert "record-size-mismatch" in out
    assert run("check", path, "--shard", "1/2", "--partial", files[0], "-q")[1] == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shard", "0/2", "--partial", "p"), "of three there are 1/3, 2/3 and 3/3"),
        (("--shard", "3/2", "--partial", "p"), "is no shard"),
        (("--shard", "1/2"), "--shard and --partial go together"),
        (("--partial", "p"), "--shard and --partial go together"),
        (("--shard", "1/2", "--partial", "p", "--output", "json=x"), "--output does not go with --shard"),
        (("--shard", "1/2", "--partial", "p", "--resume", "x"), "--resume does not go with --shard"),
    ],
)
def test_words_that_make_no_sense(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]], words: tuple[str, ...], message: str
) -> None:
    code, _, err = run("check", tmp_path / "set", *words)
    assert code == 2
    assert message in err


def test_a_shard_that_sees_no_source_ends_with_3(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("check", tmp_path / "none", "--shard", "1/2", "--partial", tmp_path / "p")
    assert code == 3
    assert "is not done (" in out


def test_a_net_can_not_be_cut(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run("check", "net.prototxt", "--shard", "1/2", "--partial", tmp_path / "p")
    assert code == 2
    assert "name the data sets" in err
