"""The bytes of a record that an image decoder takes, wherever the layout has them."""

from __future__ import annotations

from ...backends.base import Batch, RecordBatch
from ...backends.columns import BytesColumn
from ..images import sniff_format
from ..sample import SampleBatch

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def encoded_image(samples: SampleBatch, dataset: str | None) -> bytes | None:
    """The encoded image of a batch of one, ``None`` where it has none.

    It is looked for in what makes two samples equal, then in the whole value: decoders don't mind what follows.
    """
    if not any(image.facts.format for image in samples.images):
        return None
    if samples.contents is not None and len(samples.contents):
        payload = bytes(samples.contents[0])
        if sniff_format(payload) is not None:
            return payload
    value = raw_value(samples.batch, dataset)
    return None if value is None else image_within(value)


def raw_value(record: Batch, dataset: str | None) -> bytes | None:
    """The value of a record, or the row of the dataset that is meant: of the first one where none is."""
    if isinstance(record, RecordBatch):
        return bytes(record.values[0])
    name = dataset if dataset in record.columns else next(iter(record.columns), None)
    if name is None:
        return None
    column = record.columns[name]
    return bytes(column[0]) if isinstance(column, BytesColumn) else column[0].tobytes()


def image_within(value: bytes) -> bytes | None:
    """The rest of a value from the first place on where an image begins."""
    starts = sorted(at for signature in SIGNATURES if (at := value.find(signature)) >= 0)
    return next((value[at:] for at in starts if sniff_format(value[at : at + 32]) is not None), None)
