"""The probe as a net trains: preprocessing, batches and classes from its data layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..backends.errors import UsageError
from .net_sources import Target, fields_of, targets_of
from .options import Options, ProbeOptions, merged
from .probe.caffe.net import open_net
from .training.doctor_case import find
from .training.net import Net, outputs
from .training.net_data import DataSource, data_sources, read_transform
from .training.net_facts import DataFacts


def options_as_trained(options: Options, source: str, folders: Sequence[Path]) -> Options:
    """The options, with what the net of ``prototxt`` or ``caffe`` says of a source where nothing else was said.

    Raises
    ------
    UsageError
        The net can't be read, or has no data layer, or several that the source may be for.
    """
    probe = options.probe
    path = None if probe is None else probe.prototxt or probe.caffe
    if probe is None or path is None:
        return options
    net = open_net(path)
    reader = _reader_of(net, path, source, probe, folders)
    if reader is None:
        return options
    fields = fields_of(reader, outputs(net, DataFacts()))
    return merged(options, {**fields, "probe": probe_as_read(probe, net, reader, path, folders)})


def settled_by_net(probe: ProbeOptions, path: str, folders: Sequence[Path]) -> Callable[[Net, Target], Target]:
    """What settles the probe of a source that the net in ``path`` names.

    Raises
    ------
    UsageError
        Another net's preprocessing was asked for.
    """
    if probe.prototxt is not None:
        raise UsageError(f"{path} says itself how its sources are read; --prototxt is for sources without a net")

    def settled(net: Net, target: Target) -> Target:
        read = probe_as_read(probe, net, target.reader, path, folders)
        return replace(target, fields={**target.fields, "probe": read})

    return settled


def sources_as_read(options: Options, path: str, folders: Sequence[Path]) -> dict[str, Options]:
    """The sources that a net names and that are at hand, each with the options that its scan has."""
    assert options.probe is not None
    net, settled = open_net(path), settled_by_net(options.probe, path, folders)
    targets = [settled(net, target) for target in targets_of(net, folders)[0]]
    return {target.path: merged(options, target.fields) for target in targets}


def probe_as_read(
    probe: ProbeOptions, net: Net, reader: DataSource, path: str, folders: Sequence[Path]
) -> ProbeOptions:
    """The probe with a data layer's preprocessing, as far as none was given.

    Raises
    ------
    UsageError
        The mean file is not at hand.
    """
    given: dict[str, object] = {}
    if probe.scale == 1.0:
        given["scale"] = reader.scale
    if probe.mean_file is None and not probe.mean_values:
        given["mean_values"] = reader.mean_values
        if reader.mean_file is not None:
            found = find(reader.mean_file, [*folders, Path(path).parent])
            if found is None:
                raise UsageError(
                    f"{path}: layer {reader.layer} subtracts {reader.mean_file}, which is not found: name the folder "
                    "that it counts from with --data-root, or the file with --mean-file"
                )
            given["mean_file"] = str(found)
    told = [f"preprocessing of layer {reader.layer} in {path}", *_not_imitated(net, reader)]
    return replace(probe, **given, notes=(*probe.notes, "; ".join(told)))  # type: ignore[arg-type]  # by name


def _not_imitated(net: Net, reader: DataSource) -> list[str]:
    layer = next(layer for layer in net.layers if layer.name == reader.layer and reader.source)
    left_out = [name for name in ("mirror", "force_color", "force_gray") if read_transform(layer).message.boolean(name)]
    found = [f"{', '.join(left_out)} not imitated"] if left_out else []
    return [*found, "the crop is the middle one"] if reader.crop else found


def _reader_of(net: Net, path: str, source: str, probe: ProbeOptions, folders: Sequence[Path]) -> DataSource | None:
    """The data layer that reads a source; else the only one of the phase."""
    readers = data_sources(net)
    for reader in readers:
        found = find(reader.source, folders)
        if found is not None and found.resolve() == Path(source).resolve():
            return reader
    phase = "TEST" if probe.phase == "test" else "TRAIN"
    meant = [reader for reader in readers if phase in reader.phases] or readers
    settings = {replace(reader, layer="", source="", line=0, phases=(), tops=()) for reader in meant}
    if len(settings) > 1:
        names = ", ".join(reader.layer for reader in meant)
        raise UsageError(f"{path} has several data layers ({names}), and none of them names {source}")
    if not meant and probe.prototxt is not None:
        raise UsageError(f"{path} has no data layer that names a source: there is no preprocessing to take from it")
    return meant[0] if meant else None
