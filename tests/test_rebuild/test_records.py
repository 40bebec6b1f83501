"""Key-value stores rebuilt: what is kept is kept byte for byte, what is dropped is in quarantine, all of it proven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import lmdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.test_rebuild.stores import FAULTS, datum, datums, pictures, read, state, write

from datascan.backends.errors import StoreError, UsageError
from datascan.scanner import Report, check, rebuild
from datascan.scanner.crew import Crew
from datascan.scanner.rebuilding import run
from datascan.scanner.rebuilt import Proof

Kind = Literal["lmdb", "leveldb"]
KINDS: tuple[Kind, ...] = ("lmdb", "leveldb")


def quarantine(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (path / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()]


def facts(report: Report) -> dict[str, int | None]:
    assert report.rebuild is not None
    assert report.rebuild.proof is not None
    assert report.rebuild.proof.holds
    assert report.rebuild.written
    return dict(report.rebuild.records)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.sampled_from(KINDS),
    target=st.sampled_from(KINDS),
    planted=st.dictionaries(st.integers(0, 299), st.sampled_from(sorted(FAULTS)), max_size=12),
    seed=st.integers(0, 10**6),
)
def test_any_faults_in_any_store_into_any_store(
    source: Kind,
    target: Kind,
    planted: dict[int, str],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
    crew: Crew,
) -> None:
    folder = tmp_path_factory.mktemp("rebuild")
    records = {b"%08d_%d" % (i, seed): datum(seed + i) for i in range(300)}
    good = dict(records)
    for number, rule in planted.items():
        key = b"%08d_%d" % (number, seed)
        records[key] = FAULTS[rule]
        del good[key]
    path = write(source, folder / "source", records)
    before = state(path)
    report = rebuild(
        path,
        folder / "target",
        to=target,
        num_classes=10,
        ignore=("record-duplicate",),
        crew=crew,
    )
    assert state(path) == before, "the source was changed"
    assert facts(report) == {
        "claimed": 300,
        "kept": len(good),
        "validation": None,
        "quarantined": len(planted),
        "unreadable": 0,
    }
    assert report.exit_code == 0
    assert list(read(target, folder / "target").items()) == list(good.items())
    assert check(folder / "target", num_classes=10, crew=crew).exit_code == 0
    if planted:
        entries = quarantine(folder / "target-quarantine")
        assert {entry["index"]: True for entry in entries} == dict.fromkeys(sorted(planted), True)
        assert all(planted[entry["index"]] in entry["rules"] for entry in entries)  # type: ignore[index,operator]
        assert read(source, folder / "target-quarantine") == {
            key: value for key, value in records.items() if key not in good
        }
    else:
        assert not (folder / "target-quarantine").exists()


def test_drop_takes_levels_rules_and_families(tmp_path: Path, crew: Crew) -> None:
    records = {
        **datums(40),
        b"00000040": datum(3),
        b"00000041": FAULTS["label-negative"],
        b"00000042": FAULTS["value-nan"],
    }
    path = write("lmdb", tmp_path / "source", records)
    dropped = {}
    for number, words in enumerate(("error", "record-duplicate", "label", "error,record-duplicate", "warning")):
        report = rebuild(path, tmp_path / f"target{number}", drop=words, fail_on=None, crew=crew)
        left = read("lmdb", tmp_path / f"target{number}")
        dropped[words] = sorted(set(records) - set(left))
        facts(report)
    copy, negative, nan = b"00000040", b"00000041", b"00000042"
    assert dropped == {
        "error": [negative, nan],
        "record-duplicate": [copy],
        "label": [negative],
        "error,record-duplicate": [copy, negative, nan],
        "warning": [copy, negative, nan],
    }


def test_every_finding_drops_its_record_however_few_are_kept(tmp_path: Path, crew: Crew) -> None:
    records = {b"%08d" % i: FAULTS["record-size-mismatch"] + b"" if i % 3 else datum(i) for i in range(300)}
    path = write("lmdb", tmp_path / "source", records)
    report = rebuild(path, tmp_path / "target", max_findings=2, ignore=("record-duplicate",), crew=crew)
    assert facts(report)["quarantined"] == 200
    entries = quarantine(tmp_path / "target-quarantine")
    assert len(entries) == 200
    assert all(entry["rules"] == ["record-size-mismatch"] for entry in entries)
    assert entries[0]["reasons"] == ["data holds 5 of 48 bytes (3x4x4)"]


def test_a_reviewed_list_drops_what_it_names_and_nothing_else(tmp_path: Path, crew: Crew) -> None:
    records = {**datums(20), b"00000020\xff": FAULTS["value-nan"], b"00000021": FAULTS["label-negative"]}
    path = write("lmdb", tmp_path / "source", records)
    (tmp_path / "listed").write_text("00000003_3.png\nhex:3030303030303230ff\n#7\n", encoding="utf-8")
    report = rebuild(path, tmp_path / "target", drop_keys=tmp_path / "listed", crew=crew)
    assert report.exit_code == 1, "label-negative is left, since only the list was asked for"
    left = read("lmdb", tmp_path / "target")
    assert set(records) - set(left) == {b"00000003_3.png", b"00000020\xff", b"00000007_7.png"}
    (tmp_path / "listed").write_text("00000003_3.png\nno such key\n", encoding="utf-8")
    with pytest.raises(UsageError, match="1 of the records in it are not in the source: no such key"):
        rebuild(path, tmp_path / "other", drop_keys=tmp_path / "listed", crew=crew)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["listed", "source", "target", "target-quarantine"]


def test_a_skip_list_is_what_a_list_of_keys_reads(tmp_path: Path, crew: Crew) -> None:
    records = {**datums(20), b"00000020": FAULTS["value-nan"], b"\x00binary": FAULTS["label-negative"]}
    path = write("leveldb", tmp_path / "source", records)
    report = rebuild(path, "unused", skip_list=tmp_path / "skip.txt", crew=crew)
    assert report.rebuild is not None
    assert not report.rebuild.written
    assert (tmp_path / "skip.txt").read_text(encoding="utf-8") == "hex:0062696e617279\n00000020\n"
    rebuild(path, tmp_path / "target", drop_keys=tmp_path / "skip.txt", crew=crew)
    assert read("leveldb", tmp_path / "target") == datums(20)
    rebuild(path, tmp_path / "unused", skip_list=tmp_path / "skip.jsonl", crew=crew)
    lines = (tmp_path / "skip.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["rules"] for line in lines] == [["label-negative"], ["value-nan"]]


def test_a_dry_run_writes_nothing_and_says_what_it_would_take(tmp_path: Path, crew: Crew) -> None:
    path = write("lmdb", tmp_path / "source", {**datums(20), b"00000020": FAULTS["value-nan"]})
    report = rebuild(path, tmp_path / "target", dry_run=True, crew=crew)
    assert report.exit_code == 0
    assert report.rebuild is not None
    assert dict(report.rebuild.records) | {"claimed": 0} == {
        "claimed": 0,
        "kept": 20,
        "validation": None,
        "quarantined": 1,
        "unreadable": 0,
    }
    assert 0 < (report.rebuild.needed_bytes or 0) < (report.rebuild.free_bytes or 0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("kind", KINDS)
def test_new_numbers_leave_no_hole_and_the_map_tells_them(kind: str, tmp_path: Path, crew: Crew) -> None:
    records = datums(30)
    records[b"00000007_7.png"] = FAULTS["value-nan"]
    path = write(kind, tmp_path / "source", {**records, b"name": datum(77)})
    facts(rebuild(path, tmp_path / "target", renumber=True, crew=crew))
    made = read(kind, tmp_path / "target")
    assert list(made)[:9] == [b"%08d_%d.png" % (i, i + (i >= 7)) for i in range(9)]
    assert list(made)[-1] == b"00000029_name"
    lines = (tmp_path / "target-map.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines[1:]]
    assert {records.get(old.encode()) == made[new.encode()] for old, _, new, _, _ in pairs if old != "name"} == {True}
    assert [int(number) for _, _, _, number, _ in pairs] == list(range(30))


@pytest.mark.parametrize("kind", KINDS)
def test_a_shuffle_is_a_permutation_and_the_same_for_a_seed(kind: str, tmp_path: Path, crew: Crew) -> None:
    path = write(kind, tmp_path / "source", datums(200))
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        facts(rebuild(path, tmp_path / name, shuffle=seed, crew=crew))
        made.append(list(read(kind, tmp_path / name).items()))
    assert made[0] == made[1] != made[2]
    for one in made:
        assert sorted(value for _, value in one) == sorted(datums(200).values())
        assert [int(key[:8]) for key, _ in one] == list(range(200))
        assert [key[9:] for key, _ in one] != [key[9:] for key in datums(200)]


def test_a_split_keeps_every_label_s_share_and_no_content_on_both_sides(tmp_path: Path, crew: Crew) -> None:
    records = {b"%08d" % i: datum(i % 250, label=i % 250 % 5) for i in range(300)}
    path = write("lmdb", tmp_path / "source", records)
    report = rebuild(path, tmp_path / "train.lmdb", split=0.8, shuffle=4, validation=tmp_path / "val", crew=crew)
    facts(report)
    train, val = (read("lmdb", tmp_path / name) for name in ("train.lmdb", "val"))
    assert sorted([*train.values(), *val.values()]) == sorted(records.values())
    assert not set(train.values()) & set(val.values())
    labels = [
        sum(value in {datum(i, label=i % 5) for i in range(label, 250, 5)} for value in val.values())
        for label in range(5)
    ]
    assert all(11 <= count <= 12 for count in labels), labels
    assert report.rebuild is not None
    assert report.rebuild.records["validation"] == len(val)


def test_parts_of_a_sample_go_together_and_are_counted_again(tmp_path: Path, crew: Crew) -> None:
    records = {b"num-samples": b"12"}
    for number, value in enumerate(pictures(12).values(), 1):
        records[b"image-%09d" % number] = value[value.index(b"\xff\xd8") : value.rindex(b"\xff\xd9") + 2]
        records[b"label-%09d" % number] = b"word %d" % number
        if number in (4, 6, 9, 12):
            records[b"lexicon-%09d" % number] = b"a,b,%d" % number
    records[b"image-%09d" % 5] = b"<html>not found</html>"
    records[b"label-%09d" % 9] = b""
    path = write("lmdb", tmp_path / "source", records)
    report = rebuild(path, tmp_path / "target", drop="error,label-text", crew=crew)
    assert report.exit_code == 0, [one.coverage for one in report.reports]
    assert facts(report)["quarantined"] == 5
    made = read("lmdb", tmp_path / "target")
    assert made[b"num-samples"] == b"10"
    assert [made[b"label-%09d" % i] for i in range(1, 11)] == [
        b"word %d" % i for i in (1, 2, 3, 4, 6, 7, 8, 10, 11, 12)
    ]
    assert [made[b"lexicon-%09d" % i] for i in (4, 5, 10)] == [b"a,b,4", b"a,b,6", b"a,b,12"]
    assert made[b"image-%09d" % 5] == records[b"image-%09d" % 6]
    assert len(made) == 24


def test_values_of_one_key_and_named_databases_stay_what_they_are(tmp_path: Path, crew: Crew) -> None:
    path = tmp_path / "source"
    with lmdb.open(str(path), map_size=1 << 24, max_dbs=4, lock=False) as env:
        many = env.open_db(b"many", dupsort=True)
        numbers = env.open_db(b"numbers", integerkey=True)
        with env.begin(write=True) as txn:
            for i in range(30):
                txn.put(b"key%d" % (i // 3), datum(i, side=2), db=many)
                txn.put(int(i * 1000).to_bytes(8, "little"), datum(i), db=numbers)
            txn.put(b"key5", FAULTS["record-undecodable"][:4], db=many)
    facts(rebuild(path, tmp_path / "many", database="many", layout="caffe-datum", crew=crew))
    report = rebuild(path, tmp_path / "numbers", database="numbers", crew=crew)
    assert report.rebuild is not None
    assert report.rebuild.notes == ("copied as they are, not looked at: the named databases many",)

    def pairs(where: Path, name: bytes) -> list[tuple[bytes, bytes]]:
        with lmdb.open(str(where), readonly=True, max_dbs=4, lock=False) as env, env.begin() as txn:
            database = env.open_db(name, txn, create=False)
            return [(bytes(key), bytes(value)) for key, value in txn.cursor(database)]

    broken = (b"key5", FAULTS["record-undecodable"][:4])
    assert pairs(tmp_path / "many", b"many") == [pair for pair in pairs(path, b"many") if pair != broken]
    assert pairs(tmp_path / "many", b"numbers") == pairs(path, b"numbers")
    assert pairs(tmp_path / "numbers", b"many") == pairs(path, b"many")
    assert pairs(tmp_path / "many-quarantine", b"records") == [broken]


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("folder", [True, False])
def test_an_lmdb_keeps_its_file_format_and_its_shape(version: int, folder: bool, tmp_path: Path, crew: Crew) -> None:
    path = tmp_path / "source"
    made = lmdb.open(str(path), map_size=1 << 24, subdir=folder, lock=False, lib_version=version)
    with made as env, env.begin(write=True) as txn:
        for key, value in datums(50).items():
            txn.put(key, value)
    facts(rebuild(path, tmp_path / "target", crew=crew))
    assert (tmp_path / "target").is_dir() is folder
    with lmdb.open(str(tmp_path / "target"), readonly=True, lock=False, subdir=folder) as env:
        assert env.lib_version()[0] == version
        with env.begin() as txn:
            assert {bytes(key): bytes(value) for key, value in txn.cursor()} == datums(50)


def test_what_damage_left_is_rebuilt_and_the_rest_is_told(tmp_path: Path, crew: Crew) -> None:
    path = write("lmdb", tmp_path / "source", datums(3000))
    content = bytearray((path / "data.mdb").read_bytes())
    content[40 * 4096 : 41 * 4096] = bytes(4096)
    (path / "data.mdb").write_bytes(content)
    before = state(path)
    report = rebuild(path, tmp_path / "target", crew=crew)
    counts = facts(report)
    assert report.exit_code == 3, "not all of the source could be read"
    assert counts["unreadable"]
    assert counts["kept"] == 3000 - counts["unreadable"]
    made = read("lmdb", tmp_path / "target")
    assert made.items() <= datums(3000).items()
    assert len(made) == counts["kept"]
    (entry,) = (one for one in quarantine(tmp_path / "target-quarantine") if one["rules"] == ["store-damaged"])
    assert entry["stored"] is False
    assert check(tmp_path / "target", crew=crew).exit_code == 0
    assert state(path) == before


def test_a_target_is_compact_and_its_map_grows(tmp_path: Path, crew: Crew) -> None:
    values = {b"%08d" % i: np.random.default_rng(i).bytes(200_000) for i in range(400)}
    path = write("lmdb", tmp_path / "source", {})
    with lmdb.open(str(path), map_size=1 << 28, lock=False, sync=False) as env:
        for key, value in values.items():
            with env.begin(write=True) as txn:
                txn.put(key, value)
    facts(rebuild(path, tmp_path / "target", layout="raw", crew=crew))
    size = sum(len(value) for value in values.values())
    assert size < (tmp_path / "target" / "data.mdb").stat().st_size < 1.04 * size
    assert read("lmdb", tmp_path / "target") == values


def test_a_copy_that_is_not_equal_gets_no_name(tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("lmdb", tmp_path / "source", datums(50))
    scan = run.Rebuild.scan_target

    def scan_damaged(self: run.Rebuild, staged: Path, *args: object, **chosen: object) -> object:
        with lmdb.open(str(staged), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
            txn.put(b"00000007_7.png", datum(999))
        return scan(self, staged, *args, **chosen)  # type: ignore[arg-type]

    monkeypatch.setattr(run.Rebuild, "scan_target", scan_damaged)
    report = rebuild(path, tmp_path / "target", crew=crew)
    assert report.exit_code == 4
    assert report.rebuild is not None
    assert report.rebuild.proof == Proof(50, 1, ("the record at position 7 of the source is another in the target",))
    assert [entry.name for entry in tmp_path.iterdir()] == ["source"]


def test_nothing_to_keep_is_nothing_to_write(tmp_path: Path, crew: Crew) -> None:
    path = write("lmdb", tmp_path / "source", {b"%08d" % i: FAULTS["value-nan"] for i in range(3)})
    with pytest.raises(StoreError, match="no record would be left"):
        rebuild(path, tmp_path / "target", crew=crew)
    assert [entry.name for entry in tmp_path.iterdir()] == ["source"]
