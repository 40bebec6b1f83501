"""Layers that divide by what they find around a value: LRN, BatchNorm, MVN, Softmax.

Source: Caffe's ``lrn_layer.cpp``, ``batch_norm_layer.cpp``, ``mvn_layer.cpp`` and ``softmax_layer.cpp``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...training.net_spec import whole
from ..layers import Array
from .setting import Make, Run, Setting, each
from .windows import mean_of_windows


def lrn(setting: Setting) -> Run:
    """Local response normalisation, across channels or within each."""
    param = setting.layer.param("lrn_param")
    size = whole(param, "local_size", 5)
    alpha, beta, k = (
        np.float32(param.real(name, default)) for name, default in (("alpha", 1), ("beta", 0.75), ("k", 1))
    )
    if param.enum("norm_region", ("ACROSS_CHANNELS", "WITHIN_CHANNEL"), "ACROSS_CHANNELS") == "WITHIN_CHANNEL":
        mean = mean_of_windows(setting.bottoms[0][2], setting.bottoms[0][3], size)
        return each(lambda x: x * np.power(1 + alpha * mean(x * x), -beta))

    def across(x: Array) -> Array:
        squares = np.pad(x * x, ((0, 0), (size // 2, size // 2), (0, 0), (0, 0)))
        channels = x.shape[1]
        total = squares[:, :channels].copy()
        for place in range(1, size):
            total += squares[:, place : place + channels]
        normed: Array = x * np.power(k + alpha / np.float32(size) * total, -beta)
        return normed

    return each(across)


def batch_norm(setting: Setting) -> Run:
    """Normalisation by channel: by stored statistics, or in training by those of each batch of the net's size.

    Samples with values that are not finite are left out of the statistics, which they would spoil for the others:
    Caffe loses the whole batch.
    """
    param = setting.layer.param("batch_norm_param")
    stored = param.boolean("use_global_stats", not setting.training)
    eps = np.float32(param.real("eps", 1e-5))
    sums, squares, factor = setting.blobs
    share = np.float32(0 if factor[0] == 0 else 1 / factor[0])
    shape = (1, -1, *[1] * (len(setting.bottoms[0]) - 2))
    batch = setting.bottoms[0][0]

    def normed(x: Array, mean: Array, variance: Array) -> Array:
        values: Array = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + eps)
        return values

    def by_its_own(x: Array) -> Array:
        others = (0, *range(2, x.ndim))
        finite = np.isfinite(x.reshape(len(x), -1)).all(axis=1)
        sound = x[finite] if finite.any() else x
        mean = sound.mean(axis=others)
        return normed(x, mean, np.square(sound - mean.reshape(shape)).mean(axis=others))

    if stored:
        return each(lambda x: normed(x, sums * share, squares * share))
    return each(lambda x: np.concatenate([by_its_own(x[at : at + batch]) for at in range(0, len(x), batch)]))


def mvn(setting: Setting) -> Run:
    """Mean and variance normalisation, of each sample by itself."""
    param = setting.layer.param("mvn_param")
    divided = param.boolean("normalize_variance", True)
    across = param.boolean("across_channels")
    eps = np.float32(param.real("eps", 1e-9))

    def run(x: Array) -> Array:
        axes = tuple(range(1 if across else 2, x.ndim))
        x = x - x.mean(axis=axes, keepdims=True)
        if divided:
            x = x / (np.sqrt(np.square(x).mean(axis=axes, keepdims=True)) + eps)
        return x.reshape(*x.shape, *[1] * (4 - x.ndim))

    return each(run)


def softmax_along(x: Array, axis: int) -> Array:
    """Powers of e, shifted by the largest value, as shares of their sum."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    shares: Array = powers / powers.sum(axis=axis, keepdims=True)
    return shares


def softmax(setting: Setting) -> Run:
    """Softmax along an axis."""
    axis = whole(setting.layer.param("softmax_param"), "axis", 1)
    return each(lambda x: softmax_along(x, axis))


NORMAL: Mapping[str, Make] = {"BatchNorm": batch_norm, "LRN": lrn, "MVN": mvn, "Softmax": softmax}
