"""Science in HDF5: fastMRI, ann-benchmarks, PDEBench, JetNet, and MATLAB's files of version 7.3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...backends.base import DatasetInfo, RowBatch, Store
from ...backends.errors import StoreError
from ...backends.files import ReadOnlyFile
from ..options import Options
from ..sample import Fault, SampleBatch
from .hdf5_groups import Hdf5Named, tables_of, twin_fault, usable
from .hdf5_rows import left_out, lone_tables, rows_of

ByPath = dict[str, DatasetInfo]


def _usable(datasets: Sequence[DatasetInfo]) -> ByPath:
    return {info.path: info for info in datasets if usable(info) and info.shape}


class FastMri(Hdf5Named):
    """See `RowLayout`. Source: ``fastmri/data/mri_data.py``: slices first; a reconstruction has as many as k-space."""

    name = "fastmri"
    title = "fastMRI: kspace with reconstruction_rss or reconstruction_esc"

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> FastMri | None:
        """See `RowLayout.recognise`."""
        found = _usable(datasets)
        kspace = found.get("/kspace")
        if kspace is None or kspace.kind != "complex" or len(kspace.shape or ()) < 3:
            return None
        images = [found[path] for path in ("/reconstruction_rss", "/reconstruction_esc") if path in found]
        faults = [
            twin_fault(info, rows_of(kspace), "kspace has") for info in images if rows_of(info) != rows_of(kspace)
        ]
        tables = tables_of("/", [kspace, *images])
        tables += lone_tables([info for info in datasets if info not in (kspace, *images)])
        return cls(options, tables, (), left_out(datasets), faults)


class AnnBenchmarks(Hdf5Named):
    """See `RowLayout`.

    Source: ``ann_benchmarks/datasets.py``: for each vector of ``test`` the nearest rows of ``train``, and their
    distances from the nearest on.
    """

    name = "ann-benchmarks"
    title = "ann-benchmarks: train, test, neighbors, distances"
    train_rows = 0

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> AnnBenchmarks | None:
        """See `RowLayout.recognise`."""
        found = _usable(datasets)
        if not {"/train", "/test", "/neighbors", "/distances"} <= found.keys():
            return None
        truth = [found["/test"], found["/neighbors"], found["/distances"]]
        rows = rows_of(found["/test"])
        faults = [twin_fault(info, rows, "test has") for info in truth if rows_of(info) != rows]
        tables = tables_of("/test", truth) + lone_tables([info for info in datasets if info not in truth])
        made = cls(options, tables, (), left_out(datasets), faults)
        made.train_rows = rows_of(found["/train"])
        return made

    def decode(self, batch: RowBatch) -> SampleBatch:
        """See `RowLayout.decode`."""
        samples = super().decode(batch)
        neighbours, distances = batch.columns.get("/neighbors"), batch.columns.get("/distances")
        if isinstance(neighbours, np.ndarray) and neighbours.dtype.kind in "iu" and neighbours.ndim == 2:
            beyond = (neighbours < 0) | (neighbours >= self.train_rows)
            for row in np.flatnonzero(beyond.any(axis=1)).tolist():
                place = int(np.flatnonzero(beyond[row])[0])
                message = f"neighbour {int(neighbours[row, place]):,} is none of the {self.train_rows:,} rows of train"
                samples.faults.append(Fault(row, "record-missing-twin", message, "/neighbors", (place,)))
        if isinstance(distances, np.ndarray) and distances.dtype.kind == "f" and distances.ndim == 2:
            limit = 1e-5 * np.abs(distances[:, :-1]) + 1e-6  # computed in one precision, sorted in another
            falling = np.diff(distances, axis=1) < -limit
            for row in np.flatnonzero(falling.any(axis=1)).tolist():
                place = int(np.flatnonzero(falling[row])[0]) + 1
                message = f"distance {place} is smaller than the one before: they are not sorted from the nearest on"
                samples.faults.append(Fault(row, "label-contradiction", message, "/distances", (place,)))
        return samples


_SAMPLE = re.compile(r"/[0-9]{3,6}/data")
_AXES = ("/x-coordinate", "/y-coordinate", "/z-coordinate")


class PdeBench(Hdf5Named):
    """See `RowLayout`.

    Source: pdebench/PDEBench: ``tensor`` (samples, times, places) with the coordinates of its axes, or a group for each
    sample with ``data`` and ``grid``.
    """

    name = "pdebench"
    title = "PDEBench: tensor with x-coordinate, or NNNN/data with NNNN/grid"

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> PdeBench | None:
        """See `RowLayout.recognise`."""
        found = _usable(datasets)
        axes = [found[path] for path in _AXES if path in found]
        tensor = found.get("/tensor")
        faults = []
        if tensor is not None and axes:
            for info in axes:
                if rows_of(info) not in (tensor.shape or ())[1:]:
                    sides = "x".join(map(str, tensor.shape or ()))
                    message = f"has {rows_of(info):,} values, which is no axis of tensor ({sides})"
                    faults.append(Fault(None, "record-size-mismatch", message, info.path))
        elif not any(_SAMPLE.fullmatch(path) and f"{path[:-5]}/grid/x" in found for path in found):
            return None
        return cls(options, lone_tables(datasets), (), left_out(datasets), faults)


class JetNet(Hdf5Named):
    """See `RowLayout`. Source: ``jetnet/datasets``: as many rows of particles as of jets."""

    name = "jetnet"
    title = "JetNet: particle_features, jet_features"

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> JetNet | None:
        """See `RowLayout.recognise`."""
        found = _usable(datasets)
        particles, jets = found.get("/particle_features"), found.get("/jet_features")
        if particles is None or len(particles.shape or ()) != 3:
            return None
        known = [info for info in (particles, jets) if info is not None]
        rows = rows_of(particles)
        faults = [twin_fault(info, rows, "particle_features has") for info in known if rows_of(info) != rows]
        tables = tables_of("/", known) + lone_tables([info for info in datasets if info not in known])
        return cls(options, tables, (), left_out(datasets), faults)


_MATLAB = b"MATLAB 7.3 MAT-file"


class Matlab(Hdf5Named):
    """See `RowLayout`.

    MATLAB writes a user block of 512 bytes that begins with its version, axes in the reverse order, and cells as
    references into ``#refs#``, where what they hold is looked at.
    """

    name = "matlab"
    title = "MATLAB .mat files of version 7.3"

    @classmethod
    def belongs(cls, store: Store) -> bool:
        """See `RowLayout.belongs`."""
        if not isinstance(store.path, Path):
            return False
        try:
            file = ReadOnlyFile(store.path)
        except StoreError:
            return False
        try:
            return file.read(0, len(_MATLAB)) == _MATLAB
        except OSError:
            return False
        finally:
            file.close()

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> Matlab | None:
        """See `RowLayout.recognise`."""
        if any(info.file is not None for info in datasets):
            return None
        cells = [info for info in datasets if info.kind == "other" and "references" in info.reason]
        rest = [info for info in datasets if info not in cells]
        return cls(options, lone_tables(rest), (), left_out(rest))
