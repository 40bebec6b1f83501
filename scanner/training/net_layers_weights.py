"""Weights: how they are drawn, and by what their rate and decay are multiplied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..finding import Finding, Severity
from .net_gradient import under_loss
from .net_graph import Graph, Node
from .net_refusal import count
from .net_rules import NetFiller, NetMultiplier, NetNotFinite, NetZeroWeights
from .net_scope import Scope
from .net_spec import Layer, whole
from .net_tables import LOSSES, blob_count
from .net_windows import line_among
from .prototxt import Message
from .schema import nearest

FILLERS = ("constant", "gaussian", "positive_unitball", "uniform", "xavier", "msra", "bilinear")

WIDE = 100.0
"""Growth of activations through one layer at the start, from which on it is told."""

LARGE_MULTIPLIER = 1000.0

WEIGHT_PARAMS = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "Embed": "embed_param",
}
"""Layers whose weights start at 0 where no filler is given, and the parameter where it would stand."""

FILLED = ("weight_filler", "bias_filler", "filler", "data_filler")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A filler in its place; ``fan_in`` is the number of inputs of one output, where it is known."""

    layer: Layer
    name: str
    message: Message
    fan_in: int | None

    @property
    def type(self) -> str:
        """The filler's type."""
        return self.message.string("type", "constant")

    def finding(
        self,
        message: str,
        field: str,
        remedy: str,
        cause: str = "aborted",
        severity: Severity | None = None,
    ) -> Finding:
        """A finding about it."""
        return NetFiller.finding(
            f"layer {self.layer.name}, {self.name}: {message}",
            self.message.line_of(field),
            severity=severity,
            cause=cause,
            remedy=remedy,
            layer=self.layer.name,
        )


def fillers_of(node: Node) -> Iterator[Drawn]:
    """Every filler of a layer."""
    fan_in = fan_in_of(node)
    for entry in node.layer.message:
        if entry.message is None:
            continue
        for inner in entry.message:
            if inner.name in FILLED and inner.message is not None:
                yield Drawn(node.layer, inner.name, inner.message, fan_in if inner.name == "weight_filler" else None)


def fan_in_of(node: Node) -> int | None:
    """Inputs of one output of a layer with weights."""
    shape, layer = node.shape(0), node.layer
    if shape is None:
        return None
    if layer.type == "InnerProduct":
        axis = whole(layer.param("inner_product_param"), "axis", 1)
        return count(shape[axis:]) if -len(shape) <= axis < len(shape) else None
    param = layer.param("convolution_param")
    kernels = param.integers("kernel_size")
    if layer.type != "Convolution" or len(shape) != 4 or len(kernels) != 1 or shape[1] is None:
        return None
    return shape[1] * kernels[0] ** 2 // max(whole(param, "group", 1), 1)


def check_fillers(node: Node, scope: Scope) -> Iterator[Finding]:
    """Fillers that Caffe refuses, and those that draw what can't be learnt from."""
    for drawn in fillers_of(node):
        yield from check_filler(drawn, scope)


def check_filler(drawn: Drawn, scope: Scope) -> Iterator[Finding]:
    """One filler."""
    message = drawn.message
    sparse = whole(message, "sparse", -1)
    if drawn.type not in FILLERS:
        near = nearest(drawn.type, dict.fromkeys(FILLERS)) or "xavier"
        yield drawn.finding(f'"{drawn.type[:60]}" is no filler: Caffe stops', "type", f'type: "{near}"')
        return
    if sparse != -1 and (drawn.type != "gaussian" or sparse < -1):
        yield drawn.finding("sparse goes with gaussian alone: Caffe stops", "sparse", "take sparse out")
    match drawn.type:
        case "constant":
            yield from check_constant(drawn)
        case "gaussian":
            yield from check_gaussian(drawn, sparse)
        case "uniform":
            yield from check_uniform(drawn)
        case "bilinear":
            yield from check_bilinear(drawn)


def check_constant(drawn: Drawn) -> Iterator[Finding]:
    """A constant that is no number."""
    value = drawn.message.real("value")
    if not math.isfinite(value):
        yield drawn.finding(
            f"every weight starts as {value}: what the layer computes is {'NaN' if math.isnan(value) else 'infinite'} "
            "from iteration 0 on",
            "value",
            "value: 0" if "bias" in drawn.name else 'type: "xavier"',
            "layer-parameters",
        )


