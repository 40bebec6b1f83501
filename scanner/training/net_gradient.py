"""Where gradients must go back, and where Caffe has none."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, Severity
from .net_graph import Graph, Node
from .net_rules import NetLossWeight, NetMultiplier, NetNoGradient, NetNoLoss
from .net_tables import BOTTOMS, CLASS_LOSSES, DATA_LAYERS, FORK_LAYERS, LOSSES, blob_count

NO_BACKWARD = ("ArgMax", "Threshold", "Accuracy")

LABEL_PLACES = {**dict.fromkeys((*CLASS_LOSSES, "SigmoidCrossEntropyLoss"), 1)}
"""Losses that refuse to pass a gradient to their labels, and where these stand."""


def mark_gradients(graph: Graph) -> None:
    """Mark every blob through which a gradient must come back to weights: Caffe's ``need_backward``."""
    for node in graph.nodes:
        layer = node.layer
        needs = any(bottom.learns for bottom in node.bottoms)
        propagated = [scalar.boolean for scalar in layer.message.scalars("propagate_down")]
        if propagated and len(propagated) == len(node.bottoms):
            needs = any(way is not False for way in propagated)
        blobs = blob_count(layer) or 0
        multipliers = layer.multipliers
        if layer.type != "BatchNorm":
            rates = [one.lr_mult for one in multipliers[:blobs]] + [1.0] * (blobs - len(multipliers))
            needs = needs or any(rates)
        for top in node.tops:
            top.learns = needs


def is_loss(node: Node) -> bool:
    """Whether a layer's top counts into the loss."""
    weights = node.layer.loss_weights
    return any(weights) if weights else node.layer.type in LOSSES


def under_loss(graph: Graph) -> set[int]:
    """The blobs from which a loss is computed, by identity."""
    found: set[int] = set()
    for node in reversed(graph.nodes):
        if is_loss(node) or any(id(top) in found for top in node.tops):
            found |= {id(bottom) for bottom in node.bottoms}
    return found


def check_gradients(graph: Graph) -> Iterator[Finding]:
    """What keeps the net that is trained from learning."""
    reached = under_loss(graph)
    for node in graph.nodes:
        layer = node.layer
        counts = is_loss(node) or any(id(top) in reached for top in node.tops)
        if not counts or "propagate_down" in layer.message or not node.sound:
            continue
        if layer.type in NO_BACKWARD and any(bottom.learns for bottom in node.bottoms):
            yield no_gradient(node)
        place = LABEL_PLACES.get(layer.type)
        if place is not None and place < len(node.bottoms) and node.bottoms[place].learns:
            yield NetNoGradient.finding(
                f"layer {layer.name}: its labels {layer.bottoms[place]} come from layers with weights: Caffe stops at "
                "the first backward pass with cannot backpropagate to label inputs",
                layer.bottom_line(place),
                cause="aborted",
                remedy="the scores as first bottom, the labels as second",
                layer=layer.name,
            )
    if not graph.net.conditional and all(node.layer.type in BOTTOMS for node in graph.nodes):
        yield from check_purpose(graph)


def no_gradient(node: Node) -> Finding:
    """A layer without a backward pass on the way to the loss."""
    layer = node.layer
    rule = NetLossWeight if layer.type == "Accuracy" else NetNoGradient
    line = layer.message.line_of("loss_weight") if "loss_weight" in layer.message else layer.line
    return rule.finding(
        f"layer {layer.name}: {layer.type} has no gradient, but stands before a loss or is one: Caffe stops at the "
        "first backward pass with Not Implemented Yet",
        line,
        cause="aborted",
        remedy="take loss_weight out" if "loss_weight" in layer.message else "take the layer out of the loss's path",
        layer=layer.name,
    )


def check_purpose(graph: Graph) -> Iterator[Finding]:
    """A net to be trained has data, weights and a loss, and something in it learns."""
    types = {node.layer.type for node in graph.nodes}
    reading = types & (set(DATA_LAYERS) - {"Input", "DummyData"})
    weighted = [node for node in graph.nodes if blob_count(node.layer) and node.layer.type != "BatchNorm"]
    if not reading or not weighted or types & set(FORK_LAYERS):
        return
    losses = [node for node in graph.nodes if is_loss(node)]
    if not losses:
        written = [node for node in graph.nodes if node.layer.type in LOSSES]
        line = written[0].layer.message.line_of("loss_weight") if written else graph.nodes[-1].layer.line
        rule, what = (NetLossWeight, "every loss_weight is 0") if written else (NetNoLoss, "it has no loss")
        yield rule.finding(
            f"the net of the {graph.state.phase} phase reads data and has weights, but {what}: nothing is learnt",
            line,
            severity=Severity.WARNING,
            cause=None,
            remedy="loss_weight: 1" if written else 'a layer of type "SoftmaxWithLoss" behind the last scores',
        )
    elif not any(top.learns for node in weighted for top in node.tops):
        first = weighted[0].layer.multipliers
        yield NetMultiplier.finding(
            "every lr_mult is 0: no weight of the net is learnt",
            first[0].lr_line if first else weighted[0].layer.line,
            severity=Severity.WARNING,
            cause="learning-rate",
            remedy="lr_mult: 1",
        )
