"""A source that is written to while it is read is a snapshot, or said to be in use; it is never called damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import lmdb
import numpy as np
import plyvel
import pytest
from tests.killers import LABELS, Killer, write_records
from tests.test_containment import cut, plan_of

from datascan.backends import open_store
from datascan.backends.errors import StoreError
from datascan.scanner import check
from datascan.scanner.crew import Crew
from datascan.scanner.scan import Clock, scan_plan

RECORDS = 3000

WRITER = """
import os, sys, lmdb
path, pause = sys.argv[1], float(sys.argv[2])
import random, time
random.seed(1)
env = lmdb.open(path, map_size=1 << 28, lock=True)
print("ready", flush=True)
while True:
    with env.begin(write=True) as txn:
        for _ in range(40):
            number = random.randrange(3000)
            txn.put(b"%08d" % number, b"%d good " % number + os.urandom(random.randrange(8000)))
        txn.delete(b"%08d" % random.randrange(3000))
    time.sleep(pause)
"""


@pytest.fixture
def set_of_records(tmp_path: Path) -> Path:
    path = tmp_path / "set"
    with lmdb.open(str(path), map_size=1 << 28) as env, env.begin(write=True) as txn:
        for number in range(RECORDS):
            txn.put(b"%08d" % number, b"%d good " % number + os.urandom(4000))
    return path


def writer_of(path: Path, pause_s: float) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, path, str(pause_s)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("pause_s", [0.0, 0.05, 0.4])
def test_a_writer_leaves_a_snapshot_or_a_set_in_use(set_of_records: Path, crew: Crew, pause_s: float) -> None:
    outcomes = []
    for _ in writer_of(set_of_records, pause_s):
        for _ in range(6):
            plan = cut(plan_of(crew, set_of_records, Killer), pages=8)
            plan = replace(plan, rules=(*plan.rules, "store-in-use", "store-unreadable", "store-truncated"))
            report = scan_plan(plan, crew, Clock())
            rules = {finding.rule for finding in report.findings}
            assert rules <= {"store-in-use"}, report.findings
            assert not report.tracebacks
            assert report.coverage.complete == (not rules)
            if not rules:
                assert sum(report.statistics["labels"].values()) == report.coverage.seen
                assert report.coverage.seen == plan.facts.records_claimed
            most = RECORDS // LABELS  # the records of one label: more would be records scanned twice
            assert all(count <= most for count in report.statistics.get("labels", {}).values())
            outcomes.append(bool(rules))
    if pause_s == 0.0:
        assert any(outcomes), "the writer never got ahead of the scan: this test tests nothing"


def commit(path: Path, times: int) -> None:
    with lmdb.open(str(path), map_size=1 << 28, lock=False) as env:
        for number in range(times):
            with env.begin(write=True) as txn:
                txn.put(b"%08d" % number, b"%d good changed" % number)
                txn.delete(b"%08d" % (RECORDS - 1 - number))


def test_a_worker_that_opens_the_set_after_a_commit_reads_the_state_that_was_planned(
    set_of_records: Path, crew: Crew
) -> None:
    plan = cut(plan_of(crew, set_of_records, Killer), pages=8)
    commit(set_of_records, 1)
    with Crew(2) as others:
        report = scan_plan(plan, others, Clock())
    assert not report.findings
    assert report.coverage.complete
    assert report.coverage.seen == RECORDS


def test_a_worker_that_opens_the_set_after_two_commits_says_that_it_is_in_use(set_of_records: Path, crew: Crew) -> None:
    plan = cut(plan_of(crew, set_of_records, Killer), pages=8)
    plan = replace(plan, rules=(*plan.rules, "store-in-use"))
    commit(set_of_records, 2)
    with Crew(2) as others:
        report = scan_plan(plan, others, Clock())
    assert {finding.rule for finding in report.findings} == {"store-in-use"}
    assert not report.coverage.complete
    assert report.exit_code == 3


def test_a_set_that_is_replaced_ends_its_scan_with_what_there_is(tmp_path: Path, crew: Crew) -> None:
    path = write_records(tmp_path / "set", {100: b"SIGSEGV"}, 400, padding=200)
    plan = cut(plan_of(crew, path, Killer), pages=6)
    other = write_records(tmp_path / "other", {}, 10)

    def replace_it(_: object) -> None:
        os.replace(other / "data.mdb", path / "data.mdb") if (other / "data.mdb").exists() else None

    report = scan_plan(plan, crew, Clock(), progress=replace_it)
    assert report.stopped
    assert "another file has taken this place" in " ".join(report.coverage.reasons)
    assert not [finding for finding in report.findings if finding.rule != "store-reader-died"]
    assert report.exit_code in (1, 3)


def test_identities_differ_once_a_source_was_written_to(tmp_path: Path) -> None:
    environment, rows, listed = write_records(tmp_path / "lmdb", {}, 4), tmp_path / "a.h5", tmp_path / "list.txt"
    levels = tmp_path / "leveldb"
    with h5py.File(rows, "w") as file:
        file["data"] = np.zeros((4, 4))
    listed.write_text(f"{rows}\n")
    with plyvel.DB(str(levels), create_if_missing=True) as db:
        db.put(b"1", b"one")
    sources = (environment, rows, listed, levels)

    def identities() -> list[dict[str, object]]:
        found = []
        for source in sources:
            with open_store(source) as store:
                found.append(store.identity())
        return found

    before = identities()
    assert identities() == before
    time.sleep(0.02)  # a clock tick of the file system
    commit(environment, 1)
    with h5py.File(rows, "r+") as file:
        file["data"][0, 0] = 1
    with plyvel.DB(str(levels)) as db:
        db.put(b"2", b"two")
    after = identities()
    assert all(left != right for left, right in zip(before, after, strict=True))
    for source, identity in zip(sources, before, strict=True):
        with open_store(source) as store:
            store.pin(identity)
            assert {damage.kind for damage in store.closing_damage(4)} <= {"in-use"}
    with open_store(rows) as store:
        store.pin(before[1])
        assert [damage.kind for damage in store.closing_damage(4)] == ["in-use"]
        with pytest.raises(StoreError, match="another file has taken this place"):
            store.pin({**before[1], "inode": -1})


def test_a_file_that_was_touched_meanwhile_is_reported_as_in_use(tmp_path: Path, crew: Crew) -> None:
    path = tmp_path / "rows.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.random.default_rng(1).normal(size=(64, 3, 8, 8))
        file["label"] = np.arange(64) * 3 % 4

    def touch(_: object) -> None:
        os.utime(path)

    report = check(path, crew=crew, progress=touch).reports[0]
    assert [finding.rule for finding in report.findings] == ["store-in-use"]
    assert report.exit_code == 3
    assert json.dumps(report.to_dict())
