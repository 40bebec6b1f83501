"""Records for the stores that are damaged: Caffe's Datum by the real protobuf library, no two alike."""

from __future__ import annotations

import numpy as np
from tests.test_images.pictures import encoded, photo
from tests.test_layouts.messages import Datum

Records = dict[bytes, bytes]

CLASSES = 5


def key(index: int) -> bytes:
    return b"%08d_photo_%d.png" % (index, index)


def label(index: int) -> int:
    return index * 7 % CLASSES


def raw_records(count: int, side: int) -> Records:
    """Three channels of noise; at side 8 a record lies in its LMDB leaf, at side 32 in an overflow page."""
    rng = np.random.default_rng(side)
    pixels = rng.integers(0, 256, (count, 3 * side * side), np.uint8)
    return {
        key(i): Datum(
            channels=3, height=side, width=side, data=pixels[i].tobytes(), label=label(i), encoded=False
        ).SerializeToString()
        for i in range(count)
    }


def image_records(images: list[bytes]) -> Records:
    """Encoded images, one a record."""
    return {
        key(i): Datum(data=image, label=label(i), encoded=True).SerializeToString() for i, image in enumerate(images)
    }


def jpegs(count: int, side: int = 48) -> list[bytes]:
    """Photographs that differ, as JPEGs."""
    return [encoded(photo(side, side, seed=i), quality=90) for i in range(count)]
