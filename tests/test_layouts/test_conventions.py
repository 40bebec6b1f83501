"""Layouts of records that keys, reserved keys or neighbours speak for, on the sets of their own projects."""

from __future__ import annotations

import pickle
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from datascan.backends import open_store
from datascan.backends.base import RecordBatch
from datascan.scanner.layouts import LAYOUTS
from datascan.scanner.layouts.base import Look, RecordLayout
from datascan.scanner.layouts.choose import choose_among, choose_layout, look_at
from datascan.scanner.layouts.reserved import keys_in, numbered_keys, reserved_value
from datascan.scanner.options import Options
from datascan.scanner.testing import LayoutContract, records

from .messages import Datum
from .test_choose import SPECIAL_CASES

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
SETS = {
    "basicsr": "basicsr",
    "caffe2-floats": "caffe2-tensor-protos",
    "caffe2-images": "caffe2-tensor-protos",
    "stylegan": "stylegan",
    "tensorpack": "tensorpack",
    "folder2lmdb": "folder2lmdb",
    "tape": "indexed-pickle",
    "uni-mol": "indexed-pickle",
    "atom3d": "atom3d",
    "ase-lmdb": "ase-lmdb",
    "json-rows": "json-records",
    "digits-features": "digits-pairs",
    "digits-labels": "digits-pairs",
    "ocr": "ocr",
    "images-bare": "encoded-images",
    "lmdb-raw": "caffe-datum",
    "leveldb-compacted": "caffe-datum",
    "ssd-annotated": "ssd-annotated-datum",
    "npz-values": "npz",
    "msgpack-values": "folder2lmdb",
    "pickle-dicts": "indexed-pickle",
}


def source_of(name: str) -> Path:
    (path,) = (path for path in (FIXTURES / "clean" / name).iterdir() if path.name != "expect.json")
    return path / name.removeprefix("digits-") if name.startswith("digits-") else path


def looked_at(name: str, count: int = 16) -> Look:
    with open_store(source_of(name)) as store:
        sample = store.sample(count)
        assert sample is not None
        return look_at(store, sample)


@pytest.mark.parametrize("name", SETS)
def test_each_project_s_own_set_is_recognised_and_claimed_by_no_other(name: str) -> None:
    with open_store(source_of(name)) as store:
        choice = choose_layout(store, Options())
        assert (choice.layout.name, choice.reasons) == (SETS[name], ())
    look = looked_at(name)
    claimed = set()
    for other in LAYOUTS.own:
        layout = LAYOUTS[other]
        if issubclass(layout, RecordLayout) and layout.belongs(look) and any(layout.agrees(look.sample)):
            claimed.add(other)
    assert claimed - set(SPECIAL_CASES.get(SETS[name], ())) == {SETS[name]}


def spoilt(look: Look, share: float, seed: int) -> Look:
    """The same set with the values of some records replaced by those of no layout."""
    source = random.Random(seed)
    chosen = source.sample(range(len(look.sample)), round(len(look.sample) * share))
    values = [bytes(value) for value in look.sample.values]
    for row in chosen:
        values[row] = source.randbytes(max(len(values[row]), 8))
    return Look(records(list(zip(map(bytes, look.sample.keys), values, strict=True))), look.reserved, look.path)


@pytest.mark.parametrize("name", [name for name in SETS if name != "ocr"])
@pytest.mark.parametrize("seed", range(3))
def test_noise_in_a_tenth_hides_no_layout_and_in_a_quarter_leaves_none(name: str, seed: int) -> None:
    look = looked_at(name)
    assert choose_among(spoilt(look, 0.1, seed), Options()).layout.name == SETS[name]
    choice = choose_among(spoilt(look, 0.3, seed), Options())
    assert choice.layout.name == "raw"
    assert f"sampled records look like {SETS[name]}, but " in choice.reasons[0]


def test_random_stores_are_recognised_as_nothing() -> None:
    source = random.Random(3)
    reserved: Sequence[Mapping[bytes, bytes]] = [
        {},
        {b"length": b"24"},
        {b"__keys__": b"\x80\x04]."},
        {b"__len__": b"24"},
        {b"nextid": b"x"},
        {b"serialization_format": b"json", b"num_examples": b"24"},
    ]
    keys = ["%d", "%08d", "%09d", "256-%05d", "image-%09d", "frame_%d"]
    for number in range(300):
        pattern = keys[number % len(keys)]
        pairs = [((pattern % i).encode(), source.randbytes(source.randrange(1, 400))) for i in range(16)]
        choice = choose_among(Look(records(pairs), reserved[number % len(reserved)]), Options())
        assert choice.layout.name == ("raw" if not pattern.startswith("image-") else "ocr"), pattern


