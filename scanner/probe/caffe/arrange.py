"""Layers that put values elsewhere: Concat, Slice, Split, Flatten, Reshape, Crop, Tile, Reduction.

Source: the files of these layers in Caffe's ``src/caffe/layers``. Shapes were computed before (`training.net_shapes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from ...training.net_spec import whole, wholes
from ..layers import Array
from .setting import Make, Run, Setting, each


def concat(setting: Setting) -> Run:
    """Bottoms one behind the other."""
    param = setting.layer.param("concat_param")
    axis = whole(param, "axis", whole(param, "concat_dim", 1))
    return lambda bottoms: [np.concatenate(bottoms, axis=axis)]


def slice_(setting: Setting) -> Run:
    """One bottom in parts."""
    param = setting.layer.param("slice_param")
    axis = whole(param, "axis", whole(param, "slice_dim", 1)) % len(setting.bottoms[0])
    ends = np.cumsum([0, *(top[axis] for top in setting.tops)]).tolist()

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        return [bottoms[0][(*[slice(None)] * axis, slice(start, stop))] for start, stop in pairwise(ends)]

    return run


def split(setting: Setting) -> Run:
    """The same values for each top."""
    return lambda bottoms: [bottoms[0]] * len(setting.tops)


def reshaped(setting: Setting) -> Run:
    """The same values in another shape, sample by sample."""
    return each(lambda x: x.reshape(len(x), *setting.tops[0][1:]))


def crop(setting: Setting) -> Run:
    """The first bottom cut to the size of the second."""
    param = setting.layer.param("crop_param")
    axes = len(setting.bottoms[0])
    axis = whole(param, "axis", 2) % axes
    given = wholes(param, "offset") or [0]
    offsets = given * (axes - axis) if len(given) == 1 else given
    cut = tuple(slice(offset, offset + side) for offset, side in zip(offsets, setting.tops[0][axis:], strict=True))
    return lambda bottoms: [bottoms[0][(*[slice(None)] * axis, *cut)]]


def tile(setting: Setting) -> Run:
    """One axis repeated as a whole."""
    param = setting.layer.param("tile_param")
    axis, tiles = whole(param, "axis", 1), whole(param, "tiles")
    return each(lambda x: np.concatenate([x] * tiles, axis=axis))


def reduction(setting: Setting) -> Run:
    """All axes from ``axis`` on as one number; where that is the whole batch, one for each sample."""
    param = setting.layer.param("reduction_param")
    axis = max(whole(param, "axis") % len(setting.bottoms[0]), 1)
    operation = param.enum("operation", ("", "SUM", "ASUM", "SUMSQ", "MEAN"), "SUM")
    factor = np.float32(param.real("coeff", 1))

    def run(x: Array) -> Array:
        rows = x.reshape(*x.shape[:axis], -1)
        values = np.abs(rows) if operation == "ASUM" else rows * rows if operation == "SUMSQ" else rows
        reduced: Array = values.mean(axis=-1) if operation == "MEAN" else values.sum(axis=-1)
        return reduced * factor

    return each(run)


ARRANGING: Mapping[str, Make] = {
    "Concat": concat,
    "Crop": crop,
    "Flatten": reshaped,
    "Reduction": reduction,
    "Reshape": reshaped,
    "Slice": slice_,
    "Split": split,
    "Tile": tile,
}
