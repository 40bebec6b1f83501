"""A layer's weights: their shapes, from a file of weights, or drawn as the layer's fillers say.

Source: ``LayerSetUp`` of each layer, ``filler.hpp``, and ``Net::CopyTrainedLayersFrom``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ....backends.errors import UsageError
from ...training.binaryproto import StoredBlob
from ...training.net_spec import Layer, whole
from ...training.net_windows import read_convolution
from ...training.prototxt import Message
from ..fitting import Unfit
from ..layers import Array, Shape
from .neurons import SEED


@dataclass(frozen=True, slots=True)
class Wanted:
    """A blob that a layer has: its shape, and what fills it where no weights are given."""

    shape: Shape
    filler: Message
    constant: float = 0.0


def wanted_blobs(layer: Layer, bottoms: Sequence[Shape]) -> list[Wanted]:
    """The blobs of a layer in Caffe's order."""
    shape = bottoms[0]
    match layer.type:
        case "Convolution" | "Deconvolution":
            spec = read_convolution(layer, len(shape))
            channels = shape[spec.axis % len(shape)]
            first, second = (channels, spec.outputs) if spec.transposed else (spec.outputs, channels)
            param = layer.param("convolution_param")
            return _with_bias(param, (first, second // spec.group, *spec.kernel), (spec.outputs,))
        case "InnerProduct":
            param = layer.param("inner_product_param")
            outputs = whole(param, "num_output")
            inputs = math.prod(shape[whole(param, "axis", 1) % len(shape) :])
            return _with_bias(param, (inputs, outputs) if param.boolean("transpose") else (outputs, inputs), (outputs,))
        case "Embed":
            param = layer.param("embed_param")
            outputs = whole(param, "num_output")
            return _with_bias(param, (whole(param, "input_dim"), outputs), (outputs,))
        case "BatchNorm":
            none = Message()
            return [Wanted((shape[1],), none), Wanted((shape[1],), none), Wanted((1,), none)]
        case "PReLU":
            param = layer.param("prelu_param")
            return [Wanted(() if param.boolean("channel_shared") else (shape[1],), _filler(param, "filler"), 0.25)]
        case "Scale":
            param = layer.param("scale_param")
            sides = _covered(param, shape)
            factors = [Wanted(sides, _filler(param, "filler"), 1.0)] if len(bottoms) == 1 else []
            biased = param.boolean("bias_term")
            sides = sides if len(bottoms) == 1 else bottoms[1]
            return factors + ([Wanted(sides, _filler(param, "bias_filler"))] if biased else [])
        case "Bias" if len(bottoms) == 1:
            param = layer.param("bias_param")
            return [Wanted(_covered(param, shape), _filler(param, "filler"))]
    return []


def _with_bias(param: Message, weight: Shape, bias: Shape) -> list[Wanted]:
    wanted = [Wanted(weight, _filler(param, "weight_filler"))]
    if param.boolean("bias_term", True):
        wanted.append(Wanted(bias, _filler(param, "bias_filler")))
    return wanted


def _filler(param: Message, name: str) -> Message:
    return param.message(name) or Message()


def _covered(param: Message, shape: Shape) -> Shape:
    """The sides that the factors of a Scale or Bias layer stand for."""
    axis, axes = whole(param, "axis", 1) % len(shape), whole(param, "num_axes", 1)
    return shape[axis:] if axes == -1 else shape[axis : axis + axes]


def blobs_for(layer: Layer, bottoms: Sequence[Shape], stored: Mapping[str, Sequence[StoredBlob]]) -> tuple[Array, ...]:
    """The weights of a layer: those stored under its name, else freshly drawn ones.

    Raises
    ------
    Unfit
        They are of another shape than the layer's, for samples of this shape.
    UsageError
        They are not as many.
    """
    wanted = wanted_blobs(layer, bottoms)
    found = stored.get(layer.name)
    if found is None or not wanted:
        return tuple(drawn(one, layer, number) for number, one in enumerate(wanted))
    if len(found) != len(wanted):
        raise UsageError(
            f"layer {layer.name} has {len(wanted)} arrays of weights in the net, {len(found)} in the file: Caffe stops"
        )
    made = []
    for number, (one, blob) in enumerate(zip(wanted, found, strict=True)):
        if not same_shape(one.shape, blob.shape) or not blob.fits:
            there, here = ("x".join(map(str, shape)) or "one number" for shape in (blob.shape, one.shape))
            raise Unfit(
                f"layer {layer.name}: its array {number} is {here} in the net, {there} in the weights: Caffe stops"
            )
        made.append(blob.values.reshape(one.shape))
    return tuple(made)


def same_shape(wanted: Shape, stored: Shape) -> bool:
    """Whether they are equal; files of the old form write four sides, with ones in front."""
    padded = (1,) * (4 - len(wanted)) + wanted
    return wanted == stored or (len(stored) == 4 and padded == stored) or (wanted == () and math.prod(stored) == 1)


def drawn(wanted: Wanted, layer: Layer, number: int) -> Array:
    """Weights as the filler says, from a seed of the layer's own: the same each time."""
    filler, shape = wanted.filler, wanted.shape
    random = np.random.default_rng([SEED, crc32(layer.name.encode()), number])
    kind = filler.string("type", "constant")
    mean, deviation = filler.real("mean"), filler.real("std", 1)
    fan_in = math.prod(shape[1:])
    fan_out = math.prod(shape) // shape[1] if len(shape) > 1 else math.prod(shape)
    norm = filler.enum("variance_norm", ("FAN_IN", "FAN_OUT", "AVERAGE"), "FAN_IN")
    fan = max({"FAN_IN": fan_in, "FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}[norm], 1)
    match kind:
        case "constant":
            values = np.full(shape, filler.real("value", 0.0 if filler.fields else wanted.constant))
        case "gaussian":
            values = random.normal(mean, abs(deviation), shape)
            sparse = filler.integer("sparse", -1)
            if sparse >= 0 and shape:
                values *= random.random(shape) < sparse / max(shape[0], 1)
        case "uniform":
            values = random.uniform(filler.real("min"), max(filler.real("max", 1), filler.real("min")), shape)
        case "xavier":
            limit = math.sqrt(3 / fan)
            values = random.uniform(-limit, limit, shape)
        case "msra":
            values = random.normal(0, math.sqrt(2 / fan), shape)
        case "positive_unitball":
            values = random.random(shape)
            values /= values.reshape(len(values), -1).sum(axis=1).reshape(-1, *[1] * (len(shape) - 1))
        case "bilinear":
            values = np.broadcast_to(_tent(shape[-2:]), shape)
        case _:
            raise UsageError(f"layer {layer.name}: there is no filler {kind!r}: Caffe stops")
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _tent(sides: Shape) -> Array:
    """Weights of a bilinear interpolation, as Caffe's filler has them."""
    half = math.ceil(sides[-1] / 2)
    centre = (2 * half - 1 - half % 2) / (2.0 * half)
    rows, columns = (1 - np.abs(np.arange(side) / half - centre) for side in sides)
    tent: Array = rows[:, None] * columns
    return tent
