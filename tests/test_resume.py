"""A scan that was killed goes on where it was, and ends with the report of one that was not."""

from __future__ import annotations

import json
import os
import pickle
import signal
import struct
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cli_sources import write_hdf5, write_lmdb
from tests.test_interrupt import Run, ended_midway
from tests.test_layouts.messages import Datum
from tests.test_summary.test_merging import SAMPLES, said, summary_of

from datascan.backends import open_store
from datascan.backends.base import Table
from datascan.scanner import Report, check
from datascan.scanner.codec import Codec, CodecError
from datascan.scanner.crew import Crew
from datascan.scanner.finding import Finding, Location, Severity
from datascan.scanner.frames import PARTIALS
from datascan.scanner.journal import Journal, ResumeError
from datascan.scanner.options import Options
from datascan.scanner.partial import Partial

# ---- the codec ----

PLAIN = Codec((Location, Severity))

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from(list(Severity))
    | st.builds(Location, key=st.none() | st.binary(max_size=4), index=st.integers(0, 9)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.binary(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and repr(left) == repr(right)


@given(VALUES)
@settings(max_examples=100)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert same(PLAIN.decode(PLAIN.encode(value)), value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3)[:, ::2],
        np.array([np.nan, np.inf, -0.0], np.float32),
        np.array([], np.uint64).reshape(0, 2),
        np.array([True, False]),
        np.array(7, ">i4"),
    ],
    ids=str,
)
def test_arrays_are_read_back_to_the_bit(array: np.ndarray[Any, Any]) -> None:
    (found,) = PLAIN.decode(PLAIN.encode([array]))
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert found.flags.writeable


def test_containers_keep_their_kind_and_order() -> None:
    counter, lists = Counter({"b": 2, "a": 2}), defaultdict(list, {"x": [1]})
    found = PLAIN.decode(PLAIN.encode((counter, lists, {3, 1}, np.float64(0.1), float("nan"), {"~": "b", "a": 1})))
    assert isinstance(found[0], Counter)
    assert list(found[0].items()) == [("b", 2), ("a", 2)]
    assert found[1]["new"] == []
    assert found[2] == {1, 3}
    assert isinstance(found[3], np.float64)
    assert found[4] != found[4]
    assert list(found[5].items()) == [("~", "b"), ("a", 1)]


@pytest.mark.parametrize(
    "value",
    [object(), Table(), np.array([object()]), np.array(["text"]), os.system],
    ids=["object", "table", "objects", "text", "function"],
)
def test_what_is_not_of_the_set_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="can't write"):
        PLAIN.encode([value])


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: PLAIN.encode([1, b"x", (2,)])[:-1] + tail))
@settings(max_examples=100)
def test_any_bytes_give_a_value_or_an_error(data: bytes) -> None:
    try:
        PLAIN.decode(data)
    except CodecError:
        return


def written(tree: Any) -> bytes:
    text = json.dumps(tree).encode()
    return struct.pack("<I", len(text)) + text


@pytest.mark.parametrize(
    "tree",
    [
        {"~": ["Popen", {"args": "true"}]},
        {"~": ["Location", {"to_dict": 1}]},
        {"~": ["Location", {"key": None}]},
        {"~": ["Severity", "fatal"]},
        {"~": ["array", "|O", [1], 0]},
        {"~": ["array", "<i8", [1 << 60], 0]},
        {"~": ["array", "<i8", [-1], 0]},
        {"~": "array"},
        {"other": 1},
    ],
    ids=str,
)
def test_a_forged_tree_makes_nothing(tree: Any) -> None:
    with pytest.raises(CodecError):
        PLAIN.decode(written([tree]))


@settings(max_examples=30)
@given(SAMPLES, st.integers(0, 24))
def test_a_summary_that_was_written_merges_and_says_the_same(drawn: list[Any], cut: int) -> None:
    numbers = np.cumsum([1 + left_out for left_out, *_ in drawn]).tolist()
    cut = min(cut, len(drawn))
    parts = [summary_of(drawn[:cut], numbers[:cut], []), summary_of(drawn[cut:], numbers[cut:], [])]
    one, two = (PARTIALS.decode(PARTIALS.encode(part)) for part in parts)
    one.merge(two, cut)
    assert said(one) == said(summary_of(drawn, numbers, []))


