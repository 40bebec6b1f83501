"""Layers that multiply and add: InnerProduct, Scale, Bias, Eltwise, Embed.

Source: the files of these layers in Caffe's ``src/caffe/layers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...training.net_spec import whole
from ..layers import Array
from .setting import Make, Run, Setting, each


def inner_product(setting: Setting) -> Run:
    """All axes from ``axis`` on, times the weights."""
    param = setting.layer.param("inner_product_param")
    axis = whole(param, "axis", 1) % len(setting.bottoms[0])
    weight = setting.blobs[0] if param.boolean("transpose") else setting.blobs[0].T
    bias = setting.blobs[1] if len(setting.blobs) > 1 else None

    def run(x: Array) -> Array:
        outputs: Array = x.reshape(-1, len(weight)) @ weight
        if bias is not None:
            outputs += bias
        return outputs.reshape(*x.shape[:axis], -1)

    return each(run)


def scale(setting: Setting) -> Run:
    """Factors from the second bottom or learned, along some axes; a learned bias behind."""
    factors = setting.blobs[0] if len(setting.bottoms) == 1 else None
    biased = setting.layer.param("scale_param").boolean("bias_term")

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        x = bottoms[0]
        scaled = x * _along(setting, factors if factors is not None else bottoms[1], "scale_param", x.ndim)
        if biased:
            scaled = scaled + _along(setting, setting.blobs[-1], "scale_param", x.ndim)
        return [scaled]

    return run


def bias(setting: Setting) -> Run:
    """Summands from the second bottom or learned, along some axes."""
    learned = setting.blobs[0] if len(setting.bottoms) == 1 else None

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        x = bottoms[0]
        return [x + _along(setting, learned if learned is not None else bottoms[1], "bias_param", x.ndim)]

    return run


def _along(setting: Setting, values: Array, param: str, axes: int) -> Array:
    """Numbers for the axes from ``axis`` on, to be used with a blob of so many axes."""
    axis = whole(setting.layer.param(param), "axis", 1) % len(setting.bottoms[0])
    return values.reshape(*values.shape, *[1] * (axes - axis - values.ndim))


def eltwise(setting: Setting) -> Run:
    """Product, weighted sum or maximum; a comparison with NaN gives the second, and behind it the first."""
    param = setting.layer.param("eltwise_param")
    operation = param.enum("operation", ("PROD", "SUM", "MAX"), "SUM")
    coefficients = [np.float32(one) for one in param.reals("coeff")] or [np.float32(1)] * len(setting.bottoms)

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        if operation == "SUM":
            total: Array = bottoms[0] * coefficients[0]
            for values, coefficient in zip(bottoms[1:], coefficients[1:], strict=True):
                total = total + values * coefficient
            return [total]
        made = bottoms[0] * bottoms[1] if operation == "PROD" else np.where(bottoms[0] > bottoms[1], *bottoms[:2])
        for values in bottoms[2:]:
            made = made * values if operation == "PROD" else np.where(values > made, values, made)
        return [made]

    return run


def embed(setting: Setting) -> Run:
    """A row of the weights for each index; Caffe does not check an index, which is taken modulo the rows here."""
    bias = setting.blobs[1] if len(setting.blobs) > 1 else None

    def run(x: Array) -> Array:
        rows = np.nan_to_num(x).astype(np.int64) % len(setting.blobs[0])
        vectors: Array = setting.blobs[0][rows]
        return vectors if bias is None else vectors + bias

    return each(run)


PRODUCTS: Mapping[str, Make] = {
    "Bias": bias,
    "Eltwise": eltwise,
    "Embed": embed,
    "InnerProduct": inner_product,
    "Scale": scale,
}
