"""Records that come in any order, in batches of any size, are all there: read back by LMDB itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import lmdb
from hypothesis import given, settings
from hypothesis import strategies as st

from datascan.backends.columns import BytesColumn
from datascan.backends.lmdb_writer import LmdbWriter


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=5))
def test_no_order_of_keys_loses_a_record(batches: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set"
        path.mkdir()
        writer = LmdbWriter(path)
        seen: dict[bytes, bytes] = {}
        for number, batch in enumerate(batches):
            keys = [b"%04d" % key for key in batch]
            values = [b"%d of batch %d" % (place, number) for place in range(len(batch))]
            refused = set(writer.put(BytesColumn.from_strings(keys), BytesColumn.from_strings(values)).tolist())
            for row, (key, value) in enumerate(zip(keys, values, strict=True)):
                assert (row in refused) == (key in seen)
                seen.setdefault(key, value)
        writer.close()
        with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as txn:
            assert dict(txn.cursor()) == seen