def test_a_partial_report_is_read_back() -> None:
    partial = Partial(Options(max_findings=1, severities={"value-nan": Severity.INFO}))
    for index in range(3):
        location = Location(b"\xff", index, element=(1, 2))
        partial.findings.add(Finding("value-nan", Severity.INFO, "NaN", location, {"values": [float("nan")]}))
    partial.extend(Table("/data", ("/data", "/label")), 5)
    partial.crashes["layout"] = "Traceback"
    partial.seen = 3
    found = PARTIALS.decode(PARTIALS.encode(partial))
    assert repr(list(found.findings)) == repr(list(partial.findings))
    assert found.findings.omitted == {"value-nan": {Severity.INFO: 2}}
    assert (found.extents, found.crashes, found.seen) == (partial.extents, partial.crashes, 3)
    found.findings.add(Finding("new", Severity.INFO, "new"))
    assert len(list(found.findings)) == 2


# ---- the checkpoint ----


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of several partitions, with faults in each."""
    rng = np.random.default_rng(11)
    path = tmp_path_factory.mktemp("many") / "set"
    with lmdb.open(str(path), map_size=1 << 29, lock=False) as env, env.begin(write=True) as txn:
        for index in range(1100):
            data = rng.integers(0, 256, 3 << 16, np.uint8).tobytes()
            if index % 100 == 7:
                data = data[:-1]
            datum = Datum(channels=3, height=256, width=256, data=data, label=index % 5)
            txn.put(b"%08d" % (index + index // 500), datum.SerializeToString())
    return path


def text(report: Report) -> str:
    """The report as JSON, without the run."""
    tree = report.to_dict()
    for one in tree["reports"]:
        del one["run"]
    return json.dumps(tree)


def interrupt_after(partitions: int) -> Callable[[Any], None]:
    done = set()

    def progress(progress: Any) -> None:
        done.add(progress.records)
        if len(done) > partitions:
            raise KeyboardInterrupt

    return progress


class Counting:
    """Records that were scanned and not read from the checkpoint."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.partitions = 0
        append = Journal.append

        def counted(journal: Journal, *args: Any) -> None:
            self.partitions += 1
            append(journal, *args)

        monkeypatch.setattr(Journal, "append", counted)


