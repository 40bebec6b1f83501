"""Rebuilds that are ended at a moment of a seed's choice: ``python -m tests.test_rebuild.trials COUNT SEED`` by hand.

Each trial starts ``datascan rebuild`` on a set of each kind in turn, kills it or gives it a disk that is too small, and
holds that nothing, or the whole target, stands under the final name, that the source is the same to the nanosecond, and
that the next run succeeds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.test_rebuild.stores import FAULTS, datum, read, state, write

from datascan.scanner import check

RECORDS = 1500
SIDE = 24
KINDS = ("lmdb", "leveldb")


def command(source: Path, target: Path, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "datascan.scanner", "rebuild", str(source), str(target), "--jobs", "1", "--quiet",
        "--select", "record,label-negative", "--ignore", "record-duplicate", *options,
    ]  # fmt: skip


def make(folder: Path, kind: str) -> Path:
    records = {b"%08d" % i: datum(i, SIDE) for i in range(RECORDS)}
    records[b"00000700"] = FAULTS["label-negative"]
    return write(kind, folder / f"source-{kind}", records)


def whole(kind: str, target: Path) -> bool:
    return len(read(kind, target)) == RECORDS - 1 and check(target, jobs=1, ignore=("image",)).exit_code == 0


def kill_one(source: Path, kind: str, folder: Path, delay_s: float, number: int, *options: str) -> str:
    """Start a rebuild and kill it after a while; gives how it went."""
    target, before = folder / "target", state(source)
    there = target.exists()
    process = subprocess.Popen(command(source, target, *options), stderr=subprocess.DEVNULL)
    try:
        process.wait(delay_s)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        process.wait(60)
    assert state(source) == before, "the source was changed"
    if target.exists():
        assert whole(kind, target), "half a target stands under the final name"
        return "whole" if not there else "replaced or kept"
    assert not there, "the target that stood there is gone"
    return "nothing"


def succeed(source: Path, kind: str, folder: Path, *options: str) -> None:
    """The next run comes through, and leaves nothing else behind."""
    target, before = folder / "target", state(source)
    done = subprocess.run(command(source, target, *options), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert whole(kind, target)
    assert state(source) == before
    assert sorted(entry.name for entry in folder.iterdir()) == ["target", "target-quarantine"]


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of a size, in memory; raises `PermissionError` where mounting is not allowed."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            raise PermissionError(mounted.stderr.decode())
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def clear(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def main(count: int, seed: int) -> None:
    """Run trials and print how they went."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as base:
        sources = {kind: make(Path(base), kind) for kind in KINDS}
        folder = Path(base) / "out"
        folder.mkdir()
        began = time.monotonic()
        succeed(sources["lmdb"], "lmdb", folder)
        usual_s = time.monotonic() - began
        for number in range(count):
            kind = KINDS[number % 2]
            again = number % 5 == 4  # a target stands there, and is to be replaced
            if not again:
                clear(folder)
            elif not (folder / "target").exists() or not whole_of(kind, folder / "target"):
                clear(folder)
                succeed(sources[kind], kind, folder)
            options = ("--overwrite",) if again else ()
            if number % 10 == 7:
                outcomes[full_one(sources[kind], kind, rng)] += 1
                continue
            how = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            delay_s = rng.uniform(0.1, 1.1) * usual_s
            outcomes[kill_one(sources[kind], kind, folder, delay_s, how, *options)] += 1
            succeed(sources[kind], kind, folder, "--overwrite")
    print(f"{count} trials with seed {seed}: {dict(outcomes)}")


def whole_of(kind: str, target: Path) -> bool:
    return (target / "data.mdb").exists() == (kind == "lmdb") and whole(kind, target)


def full_one(source: Path, kind: str, rng: random.Random) -> str:
    """Rebuild onto a disk that is too small by chance, then onto one that is not."""
    before = state(source)
    with small_disk(f"{rng.randrange(200, 2800)}k") as folder:
        done = subprocess.run(command(source, folder / "target"), capture_output=True, text=True)
        assert state(source) == before
        if done.returncode == 0:
            assert whole(kind, folder / "target")
            return "fitted"
        assert done.returncode == 3, (done.returncode, done.stderr)
        assert "no space" in done.stderr, done.stderr
        assert [entry.name for entry in folder.iterdir()] == [], "something was left on the full disk"
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        succeed(source, kind, folder)
    return "full"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(int(sys.argv[1]), int(sys.argv[2]))
