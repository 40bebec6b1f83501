"""Data layers: what they need to start, and what their transformations make of the data."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..finding import Finding, Severity
from .binaryproto import StoredBlob, UnreadBlob
from .net_data import PARAMS, Transform, backend_of, moved_fields, read_transform, source_of
from .net_facts import SourceFacts, top_key
from .net_graph import Graph, Node
from .net_refusal import spoken
from .net_rules import NetBackend, NetCrop, NetDataLayer, NetIgnoredField, NetInputScale, NetMean
from .net_scope import Scope
from .net_spec import Layer, whole

LARGE_SCALE = 1000.0
"""A factor on inputs from which on it is told."""

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

SOURCED = ("Data", "HDF5Data", "ImageData", "WindowData")


def check_data(node: Node, scope: Scope) -> Iterator[Finding]:
    """Everything about one data layer."""
    layer = node.layer
    if layer.type in SOURCED:
        yield from check_start(layer)
        yield from check_ignored(layer)
    if layer.type == "Data":
        yield from check_backend(layer, scope)
    if layer.type == "HDF5Data":
        yield from check_hdf5(layer, scope)
    if layer.type == "ImageData":
        yield from check_resizing(layer)
    if layer.type in ("Data", "ImageData", "MemoryData", "WindowData"):
        transform = read_transform(layer)
        known = scope.facts.source_of(layer, source_of(layer))
        yield from check_scale(layer, transform)
        yield from check_colours(layer, transform, known)
        yield from check_crop(layer, transform, known)
        yield from check_mean_values(layer, transform, known)
        yield from check_mean_file(layer, transform, known, scope)


def refused(layer: Layer, message: str, line: int, remedy: str) -> Finding:
    """Caffe stops at this data layer."""
    return NetDataLayer.finding(
        f"layer {layer.name}: {message}", line, cause="aborted", remedy=remedy, layer=layer.name
    )


def check_start(layer: Layer) -> Iterator[Finding]:
    """A source, a batch size, and batches to fill."""
    param = layer.param(PARAMS[layer.type])
    if not source_of(layer):
        yield refused(layer, "no source: Caffe stops", param.line_of("source"), 'source: "train_lmdb"')
    if whole(param, "batch_size") < 1:
        yield refused(layer, "batch_size is 0 or absent: Caffe stops", param.line_of("batch_size"), "batch_size: 64")
    data_param = layer.param("data_param")
    if layer.type != "HDF5Data" and "prefetch" in data_param and whole(data_param, "prefetch") < 1:
        yield refused(
            layer,
            "prefetch: 0 leaves no batch to fill: Caffe waits for data for ever",
            data_param.line_of("prefetch"),
            "prefetch: 4",
        )


def check_backend(layer: Layer, scope: Scope) -> Iterator[Finding]:
    """The kind of store, against what lies there."""
    param = layer.param("data_param")
    backend, source = backend_of(layer), source_of(layer)
    seen = store_at(scope.files.find(source))
    if seen is not None and seen != backend:
        said = f"backend says {backend}" if "backend" in param else "without backend Caffe takes LEVELDB"
        yield NetBackend.finding(
            f"layer {layer.name}: {source} is {'an LMDB' if seen == 'LMDB' else 'a LevelDB'}, but {said}: Caffe stops",
            param.line_of("backend"),
            severity=Severity.ERROR,
            cause="aborted",
            remedy=f"backend: {seen}",
            layer=layer.name,
        )
    elif "backend" not in param and seen is None and source and "leveldb" not in source.lower():
        yield NetBackend.finding(
            f"layer {layer.name} has no backend: Caffe takes LEVELDB, and stops if {source} is an LMDB",
            param.line_of("source"),
            cause="aborted",
            remedy="backend: LMDB",
            layer=layer.name,
        )


def store_at(path: Path | None) -> str | None:
    """``LMDB`` or ``LEVELDB``, by the names of the files that lie there."""
    if path is None or not path.is_dir():
        return None
    if os.path.lexists(path / "data.mdb"):
        return "LMDB"
    return "LEVELDB" if os.path.lexists(path / "CURRENT") else None


def check_ignored(layer: Layer) -> Iterator[Finding]:
    """Fields of data parameters that do nothing."""
    if not layer.old:
        for entry in moved_fields(layer):
            yield ignored(
                layer,
                f"{entry.name} in {PARAMS[layer.type]} does nothing in a new-style layer",
                entry.line,
                f"transform_param {{ {entry.name}: {entry.scalar} }}",
            )
    param = layer.param("data_param")
    if layer.type == "Data" and whole(param, "rand_skip") > 0:
        yield ignored(layer, "rand_skip does nothing any more", param.line_of("rand_skip"), "take rand_skip out")


def ignored(layer: Layer, message: str, line: int, remedy: str) -> Finding:
    """A field without effect."""
    return NetIgnoredField.finding(
        f"layer {layer.name}: {message}", line, cause="input-data", remedy=remedy, layer=layer.name
    )


def check_hdf5(layer: Layer, scope: Scope) -> Iterator[Finding]:
    """What HDF5Data refuses: transformations, files in place of lists, names without dataset."""
    transform = layer.message.get("transform_param")
    if transform is not None:
        yield refused(
            layer, "HDF5Data takes no transform_param: Caffe stops", transform.line, "scale the data in the files"
        )
    param, source = layer.param("hdf5_data_param"), source_of(layer)
    head = head_of(scope.files.find(source))
    if head is not None and head.startswith(HDF5_MAGIC):
        yield refused(
            layer,
            f"{source} is an HDF5 file, but HDF5Data wants a text file that lists such files: Caffe stops",
            param.line_of("source"),
            'source: "train_list.txt"',
        )
    elif head is not None and not head.split():
        yield refused(layer, f"{source} lists no file: Caffe stops", param.line_of("source"), "one path a line in it")
    known = scope.facts.source_of(layer, source)
    for place, top in enumerate(layer.tops):
        if known.complete and top_key(layer, place) not in known.tops:
            yield refused(
                layer,
                f"{source} has no dataset {top}, and HDF5Data takes its tops for their names: Caffe stops",
                layer.top_line(place),
                f'top: "{next(iter(known.tops), "data")}"',
            )


def head_of(path: Path | None) -> bytes | None:
    """The first bytes of a file, ``None`` where there is none to read."""
    if path is None or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return None


def check_resizing(layer: Layer) -> Iterator[Finding]:
    """Height and width of ImageData go together."""
    param = layer.param("image_data_param")
    sides = [whole(param, name) for name in ("new_height", "new_width")]
    if (sides[0] > 0) != (sides[1] > 0):
        name = "new_width" if sides[0] else "new_height"
        yield refused(
            layer,
            "new_height and new_width must be given together: Caffe stops",
            param.line_of("new_height" if sides[0] else "new_width"),
            f"{name}: {max(sides)}",
        )


def check_scale(layer: Layer, transform: Transform) -> Iterator[Finding]:
    """The factor on inputs."""
    scale = transform.scale
    severity, cause = Severity.WARNING, "input-data"
    if not math.isfinite(scale):
        effect, severity = ("NaN" if math.isnan(scale) else "infinite, and NaN where a pixel is 0"), Severity.ERROR
        message = f"scale {scale}: every input is {effect}"
    elif scale == 0:
        message = "scale 0: every input is 0, whatever the image"
    elif abs(scale) >= LARGE_SCALE:
        message, cause = f"scale {scale:g} blows the inputs up, and the gradients with them", "gradient-explosion"
    else:
        return
    yield NetInputScale.finding(
        f"layer {layer.name}: {message}",
        transform.line_of("scale"),
        severity=severity,
        cause=cause,
        remedy="scale: 0.00390625",
        layer=layer.name,
    )


def check_colours(layer: Layer, transform: Transform, known: SourceFacts) -> Iterator[Finding]:
    """Colour and grey at once, which Caffe refuses for images that it decodes."""
    if not (transform.force_color and transform.force_gray) or layer.type != "Data":
        return
    finding = refused(
        layer,
        "force_color and force_gray together: Caffe stops at the first encoded image",
        transform.line_of("force_gray"),
        "take one of them out",
    )
    if known.encoded is not False:
        yield finding


def check_crop(layer: Layer, transform: Transform, known: SourceFacts) -> Iterator[Finding]:
    """The crop against the images."""
    crop = transform.crop_size
    line = transform.line_of("crop_size")
    if layer.type == "WindowData":
        if crop < 1:
            yield refused(layer, "WindowData wants a crop_size: Caffe stops", line, "crop_size: 227")
        return
    sides = resized(layer) or known.smallest or image_sides(known)
    if crop and sides is not None and min(sides) < crop:
        yield crop_finding(layer, crop, f"images are as small as {sides[0]}x{sides[1]}", line, min(sides))


def crop_finding(layer: Layer, crop: int, what: str, line: int, side: int) -> Finding:
    """A crop that does not fit."""
    return NetCrop.finding(
        f"layer {layer.name}: crop_size {crop}, but {what}: Caffe stops at the first of them",
        line,
        cause="aborted",
        remedy=f"crop_size: {side}",
        layer=layer.name,
    )


def resized(layer: Layer) -> tuple[int, int] | None:
    """The size to which ImageData brings its images."""
    param = layer.param("image_data_param")
    sides = whole(param, "new_height"), whole(param, "new_width")
    return sides if min(sides) > 0 else None


def image_sides(known: SourceFacts) -> tuple[int, int] | None:
    """Height and width of all images of a source."""
    shape = known.tops["data"].shape if "data" in known.tops else None
    return (shape[1], shape[2]) if shape is not None and len(shape) == 3 else None


def channels_of(layer: Layer, transform: Transform, known: SourceFacts) -> int | None:
    """Channels of the images as the transformation meets them."""
    if layer.type == "ImageData":
        return 3 if layer.param("image_data_param").boolean("is_color", True) else 1
    if layer.type == "WindowData":
        return 3
    if known.encoded and (transform.force_color or transform.force_gray):
        return 3 if transform.force_color else 1
    shape = known.tops["data"].shape if "data" in known.tops else None
    return shape[0] if shape is not None and len(shape) == 3 else None


def mean_finding(layer: Layer, message: str, line: int, remedy: str, cause: str = "aborted") -> Finding:
    """A mean that is wrong."""
    return NetMean.finding(f"layer {layer.name}: {message}", line, cause=cause, remedy=remedy, layer=layer.name)


def check_mean_values(layer: Layer, transform: Transform, known: SourceFacts) -> Iterator[Finding]:
    """Mean values: finite, and one or as many as channels."""
    values, line = transform.mean_values, transform.line_of("mean_value")
    if not values:
        return
    if transform.mean_file is not None:
        yield mean_finding(layer, "mean_file and mean_value together: Caffe stops", line, "take mean_value out")
    for value, entry in zip(values, transform.message.all("mean_value"), strict=False):
        if not math.isfinite(value):
            what = "NaN" if math.isnan(value) else "infinite"
            yield mean_finding(
                layer,
                f"mean_value {value}: inputs are {what}, the loss too unless MAX pooling hides it",
                entry.line,
                "mean_value: 128",
                "input-data",
            )
    channels = channels_of(layer, transform, known)
    if channels is not None and len(values) not in (1, channels):
        yield mean_finding(
            layer,
            f"{len(values)} mean values for {channels} channel{'s' * (channels != 1)}: Caffe stops",
            line,
            f"one mean_value, or {channels}",
        )


def check_mean_file(layer: Layer, transform: Transform, known: SourceFacts, scope: Scope) -> Iterator[Finding]:
    """The mean image, where it is at hand."""
    name, line = transform.mean_file, transform.line_of("mean_file")
    if name is None:
        return
    blob = scope.files.blob(name)
    if blob is None or (isinstance(blob, UnreadBlob) and not blob.broken):
        return
    again = "compute_image_mean, from the set that this layer reads"
    if isinstance(blob, UnreadBlob) or not blob.fits:
        reason = blob.reason if isinstance(blob, UnreadBlob) else "not as many numbers as its shape wants"
        yield mean_finding(layer, f"{name} is no mean image ({reason}): Caffe stops", line, again)
        return
    yield from check_mean_numbers(layer, name, blob, line, again)
    shape = known.tops["data"].shape if "data" in known.tops else None
    size = blob.shape[-3:]
    if len(size) == 3:
        yield from check_mean_size(layer, transform, name, size, shape)


def check_mean_numbers(layer: Layer, name: str, blob: StoredBlob, line: int, again: str) -> Iterator[Finding]:
    """Numbers of a mean image that are not finite."""
    wrong = np.flatnonzero(~np.isfinite(blob.values))
    if wrong.size:
        value = float(blob.values[wrong[0]])
        element = [int(place) for place in np.unravel_index(int(wrong[0]), blob.shape)][-3:]
        yield NetMean.finding(
            f"layer {layer.name}: {name} holds {wrong.size} number{'s' * (wrong.size != 1)} that "
            f"{'are' if wrong.size > 1 else 'is'} not finite, the first {value} at {element}: inputs there are too, "
            "and the loss unless MAX pooling hides it",
            line,
            cause="input-data",
            remedy=again,
            layer=layer.name,
            element=element,
        )


def check_mean_size(
    layer: Layer, transform: Transform, name: str, size: tuple[int, ...], shape: tuple[int, ...] | None
) -> Iterator[Finding]:
    """The mean image must be as large as the images, before the crop."""
    line = transform.line_of("mean_file")
    sides = resized(layer)
    wanted = shape if sides is None else None
    if (wanted is not None and size != wanted) or (sides is not None and size[1:] != sides):
        found = spoken(wanted) if wanted is not None else spoken(sides)
        yield mean_finding(
            layer,
            f"{name} is {spoken(size)}, the images are {found}: Caffe stops",
            line,
            "compute_image_mean, from the set that this layer reads",
        )
    elif transform.crop_size > min(size[1:]):
        what = f"{name} is {spoken(size)}, and the images must be as large"
        yield crop_finding(layer, transform.crop_size, what, transform.line_of("crop_size"), min(size[1:]))


def check_shared_stores(graphs: Iterable[Graph]) -> Iterator[Finding]:
    """LevelDBs that are opened twice: one process may open one only once."""
    opened: dict[str, tuple[Layer, str]] = {}
    for graph in graphs:
        for node in graph.nodes:
            layer = node.layer
            if layer.type != "Data" or backend_of(layer) != "LEVELDB" or not source_of(layer):
                continue
            name = os.path.normpath(source_of(layer))
            first, phase = opened.setdefault(name, (layer, graph.state.phase))
            if first is layer:
                continue
            same_net = phase == graph.state.phase
            yield NetDataLayer.finding(
                f"layer {layer.name} opens the LevelDB {source_of(layer)}, which layer {first.name} "
                f"{'has' if same_net else 'of the other phase has'} open: a LevelDB can be opened once, and Caffe stops"
                f"{'' if same_net else ' if the solver tests'}",
                layer.param("data_param").line_of("source"),
                severity=Severity.ERROR if same_net else Severity.WARNING,
                cause="aborted",
                remedy="a copy of the LevelDB, or an LMDB",
                layer=layer.name,
            )