def test_a_killed_scan_goes_on_and_gives_the_same_report(
    tmp_path: Path, many: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = check(many, crew=crew)
    assert len(expected) > 10
    file = tmp_path / "scan.ckpt"
    ended_midway(file, signal.SIGKILL, many, "--jobs", 1, "--resume", file)
    with Journal(file, [str(many)]) as journal:
        kept = len(journal._frames[0])
    counting = Counting(monkeypatch)
    resumed = check(str(many), crew=crew, resume=file)
    assert text(resumed) == text(expected).replace(str(many), str(many))
    with open_store(many) as store:
        partitions = len(store.partitions())
    assert 0 < kept < partitions
    assert counting.partitions + kept == partitions
    assert not file.exists(), "a scan that is finished has no use for it"


def test_a_scan_without_interruption_says_the_same(tmp_path: Path, many: Path, crew: Crew) -> None:
    assert text(check(many, crew=crew, resume=tmp_path / "scan.ckpt")) == text(check(many, crew=crew))


@pytest.mark.parametrize("lost", [1, 30, 400])
def test_a_torn_end_is_scanned_again(tmp_path: Path, many: Path, crew: Crew, lost: int) -> None:
    file = tmp_path / "scan.ckpt"
    interrupted = check(many, crew=crew, resume=file, progress=interrupt_after(2))
    assert interrupted.exit_code == 130
    os.truncate(file, file.stat().st_size - lost)
    assert text(check(many, crew=crew, resume=file)) == text(check(many, crew=crew))


def test_any_flipped_byte_costs_at_most_what_is_behind_it(tmp_path: Path, many: Path, crew: Crew) -> None:
    file = tmp_path / "scan.ckpt"
    kept = 0
    while not kept:  # a busy machine may be interrupted before its first partition is done
        check(many, crew=crew, resume=file, progress=interrupt_after(2))
        with Journal(file, [str(many)]) as journal:
            kept = len(journal._frames.get(0, []))
    whole = file.read_bytes()
    for place in range(len(Journal.magic), len(whole), len(whole) // 150):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        file.write_bytes(flipped)
        with Journal(file, [str(many)]) as journal:
            assert len(journal._frames.get(0, [])) <= kept
            assert all(isinstance(partial, Partial) for partial in journal.partials(0))


def test_several_sources_share_a_checkpoint(tmp_path: Path, many: Path, crew: Crew) -> None:
    small, rows = write_lmdb(tmp_path / "small", broken=True), write_hdf5(tmp_path / "train.h5")
    sources = (small, many, rows)
    expected = check(*sources, crew=crew)
    file = tmp_path / "scan.ckpt"
    interrupted = check(*sources, crew=crew, resume=file, progress=interrupt_after(3))
    assert len(interrupted.reports) == 2
    assert text(check(*sources, crew=crew, resume=file)) == text(expected)
    assert not file.exists()


def test_another_scan_is_refused_with_what_differs(tmp_path: Path, crew: Crew) -> None:
    path, file = write_lmdb(tmp_path / "set"), tmp_path / "scan.ckpt"
    report = check(path, crew=crew, resume=file, progress=interrupt_after(0))
    assert report.exit_code == 130
    with pytest.raises(ResumeError, match=r"of .*set: extreme differ"):
        check(path, crew=crew, resume=file, extreme=5.0)
    with pytest.raises(ResumeError, match="rules"):
        check(path, crew=crew, resume=file, ignore=("value",))
    with pytest.raises(ResumeError, match="the data sets differ"):
        check(tmp_path / "other", crew=crew, resume=file)
    with lmdb.open(str(path), map_size=1 << 22, lock=False) as env, env.begin(write=True) as txn:
        txn.put(b"zz", b"new")
    with pytest.raises(ResumeError, match="the contents of the data set"):
        check(path, crew=crew, resume=file)
    assert file.exists()


def test_a_checkpoint_never_lies_in_a_data_set_or_replaces_a_file(tmp_path: Path, crew: Crew) -> None:
    path, rows = write_lmdb(tmp_path / "set"), write_hdf5(tmp_path / "train.h5")
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    before = {file: file.read_bytes() for file in (*path.iterdir(), rows, other)}
    link = tmp_path / "link"
    link.symlink_to(path)
    for file in (path / "new.ckpt", link / "new.ckpt", rows, other, path / "data.mdb"):
        with pytest.raises(ResumeError):
            check(path, rows, crew=crew, resume=file)
    with pytest.raises(ResumeError, match="its folder is a data set"):
        check(rows, crew=crew, resume=path / "new.ckpt")
    assert {file: file.read_bytes() for file in (*path.iterdir(), rows, other)} == before


class Bomb:
    """Leaves a file behind if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_from_elsewhere_runs_nothing(tmp_path: Path, crew: Crew) -> None:
    path, file = write_lmdb(tmp_path / "set"), tmp_path / "scan.ckpt"
    for contents in (pickle.dumps(Bomb(tmp_path / "bang")), Journal.magic + pickle.dumps(Bomb(tmp_path / "bang"))):
        file.write_bytes(contents)
        try:
            check(path, crew=crew, resume=file)
        except ResumeError:
            continue
    assert not (tmp_path / "bang").exists()


def test_a_checkpoint_serves_one_run_at_a_time(tmp_path: Path, crew: Crew) -> None:
    path, file = write_lmdb(tmp_path / "set"), tmp_path / "scan.ckpt"
    with Journal(file, [str(path)]), pytest.raises(ResumeError, match="in use by another run"):
        check(path, crew=crew, resume=file)


def test_a_full_disk_costs_the_checkpoint_and_not_the_scan(
    tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lmdb(tmp_path / "set")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Journal(tmp_path / "scan.ckpt", [str(path)]) as journal:
        source = Journal.source

        def then_full(journal: Journal, plan: Any) -> Any:
            found = source(journal, plan)
            monkeypatch.setattr(Journal, "write", full)
            return found

        monkeypatch.setattr(Journal, "source", then_full)
        report = check(str(path), crew=crew, resume=journal)
        assert report.exit_code == 0
        assert "No space left on device" in (journal.failure or "")


# ---- the command line ----


def test_the_command_line_goes_on_and_takes_the_checkpoint_away(tmp_path: Path, many: Path) -> None:
    file, target = tmp_path / "scan.ckpt", tmp_path / "report.json"
    words = (many, "--jobs", 1, "--resume", file, "--output", f"json={target}")
    code, _, err = ended_midway(file, signal.SIGINT, *words)
    assert code == 130
    assert f"what is done is kept in {file}" in err
    code, _, err = Run(*words).end()
    assert (code, err) == (1, "")
    assert not file.exists()
    resumed = json.loads(target.read_text())
    assert resumed["reports"][0]["coverage"]["seen"] == 1100


def test_the_command_line_refuses_another_scan_with_2(tmp_path: Path) -> None:
    path, file = write_lmdb(tmp_path / "set"), tmp_path / "notes"
    file.write_text("mine")
    code, _, err = Run(path, "--resume", file).end()
    assert code == 2
    assert "is not a checkpoint" in err
