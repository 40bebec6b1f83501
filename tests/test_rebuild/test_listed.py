"""Sets that list or count their keys, rebuilt without a record: they stay right, or the rebuild is refused."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.test_rebuild.stores import read, state, write

from datascan.backends.errors import UsageError
from datascan.scanner import check, rebuild
from datascan.scanner.crew import Crew
from datascan.scanner.layouts.rewriting import Plain, plain_value, written_as

CLEAN = Path(__file__).resolve().parent.parent.parent / "fixtures" / "clean"

SETS = {
    "ase-lmdb": b"7",
    "atom3d": b"7",
    "basicsr": b"0002_s003",
    "folder2lmdb": b"7",
    "json-rows": b"7",
    "msgpack-values": None,
    "npz-values": None,
    "pickle-dicts": None,
    "stylegan": b"16-00007",
    "tape": b"7",
    "tensorpack": b"00000007",
    "uni-mol": b"7",
}
"""Fixtures of layouts of records, and the key that is dropped: of some the eighth of its records."""

DENSE = ("atom3d", "json-rows", "pickle-dicts", "tape")
"""Sets whose loaders count from 0."""


def source_of(name: str) -> Path:
    (path,) = (entry for entry in (CLEAN / name).iterdir() if entry.name != "expect.json")
    return path


def without(name: str, folder: Path) -> tuple[Path, Path]:
    """A set's path, and a file that names the record to drop."""
    source = source_of(name)
    key = SETS[name] or list(read("lmdb", source))[7]
    keys = folder / "drop.txt"
    keys.write_text(key.decode() + "\n", encoding="utf-8")
    return source, keys


@pytest.mark.parametrize("renumber", [False, True], ids=["as-they-are", "renumbered"])
@pytest.mark.parametrize("name", SETS)
def test_without_a_record_a_set_is_clean(name: str, renumber: bool, tmp_path: Path, crew: Crew) -> None:
    source, keys = without(name, tmp_path)
    before = state(source)

    def run() -> None:
        report = rebuild(
            source, tmp_path / "target", drop=("never",), drop_keys=str(keys), renumber=renumber, crew=crew
        )
        assert report.rebuild is not None
        assert report.rebuild.proof is not None
        assert report.rebuild.proof.holds, report.rebuild.proof
        assert not [note for note in report.rebuild.notes if "may still list" in note]

    refused = name in DENSE and not renumber
    if refused or (name == "basicsr" and renumber):
        with pytest.raises(UsageError, match="--renumber" if refused else "names"):
            run()
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["drop.txt"]
        return
    run()
    report = check(tmp_path / "target", crew=crew)
    assert [finding for finding in report if finding.rule != "record-key-gap"] == []
    assert report.reports[0].source.layout == check(source, crew=crew).reports[0].source.layout
    assert state(source) == before


def test_numbers_keep_their_order(tmp_path: Path, crew: Crew) -> None:
    source, keys = without("tape", tmp_path)
    rebuild(source, tmp_path / "target", drop=("never",), drop_keys=str(keys), renumber=True, crew=crew)
    old, new = read("lmdb", source), read("lmdb", tmp_path / "target")
    kept = [number for number in range(24) if number != 7]
    assert [new[b"%d" % place] for place in range(23)] == [old[b"%d" % number] for number in kept]
    assert pickle.loads(new[b"num_examples"]) == 23
    assert len(new) == 24


def test_lists_say_what_is_there_in_their_order(tmp_path: Path, crew: Crew) -> None:
    source, keys = without("folder2lmdb", tmp_path)
    rebuild(source, tmp_path / "target", drop=("never",), drop_keys=str(keys), crew=crew)
    new = read("lmdb", tmp_path / "target")
    assert pickle.loads(new[b"__keys__"]) == [b"%d" % number for number in range(24) if number != 7]
    assert pickle.loads(new[b"__len__"]) == 23
    assert new[b"8"] == read("lmdb", source)[b"8"]


