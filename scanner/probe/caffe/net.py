"""A user's net: which of its layers lead to the loss, where data and labels enter it, and what it can't run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....backends.errors import StoreError, UsageError
from ...finding import Severity
from ...training.doctor_case import find, open_named
from ...training.net_data import PARAMS, read_transform
from ...training.net_graph import Blob, Node, join
from ...training.net_spec import Layer, Net, Phase, State, input_shapes, read_net, whole
from ...training.net_tables import DATA_LAYERS, FORK_DATA_LAYERS, LOSSES
from ..losses import LossName
from .arrange import ARRANGING
from .losses import KINDS, LOSS_LAYERS
from .neurons import NEURONS
from .normal import NORMAL
from .products import PRODUCTS
from .windows import WINDOWS

LAYERS = {**NEURONS, **WINDOWS, **NORMAL, **PRODUCTS, **ARRANGING, **LOSS_LAYERS}
SUPPORTED = tuple(sorted([*LAYERS, "InfogainLoss"]))
"""Layer types that are run. Accuracy, ArgMax, Silence and whatever else leads to no loss is left out."""

ENTRANCES = ("Data", "HDF5Data", "ImageData", "MemoryData", "WindowData", "Input", *FORK_DATA_LAYERS)
USUAL_BATCH = 64


@dataclass(frozen=True, slots=True)
class CaffeNet:
    """The net of one phase.

    Attributes
    ----------
    nodes
        The layers that lead to the loss, or to the output where there is none, in order.
    data, label
        Where samples and labels enter; ``label`` is ``None`` where none does.
    losses
        Tops that count into the loss, with their weights.
    output
        The scores of the first loss, or the net's output.
    batch
        Samples of a batch.
    sides
        The shape of a sample where the net gives it.
    crop
        Its data layer's crop.
    hdf5
        It reads arrays as they are stored.
    """

    path: str
    net: Net
    nodes: tuple[Node, ...]
    data: Blob
    label: Blob | None
    losses: tuple[tuple[Blob, float], ...]
    output: Blob
    batch: int
    sides: tuple[int, ...] | None
    crop: int | None
    hdf5: bool

    @property
    def loss(self) -> LossName | None:
        """What the labels of its first loss are to the probe: ``softmax``, ``sigmoid`` or ``squared``."""
        for blob, _ in self.losses:
            node = blob.producer
            if node is not None and node.layer.type in LOSSES:
                return KINDS.get(node.layer.type, "softmax")
        return "squared" if self.losses else None


def open_net(path: str) -> Net:
    """The net of a prototxt.

    Raises
    ------
    UsageError
        It can't be read, or is none.
    """
    try:
        document = open_named(path, "net")
    except StoreError as exc:
        raise UsageError(str(exc) if path in str(exc) else f"{path}: {exc}") from exc
    if document.message.fault is not None:
        raise UsageError(
            f"{path} is no prototxt: {document.message.fault.reason} in line {document.message.fault.line}"
        )
    net = read_net(document.message)
    if net.ancient:
        raise UsageError(f"{path} is in Caffe's first style: upgrade_net_proto_text old.prototxt new.prototxt")
    return net


def read_caffe_net(path: str, phase: Phase) -> CaffeNet:
    """The part of a net that the probe runs.

    Raises
    ------
    UsageError
        It can't be read, Caffe would not build it, or there is a layer that is not run.
    """
    net = open_net(path)
    given = net.message.message("state")
    stages = frozenset(given.strings("stage")) if given is not None else frozenset()
    state = State(phase, stages, given.integer("level") if given is not None else 0)
    graph = join(net, state)
    for finding in graph.findings:
        if finding.severity is Severity.ERROR:
            raise UsageError(f"{path}, line {finding.location.line}: {finding.message}")
    losses = _losses(graph.nodes)
    ends = [blob for blob, _ in losses] or _outputs(graph.nodes)
    if not ends:
        raise UsageError(f"{path} has neither a loss nor an output in the {phase} phase")
    nodes = _leading_to(ends, graph.nodes)
    inside = [node for node in nodes if node.layer.bottoms]
    for node in inside:
        _refuse_unsupported(path, node)
    entrances = [node for node in nodes if not node.layer.bottoms]
    data, label = _entries(path, entrances, inside)
    entrance = data.producer
    assert entrance is not None
    layer = entrance.layer
    sides = _sides(net, layer, data.place)
    output = _scores(losses) or ends[-1]
    return CaffeNet(
        path=path,
        net=net,
        nodes=tuple(inside),
        data=data,
        label=label,
        losses=tuple(losses),
        output=output,
        batch=(sides[0] if sides else 0) or whole(layer.param(PARAMS.get(layer.type, "")), "batch_size") or USUAL_BATCH,
        sides=tuple(sides[1:]) if sides else None,
        crop=read_transform(layer).crop_size or None,
        hdf5=layer.type == "HDF5Data",
    )


def find_file(name: str, net_path: str, data_root: str | None) -> Path:
    """A file that a net names: from the working folder, ``--data-root``, or the net's own folder.

    Raises
    ------
    UsageError
        It is in none of them.
    """
    folders = [Path(), *([Path(data_root)] if data_root else []), Path(net_path).parent]
    found = find(name, folders)
    if found is None:
        raise UsageError(f"{net_path} names {name}, which is not found: give the folder it counts from (--data-root)")
    return found


def _losses(nodes: Sequence[Node]) -> list[tuple[Blob, float]]:
    """Tops with a weight in the loss: of losses the first, by itself."""
    found = []
    for node in nodes:
        weights = node.layer.loss_weights or ([1.0] if node.layer.type in LOSSES else [])
        found += [(blob, weight) for blob, weight in zip(node.tops, weights, strict=False) if weight != 0]
    return found


def _outputs(nodes: Sequence[Node]) -> list[Blob]:
    """What comes last, measures left out."""
    for node in reversed(nodes):
        if node.layer.bottoms and node.tops and node.layer.type not in ("Accuracy", "ArgMax"):
            return node.tops[:1]
    return []


def _scores(losses: Sequence[tuple[Blob, float]]) -> Blob | None:
    for blob, _ in losses:
        if blob.producer is not None and blob.producer.layer.type in LOSSES and blob.producer.bottoms:
            return blob.producer.bottoms[0]
    return None


def _leading_to(ends: Sequence[Blob], nodes: Sequence[Node]) -> list[Node]:
    """The layers that some blobs are computed from, in the net's order."""
    waiting, needed = [blob.producer for blob in ends], set[int]()
    while waiting:
        node = waiting.pop()
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            waiting += [blob.producer for blob in node.bottoms]
    return [node for node in nodes if id(node) in needed]


