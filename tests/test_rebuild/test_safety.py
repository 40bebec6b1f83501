"""Whatever ends a rebuild: no half target under the final name, no changed source, and the next run succeeds."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest
from tests.test_rebuild import trials
from tests.test_rebuild.stores import FAULTS, datums, read, state, write
from tests.test_rebuild.test_records import facts

from datascan.backends.errors import UsageError
from datascan.scanner import rebuild
from datascan.scanner.crew import Crew
from datascan.scanner.rebuilding import staging as staging_module
from datascan.scanner.rebuilding.staging import Move, Staging

# ---- killed ----


@pytest.mark.parametrize(
    ("kind", "share", "number"),
    [("lmdb", 0.5, signal.SIGKILL), ("leveldb", 0.75, signal.SIGKILL), ("lmdb", 0.7, signal.SIGTERM)],
)
def test_a_killed_rebuild_leaves_no_half_target(kind: str, share: float, number: int, tmp_path: Path) -> None:
    source = trials.make(tmp_path, kind)
    folder = tmp_path / "out"
    folder.mkdir()
    trials.kill_one(source, kind, folder, share * 2.0, number)
    trials.succeed(source, kind, folder, "--overwrite")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("exchanging", [True, False])
@pytest.mark.parametrize("killed_at", range(5))
def test_a_kill_between_two_renames_is_taken_back(
    killed_at: int, exchanging: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchanging:
        monkeypatch.setattr(staging_module, "exchange", lambda one, other: False)
    target, beside, stale = tmp_path / "set", tmp_path / "set-quarantine", tmp_path / "set-map.tsv"
    for path in (target, beside, stale):
        path.mkdir()
        (path / "old").touch()
    ended = Staging(target)
    for name in ("a", "b"):
        (ended / name).mkdir()
        (ended / name / "new").touch()
    moves = [Move("gone", stale, removes=True), Move("a", beside, True), Move("b", target, True)]
    calls = 0
    rename, place = os.rename, staging_module._place

    def killing() -> None:
        nonlocal calls
        calls += 1
        if calls > killed_at:
            raise Killed

    def counted_place(staged: Path, final: Path, replaces: bool) -> None:
        killing()
        place(staged, final, replaces)

    with monkeypatch.context() as patch:
        patch.setattr(staging_module, "_place", counted_place)
        patch.setattr(staging_module, "_take_back", lambda folder: None)
        if killed_at < 2:
            with pytest.raises(Killed):
                ended.commit(moves)
        else:
            ended.commit(moves)
    os.close(ended._lock)  # as the system does for a process that has ended
    assert os.rename is rename
    again = Staging(target)
    done = killed_at >= 2
    assert [entry.name for entry in target.iterdir()] == ["new" if done else "old"]
    assert [entry.name for entry in beside.iterdir()] == ["new" if done else "old"]
    assert stale.exists() is not done
    assert again.cleaned == [ended.folder.name]
    again.discard()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        ["set", "set-quarantine", *([] if done else ["set-map.tsv"])]
    )


def test_two_rebuilds_of_one_target_do_not_meet(tmp_path: Path) -> None:
    with Staging(tmp_path / "set"):
        with pytest.raises(UsageError, match=r"another rebuild of .* is under way"):
            Staging(tmp_path / "set")
        with Staging(tmp_path / "other"):
            pass


# ---- full ----


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    source = trials.make(tmp_path, "lmdb")
    before = state(source)
    try:
        with trials.small_disk("1200k") as folder:
            done = subprocess.run(trials.command(source, folder / "target"), capture_output=True, text=True)
            assert [entry.name for entry in folder.iterdir()] == []
    except PermissionError:  # no mounts here: a file that may not grow stands for the disk
        folder = tmp_path / "out"
        folder.mkdir()
        limit = (1200 << 10, 1200 << 10)
        done = subprocess.run(
            trials.command(source, folder / "target"),
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )
        assert [entry.name for entry in folder.iterdir()] == []
    assert done.returncode == 3, done.stderr
    assert "can't write" in done.stderr
    assert state(source) == before


# ---- in the way ----


def test_what_is_in_the_way_is_refused_and_nothing_is_touched(tmp_path: Path, crew: Crew) -> None:
    source = write("lmdb", tmp_path / "source", {**datums(10), b"00000010": FAULTS["value-nan"]})
    other = write("lmdb", tmp_path / "other", datums(3))
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "hard").mkdir()
    os.link(source / "data.mdb", tmp_path / "hard" / "data.mdb")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").touch()
    (tmp_path / "new-quarantine").mkdir()
    before = state(tmp_path)
    for target, options, said in (
        (source, {"overwrite": True}, "is the source itself"),
        (tmp_path / "link", {"overwrite": True}, "is the source itself"),
        (tmp_path / "hard", {"overwrite": True}, "is the source itself"),
        (source / "clean", {}, "is inside of the source"),
        (tmp_path, {"overwrite": True}, "holds the source"),
        (other, {}, "is there already"),
        (other / "clean", {}, "is a data set; choose a place outside"),
        (tmp_path / "notes", {"overwrite": True}, r"thesis\.tex in it is no part of a data set"),
        (tmp_path / "new", {}, "new-quarantine is there already"),
        (tmp_path / "no" / "where", {}, "is no folder"),
        (tmp_path / "twice", {"split": 0.5, "validation": tmp_path / "twice"}, "would be written twice"),
    ):
        with pytest.raises(UsageError, match=said):
            rebuild(source, target, crew=crew, **options)
    assert state(tmp_path) == before


def test_a_target_is_replaced_with_all_that_stood_beside_it(tmp_path: Path, crew: Crew) -> None:
    source = write("lmdb", tmp_path / "source", {**datums(10), b"00000010": FAULTS["value-nan"]})
    facts(rebuild(source, tmp_path / "target", renumber=True, crew=crew))
    clean = write("lmdb", tmp_path / "clean", datums(5))
    facts(rebuild(clean, tmp_path / "target", overwrite=True, crew=crew))
    assert read("lmdb", tmp_path / "target") == datums(5)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["clean", "source", "target"]