# ---- the contract ----


class FixtureContract(LayoutContract):
    """The contract on a committed set."""

    fixture: str

    def pairs(self) -> Sequence[tuple[bytes, bytes]]:
        look = looked_at(self.fixture, 40)
        return list(zip(map(bytes, look.sample.keys), map(bytes, look.sample.values), strict=True))

    def look(self, sample: RecordBatch) -> Look:
        known = looked_at(self.fixture)
        return Look(sample, known.reserved, known.path)


def contract_of(fixture: str) -> type[LayoutContract]:
    name = "Test" + "".join(part.capitalize() for part in fixture.split("-"))
    layout = LAYOUTS[SETS[fixture]]
    return type(name, (FixtureContract,), {"fixture": fixture, "layout": layout, "__module__": __name__})


TestBasicSr = contract_of("basicsr")
TestCaffe2Floats = contract_of("caffe2-floats")
TestCaffe2Images = contract_of("caffe2-images")
TestStyleGan = contract_of("stylegan")
TestTensorpack = contract_of("tensorpack")
TestFolder2Lmdb = contract_of("folder2lmdb")
TestTape = contract_of("tape")
TestUniMol = contract_of("uni-mol")
TestAtom3d = contract_of("atom3d")
TestAseLmdb = contract_of("ase-lmdb")
TestJsonRows = contract_of("json-rows")


# ---- parts ----


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"24", 24),
        (b" 24\n", 24),
        (pickle.dumps(24), 24),
        (pickle.dumps([b"a", "b"]), [b"a", "b"]),
        (b'["a", "b"]', ["a", "b"]),
        (b"\x92\xa1a\xa1b", ["a", "b"]),
        (b"\xc1", None),
        (b"", None),
    ],
)
def test_what_reserved_keys_hold_is_read_however_it_is_written(value: bytes, read: object) -> None:
    assert reserved_value(value) == read


def test_keys_are_listed_as_bytes_whatever_they_are_written_as() -> None:
    listed = keys_in({b"keys": pickle.dumps(["a", b"b", 3])}, b"keys")
    assert listed is not None
    assert [bytes(key) for key in listed.keys] == [b"a", b"b", b"3"]
    assert keys_in({b"keys": pickle.dumps(["a", None])}, b"keys") is None
    assert keys_in({}, b"keys") is None


def test_numbers_are_expected_only_where_the_keys_are_numbers_from_0() -> None:
    def expected(*keys: bytes) -> list[bytes] | None:
        look = Look(records([(key, b"x") for key in keys]))
        listed = numbered_keys(look, (b"length", 3))
        return None if listed is None else [bytes(key) for key in listed.keys]

    assert expected(b"0", b"2") == [b"0", b"1", b"2"]
    assert expected(b"1", b"2") is None
    assert expected(b"0", b"02") is None
    assert expected(b"a") is None


def test_a_half_of_digits_pair_is_one_only_beside_the_other(tmp_path: Path) -> None:
    value = Datum(channels=1, height=1, width=2, float_data=[0.5, 1.5]).SerializeToString()
    look = Look(records([(b"%09d" % i, value) for i in range(16)]), {}, tmp_path / "features")
    assert choose_among(look, Options()).layout.name == "caffe-datum"


def test_labels_of_tensor_protos_come_from_the_second_tensor() -> None:
    batch = looked_at("caffe2-floats").sample
    samples = LAYOUTS["caffe2-tensor-protos"](Options()).decode(batch)  # type: ignore[attr-defined]
    (block,) = samples.labels
    assert len(block.rows) == len(batch)
    assert set(block.values.tolist()) == {0, 1, 2}
    assert samples.arrays[0].values.shape == (len(batch), 3, 8, 8)
    (first, *_) = samples.arrays[0].values.reshape(len(batch), -1)
    stored = bytes(batch.values[0])
    assert struct.pack("<192f", *first) in stored
    assert np.isfinite(first).all()
