"""Nets, judged: `check_net`, and what others want to know of one.

A net is judged phase by phase, as Caffe builds it: its layers are joined, the shape and the range of every blob is
computed from the data on, and each layer is looked at with what it is fed. Nothing is concluded from what is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..finding import Finding, Severity
from .net_data import DataSource, data_shapes, data_sources
from .net_facts import DataFacts, SourceFacts, TopFacts
from .net_gradient import check_gradients, mark_gradients
from .net_graph import MOST_GUESSES, Graph, Node, join
from .net_layers_data import check_data, check_shared_stores
from .net_layers_loss import check_loss, check_loss_weight, classes, ignored_label
from .net_layers_math import (
    check_batch_norm,
    check_dropout,
    check_exp,
    check_log,
    check_lrn,
    check_mvn,
    check_normalize,
    check_power,
    check_stored_statistics,
)
from .net_layers_pool import check_pooling
from .net_layers_weights import (
    check_fillers,
    check_multipliers,
    check_not_finite,
    check_zero_weights,
)
from .net_refusal import Refusal
from .net_rules import NET_LAYER_RULES, NetIgnoredField, NetLayerType, NetOldStyle, NetWiring
from .net_scope import Files, Scope
from .net_shapes import shapes_of
from .net_spec import Layer, Net, State, read_net
from .net_tables import CLASS_LOSSES, DATA_LAYERS, FORK_LAYERS, KNOWN, LOSSES
from .net_values import values_of
from .prototxt import Message
from .rules import FileRule, in_line_order
from .schema import as_meant, check_message, nearest
from .text_rules import NET_TEXT_RULES, check_text

__all__ = [
    "NET_RULES",
    "DataFacts",
    "DataSource",
    "Net",
    "Output",
    "SourceFacts",
    "TopFacts",
    "check_net",
    "data_sources",
    "outputs",
    "read_net",
]

NET_RULES: tuple[type[FileRule], ...] = (*NET_TEXT_RULES, *NET_LAYER_RULES)

Check = Callable[[Node, Scope], Iterator[Finding]]

ALWAYS: tuple[Check, ...] = (check_loss_weight, check_fillers, check_multipliers, check_not_finite)
"""What is looked at in every layer."""

CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(DATA_LAYERS, check_data),
    **dict.fromkeys(LOSSES, check_loss),
    "BatchNorm": check_batch_norm,
    "Dropout": check_dropout,
    "Exp": check_exp,
    "LRN": check_lrn,
    "Log": check_log,
    "MVN": check_mvn,
    "Normalize": check_normalize,
    "Pooling": check_pooling,
    "Power": check_power,
}
"""What is looked at besides, by layer type."""


def check_net(net: Net | Message, facts: DataFacts | None = None, base_folders: Sequence[Path] = ()) -> list[Finding]:
    """Findings of a net in the order of its lines.

    A misspelt field is said once, and judged as what it was meant to be; nothing else is said of a line that is no
    prototxt for Caffe. Behind a syntax error nothing was read, so that only the error is told.

    Parameters
    ----------
    facts
        What is known of the data.
    base_folders
        Where files that the net names (mean files, Infogain matrices, stores) are looked for; none are read without.
    """
    message = net.message if isinstance(net, Net) else net
    text = list(check_text(message, "net"))
    if message.fault is not None:
        return list(in_line_order(text))
    meant = read_net(as_meant(message, check_message(message, "NetParameter")))
    said = {finding.location.line for finding in text if finding.severity is Severity.ERROR}
    layers = check_layers(meant, facts or DataFacts(), Files(tuple(base_folders)))
    return list(in_line_order([*text, *(finding for finding in layers if finding.location.line not in said)]))


def check_layers(net: Net, facts: DataFacts, files: Files) -> Iterator[Finding]:
    """What is wrong besides the text."""
    yield from check_style(net)
    yield from check_types(net)
    if net.ancient:
        return
    graphs = []
    for state in judged_states(net):
        graph = build(net, join(net, state), facts)
        graphs.append(graph)
        yield from graph.findings
        scope = Scope(graph, facts, files)
        for node in graph.nodes:
            if node.sound:
                yield from check_node(node, scope)
        yield from check_names(graph)
        if scope.training:
            yield from check_zero_weights(graph)
            yield from check_stored_statistics(graph)
            yield from check_gradients(graph)
    if not net.conditional:
        yield from check_shared_stores(graphs)


def judged_states(net: Net) -> list[State]:
    """The states in which a net is meant to be built: not the training of one that is fed by hand and has no loss."""
    states = net.states()
    by_hand = [
        state
        for state in states
        if state.phase == "TRAIN"
        and all(layer.type == "Input" for layer in net.built(state) if not layer.bottoms)
        and not any(layer.type in LOSSES or layer.loss_weights for layer in net.built(state))
    ]
    return [state for state in states if state not in by_hand] or states


def build(net: Net, graph: Graph, facts: DataFacts) -> Graph:
    """Compute shapes and values of every blob; what Caffe refuses on the way is added to the graph's findings."""
    mark_gradients(graph)
    for node in graph.nodes:
        layer = node.layer
        made = data_shapes(net, layer, facts)
        if made is None and node.sound:
            try:
                made = shapes_of(layer, [blob.shape for blob in node.bottoms])
            except Refusal as refusal:
                graph.findings.append(refusal.finding)
                node.sound = False
        values = values_of(layer, [blob.values for blob in node.bottoms])
        for place, top in enumerate(node.tops):
            top.shape = made[place] if made and place < len(made) else None
            top.shape = facts.tops.get(top.name, top.shape) if top.shape is None else top.shape
            top.values = values
    return graph


