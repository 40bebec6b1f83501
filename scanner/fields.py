"""What a decoded record holds, as JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sample import ArrayBlock, ImageSample, SampleBatch


def fields_of(samples: SampleBatch) -> Iterator[dict[str, Any]]:
    """The fields of a batch of one."""
    for block in samples.labels:
        if len(block.rows):
            yield {"kind": "label", "name": block.name, "values": numbers(block.values[0])}
        elif len(block.missing):
            yield {"kind": "label", "name": block.name, "values": []}
    for texts in samples.texts:
        for text in texts.texts:
            yield {"kind": "text", "name": texts.name, "text": bytes(text).decode(errors="backslashreplace")}
    for image in samples.images:
        yield image_field(image)
    for array in samples.arrays:
        if len(array.rows):
            yield array_field(array)
    for boxes in samples.boxes:
        corners = [numbers(row) for row in boxes.corners]
        labels = boxes.labels.tolist()
        entries = [{"label": label, "corners": row} for label, row in zip(labels, corners, strict=True)]
        yield {"kind": "boxes", "name": "boxes", "boxes": entries}
    for kind in samples.value_kinds:
        yield {"kind": "text", "name": "looks like", "text": kind}


def image_field(image: ImageSample) -> dict[str, Any]:
    """What the image's header says."""
    facts = image.facts
    return {
        "kind": "image",
        "name": image.dataset or "image",
        "format": facts.format,
        "width": facts.width,
        "height": facts.height,
        "channels": facts.channels,
        "mode": facts.mode,
        "orientation": facts.orientation,
    }


def array_field(block: ArrayBlock) -> dict[str, Any]:
    """Type, shape and range; the range and the mean are of the finite values."""
    values = block.values[0]
    field: dict[str, Any] = {
        "kind": "array",
        "name": block.name,
        "dtype": str(values.dtype),
        "shape": list(block.shape),
        "axes": block.axes,
        "colour": block.colour,
        "min": None,
        "max": None,
        "mean": None,
        "nan": 0,
        "inf": 0,
    }
    if values.dtype.kind not in "biuf":
        return field
    finite = values
    if values.dtype.kind == "f":
        field["nan"], field["inf"] = int(np.isnan(values).sum()), int(np.isinf(values).sum())
        finite = values[np.isfinite(values)]
    if finite.size:
        field["min"], field["max"] = number(finite.min()), number(finite.max())
        field["mean"] = number(finite.mean(dtype=np.float64))
    return field


def numbers(values: NDArray[Any]) -> list[Any]:
    """Values of an array as JSON has them: NaN and infinities are words."""
    return [number(value) for value in np.ravel(values)]


def number(value: Any) -> Any:
    """One value as JSON has it."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return str(plain)
    return plain if isinstance(plain, bool | int | float) else str(plain)
