"""A month of nightly audits over a changing set: each night tells what happened that day, and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.in_process import InProcess
from tests.nightly_sets import GrowingSet, Nights

from datascan.scanner.auditing.nightly import Audit
from datascan.scanner.crew import Tick
from datascan.scanner.partial import Partial
from datascan.scanner.worker import Task

ROTTEN = 77
NOTHING: dict[str, Any] = {"new": [], "gone": []}


class Killed(InProcess):
    """Dies without a word after a few partitions."""

    def run(self, tasks: Sequence[Task], tick: Tick) -> Generator[tuple[Task, Partial]]:
        for number, done in enumerate(super().run(tasks, tick)):
            if number == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            yield done


def run_killed(nights: Nights, night: int) -> None:
    """An audit in a process that is killed half-way."""
    child = os.fork()
    if child == 0:
        nights.crew = Killed()
        nights.audit(night, force=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def told(found: Audit, name: str) -> dict[str, Any]:
    """What a night says of a source that is news, and how it was looked at."""
    night = next(one for one in found.nights if one.job.name == name)
    records = {kind: count for kind, count in night.records.items() if count}
    return {
        "action": night.action,
        "new": [(finding.rule, finding.location.key_text) for finding in night.news.new],
        "gone": [(finding.rule, finding.location.key_text) for finding in night.news.gone],
        **({"records": records} if records else {}),
    }


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_each_night_of_a_month_tells_what_happened_that_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datascan.backends.lmdb_store.PARTITION_BYTES", 4096)
    train, val = GrowingSet(tmp_path / "train_lmdb", 600), GrowingSet(tmp_path / "val_lmdb", 60)
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path, "val": val.path}, ignore=("label-imbalance",))
    broken = 0
    log: dict[int, dict[str, Any]] = {}
    exits: dict[int, int] = {}
    for night in range(1, 31):
        match night:
            case 3:
                train.add([0, 1, 2] * 5)
            case 5:
                broken = train.add_broken()
            case 8:
                train.rot(ROTTEN)  # nobody can see it before the set is read again, seven days after night 5
            case 14:
                train.put([(broken, None)])
            case 16 | 17 | 18 | 19 | 20:
                train.add([2] * 60)
            case 23:
                train.add([0, 1])
                run_killed(nights, night)
                continue
            case 27:
                train.put([(ROTTEN, train.value(ROTTEN, ROTTEN % 3))])
        found = nights.audit(night)
        exits[night] = int(found.exit_code)
        assert bool(found.killed) == (night == 24)
        assert told(found, "val") == {"action": "scanned" if night % 7 == 1 else "unchanged", **NOTHING}
        log[night] = told(found, "train")

    rotten, short = ("store-bit-rot", f"{ROTTEN:08d}"), ("record-size-mismatch", f"{broken:08d}")
    gap = ("record-key-gap", f"{broken + 1:08d}")
    news: dict[int, dict[str, Any]] = {
        3: {"records": {"added": 15}},
        5: {"new": [short], "records": {"added": 1}},
        12: {"new": [rotten]},
        14: {"gone": [short], "records": {"gone": 1}},
        16: {"new": [gap], "records": {"added": 60}},
        17: {"records": {"added": 60}},
        18: {"new": [("drift-labels", None)], "records": {"added": 60}},
        19: {"records": {"added": 60}},
        20: {"records": {"added": 60}},
        24: {"records": {"added": 2}},
        27: {"gone": [rotten], "records": {"changed": 1}},
    }
    read = {1, 3, 5, 12, 14, 16, 17, 18, 19, 20, 24, 27}
    assert log == {
        night: {"action": "scanned" if night in read else "unchanged", **NOTHING, **news.get(night, {})}
        for night in range(1, 31)
        if night != 23
    }
    assert {night for night, code in exits.items() if code} == {*range(5, 23), 24, 25, 26}
