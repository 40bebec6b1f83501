"""Data layers: what each reads, how it transforms it, and the shapes that it puts into the net."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .net_facts import DataFacts, Dim, Shape
from .net_spec import Layer, Net, Phase, State, dims_of, input_shapes, rules_of, whole, wholes
from .net_tables import DATA_LAYERS, FORK_DATA_LAYERS
from .prototxt import Field, Message

SourceKind = Literal["LMDB", "LEVELDB", "HDF5", "ImageData", "WindowData"]

PARAMS: Mapping[str, str] = {
    "Data": "data_param",
    "AnnotatedData": "data_param",
    "VideoData": "data_param",
    "HDF5Data": "hdf5_data_param",
    "ImageData": "image_data_param",
    "MemoryData": "memory_data_param",
    "WindowData": "window_data_param",
    "DummyData": "dummy_data_param",
}

MOVED = ("scale", "mean_file", "crop_size", "mirror")
"""Transformations that old data parameters had, and that Caffe moves for old layers only."""


@dataclass(frozen=True, slots=True)
class Transform:
    """What a data layer does to each image: ``(pixel - mean) * scale`` of a crop.

    The fields are those that Caffe uses, wherever they stand; `line_of` finds them again.
    """

    message: Message
    scale: float
    crop_size: int
    mean_file: str | None
    mean_values: tuple[float, ...]
    force_color: bool
    force_gray: bool

    def line_of(self, name: str) -> int:
        """The line of one of the fields, or of the message."""
        return self.message.line_of(name)


def read_transform(layer: Layer) -> Transform:
    """A data layer's transformations; those of an old layer's data parameters win, as they do when Caffe moves them."""
    given = layer.param("transform_param")
    merged = Message(given.line, given.column)
    for entry in given:
        merged.add(entry)
    if layer.old and layer.type in PARAMS:
        for entry in moved_fields(layer):
            merged.add(entry)
    return Transform(
        merged,
        merged.real("scale", 1),
        whole(merged, "crop_size"),
        merged.string("mean_file") if "mean_file" in merged else None,
        tuple(merged.reals("mean_value")),
        merged.boolean("force_color"),
        merged.boolean("force_gray"),
    )


def moved_fields(layer: Layer) -> Iterable[Field]:
    """Transformations that stand among a data layer's data parameters."""
    if layer.type not in ("Data", "ImageData", "WindowData"):
        return []
    return [entry for entry in layer.param(PARAMS[layer.type]) if entry.name in MOVED]


@dataclass(frozen=True, slots=True)
class DataSource:
    """A source that a data layer reads, for whoever scans it.

    Attributes
    ----------
    source
        As written in the net; relative ones count from the folder in which Caffe is started.
    phases
        The phases whose net has the layer.
    line
        The line of the source.
    tops
        Names of the layer's blobs; for HDF5 those of the datasets.
    """

    layer: str
    kind: SourceKind
    source: str
    batch_size: int
    crop: int | None
    scale: float
    mean_file: str | None
    mean_values: tuple[float, ...]
    force_color: bool
    force_gray: bool
    phases: tuple[Phase, ...]
    line: int
    tops: tuple[str, ...]


def backend_of(layer: Layer) -> Literal["LMDB", "LEVELDB"]:
    """The kind of store that a Data layer opens: LEVELDB where nothing is said."""
    return "LMDB" if layer.param("data_param").enum("backend", ("LEVELDB", "LMDB"), "LEVELDB") == "LMDB" else "LEVELDB"


def source_of(layer: Layer) -> str:
    """The source of a data layer as written; empty where it has none."""
    return layer.param(PARAMS.get(layer.type, "")).string("source")


def data_sources(net: Net) -> list[DataSource]:
    """The sources that a net names, in the order of its layers."""
    found = []
    for layer in net.layers:
        kind = kind_of(layer)
        if kind is None or not source_of(layer):
            continue
        param, transform = layer.param(PARAMS[layer.type]), read_transform(layer)
        found.append(
            DataSource(
                layer=layer.name,
                kind=kind,
                source=source_of(layer),
                batch_size=whole(param, "batch_size"),
                crop=transform.crop_size or None,
                scale=transform.scale,
                mean_file=transform.mean_file,
                mean_values=transform.mean_values,
                force_color=transform.force_color,
                force_gray=transform.force_gray,
                phases=phases_of(net, layer),
                line=param.line_of("source"),
                tops=layer.tops,
            )
        )
    return found


