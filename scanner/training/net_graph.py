"""The net that one phase builds: layers joined by blobs, and what Caffe refuses while it joins them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from ..finding import Finding
from .net_facts import Shape
from .net_rules import NetWiring
from .net_spec import Layer, Net, State
from .net_tables import BOTTOMS, TOPS, count_words
from .net_values import UNKNOWN, Values


@dataclass(slots=True, eq=False)
class Blob:
    """A blob as one layer leaves it: a layer that works in place makes a new one of the same name."""

    name: str
    producer: Node | None = None
    place: int = 0
    shape: Shape = None
    values: Values = UNKNOWN
    consumers: list[Node] = field(default_factory=list)
    learns: bool = False
    """Whether a gradient must come back through it."""


@dataclass(slots=True, eq=False)
class Node:
    """A layer in its place; ``sound`` is false where Caffe refuses its wiring, so that nothing else is said of it."""

    layer: Layer
    bottoms: list[Blob]
    tops: list[Blob]
    sound: bool = True

    def shape(self, place: int) -> Shape:
        """The shape of a bottom, unknown where there is none."""
        return self.bottoms[place].shape if place < len(self.bottoms) else None

    def source_nodes(self, place: int) -> Iterator[Node]:
        """The layers that a bottom's values come from, nearest first, through those that only pass them on."""
        blob = self.bottoms[place] if place < len(self.bottoms) else None
        while blob is not None and blob.producer is not None:
            yield blob.producer
            passes = blob.producer.layer.type in PASSING and blob.producer.bottoms
            blob = blob.producer.bottoms[0] if passes else None


MOST_GUESSES = 20
"""Names that are looked for in one net; each takes a while."""

PASSING = {"Split", "Reshape", "Flatten", "Crop", "Slice", "BatchReindex", "Tile"}
"""Layers that pass the values of their first bottom on."""


@dataclass(slots=True)
class Graph:
    """The net of one state."""

    net: Net
    state: State
    nodes: list[Node] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def join(net: Net, state: State) -> Graph:
    """Join the layers of a state by the names of their blobs."""
    graph = Graph(net, state)
    blobs: dict[str, Blob] = {}
    for layer in net.built(state):
        node = Node(layer, [], [])
        for place, name in enumerate(layer.bottoms):
            if name not in blobs:
                node.sound = False
                if not net.conditional:
                    among = blobs if len(graph.findings) < MOST_GUESSES else {}
                    graph.findings.append(unknown_bottom(layer, place, name, among))
            blob = blobs.get(name, Blob(name))
            blob.consumers.append(node)
            node.bottoms.append(blob)
        for place, name in enumerate(layer.tops):
            in_place = place < len(layer.bottoms) and layer.bottoms[place] == name
            if name in blobs and not in_place:
                if not net.conditional:
                    graph.findings.append(second_producer(layer, place, name, blobs[name].producer))
                node.sound = False
            blobs[name] = Blob(name, node, place)
            node.tops.append(blobs[name])
        graph.nodes.append(node)
    for node in graph.nodes:
        if node.sound:
            graph.findings += check_counts(node)
    if not net.conditional:
        graph.findings += shared_in_place(graph)
    return graph


def unknown_bottom(layer: Layer, place: int, name: str, blobs: dict[str, Blob]) -> Finding:
    """A bottom that no layer before this one makes; ``blobs`` are those among which the one meant is looked for."""
    latest = [known for known in list(blobs)[-200:] if len(known) <= 60]
    near = get_close_matches(name, latest, 1, 0.6) if len(name) <= 60 else []
    hint = f"; the nearest is {near[0]}" if near else ""
    return NetWiring.finding(
        f"layer {layer.name} takes {name}, which no layer before it makes{hint}: Caffe stops with Unknown bottom blob",
        layer.bottom_line(place),
        cause="aborted",
        remedy=f'bottom: "{near[0]}"' if near else f'write the name of a top before it in place of "{name}"',
        layer=layer.name,
    )


def second_producer(layer: Layer, place: int, name: str, first: Node | None) -> Finding:
    """A top that an earlier layer makes too."""
    other = first.layer.name if first is not None else "another layer"
    return NetWiring.finding(
        f"layer {layer.name} makes {name}, which {other} made already: Caffe stops with "
        "Top blob produced by multiple sources",
        layer.top_line(place),
        cause="aborted",
        remedy=f'top: "{layer.name or name}_2", and the same name where it is meant below',
        layer=layer.name,
    )


def check_counts(node: Node) -> Iterator[Finding]:
    """Too few or too many bottoms or tops."""
    layer = node.layer
    for word, table, names in (("bottom", BOTTOMS, layer.bottoms), ("top", TOPS, layer.tops)):
        allowed = table.get(layer.type)
        if allowed is None:
            continue
        low, high = allowed
        if layer.type == "Pooling" and word == "top":
            pool = layer.param("pooling_param").enum("pool", ("MAX", "AVE", "STOCHASTIC"), "MAX")
            high = 2 if pool == "MAX" else 1
        if low <= len(names) and (high is None or len(names) <= high):
            continue
        node.sound = False
        yield NetWiring.finding(
            f"layer {layer.name} has {count_words(len(names), word)}, {layer.type} takes "
            f"{count_words(low, word, high)}: Caffe stops",
            layer.line,
            cause="aborted",
            remedy=f'add a line {word}: "..."' if len(names) < low else f"take {word} lines out",
            layer=layer.name,
        )
    if layer.type in ("Convolution", "Deconvolution") and len(layer.bottoms) != len(layer.tops):
        node.sound = False
        yield NetWiring.finding(
            f"layer {layer.name} has {count_words(len(layer.bottoms), 'bottom')} and "
            f"{count_words(len(layer.tops), 'top')}; {layer.type} wants one top for each bottom: Caffe stops",
            layer.line,
            cause="aborted",
            remedy="one top line for each bottom line",
            layer=layer.name,
        )


def shared_in_place(graph: Graph) -> Iterator[Finding]:
    """Layers that work in place on a blob which others take too: Caffe copies it, and the names differ then."""
    for node in graph.nodes:
        if not node.sound:
            continue
        for place, (bottom, top) in enumerate(zip(node.bottoms, node.tops, strict=False)):
            if bottom.name != top.name or bottom.producer is None:
                continue
            others = [other.layer.name for other in bottom.consumers if other is not node]
            if not others and not weighs(bottom):
                continue
            user = f"layer {others[0]}" if others else "the loss"
            node.sound = False
            yield NetWiring.finding(
                f"layer {node.layer.name} works in place on {bottom.name}, which {user} takes too: Caffe stops with "
                "Top blob produced by multiple sources",
                node.layer.top_line(place),
                cause="aborted",
                remedy=f'top: "{node.layer.name}", and the same name in the layers that come after it',
                layer=node.layer.name,
            )


def weighs(blob: Blob) -> bool:
    """Whether a blob is itself counted into the loss, by a weight that is written down."""
    if blob.producer is None:
        return False
    weights = blob.producer.layer.loss_weights
    return blob.place < len(weights) and weights[blob.place] != 0
