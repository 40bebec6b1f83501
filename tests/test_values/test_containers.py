"""Archives and wrappings: whole ones, damaged ones, and those that hold a thousand times their size."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.values import compressed
from datascan.scanner.values.compressed import MAX_INFLATED, unwrap
from datascan.scanner.values.inert import Unreadable
from datascan.scanner.values.npy import read_npy
from datascan.scanner.values.npz import MAX_MEMBERS, is_npz, read_npz


def archive(save: Callable[..., None] = np.savez, **arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    save(out, **arrays)
    return out.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return bytearray(out.getvalue())


def reasons(data: bytes | bytearray) -> list[str]:
    """What is wrong with the archive, or with each member."""
    try:
        return [member.data.reason for member in read_npz(memoryview(data)) if isinstance(member.data, Unreadable)]
    except Unreadable as error:
        return [error.reason]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_members_are_what_was_saved(save: Callable[..., None]) -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3), "y": np.array([[1, 2], [3, 4]], order="F"), "z": np.array(5)}
    data = archive(save, **arrays)
    assert is_npz(memoryview(data))
    found = {}
    for member in read_npz(memoryview(data)):
        assert isinstance(member.data, memoryview)
        found[member.name] = read_npy(member.data)[1]
    assert list(found) == ["x", "y", "z"]
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())  # type: ignore[arg-type]


def test_stored_members_are_not_copied() -> None:
    data = np.frombuffer(archive(x=np.zeros(1000)), np.uint8)
    (member,) = read_npz(data.data)
    assert isinstance(member.data, memoryview)
    assert np.shares_memory(np.frombuffer(member.data, np.uint8), data)


def test_other_archives_are_not_npz() -> None:
    for data in (zipped({"a.txt": b"a"}), zipped({"a.npy": b"a", "data.pkl": b"b"}), zipped({}), b"PK\x03\x04", b""):
        assert not is_npz(memoryview(bytes(data)))


def test_a_bomb_is_refused_by_what_it_declares() -> None:
    big = io.BytesIO()
    np.save(big, np.zeros(1 << 20, np.uint8))
    data = zipped({"a.npy": big.getvalue()})
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 1 << 30)
    (reason,) = reasons(data)
    assert reason.startswith("its members declare 1,073,741,824 bytes, more than the 268,435,456")


def test_a_bomb_that_declares_little_is_refused_when_it_unfolds() -> None:
    data = zipped({"a.npy": bytes(64 << 20)})
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 1000)
    tracemalloc.start()
    (reason,) = reasons(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason == "the deflate data holds more than the 1,000 bytes that are looked into"
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.__setitem__(slice(60, 62), b"\xff\xff"), "damaged"),
        (
            lambda data: data.__setitem__(data.index(b"PK\x01\x02") + 16, data[data.index(b"PK\x01\x02") + 16] ^ 1),
            "CRC-32",
        ),
        (lambda data: data.__setitem__(data.index(b"PK\x01\x02") + 42, 200), "outside|no local header"),
        (lambda data: data.__setitem__(data.index(b"PK\x01\x02") + 8, 1), "encrypted"),
        (lambda data: data.__setitem__(data.index(b"PK\x01\x02") + 20, 250), "cut short|stand behind"),
        (lambda data: data.__setitem__(data.index(b"PK\x01\x02") + 24, 1), "more than"),
        (lambda data: data.__delitem__(slice(-30, None)), "ZIP directory can't be read"),
    ],
)
def test_damage_is_named(change: Callable[[bytearray], None], reason: str) -> None:
    out = io.BytesIO()
    np.save(out, np.random.default_rng(0).normal(size=40))
    data = zipped({"a.npy": out.getvalue()})
    change(data)
    (found,) = reasons(bytes(data))
    assert any(word in found for word in reason.split("|"))


def test_a_stored_member_of_another_size_than_declared_is_named() -> None:
    data = zipped({"a.npy": bytes(100)}, zipfile.ZIP_STORED)
    data[data.index(b"PK\x01\x02") + 24] = 120
    assert reasons(data) == ["holds 100 of 120 bytes"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_without_a_limit_are_not_unfolded(method: int) -> None:
    (reason,) = reasons(zipped({"a.npy": bytes(1000)}, method))
    assert reason == f"is compressed by method {method}, which NumPy never writes"


def test_members_are_counted() -> None:
    data = zipped({f"{i}.npy": b"" for i in range(MAX_MEMBERS + 1)}, zipfile.ZIP_STORED)
    assert "4,097 members" in reasons(data)[0]


SMALL = archive(np.savez_compressed, x=np.arange(9), y=np.zeros(3))


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(1, 255)), max_size=4), st.integers(0, len(SMALL)))
def test_any_archive_gives_members_or_a_reason(changes: list[tuple[int, int]], size: int) -> None:
    data = bytearray(SMALL)
    for at, bits in changes:
        data[at] ^= bits
    for some in (bytes(data), bytes(data[:size])):
        reasons(some)
        is_npz(memoryview(some))


# ---- gzip and zlib ----


@pytest.mark.parametrize("wrap", [gzip.compress, zlib.compress])
def test_a_wrapping_is_taken_off(wrap: Callable[[bytes], bytes]) -> None:
    content = bytes(range(256)) * 20
    data = wrap(content)
    assert unwrap(memoryview(data)) == content
    assert unwrap(memoryview(content)) == content
    with pytest.raises(Unreadable, match="4 bytes stand behind"):
        unwrap(memoryview(data + b"more"))
    for size in range(12, len(data)):
        with pytest.raises(Unreadable, match="cut short"):
            unwrap(memoryview(data[:size]))
    broken = bytearray(data)
    broken[-6 if wrap is gzip.compress else -2] ^= 1
    with pytest.raises(Unreadable, match="incorrect data check"):
        unwrap(memoryview(bytes(broken)))


def test_a_wrapped_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_INFLATED <= 1 << 28
    monkeypatch.setattr(compressed.inflate, "__defaults__", (1 << 20,))
    data = gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(Unreadable, match=r"more than the 1,048,576 bytes"):
        unwrap(memoryview(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
