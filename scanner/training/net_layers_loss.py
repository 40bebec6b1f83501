"""Losses: what they are fed, how they are weighted, the labels and targets that they meet."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..finding import Finding, Severity
from .binaryproto import UnreadBlob
from .net_graph import Node
from .net_refusal import Refusal, count
from .net_rules import NetInfogain, NetLabelRange, NetLossInput, NetLossWeight, NetTargetRange
from .net_scope import Scope
from .net_shapes_loss import classes_of
from .net_spec import Layer
from .net_tables import CLASS_LOSSES

LARGE_WEIGHT = 100.0
"""A loss weight from which on it is a factor of the learning rate that nobody means."""

MANY = 100
"""Predictions from which on their sum in place of their mean is told."""

LARGE_GAIN = 100.0
"""The same for a row of an Infogain matrix."""


def classes(node: Node) -> int | None:
    """The classes that a loss sees, ``None`` where that is not known."""
    try:
        return classes_of(node.layer, node.shape(0))
    except Refusal:
        return None


def ignored_label(layer: Layer) -> int | None:
    """The label that a loss leaves out."""
    param = layer.param("accuracy_param" if layer.type == "Accuracy" else "loss_param")
    return param.integer("ignore_label") if "ignore_label" in param else None


def check_loss_input(node: Node, scope: Scope) -> Iterator[Finding]:
    """Scores where probabilities are wanted, and the reverse."""
    layer = node.layer
    sources = list(node.source_nodes(0))
    before = next((source.layer for source in sources if source.layer.type in ("Softmax", "Sigmoid")), None)
    direct = sources[-1].layer if sources else None
    before = before if before is direct else None
    match layer.type:
        case "SoftmaxWithLoss" if before is not None and before.type == "Softmax":
            yield twice(layer, before, "a softmax")
        case "SigmoidCrossEntropyLoss" if before is not None and before.type == "Sigmoid":
            yield twice(layer, before, "a sigmoid")
        case "MultinomialLogisticLoss":
            yield from raw_scores(node)
        case "InfogainLoss":
            yield from infogain_input(node, before)
    if layer.type in ("SoftmaxWithLoss", "InfogainLoss") and classes(node) == 1:
        line = node.bottoms[0].producer.layer.line if node.bottoms[0].producer else layer.line
        yield NetLossInput.finding(
            f"layer {layer.name} sees one class: the softmax of one score is always 1, so the loss is 0 and nothing "
            "is learnt",
            line,
            cause="loss-function",
            remedy="num_output: 2, or SigmoidCrossEntropyLoss",
            layer=layer.name,
        )


def twice(layer: Layer, before: Layer, what: str) -> Finding:
    """An activation that the loss computes again."""
    return NetLossInput.finding(
        f"layer {layer.name} computes {what} itself, and layer {before.name} before it computes one already: the "
        "gradients are many times too small",
        layer.bottom_line(0),
        cause="loss-function",
        remedy=f'bottom: "{before.bottoms[0] if before.bottoms else ""}"',
        layer=layer.name,
    )


def raw_scores(node: Node) -> Iterator[Finding]:
    """MultinomialLogisticLoss takes the logarithm of its input as it is."""
    values = node.bottoms[0].values
    if values.probability or not values.mixed:
        return
    yield NetLossInput.finding(
        f"layer {node.layer.name}: MultinomialLogisticLoss wants probabilities, {node.layer.bottoms[0]} holds raw "
        "scores: the loss is wrong, negative for scores above 1, and gradients reach 1e20",
        node.layer.line,
        severity=Severity.ERROR,
        cause="loss-function",
        remedy='type: "SoftmaxWithLoss"',
        layer=node.layer.name,
    )


def infogain_input(node: Node, before: Layer | None) -> Iterator[Finding]:
    """InfogainLoss changed: the newer one computes its softmax itself."""
    layer = node.layer
    if before is not None and before.type == "Softmax":
        yield NetLossInput.finding(
            f"layer {layer.name}: InfogainLoss computes a softmax itself from Caffe 1.0 on, so that behind layer "
            f"{before.name} it is computed twice; in older Caffe it is right",
            layer.bottom_line(0),
            severity=Severity.INFO,
            cause="loss-function",
            remedy=f'bottom: "{before.bottoms[0] if before.bottoms else ""}" (Caffe 1.0 and newer)',
            layer=layer.name,
            version="new",
        )
    elif node.bottoms[0].values.mixed:
        yield NetLossInput.finding(
            f"layer {layer.name}: the InfogainLoss of Caffe before 1.0 and of its forks wants probabilities, but "
            f"{layer.bottoms[0]} holds raw scores: there the loss turns negative, then NaN; newer Caffe computes a "
            "softmax itself",
            layer.line,
            severity=Severity.INFO,
            cause="loss-function",
            remedy="a Softmax layer before it (Caffe before 1.0)",
            layer=layer.name,
            version="old",
        )


def check_loss_weight(node: Node, scope: Scope) -> Iterator[Finding]:
    """Weights that are no numbers, of the wrong sign or too large."""
    layer = node.layer
    entries = layer.message.all("loss_weight")
    weights = layer.loss_weights
    for entry, weight in zip(entries, weights, strict=False):
        if not math.isfinite(weight):
            yield NetLossWeight.finding(
                f"layer {layer.name}: loss_weight {entry.scalar} makes the loss and every gradient "
                f"{'NaN' if math.isnan(weight) else 'infinite, then NaN'}",
                entry.line,
                cause="loss-function",
                remedy="loss_weight: 1",
                layer=layer.name,
            )
        elif weight < 0:
            yield NetLossWeight.finding(
                f"layer {layer.name}: loss_weight {weight:g} is negative: training makes this loss grow without bound",
                entry.line,
                severity=Severity.WARNING,
                cause="loss-function",
                remedy=f"loss_weight: {-weight:g}",
                layer=layer.name,
            )
        elif weight >= LARGE_WEIGHT:
            yield NetLossWeight.finding(
                f"layer {layer.name}: loss_weight {weight:g} multiplies every gradient, and so the learning rate, "
                f"by {weight:g}",
                entry.line,
                severity=Severity.WARNING,
                cause="gradient-explosion",
                remedy="loss_weight: 1",
                layer=layer.name,
            )
    tops = len(layer.tops) or 1
    if weights and len(weights) != tops:
        yield NetLossWeight.finding(
            f"layer {layer.name} has {len(weights)} loss weights for {tops} tops: Caffe stops",
            entries[0].line,
            cause="aborted",
            remedy="one loss_weight for each top",
            layer=layer.name,
        )


def check_labels(node: Node, scope: Scope) -> Iterator[Finding]:
    """Labels against the number of classes, where the data are known."""
    layer = node.layer
    limit = classes(node)
    label = scope.origin(node.bottoms[1])
    skipped = ignored_label(layer)
    low, high = bounds(label.low, label.high, label.values, skipped)
    if limit is not None and high is not None and high >= limit:
        yield NetLabelRange.finding(
            f"layer {layer.name} sees {limit} classes (0 to {limit - 1}), but labels go up to {high:g}: Caffe reads "
            "memory behind the scores",
            output_line(node),
            cause="input-data",
            remedy=f"num_output: {int(high) + 1}" if high < 1e6 else "correct the labels",
            layer=layer.name,
            label=high,
            classes=limit,
        )
    if low is not None and low < 0:
        yield NetLabelRange.finding(
            f"layer {layer.name} meets the label {low:g}: Caffe reads memory before the scores",
            layer.bottom_line(1),
            cause="input-data",
            remedy=f"loss_param {{ ignore_label: {low:g} }}, if it means no label" if low == int(low) else None,
            layer=layer.name,
            label=low,
            classes=limit,
        )


def check_class_count(node: Node, scope: Scope) -> Iterator[Finding]:
    """The classes of the loss against those of the data, where the caller knows them and there is one such loss."""
    limit, wanted = classes(node), scope.facts.num_classes
    losses = [other for other in scope.graph.nodes if other.layer.type in CLASS_LOSSES]
    if limit is None or wanted is None or len(losses) > 1 or limit == wanted:
        return
    few = limit < wanted
    yield NetLabelRange.finding(
        f"layer {node.layer.name} sees {limit} classes, the data have {wanted}"
        f"{': Caffe reads memory behind the scores' if few else ''}",
        output_line(node),
        severity=Severity.ERROR if few else Severity.INFO,
        cause="input-data" if few else None,
        remedy=f"num_output: {wanted}",
        layer=node.layer.name,
        classes=limit,
    )


def check_normalisation(node: Node, scope: Scope) -> Iterator[Finding]:
    """Losses that are summed over many predictions in place of their mean: the factor is one of the learning rate."""
    layer = node.layer
    param = layer.param("loss_param")
    if layer.type == "InfogainLoss" and "normalize" in param:
        yield NetLossInput.finding(
            f"layer {layer.name}: the InfogainLoss of Caffe 1.0 and newer stops at normalize",
            param.line_of("normalize"),
            cause="aborted",
            remedy="normalization: VALID",
            layer=layer.name,
        )
    mode = param.enum("normalization", ("FULL", "VALID", "BATCH_SIZE", "NONE"), "VALID")
    if "normalization" not in param and "normalize" in param:
        mode = "VALID" if param.boolean("normalize") else "BATCH_SIZE"
    scores, limit = node.shape(0), classes(node)
    if layer.type not in ("SoftmaxWithLoss", "InfogainLoss") or mode in ("FULL", "VALID") or not scores or not limit:
        return
    total, batch = count(scores), scores[0]
    if total is None or not batch:
        return
    summed = total // limit // (batch if mode == "BATCH_SIZE" else 1)
    if summed >= MANY:
        name = "normalization" if "normalization" in param else "normalize"
        yield NetLossWeight.finding(
            f"layer {layer.name}: {name} sums the loss over {summed} predictions, which multiplies every gradient, and "
            f"so the learning rate, by {summed}",
            param.line_of(name),
            severity=Severity.INFO,
            cause="gradient-explosion",
            remedy="normalization: VALID",
            layer=layer.name,
        )


def bounds(
    low: float | None, high: float | None, values: frozenset[float] | None, skipped: int | None
) -> tuple[float | None, float | None]:
    """The range of the labels that count; unknown where the ignored label is its end and no other is known."""
    if values is not None:
        counted = [value for value in values if value != skipped and not math.isnan(value)]
        return (min(counted), max(counted)) if counted else (None, None)
    return None if low == skipped else low, None if high == skipped else high


def output_line(node: Node) -> int:
    """The line of the ``num_output`` that decides on the classes, or of the loss."""
    for source in node.source_nodes(0):
        for name in ("inner_product_param", "convolution_param"):
            param = source.layer.message.message(name)
            if param is not None and "num_output" in param:
                return param.line_of("num_output")
    return node.layer.line


def check_targets(node: Node, scope: Scope) -> Iterator[Finding]:
    """Targets of a SigmoidCrossEntropyLoss, where the data are known."""
    layer = node.layer
    target = scope.origin(node.bottoms[1])
    low, high = bounds(target.low, target.high, target.values, ignored_label(layer))
    outside = [end for end in (low, high) if end is not None and not 0 <= end <= 1]
    if outside:
        yield NetTargetRange.finding(
            f"layer {layer.name}: targets reach {' and '.join(f'{end:g}' for end in outside)}, but "
            "SigmoidCrossEntropyLoss is bounded for targets from 0 to 1 alone: the loss turns negative and runs away",
            layer.bottom_line(1),
            cause="loss-function",
            remedy="map the targets to 0..1 where the data set is built",
            layer=layer.name,
            low=low,
            high=high,
        )


def check_infogain(node: Node, scope: Scope) -> Iterator[Finding]:
    """The matrix of an InfogainLoss, read where it is at hand."""
    layer = node.layer
    if len(node.bottoms) > 2:
        return
    param = layer.param("infogain_loss_param")
    source, line = param.string("source"), param.line_of("source")
    if not source:
        yield NetInfogain.finding(
            f"layer {layer.name} has no matrix: Caffe stops with Infogain matrix source must be specified",
            param.line,
            cause="aborted",
            remedy='infogain_loss_param { source: "H.binaryproto" }',
            layer=layer.name,
        )
        return
    blob = scope.files.blob(source)
    if blob is None or (isinstance(blob, UnreadBlob) and not blob.broken):
        return
    if isinstance(blob, UnreadBlob) or not blob.fits:
        reason = blob.reason if isinstance(blob, UnreadBlob) else "not as many numbers as its shape wants"
        yield matrix_finding(layer, f"{source} is no matrix ({reason}): Caffe stops", line, "aborted")
        return
    limit = classes(node)
    size = blob.values.size
    if limit is not None and size != limit * limit:
        side = math.isqrt(size)
        shape = f"{side} x {side}" if side * side == size else f"{size} numbers"
        yield matrix_finding(layer, f"{source} is {shape}, not {limit} x {limit}: Caffe stops", line, "aborted")
    yield from check_matrix(
        layer,
        source,
        line,
        blob.values.reshape(limit or 1, -1) if size == (limit or 0) ** 2 else blob.values.reshape(1, -1),
    )


def check_matrix(layer: Layer, source: str, line: int, matrix: np.ndarray) -> Iterator[Finding]:
    """Numbers of the matrix."""
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = (int(place) for place in np.argwhere(~finite)[0])
        value = float(matrix[row, column])
        word = "NaN" if math.isnan(value) else "infinite"
        yield matrix_finding(
            layer,
            f"{source} is {word} at row {row}, column {column}, as 1/frequency is for a class without examples: "
            f"the loss is {'NaN' if math.isnan(value) else 'inf'} at iteration 0",
            line,
            "loss-function",
            element=[row, column],
        )
        return
    if (matrix < 0).any():
        yield matrix_finding(
            layer,
            f"{source} has negative weights (least {float(matrix.min()):g}): the loss falls without bound",
            line,
            "loss-function",
            Severity.WARNING,
        )
    largest = float(np.abs(matrix).max(initial=0))
    if largest >= LARGE_GAIN:
        yield matrix_finding(
            layer,
            f"{source} has weights up to {largest:g}: they multiply the gradients, and so the learning rate",
            line,
            "gradient-explosion",
            Severity.WARNING,
        )
    if matrix.size and not matrix.any():
        yield matrix_finding(
            layer, f"{source} is all 0: the loss is 0, nothing is learnt", line, "loss-function", Severity.WARNING
        )


def matrix_finding(
    layer: Layer,
    message: str,
    line: int,
    cause: str,
    severity: Severity = Severity.ERROR,
    element: list[int] | None = None,
) -> Finding:
    """A finding about a matrix."""
    return NetInfogain.finding(
        f"layer {layer.name}: {message}",
        line,
        severity=severity,
        cause=cause,
        remedy="write the matrix again: classes x classes, 0 for absent classes, about 1 on average",
        layer=layer.name,
        element=element,
    )


def check_loss(node: Node, scope: Scope) -> Iterator[Finding]:
    """Everything about one loss."""
    yield from check_loss_input(node, scope)
    yield from check_normalisation(node, scope)
    if node.layer.type in CLASS_LOSSES:
        found = list(check_labels(node, scope))
        yield from found or check_class_count(node, scope)
    if node.layer.type == "SigmoidCrossEntropyLoss":
        yield from check_targets(node, scope)
    if node.layer.type == "InfogainLoss":
        yield from check_infogain(node, scope)
