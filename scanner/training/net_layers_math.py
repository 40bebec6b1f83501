"""Layers that compute: what they divide by, take the logarithm of, raise to a power."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..finding import Finding, Severity
from .net_graph import Graph, Node
from .net_refusal import count
from .net_rules import NetDomain, NetDropout, NetNormalisation, NetParameter
from .net_scope import Scope
from .net_spec import Layer
from .net_values import Values
from .prototxt import float32

OVERFLOW = math.log(3.4028234e38)
"""exp of more is infinite in float32."""


def domain(layer: Layer, message: str, line: int, remedy: str, certain: bool) -> Finding:
    """A finding about arguments outside a function's domain."""
    return NetDomain.finding(
        f"layer {layer.name}: {message}",
        line,
        severity=Severity.ERROR if certain else Severity.WARNING,
        cause="layer-parameters",
        remedy=remedy,
        layer=layer.name,
    )


def argument(values: Values, scale: float, shift: float) -> Values:
    """The values of ``scale * x + shift``."""
    if scale == 0:
        return Values(shift, shift, zeros=shift == 0)
    ends = sorted((scale * values.low + shift, scale * values.high + shift))
    zeros = (values.zeros or values.mixed) and shift == 0
    return Values(ends[0], ends[1], values.mixed and shift == 0, zeros)


def check_base(layer: Layer, param_name: str) -> Iterator[Finding]:
    """The base of Log and Exp, which Caffe checks."""
    param = layer.param(param_name)
    base = param.real("base", -1)
    unit = base == 1 and layer.type == "Log"
    if base == -1 or (base > 0 and math.isfinite(base) and not unit):
        return
    reason = "log(1) is 0, and divides" if unit else "must be above 0 and finite"
    yield NetParameter.finding(
        f"layer {layer.name}: base {base:g}: {reason}: Caffe stops",
        param.line_of("base"),
        cause="aborted",
        remedy="take base out: it is e then",
        layer=layer.name,
    )


def check_log(node: Node, scope: Scope) -> Iterator[Finding]:
    """The logarithm of what may be 0 or negative."""
    layer = node.layer
    refused = list(check_base(layer, "log_param"))
    yield from refused
    if refused:
        return
    param = layer.param("log_param")
    scale, shift = param.real("scale", 1), param.real("shift")
    source = node.bottoms[0].values
    values = argument(source, scale, shift)
    remedy = "log_param { shift: 1e-6 }, behind a layer whose output is not negative"
    line = param.line_of("scale") if "scale" in param else layer.line
    if values.high < 0 or (values.high <= 0 and (values.zeros or scale == 0)) or (source.zeros and shift < 0):
        yield domain(layer, "its input is never above 0: -inf or NaN at iteration 0", line, remedy, True)
    elif values.mixed:
        yield domain(
            layer,
            f"the logarithm of {layer.bottoms[0]}, which holds negative numbers: NaN at iteration 0",
            line,
            remedy,
            True,
        )
    elif values.zeros:
        yield domain(
            layer, f"the logarithm of {layer.bottoms[0]}, which holds zeros: -inf at iteration 0", line, remedy, True
        )
    elif values.low <= 0 and source != Values():
        small = "a softmax or sigmoid reaches 0 for small scores" if source.probability else "its input can be"
        yield domain(layer, f"the logarithm of what is not above 0 is -inf or NaN, and {small}", line, remedy, False)


def check_power(node: Node, scope: Scope) -> Iterator[Finding]:
    """Powers of 0 and of negative numbers."""
    layer = node.layer
    param = layer.param("power_param")
    power, scale, shift = param.real("power", 1), param.real("scale", 1), param.real("shift")
    if not all(math.isfinite(number) for number in (power, scale, shift)):
        return
    line = param.line_of("power")
    if power * scale == 0:
        yield from constant_power(layer, power, shift, line)
        return
    values = argument(node.bottoms[0].values, scale, shift)
    fractional = power != math.floor(power)
    learns = scope.training and node.bottoms[0].learns
    known = node.bottoms[0].values != Values()
    if fractional and (values.mixed or values.high < 0):
        yield domain(
            layer,
            f"a power of {power:g} of {layer.bottoms[0]}, which holds negative numbers: NaN at iteration 0",
            line,
            "power: 2, or an AbsVal or ReLU layer and a shift before it",
            True,
        )
    elif power < 0 and values.zeros:
        yield domain(
            layer,
            f"a power of {power:g} of {layer.bottoms[0]}, which holds zeros: infinite at iteration 0",
            line,
            "power_param { shift: 1e-6 }",
            True,
        )
    elif power not in (1, 2) and values.zeros and not values.mixed and learns:
        yield domain(
            layer,
            f"{layer.bottoms[0]} holds zeros, and Caffe computes the derivative of x^{power:g} as {power:g} * y / x: "
            "0/0, so that every gradient before it is NaN in the first backward pass",
            line,
            "power_param { shift: 1e-6 }",
            True,
        )
    elif fractional and values.low < 0 and known and not values.zeros:
        yield domain(
            layer, f"a power of {power:g} is NaN for negative numbers, which its input can be", line, "power: 2", False
        )