def check_gaussian(drawn: Drawn, sparse: int) -> Iterator[Finding]:
    """A deviation that is none, infinite or too wide."""
    std, mean = drawn.message.real("std", 1), drawn.message.real("mean")
    if not std > 0:
        yield drawn.finding(f"std {std:g} is not above 0: Caffe stops", "std", "std: 0.01")
    elif not math.isfinite(std) or not math.isfinite(mean):
        field = "mean" if math.isfinite(std) else "std"
        yield drawn.finding("the weights drawn are not finite", field, f"{field}: 0.01", "layer-parameters")
    elif sparse < 0 and drawn.fan_in and std * math.sqrt(drawn.fan_in) >= WIDE:
        yield drawn.finding(
            f"std {std:g} over {drawn.fan_in} inputs: activations grow {std * math.sqrt(drawn.fan_in):.0f}-fold here",
            "std",
            'type: "xavier"',
            "gradient-explosion",
            Severity.WARNING,
        )


def check_uniform(drawn: Drawn) -> Iterator[Finding]:
    """An interval that is none."""
    low, high = drawn.message.real("min"), drawn.message.real("max", 1)
    if not low <= high:
        yield drawn.finding(
            f"min {low:g} is above max {high:g}: Caffe stops", "min", f"min: {min(-abs(high), -0.05):g}"
        )
    elif not (math.isfinite(low) and math.isfinite(high)):
        yield drawn.finding("the weights drawn are not finite", "max", "max: 0.05", "layer-parameters")


def check_bilinear(drawn: Drawn) -> Iterator[Finding]:
    """An interpolation needs a square kernel."""
    param = drawn.layer.param("convolution_param")
    square = whole(param, "kernel_h", -1) == whole(param, "kernel_w", -1)
    if drawn.name == "weight_filler" and (drawn.layer.type not in ("Convolution", "Deconvolution") or not square):
        yield drawn.finding("bilinear wants a square kernel of 4 axes: Caffe stops", "type", 'type: "xavier"')


def check_multipliers(node: Node, scope: Scope) -> Iterator[Finding]:
    """Multipliers of one layer."""
    layer = node.layer
    multipliers = layer.multipliers
    blobs = blob_count(layer)
    if blobs is not None and len(multipliers) > blobs:
        yield multiplier(
            layer,
            f"{len(multipliers)} param for {blobs or 'no'} weight blob{'s' * (blobs != 1)}: Caffe stops with "
            "Too many params specified",
            multipliers[blobs].line,
            "take the last param out" if blobs else "take param out",
            "aborted",
        )
    for one in multipliers:
        for name, value, line in (
            ("lr_mult", one.lr_mult, one.lr_line),
            ("decay_mult", one.decay_mult, one.decay_line),
        ):
            yield from check_multiplier(layer, name, value, line)
    if layer.type == "BatchNorm" and len(multipliers) < 3:
        for one in multipliers:
            if one.lr_mult != 0:
                yield multiplier(
                    layer,
                    "BatchNorm's statistics are computed, not learnt, but lr_mult is not 0: Caffe stops with "
                    "Cannot configure batch normalization statistics as layer parameters",
                    one.lr_line,
                    "lr_mult: 0",
                    "aborted",
                )
                break


def check_multiplier(layer: Layer, name: str, value: float, line: int) -> Iterator[Finding]:
    """One number."""
    if not math.isfinite(value):
        yield multiplier(
            layer,
            f"{name} {value:g}: the weights are NaN from the first update on",
            line,
            f"{name}: 1",
            "gradient-explosion",
        )
    elif value < 0:
        effect = "the weights climb the loss" if name == "lr_mult" else "the weights are pushed away from 0"
        yield multiplier(
            layer, f"{name} {value:g} is negative: {effect}", line, f"{name}: {-value:g}", "gradient-explosion", False
        )
    elif value >= LARGE_MULTIPLIER:
        yield multiplier(
            layer,
            f"{name} {value:g} multiplies the solver's value by that",
            line,
            f"{name}: 1",
            "gradient-explosion",
            False,
        )


