"""How values are spread, in some records of a source: read again after the scan, for the chart alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...backends.base import Batch, Store
from ..exhibit import Distribution, Distributions
from ..images import sniff_format
from ..reader import Reader
from ..sample import SampleBatch
from ..worker import Window, open_source, read_window
from .draw import MOST_PIXELS, flat, tolerant
from .payload import encoded_image
from .read import MOST_BYTES, decode

RECORDS = 64
PARTITIONS = 8
STEPS = 64
MOST_VALUES = 1 << 18
"""Values of one record that are counted, evenly spread over it."""

STRAY = 5
"""Values so many widths of the middle 99% away from it are strays: beside them nothing would be seen of the others."""

CHANNELS = 4
"""More channels than these are counted together."""


def distributions(reader: Reader) -> Distributions | None:
    """Distributions of the array or image that most of the records have; ``None`` where there is none."""
    store = open_source(reader.source)
    found: dict[tuple[str, int, str], list[NDArray[Any]]] = defaultdict(list)
    for record in evenly(store, reader):
        if record.size_bytes > MOST_BYTES:
            continue
        for name, values, order in arrays_of(decode(reader.layout, record)):
            found[name, values.shape[1], order].append(values)
    if not found:
        return None
    (_, _, order), arrays = max(found.items(), key=lambda entry: len(entry[1]))
    whole = np.concatenate(arrays)
    if whole.shape[1] > CHANNELS:
        whole = whole.reshape(-1, 1)
    low, high = scale_of(whole)
    names = [f"channel {number}" for number in range(whole.shape[1])] if whole.shape[1] > 1 else ["all"]
    columns = [counted(name, whole[:, number], low, high) for number, name in enumerate(names)]
    return Distributions(tuple(columns), len(arrays), order if len(columns) == len(order) else "")


def evenly(store: Store, reader: Reader) -> Iterator[Batch]:
    """Some records from some partitions, both evenly spread, each as a batch of one."""
    spans = reader.spans
    picked = sorted({number * len(spans) // PARTITIONS for number in range(PARTITIONS)}) if spans else []
    each = -(-RECORDS // max(len(picked), 1))
    for number in picked:
        start, partition = spans[number]
        size = spans[number + 1][0] - start if number + 1 < len(spans) else reader.positions - start
        places = sorted({step * size // each for step in range(each)}) if size > 0 else []
        if not places:
            continue
        for part in read_window(store, partition, Window(places[0], places[-1] + 1)):
            if isinstance(part, Batch) and len(part):
                for row in np.flatnonzero(np.isin(part.positions, places)).tolist():
                    yield part.take(slice(row, row + 1))


def arrays_of(samples: SampleBatch) -> Iterator[tuple[str, NDArray[Any], str]]:
    """The image or arrays of a batch of one as ``(values, channels)``, with the order of their colours."""
    image = encoded_image(samples, None)
    if image is not None and (pixels := decoded(image)) is not None:
        yield "image", thinned(pixels.reshape(-1, pixels.shape[2])), "RGB"
    for block in samples.arrays:
        if not len(block.rows) or block.values.dtype.kind not in "buif" or block.values[0].size < 2:
            continue
        values = block.values[0]
        if block.channel_axis is not None:
            values = np.moveaxis(values, block.channel_axis - 1, -1)
            yield block.name, thinned(values.reshape(-1, values.shape[-1])), block.colour or ""
        else:
            yield block.name, thinned(values.reshape(-1, 1)), ""


def decoded(data: bytes) -> NDArray[np.uint8] | None:
    """All pixels of an encoded image, ``None`` where it has none or too many."""
    image_format = sniff_format(data)
    try:
        with tolerant(), Image.open(BytesIO(data), formats=[image_format or ""]) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            pixels = np.asarray(flat(image))
    except MemoryError:
        raise
    except Exception:  # whatever a damaged image drives a decoder into
        return None
    return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)


def thinned(values: NDArray[Any]) -> NDArray[Any]:
    """At most `MOST_VALUES` of the rows, evenly spread."""
    return values[:: -(-len(values) // MOST_VALUES)] if len(values) else values


def scale_of(values: NDArray[Any]) -> tuple[float, float]:
    """The range to draw: all of a byte, else that of the finite values, without strays far from all others."""
    if values.dtype == np.uint8:
        return 0.0, 256.0
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return 0.0, 1.0
    inner_low, inner_high = np.percentile(finite, (0.5, 99.5)).tolist()
    span = inner_high - inner_low
    near = finite[(finite >= inner_low - STRAY * span) & (finite <= inner_high + STRAY * span)]
    low, high = (float(near.min()), float(near.max())) if near.size else (inner_low, inner_high)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def counted(name: str, values: NDArray[Any], low: float, high: float) -> Distribution:
    """The values of one channel in equal steps."""
    wide = values.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    counts, _ = np.histogram(finite, STEPS, (low, high))
    return Distribution(name, low, high, tuple(counts.tolist()), len(wide) - int(counts.sum()))
