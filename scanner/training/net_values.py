"""What values a blob can have, as far as its layer alone decides: enough to judge Log, Power and Exp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .net_spec import Layer


@dataclass(frozen=True, slots=True)
class Values:
    """Bounds of a blob's values.

    Attributes
    ----------
    mixed
        In practice it has positive and negative values from the first iteration on.
    zeros
        In practice it has values of exactly 0, as behind a ReLU.
    """

    low: float = -math.inf
    high: float = math.inf
    mixed: bool = False
    zeros: bool = False

    @property
    def probability(self) -> bool:
        """Whether every value is between 0 and 1."""
        return self.low >= 0 and self.high <= 1


UNKNOWN = Values()
MIXED = Values(mixed=True)

SAME = {
    "Split",
    "Reshape",
    "Flatten",
    "Crop",
    "Slice",
    "Silence",
    "Tile",
    "BatchReindex",
    "Filter",
    "Im2col",
    "Pooling",
}
"""Layers that pass values on, or the largest or mean of some: the bounds stay."""

FIXED = {
    "Convolution": MIXED,
    "Deconvolution": MIXED,
    "InnerProduct": MIXED,
    "BatchNorm": MIXED,
    "MVN": MIXED,
    "Sigmoid": Values(0, 1),
    "Softmax": Values(0, 1),
    "Threshold": Values(0, 1),
    "AbsVal": Values(low=0),
    "BNLL": Values(low=0),
    "Exp": Values(low=0),
}
"""Layers whose values are these whatever they are fed."""


def values_of(layer: Layer, bottoms: Sequence[Values]) -> Values:
    """The values of a layer's tops."""
    first = bottoms[0] if bottoms else UNKNOWN
    if layer.type in ("Convolution", "Deconvolution", "InnerProduct"):
        return weighted(layer)
    if layer.type in FIXED:
        return FIXED[layer.type]
    if layer.type in SAME:
        kept = layer.type != "Pooling"
        return Values(first.low, first.high, first.mixed and kept, first.zeros and kept)
    match layer.type:
        case "TanH":
            return Values(-1, 1, first.mixed, first.zeros)
        case "ReLU":
            return rectified(layer, first)
        case "ELU" | "PReLU":
            return Values(min(first.low, 0), first.high, first.mixed, first.zeros)
        case "Dropout":
            return Values(min(first.low, 0) * 1e3, max(first.high, 0) * 1e3, first.mixed, True)
        case "LRN":
            return Values(min(first.low, 0), first.high, first.mixed, first.zeros)
        case "Scale" | "Bias":
            return MIXED if first.mixed and len(bottoms) == 1 else UNKNOWN
        case "Power":
            return powered(layer, first)
        case "Eltwise":
            return combined(layer, bottoms)
        case "Concat":
            return Values(
                min(one.low for one in bottoms) if bottoms else -math.inf,
                max(one.high for one in bottoms) if bottoms else math.inf,
                any(one.mixed for one in bottoms),
                any(one.zeros for one in bottoms),
            )
    return UNKNOWN


WEIGHT_PARAMS = {"InnerProduct": "inner_product_param"}


def weighted(layer: Layer) -> Values:
    """Scores of a layer with weights: of both signs, where weights of both are drawn and no bias shifts them."""
    param = layer.param(WEIGHT_PARAMS.get(layer.type, "convolution_param"))
    filler, bias = param.message("weight_filler"), param.message("bias_filler")
    drawn = filler is not None and filler.string("type", "constant") in ("xavier", "msra", "gaussian")
    centred = filler is not None and filler.real("mean") == 0
    unshifted = bias is None or (bias.string("type", "constant") == "constant" and bias.real("value") == 0)
    return MIXED if drawn and centred and unshifted else UNKNOWN


def rectified(layer: Layer, first: Values) -> Values:
    """Behind a ReLU."""
    slope = layer.param("relu_param").real("negative_slope")
    if slope != 0:
        return Values(min(first.low, 0) if slope > 0 else -math.inf, math.inf, first.mixed and slope > 0)
    return Values(max(first.low, 0), max(first.high, 0), False, first.mixed or first.zeros)


def powered(layer: Layer, first: Values) -> Values:
    """Behind a Power layer, of which only the linear one and the square are followed."""
    param = layer.param("power_param")
    power, scale, shift = param.real("power", 1), param.real("scale", 1), param.real("shift")
    if power == 1 and scale > 0 and math.isfinite(scale + shift):
        return Values(
            scale * first.low + shift,
            scale * first.high + shift,
            first.mixed and shift == 0,
            first.zeros and shift == 0,
        )
    return Values(low=0) if power == 2 else UNKNOWN


def combined(layer: Layer, bottoms: Sequence[Values]) -> Values:
    """Behind an element-wise sum; products and maxima are not followed."""
    param = layer.param("eltwise_param")
    if param.enum("operation", ("PROD", "SUM", "MAX"), "SUM") != "SUM" or "coeff" in param:
        return UNKNOWN
    if any(one.mixed for one in bottoms):
        return MIXED
    return Values(low=0) if bottoms and all(one.low >= 0 for one in bottoms) else UNKNOWN