def test_ase_rows_are_deleted_as_ase_deletes_them(tmp_path: Path, crew: Crew) -> None:
    source, keys = without("ase-lmdb", tmp_path)
    rebuild(source, tmp_path / "target", drop=("never",), drop_keys=str(keys), crew=crew)
    new = read("lmdb", tmp_path / "target")
    assert json.loads(zlib.decompress(new[b"deleted_ids"])) == [5, 7]
    assert new[b"nextid"] == read("lmdb", source)[b"nextid"]


def test_ase_without_a_list_of_deleted_rows_is_numbered_again(tmp_path: Path, crew: Crew) -> None:
    records = read("lmdb", source_of("ase-lmdb"))
    del records[b"deleted_ids"]
    records[b"5"] = records[b"4"]
    source = write("lmdb", tmp_path / "source", records)
    keys = tmp_path / "drop.txt"
    keys.write_text("9\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no deleted_ids record"):
        rebuild(source, tmp_path / "target", drop=("never",), drop_keys=str(keys), dry_run=True, crew=crew)
    rebuild(source, tmp_path / "target", drop=("never",), drop_keys=str(keys), renumber=True, crew=crew)
    assert check(tmp_path / "target", ignore=("record-duplicate",), crew=crew).exit_code == 0


def test_every_resolution_of_an_image_goes_together(tmp_path: Path, crew: Crew) -> None:
    source, keys = without("stylegan", tmp_path)
    rebuild(source, tmp_path / "target", drop=("never",), drop_keys=str(keys), crew=crew)
    old, new = read("lmdb", source), read("lmdb", tmp_path / "target")
    assert new[b"length"] == b"23"
    assert [new[b"32-%05d" % i] for i in range(23)] == [old[b"32-%05d" % i] for i in range(24) if i != 7]
    assert set(read("lmdb", tmp_path / "target-quarantine")) == {b"8-00007", b"16-00007", b"32-00007"}


def test_meta_info_keeps_its_lines(tmp_path: Path, crew: Crew) -> None:
    source, keys = without("basicsr", tmp_path)
    rebuild(source, tmp_path / "target", drop=("never",), drop_keys=str(keys), split=0.75, crew=crew)
    lines = (source / "meta_info.txt").read_text().splitlines()
    told = [(tmp_path / name / "meta_info.txt").read_text().splitlines() for name in ("target", "target-val")]
    assert sorted([*told[0], *told[1]]) == [line for line in lines if not line.startswith("0002_s003")]
    assert all(told)


def test_a_list_in_an_unknown_hand_is_refused_before_anything_is_written(tmp_path: Path, crew: Crew) -> None:
    records = read("lmdb", source_of("folder2lmdb"))
    records[b"__keys__"] = b"\xc1 of another kind"
    source = write("lmdb", tmp_path / "source", records)
    keys = tmp_path / "drop.txt"
    keys.write_text("7\n", encoding="utf-8")
    with pytest.raises(UsageError, match="__keys__ is written in a way"):
        rebuild(source, tmp_path / "target", drop=("never",), drop_keys=str(keys), crew=crew)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["drop.txt", "source"]


def hands() -> Iterator[Callable[[object], bytes]]:
    yield from (lambda value, protocol=protocol: pickle.dumps(value, protocol) for protocol in (2, 3, 4, 5))
    yield lambda value: zlib.compress(pickle.dumps(value))


@pytest.mark.parametrize("hand", list(hands()))
def test_what_is_written_again_is_read_by_its_own_library(hand: Callable[[object], bytes]) -> None:
    written: tuple[Plain, ...] = (300, ["a", "b"], [b"1", b"\xff"] * 300, [1, 2], {"mol": 3})
    for fresh in written:
        made = written_as(hand(type(fresh)()), fresh)
        assert made is not None
        assert written_as(b"I0\n.", fresh) is None  # protocol 0, which nothing tells from other text
        assert plain_value(made) == fresh
        assert pickle.loads(zlib.decompress(made) if made[:1] == b"\x78" else made) == fresh