def kind_of(layer: Layer) -> SourceKind | None:
    """What a data layer reads; ``None`` where it reads nothing from a file."""
    match layer.type:
        case "Data" | "AnnotatedData":
            return backend_of(layer)
        case "HDF5Data":
            return "HDF5"
        case "ImageData":
            return "ImageData"
        case "WindowData":
            return "WindowData"
    return None


def phases_of(net: Net, layer: Layer) -> tuple[Phase, ...]:
    """The phases in which a layer is built, whatever the stages."""
    found = {state.phase for state in net.states() if state.builds(layer)}
    if not found and rules_of(layer):
        found = {state.phase for state in (State("TRAIN"), State("TEST")) if state.builds(layer)}
    return tuple(phase for phase in ("TRAIN", "TEST") if phase in found)


def data_shapes(net: Net, layer: Layer, facts: DataFacts) -> list[Shape] | None:
    """The shapes of a data layer's tops; ``None`` where the layer is none."""
    if layer.type not in (*DATA_LAYERS, *FORK_DATA_LAYERS):
        return None
    shapes = [None if shape is None or len(shape) > 32 else shape for shape in tops_of(net, layer, facts)]
    shapes += [None] * (len(layer.tops) - len(shapes))
    return [facts.tops.get(name, shape) for name, shape in zip(layer.tops, shapes, strict=False)]


def tops_of(net: Net, layer: Layer, facts: DataFacts) -> list[Shape]:
    """The shapes as far as the net and the sources' facts give them."""
    batch = whole(layer.param(PARAMS.get(layer.type, "")), "batch_size") or None
    match layer.type:
        case "Data":
            return [(batch, *image_shape(layer, facts)), (batch,)]
        case "ImageData":
            return [(batch, *image_shape(layer, facts)), (batch,)]
        case "HDF5Data":
            return [hdf5_shape(layer, facts, place, batch) for place in range(len(layer.tops))]
        case "MemoryData":
            param = layer.param("memory_data_param")
            sizes = [whole(param, name) or None for name in ("channels", "height", "width")]
            return [(batch, *sizes), (batch,)]
        case "WindowData":
            crop = read_transform(layer).crop_size or None
            return [(batch, 3, crop, crop), (batch,)]
        case "DummyData":
            return dummy_shapes(layer)
        case "Input":
            shapes: list[Shape] = [*input_shapes(net, layer)]
            return shapes * len(layer.tops) if len(shapes) == 1 else shapes
    return []


def image_shape(layer: Layer, facts: DataFacts) -> tuple[Dim, Dim, Dim]:
    """Channels, height and width of the images behind a layer's transformations."""
    transform = read_transform(layer)
    known = facts.top_of(layer, source_of(layer), 0).shape
    channels, height, width = known if known is not None and len(known) == 3 else (None, None, None)
    if layer.type == "ImageData":
        param = layer.param("image_data_param")
        channels = 3 if param.boolean("is_color", True) else 1
        height, width = (whole(param, name) or size for name, size in (("new_height", height), ("new_width", width)))
    if facts.source_of(layer, source_of(layer)).encoded:
        channels = 3 if transform.force_color else 1 if transform.force_gray else channels
    crop = transform.crop_size
    return (channels, crop, crop) if crop else (channels, height, width)


def hdf5_shape(layer: Layer, facts: DataFacts, place: int, batch: Dim) -> Shape:
    """An HDF5 top: whatever the dataset's rows are."""
    row = facts.top_of(layer, source_of(layer), place).shape
    return None if row is None else (batch, *row)


def dummy_shapes(layer: Layer) -> list[Shape]:
    """The shapes that a DummyData layer is given, in either form."""
    param = layer.param("dummy_data_param")
    shapes: list[Shape] = [dims_of(shape) for shape in param.messages("shape")]
    if not shapes:
        columns: Sequence[Sequence[int]] = [wholes(param, name) for name in ("num", "channels", "height", "width")]
        if not all(columns):
            return []
        count = max(len(column) for column in columns)
        shapes = [tuple(column[min(place, len(column) - 1)] for column in columns) for place in range(count)]
    return shapes * len(layer.tops) if len(shapes) == 1 else shapes