def multiplier(layer: Layer, message: str, line: int, remedy: str, cause: str, certain: bool = True) -> Finding:
    """A finding about a multiplier."""
    return NetMultiplier.finding(
        f"layer {layer.name}: {message}",
        line,
        severity=Severity.ERROR if certain else Severity.WARNING,
        cause=cause,
        remedy=remedy,
        layer=layer.name,
    )


def check_zero_weights(graph: Graph) -> Iterator[Finding]:
    """Layers of the net that is trained whose weights all start at 0.

    Layers without a filler are told together: a net that is meant to be finetuned has many.
    """
    absent = []
    for node in starting_at_zero(graph):
        filler = node.layer.param(WEIGHT_PARAMS[node.layer.type]).message("weight_filler")
        if filler is None:
            absent.append(node)
        else:
            yield zero_weights(node, f"its weights start at 0: {effect_of(node)}", filler.line, [node.layer.name])
    if absent:
        first = max(absent, key=harm)
        line = line_among(first.layer.param(WEIGHT_PARAMS[first.layer.type]), "num_output")
        others = f" ({len(absent) - 1} more layers have none)" if len(absent) > 1 else ""
        message = f"it has no weight_filler{others}, so that its weights start at 0: {effect_of(first)}"
        yield zero_weights(first, message, line, [node.layer.name for node in absent])


def starting_at_zero(graph: Graph) -> Iterator[Node]:
    """Layers whose own weights are constant 0, absent fillers included, and from which a loss is computed."""
    named: set[str] = set()
    reached = under_loss(graph)
    for node in graph.nodes:
        layer = node.layer
        multipliers = layer.multipliers
        shared = bool(multipliers) and multipliers[0].name in named
        named |= {one.name for one in multipliers if one.name}
        if layer.type not in WEIGHT_PARAMS or shared or layer.message.all("blobs") or not node.tops:
            continue
        filler = layer.param(WEIGHT_PARAMS[layer.type]).message("weight_filler") or Message()
        zero = filler.string("type", "constant") == "constant" and filler.real("value") == 0
        if zero and id(node.tops[0]) in reached:
            yield node


def harm(node: Node) -> int:
    """How much it matters that a layer starts at 0: 0 for the last one, whose weights can grow from there."""
    users = [user.layer.type for user in node.tops[0].consumers]
    multipliers = node.layer.multipliers
    if multipliers and multipliers[0].lr_mult == 0:
        return 3
    if "ReLU" in users:
        return 2
    return 0 if all(user in LOSSES or user == "Accuracy" for user in users) else 1


def effect_of(node: Node) -> str:
    """What comes of weights that start at 0, from what follows the layer."""
    return (
        "nothing before it learns at first",
        "nothing before it learns at first, and its outputs learn alike, unless weights are loaded",
        "the ReLU behind it never opens and nothing is learnt, unless weights are loaded",
        "they stay 0, since lr_mult is 0, unless weights are loaded",
    )[harm(node)]


def zero_weights(node: Node, message: str, line: int, layers: list[str]) -> Finding:
    """A finding about weights that start at 0."""
    return NetZeroWeights.finding(
        f"layer {node.layer.name}: {message}",
        line,
        severity=Severity.WARNING if harm(node) else Severity.INFO,
        remedy='weight_filler { type: "xavier" }',
        layer=node.layer.name,
        layers=layers,
    )


def check_not_finite(node: Node, scope: Scope) -> Iterator[Finding]:
    """Numbers of a layer's parameters that are NaN or infinite, where no other rule speaks of them."""
    for entry in node.layer.message:
        if entry.message is None or entry.name in ("transform_param", "param", "include", "exclude"):
            continue
        for inner in entry.message:
            scalar = inner.scalar
            if scalar is None or scalar.kind == "string" or inner.name in ("lr_mult", "decay_mult", "base"):
                continue
            value = scalar.real
            if value is None or math.isfinite(value) or inner.name == "dropout_ratio":
                continue
            yield NetNotFinite.finding(
                f"layer {node.layer.name}: {inner.name} is {value}: what it computes is not finite",
                inner.line,
                cause="layer-parameters",
                remedy=f"{inner.name}: a finite number, or no line for Caffe's default",
                layer=node.layer.name,
            )
