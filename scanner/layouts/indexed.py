"""Sets of serialised samples under running numbers, with their count under a reserved key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...backends.base import RecordBatch
from ..sample import Fault, SampleBatch
from ..summary.lists import KeyList
from ..values.compressed import wrapping
from .base import Look
from .json_records import JSON
from .kept import KeptKeys, Revision
from .keys import reserved_rows
from .msgpack_records import MSGPACK
from .pickles import PICKLE
from .reserved import count_in, is_decimal, keys_in, numbered_keys, reserved_value
from .revising import written
from .rewriting import plain_value
from .serialised import Codec, Serialised

COUNTS = (b"num_examples", b"length", b"num_samples")


class IndexedPickle(Serialised):
    """See `Serialised`.

    Sources: songlab-cal/tape (``num_examples``), FAIR-Chem's ``lmdb_dataset.py`` (``length``), MeanFlow
    (``num_samples``), Uni-Mol (numbers alone), facebookresearch/mmf (``keys`` lists image ids).
    """

    name = "indexed-pickle"
    title = "Pickled samples by number or id (TAPE, Open Catalyst, Uni-Mol, MMF); never unpickled"
    codecs = (PICKLE,)

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`: there is a count or a list of keys, or all keys are plain numbers."""
        if look.reserved.keys() & {b"__keys__", b"__len__", b"nextid", b"serialization_format"}:
            return False
        return bool(look.reserved.keys() & {*COUNTS, b"keys"}) or all(map(is_decimal, look.sample.keys))

    @classmethod
    def keys_of(cls, look: Look) -> KeyList | None:
        """See `Serialised.keys_of`."""
        return keys_in(look.reserved, b"keys") or numbered_keys(look, count_in(look.reserved, *COUNTS))


_FORMATS = {b"json": JSON, b"pkl": PICKLE, b"pickle": PICKLE, b"msgpack": MSGPACK}


class Atom3d(Serialised):
    """See `Serialised`.

    Source: ``LMDBDataset`` and ``make_lmdb_dataset`` of drorlab/atom3d: gzip around pickle, JSON or msgpack, as
    ``serialization_format`` says; ``num_examples``; ``id_to_idx`` maps names to numbers.
    """

    name = "atom3d"
    title = "ATOM3D: gzipped examples by number, serialization_format, num_examples"
    codecs = (JSON, PICKLE, MSGPACK)

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`."""
        return b"serialization_format" in look.reserved

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        held = super().agrees(sample)
        return [fits and wrapping(value) == "gzip" for fits, value in zip(held, sample.values, strict=True)]

    @classmethod
    def codec_of(cls, look: Look) -> Codec:
        """See `Serialised.codec_of`: what the set says, or else what most values are."""
        said = look.reserved.get(b"serialization_format", b"").strip().lower()
        return _FORMATS.get(said) or super().codec_of(look)

    @classmethod
    def keys_of(cls, look: Look) -> KeyList | None:
        """See `Serialised.keys_of`."""
        return numbered_keys(look, count_in(look.reserved, b"num_examples"))

    def revised(self, reserved: Mapping[bytes, bytes], kept: KeptKeys) -> Revision:
        """See `RecordLayout.revised`; ``id_to_idx`` names the numbers."""
        revision = super().revised(reserved, kept)
        if b"id_to_idx" not in reserved:
            return revision
        old = plain_value(reserved[b"id_to_idx"])
        if not isinstance(old, dict) or not all(type(number) is int for number in old.values()):
            return replace(revision, values={**revision.values, b"id_to_idx": written(b"id_to_idx", b"", 0)})
        places = kept.places([str(number).encode() for number in old.values()]).tolist()
        fresh = {
            name: number if revision.numbers is None else int(revision.numbers[place])
            for (name, number), place in zip(old.items(), places, strict=True)
            if place >= 0
        }
        made = written(b"id_to_idx", reserved[b"id_to_idx"], fresh)
        return replace(revision, values={**revision.values, b"id_to_idx": made})

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`; the two reserved records that are no counts are looked at as well."""
        samples = super().decode(batch)
        for row in [row for row, found in enumerate(reserved_rows(batch.keys).tolist()) if found]:
            key, value = bytes(batch.keys[row]), bytes(batch.values[row])
            if key == b"serialization_format" and value.strip().lower() not in _FORMATS:
                message = f"serialization_format is {value[:32]!r}; atom3d reads pkl, json and msgpack"
                samples.faults.append(Fault(row, "record-undecodable", message))
            if key == b"id_to_idx":
                names = reserved_value(value)
                if isinstance(names, list):
                    samples.count_claims.append((row, len(names) // 2))
        return samples