def _refuse_unsupported(path: str, node: Node) -> None:
    layer = node.layer
    where = f"{path}, line {layer.line}: layer {layer.name}"
    if layer.type not in SUPPORTED:
        raise UsageError(f"{where} is of type {layer.type or '?'}, which the probe does not run; it runs {_listed()}")
    unused = node.tops[1:]
    if layer.type in ("Pooling", "InfogainLoss", *LOSS_LAYERS) and any(blob.consumers for blob in unused):
        raise UsageError(f"{where} has a second top that other layers take, which the probe does not compute")


def _listed() -> str:
    return ", ".join(SUPPORTED)


def _entries(path: str, entrances: Sequence[Node], inside: Sequence[Node]) -> tuple[Blob, Blob | None]:
    """The blob that samples enter by, and the one for labels."""
    for node in entrances:
        if node.layer.type not in ENTRANCES:
            raise UsageError(
                f"{path}, line {node.layer.line}: layer {node.layer.name} is of type {node.layer.type or '?'}, "
                f"which the probe can't feed; it feeds {', '.join(ENTRANCES)}"
            )
    taken = {id(blob) for node in inside for blob in node.bottoms}
    entries = [blob for node in entrances for blob in node.tops if id(blob) in taken]
    labels = [blob for blob in entries if _is_label(blob, inside)]
    samples = [blob for blob in entries if blob not in labels]
    sources = {id(node) for node in entrances if node.layer.type in DATA_LAYERS and node.layer.type != "Input"}
    if len(samples) != 1 or len(labels) > 1 or len(sources) > 1:
        names = ", ".join(blob.name for blob in entries) or "nothing"
        raise UsageError(
            f"{path} is fed {names}; the probe feeds one array of samples and one of labels, from one layer"
        )
    return samples[0], labels[0] if labels else None


def _is_label(blob: Blob, inside: Sequence[Node]) -> bool:
    """Whether a blob is what losses compare with, as it is or in another shape; the second top of a store is."""
    if blob.place == 1 and blob.producer is not None and blob.producer.layer.type in ("Data", "ImageData"):
        return True
    users = [node for node in inside if any(bottom is blob for bottom in node.bottoms)]
    return bool(users) and all(
        node.bottoms[0] is not blob
        if node.layer.type in LOSSES
        else node.layer.type in ("Split", "Reshape", "Flatten", "Slice")
        and all(_is_label(top, inside) for top in node.tops)
        for node in users
    )


def _sides(net: Net, layer: Layer, place: int) -> Sequence[int] | None:
    """The shape that an Input or MemoryData layer gives."""
    if layer.type == "Input":
        shapes = input_shapes(net, layer)
        if not shapes:
            return None
        return shapes[min(place, len(shapes) - 1)]
    if layer.type == "MemoryData":
        param = layer.param("memory_data_param")
        return [whole(param, name) for name in ("batch_size", "channels", "height", "width")]
    return None
