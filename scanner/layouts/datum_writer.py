"""Writing Caffe Datums, in the field order of Caffe's own tools."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def varint(value: int) -> bytes:
    """A protobuf varint; negative numbers take ten bytes, as protobuf writes an int32."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_datum(
    *,
    dims: tuple[int, int, int] | None = None,
    data: bytes | None = None,
    label: int | None = None,
    float_data: ArrayLike | None = None,
    encoded: bool | None = None,
    packed: bool = False,
) -> bytes:
    """One serialised Datum (fields of caffe.proto: 1 channels, 2 height, 3 width, 4 data, 5 label, 6 float_data,
    7 encoded).

    Parameters
    ----------
    dims
        Channels, height, width; left out where the payload is an encoded image.
    float_data
        Values in C, H, W order, written as float32, one tag each as protobuf 2 does; ``packed`` writes one run.
    """
    out = bytearray()
    for tag, size in zip((0x08, 0x10, 0x18), dims or (), strict=False):
        out += bytes([tag]) + varint(size)
    if data is not None:
        out += b"\x22" + varint(len(data)) + data
    if label is not None:
        out += b"\x28" + varint(label)
    if float_data is not None:
        values = np.asarray(float_data, "<f4").ravel()
        if packed:
            out += b"\x32" + varint(values.nbytes) + values.tobytes()
        else:
            tagged = np.empty((values.size, 5), np.uint8)
            tagged[:, 0] = 0x35
            tagged[:, 1:] = values.view(np.uint8).reshape(-1, 4)
            out += tagged.tobytes()
    if encoded is not None:
        out += b"\x38" + varint(int(encoded))
    return bytes(out)
