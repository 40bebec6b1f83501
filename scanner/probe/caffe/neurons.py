"""Layers that work value by value, with what Caffe's own formulas make of NaN and infinities.

Source: the ``Forward_cpu`` of each layer in Caffe's ``src/caffe/layers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np

from ..layers import Array
from .setting import Make, Run, Setting, each

SEED = 20120901


def relu(setting: Setting) -> Run:
    """``max(x, 0) + slope * min(x, 0)``: NaN of minus infinity, as in Caffe, also where the slope is 0."""
    slope = np.float32(setting.layer.param("relu_param").real("negative_slope"))
    return each(lambda x: np.maximum(x, 0) + slope * np.minimum(x, 0))


def prelu(setting: Setting) -> Run:
    """ReLU with a learned slope for each channel, or one for all."""
    slopes = setting.blobs[0].reshape(-1, *[1] * (len(setting.bottoms[0]) - 2))
    return each(lambda x: np.maximum(x, 0) + slopes * np.minimum(x, 0))


def elu(setting: Setting) -> Run:
    """Exponential below 0."""
    alpha = np.float32(setting.layer.param("elu_param").real("alpha", 1))
    return each(lambda x: np.maximum(x, 0) + alpha * (np.exp(np.minimum(x, 0)) - 1))


def sigmoid(setting: Setting) -> Run:
    """By the hyperbolic tangent, as Caffe has it."""
    return each(lambda x: np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5))


def swish(setting: Setting) -> Run:
    """``x * sigmoid(beta * x)``."""
    half_beta = np.float32(setting.layer.param("swish_param").real("beta", 1) / 2)
    return each(lambda x: x * (np.float32(0.5) * np.tanh(half_beta * x) + np.float32(0.5)))


def bnll(setting: Setting) -> Run:
    """``log(1 + exp(x))`` without overflow."""
    return each(lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def power(setting: Setting) -> Run:
    """``(shift + scale * x) ^ power``; a constant where power or scale is 0, whatever x is."""
    param = setting.layer.param("power_param")
    exponent, scale, shift = (
        np.float32(param.real(name, default)) for name, default in (("power", 1), ("scale", 1), ("shift", 0))
    )

    def run(x: Array) -> Array:
        if exponent * scale == 0:
            return np.full_like(x, 1 if exponent == 0 else shift**exponent)
        values: Array = x * scale if scale != 1 else x
        values = values + shift if shift != 0 else values
        return np.power(values, exponent) if exponent != 1 else values

    return each(run)


def exp(setting: Setting) -> Run:
    """``base ^ (shift + scale * x)``."""
    param = setting.layer.param("exp_param")
    base, scale, shift = (param.real(name, default) for name, default in (("base", -1), ("scale", 1), ("shift", 0)))
    log_base = np.float32(1 if base == -1 else np.log(np.float32(base)))
    inner = log_base * np.float32(scale)
    outer = np.exp(log_base * np.float32(shift))
    return each(lambda x: np.exp(inner * x) * outer)


def log(setting: Setting) -> Run:
    """``log_base(shift + scale * x)``."""
    param = setting.layer.param("log_param")
    base, scale, shift = (param.real(name, default) for name, default in (("base", -1), ("scale", 1), ("shift", 0)))
    factor = np.float32(1) / np.float32(1 if base == -1 else np.log(np.float32(base)))
    inner, summand = np.float32(scale), np.float32(shift)
    return each(lambda x: np.log(x * inner + summand) * factor)


def threshold(setting: Setting) -> Run:
    """1 above the threshold, else 0: NaN is 0."""
    least = np.float32(setting.layer.param("threshold_param").real("threshold"))
    return each(lambda x: (x > least).astype(x.dtype))


def clip(setting: Setting) -> Run:
    """Values held between two limits; NaN becomes the lower one, as with Caffe's comparisons."""
    param = setting.layer.param("clip_param")
    low, high = np.float32(param.real("min")), np.float32(param.real("max"))
    return each(lambda x: np.fmax(low, np.minimum(x, high)))


def dropout(setting: Setting) -> Run:
    """In training some features are dropped, of all samples the same ones, and the others made larger.

    Caffe draws anew for each sample: a loss would depend on which samples went through before.
    """
    if not setting.training:
        return each(lambda x: x)
    param = setting.layer.param("dropout_param")
    ratio = np.float32(param.real("dropout_ratio", 0.5))
    random = np.random.default_rng([SEED, crc32(setting.layer.name.encode())])
    kept = (random.random(setting.bottoms[0][1:]) >= ratio).astype(np.float32)
    with np.errstate(divide="ignore"):
        scale = np.float32(1) / (np.float32(1) - ratio)
    return each(lambda x: x * kept * scale)


def _tanh(setting: Setting) -> Run:
    return each(np.tanh)


def _absolute(setting: Setting) -> Run:
    return each(np.abs)


NEURONS: Mapping[str, Make] = {
    "AbsVal": _absolute,
    "BNLL": bnll,
    "Clip": clip,
    "Dropout": dropout,
    "ELU": elu,
    "Exp": exp,
    "Log": log,
    "PReLU": prelu,
    "Power": power,
    "ReLU": relu,
    "Sigmoid": sigmoid,
    "Swish": swish,
    "TanH": _tanh,
    "Threshold": threshold,
}