def check_node(node: Node, scope: Scope) -> Iterator[Finding]:
    """What is wrong with one layer."""
    for check in ALWAYS:
        yield from check(node, scope)
    special = CHECKS.get(node.layer.type)
    if special is not None:
        yield from special(node, scope)


def check_style(net: Net) -> Iterator[Finding]:
    """Old style, and new layers that are dropped because of it."""
    old = net.message.first("layers")
    if net.ancient and old is not None:
        yield NetOldStyle.finding(
            "this net is in Caffe's first style, of which only the text is judged",
            old.line,
            remedy="upgrade_net_proto_text old.prototxt new.prototxt",
        )
    elif old is not None:
        yield NetOldStyle.finding(
            "layers of the old style; Caffe brings them up to date when it reads them",
            old.line,
            remedy="upgrade_net_proto_text old.prototxt new.prototxt",
        )
    for layer in net.ignored[:1]:
        yield NetIgnoredField.finding(
            f"{len(net.ignored)} new-style layer{'s' * (len(net.ignored) != 1)}, from {layer.name} on, dropped: Caffe "
            "takes the old-style ones alone where both are in a file",
            layer.message.line,
            cause="aborted",
            remedy="one style for all layers",
        )


def check_types(net: Net) -> Iterator[Finding]:
    """Layer types that Caffe does not know."""
    known = dict.fromkeys(KNOWN)
    strange: dict[str, list[Layer]] = {}
    guesses = MOST_GUESSES
    for layer in net.layers:
        if not layer.old and (layer.type not in KNOWN or layer.type in FORK_LAYERS):
            strange.setdefault(layer.type, []).append(layer)
    for layers in strange.values():
        layer, others = layers[0], len(layers) - 1
        near = nearest(layer.type, known) if guesses else None
        guesses = max(guesses - 1, 0)
        if layer.type in FORK_LAYERS:
            message, severity, remedy = "is a layer of the SSD fork", Severity.INFO, "train with the fork"
        elif not layer.type:
            message, severity, remedy = "is missing", Severity.ERROR, 'type: "..."'
        elif near is not None:
            message, severity, remedy = f"is no layer; {near} is", Severity.ERROR, f'type: "{near}"'
        else:
            message, severity = "is no layer of BVLC Caffe", Severity.WARNING
            remedy = "train with the fork that has it"
        yield NetLayerType.finding(
            f"layer {layer.name}{f' and {others} more' if others else ''}: type {layer.type[:60]} {message}: "
            "Caffe stops with Unknown layer type",
            layer.line,
            severity=severity,
            cause="aborted",
            remedy=remedy,
            layer=layer.name,
            nearest=near,
            layers=[one.name for one in layers],
        )


def check_names(graph: Graph) -> Iterator[Finding]:
    """Two layers of one name, of which weights are copied by name, and rules that exclude each other."""
    first: dict[str, Layer] = {}
    for node in graph.nodes:
        layer = node.layer
        if layer.message.all("include") and layer.message.all("exclude"):
            yield NetWiring.finding(
                f"layer {layer.name} has include and exclude: Caffe stops",
                layer.message.line_of("exclude"),
                cause="aborted",
                remedy="take exclude out",
                layer=layer.name,
            )
        other = first.setdefault(layer.name, layer)
        if other is not layer and layer.name and (layer.multipliers or other.multipliers):
            yield NetWiring.finding(
                f"two layers are called {layer.name} (the first in line {other.message.line}): weights are loaded by "
                "name, so the second gets those of the first",
                layer.message.line_of("name"),
                severity=Severity.WARNING,
                remedy=f'name: "{layer.name}_2"',
                layer=layer.name,
            )


@dataclass(frozen=True, slots=True)
class Output:
    """What a loss over classes sees.

    Attributes
    ----------
    classes
        Classes of its scores, ``None`` where that is not known.
    data_layer
        The data layer that its labels come from, as they are; ``None`` where they are computed.
    label
        The name of the labels' blob.
    ignored
        The label that the loss leaves out.
    """

    loss: str
    line: int
    classes: int | None
    label: str
    data_layer: str | None
    ignored: int | None


def outputs(net: Net, facts: DataFacts | None = None) -> list[Output]:
    """The losses over classes in the order of the net, those of the training phase first; each loss once."""
    found: dict[tuple[str, int], Output] = {}
    for state in net.states():
        graph = build(net, join(net, state), facts or DataFacts())
        for node in graph.nodes:
            layer = node.layer
            if layer.type not in CLASS_LOSSES or len(node.bottoms) < 2:
                continue
            blob = node.bottoms[1]
            while blob.producer is not None and blob.producer.layer.type in ("Split", "Reshape", "Flatten"):
                if not blob.producer.bottoms:
                    break
                blob = blob.producer.bottoms[0]
            producer = blob.producer.layer if blob.producer is not None else None
            data_layer = producer.name if producer is not None and producer.type in DATA_LAYERS else None
            output = Output(layer.name, layer.line, classes(node), blob.name, data_layer, ignored_label(layer))
            found.setdefault((layer.name, layer.line), output)
    return list(found.values())