def constant_power(layer: Layer, power: float, shift: float, line: int) -> Iterator[Finding]:
    """Power 0 or scale 0: the output does not depend on the input."""
    undefined = power != 0 and ((shift < 0 and power != math.floor(power)) or (shift == 0 and power < 0))
    if undefined:
        yield domain(layer, f"{shift:g} to the power of {power:g} is not finite", line, "power: 1", True)


def check_exp(node: Node, scope: Scope) -> Iterator[Finding]:
    """Exponents that overflow."""
    layer = node.layer
    yield from check_base(layer, "exp_param")
    param = layer.param("exp_param")
    base, scale, shift = param.real("base", -1), param.real("scale", 1), param.real("shift")
    if not math.isfinite(scale + shift) or (base != -1 and not 0 < base < math.inf):
        return
    factor = 1.0 if base == -1 else math.log(base)
    line = param.line_of("scale") if "scale" in param else layer.line
    if shift * factor > OVERFLOW:
        yield domain(layer, f"exp({shift:g}) alone is infinite", param.line_of("shift"), "shift: 0", True)
        return
    steep = abs(factor * scale)
    values = node.bottoms[0].values
    reach = max(values.high * factor * scale, values.low * factor * scale) if values != Values() else 0.0
    if math.isnan(reach) or reach + shift * factor <= OVERFLOW or steep <= OVERFLOW / 10:
        return
    yield domain(
        layer,
        f"exp overflows for inputs beyond {(OVERFLOW - shift * factor) / steep:.3g}: infinite, and NaN behind a "
        "softmax or a difference",
        line,
        "scale: 1",
        values.mixed and steep >= OVERFLOW * 10,
    )


def normalisation(layer: Layer, message: str, line: int, remedy: str, certain: bool = True) -> Finding:
    """A finding about a layer that divides by what it measures."""
    return NetNormalisation.finding(
        f"layer {layer.name}: {message}",
        line,
        severity=Severity.ERROR if certain else Severity.WARNING,
        cause="layer-parameters",
        remedy=remedy,
        layer=layer.name,
    )


def check_batch_norm(node: Node, scope: Scope) -> Iterator[Finding]:
    """The deviation by which BatchNorm divides, and where it comes from."""
    layer = node.layer
    param = layer.param("batch_norm_param")
    eps, line = param.real("eps", 1e-5), param.line_of("eps")
    stored = param.boolean("use_global_stats", not scope.training)
    shape = node.shape(0)
    each = None if shape is None or len(shape) < 2 else count([shape[0], *shape[2:]])
    if eps < 0:
        yield normalisation(
            layer,
            f"eps {eps:g} is negative: NaN for every channel whose variance is below {-eps:g}",
            line,
            "eps: 1e-5",
        )
    elif eps == 0 and not stored:
        if each == 1:
            message = "a batch has one value for each channel, whose variance is 0, and eps is 0: 0/0 at iteration 0"
            yield normalisation(layer, message, line, "eps: 1e-5")
        else:
            message = "eps is 0: 0/0 as soon as a channel is constant over a batch"
            yield normalisation(layer, message, line, "eps: 1e-5", False)
    elif each == 1 and not stored:
        message = "a batch has one value for each channel: its output is always 0, and nothing before it learns"
        yield normalisation(layer, message, layer.line, "batch_size: 32", False)
    fraction = param.real("moving_average_fraction", 0.999)
    if fraction < 0 or fraction > 1:
        message = f"moving_average_fraction {fraction:g} is outside 0..1: the stored statistics run away"
        yield normalisation(
            layer, message, param.line_of("moving_average_fraction"), "moving_average_fraction: 0.999", False
        )


def check_stored_statistics(graph: Graph) -> Iterator[Finding]:
    """BatchNorm layers of the net that is trained which take statistics that nobody has computed; said once."""
    layers = [
        node.layer
        for node in graph.nodes
        if node.layer.type == "BatchNorm" and node.layer.param("batch_norm_param").boolean("use_global_stats")
    ]
    if not layers:
        return
    param = layers[0].param("batch_norm_param")
    eps, others = param.real("eps", 1e-5), len(layers) - 1
    factor = f"{1 / math.sqrt(eps):.3g} times as large" if eps > 0 else "infinite"
    more = f" (and of {others} more layers)" if others else ""
    yield normalisation(
        layers[0],
        f"use_global_stats in training{more}: without loaded weights the statistics are 0, and activations {factor}",
        param.line_of("use_global_stats"),
        "use_global_stats: false",
        False,
    )


def check_mvn(node: Node, scope: Scope) -> Iterator[Finding]:
    """The deviation by which MVN divides."""
    layer = node.layer
    param = layer.param("mvn_param")
    eps, line = param.real("eps", 1e-9), param.line_of("eps")
    if not param.boolean("normalize_variance", True) or eps > 0 or math.isnan(eps):
        return
    shape = node.shape(0)
    if shape is not None and len(shape) <= 4:
        shape = (*shape, *([1] * (4 - len(shape))))
        single = count(shape[1:] if param.boolean("across_channels") else shape[2:]) == 1
    else:
        single = False
    if single:
        yield normalisation(
            layer, f"it normalises single values, whose deviation is 0, and eps is {eps:g}", line, "eps: 1e-9", eps == 0
        )
    else:
        message = f"eps is {eps:g}: 0/0 for an image that is constant" if eps == 0 else f"eps {eps:g} is negative"
        yield normalisation(layer, message, line, "eps: 1e-9", False)


def check_lrn(node: Node, scope: Scope) -> Iterator[Finding]:
    """The number that LRN raises to a negative power."""
    layer = node.layer
    param = layer.param("lrn_param")
    within = param.enum("norm_region", ("ACROSS_CHANNELS", "WITHIN_CHANNEL"), "ACROSS_CHANNELS") == "WITHIN_CHANNEL"
    alpha, beta = param.real("alpha", 1), param.real("beta", 0.75)
    k = 1.0 if within else param.real("k", 1)
    fractional = beta != math.floor(beta)
    if alpha < 0 and fractional:
        yield normalisation(
            layer,
            f"alpha {alpha:g} is negative: the base k + alpha/n * sum is below 0 as soon as the mean square of its "
            f"input passes {k / -alpha:.3g}, and its power of -{beta:g} NaN",
            param.line_of("alpha"),
            f"alpha: {float32(-alpha):g}",
            -alpha >= 100 * max(k, 0),
        )
    if k < 0 and fractional:
        yield normalisation(
            layer, f"k {k:g} is negative: its power of -{beta:g} is NaN for small inputs", param.line_of("k"), "k: 1"
        )
    elif k == 0 and beta > 0:
        yield normalisation(
            layer,
            f"k is 0: where a neighbourhood is all 0, as behind a ReLU, 0 is multiplied by 0^-{beta:g}: NaN",
            param.line_of("k"),
            "k: 1",
            False,
        )


def check_normalize(node: Node, scope: Scope) -> Iterator[Finding]:
    """The SSD fork's Normalize: only its eps keeps a zero vector from being 0/0."""
    param = node.layer.param("norm_param")
    eps = param.real("eps", 1e-10)
    if eps <= 0:
        yield normalisation(
            node.layer, f"eps is {eps:g}: 0/0 where the input is all 0", param.line_of("eps"), "eps: 1e-10", False
        )


def check_dropout(node: Node, scope: Scope) -> Iterator[Finding]:
    """The ratio of a Dropout layer, which counts in training alone."""
    if not scope.training:
        return
    layer = node.layer
    param = layer.param("dropout_param")
    ratio, line = param.real("dropout_ratio", 0.5), param.line_of("dropout_ratio")
    if ratio == 1:
        yield NetDropout.finding(
            f"layer {layer.name}: ratio 1 drops everything and multiplies it by 1/(1-1): 0 * inf, NaN at iteration 0",
            line,
            cause="layer-parameters",
            remedy="dropout_ratio: 0.5",
            layer=layer.name,
        )
    elif not 0 <= ratio <= 1:
        yield NetDropout.finding(
            f"layer {layer.name}: ratio {ratio:g} is no probability: on the CPU Caffe stops at the first iteration",
            line,
            cause="aborted",
            remedy=f"dropout_ratio: {ratio / 100:g}" if 1 < ratio < 100 else "dropout_ratio: 0.5",
            layer=layer.name,
        )
