"""Demonstrations of robots: robomimic's and LIBERO's files of many, ALOHA's files of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from ...backends.base import DatasetInfo, RowBatch, Store, Table
from ...backends.columns import BytesColumn
from ..options import Options
from ..sample import Fault, SampleBatch
from .hdf5_groups import Episodes, Hdf5Named, count_fault, episodes_in, tables_of, twin_fault, usable
from .hdf5_rows import left_out, lone_tables, rows_of

_DEMO = re.compile(r"(/data/demo_[0-9]+)/(.+)")
_MASK = "/mask/"

FROZEN = 20
"""So many equal actions, and no others, are a recording that stood still."""

_REACH = 1.0 + 1e-4


def action_faults(batch: RowBatch, path: str) -> Iterator[Fault]:
    """Actions beyond [-1, 1], and an episode in which they never change."""
    actions = batch.columns.get(path)
    if isinstance(actions, BytesColumn) or actions is None or actions.dtype.kind != "f" or not actions.size:
        return
    flat = actions.reshape(len(actions), -1)
    with np.errstate(invalid="ignore"):
        beyond = np.isfinite(flat) & (np.abs(flat) > _REACH)
    for row in np.flatnonzero(beyond.any(axis=1)).tolist():
        element = int(np.flatnonzero(beyond[row])[0])
        value = float(flat[row, element])
        message = f"action {value:.6g} is outside of [-1, 1], where policies can't reach it"
        yield Fault(row, "value-extreme", message, path, (element,), severe=False, data={"value": value})
    if len(flat) >= FROZEN and int(batch.positions[0]) == 0 and bool((flat == flat[0]).all()) and flat[0].any():
        message = f"the same action in all {len(flat):,} steps that were read together: the recording stood still"
        yield Fault(0, "value-constant", message, path)


class Robomimic(Hdf5Named):
    """See `RowLayout`.

    Source: robomimic's ``scripts/get_dataset_info.py`` and ``utils/dataset.py``: a group for each demonstration under
    ``data`` with the attribute ``num_samples``, their sum as ``total``, names of demonstrations under ``mask``; actions
    must be within [-1, 1].
    """

    name = "robomimic"
    title = "robomimic and LIBERO demonstrations: data/demo_N/actions, obs, mask"

    def __init__(self, options: Options, datasets: Sequence[DatasetInfo], demos: Episodes) -> None:
        inside = {info.path for parts in demos.values() for info in parts.values()}
        tables = [table for path, parts in demos.items() for table in tables_of(path, parts.values())]
        rest = [info for info in datasets if info.path not in inside]
        tables += [Table(info.path, (info.path,)) for info in rest if _is_mask(info)]
        tables += lone_tables([info for info in rest if not _is_mask(info)])
        super().__init__(options, tables, (), left_out(datasets), list(_demo_faults(demos)))
        self.demos = frozenset(path.rpartition("/")[2] for path in demos)
        self._rows = {path: rows_of(parts["actions"]) for path, parts in demos.items() if _has_actions(parts)}

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_rows": {}}

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> Robomimic | None:
        """See `RowLayout.recognise`."""
        demos = episodes_in(datasets, _DEMO)
        return cls(options, datasets, demos) if any(map(_has_actions, demos.values())) else None

    def consult(self, store: Store) -> None:
        """See `RowLayout.consult`."""
        faults = list(self._faults)
        for path, rows in self._rows.items():
            claimed = store.attributes(path, ["num_samples"]).get("num_samples")
            if claimed is not None and claimed != rows:
                faults.append(count_fault(path, "num_samples", claimed, rows, "steps"))
        total = store.attributes("/data", ["total"]).get("total")
        if total is not None and total != sum(self._rows.values()):
            faults.append(count_fault("/data", "total", total, sum(self._rows.values()), "steps"))
        self._faults = tuple(faults)

    def decode(self, batch: RowBatch) -> SampleBatch:
        """See `RowLayout.decode`."""
        (first, *_) = batch.table.columns
        if first.startswith(_MASK):
            return self._decode_mask(batch, first)
        samples = super().decode(batch)
        path = f"{batch.table.name}/actions"
        samples.faults += action_faults(batch, path)
        return samples

    def _decode_mask(self, batch: RowBatch, path: str) -> SampleBatch:
        samples = SampleBatch(batch, np.arange(len(batch), dtype=np.int64))
        names = batch.columns.get(path)
        for row, raw in enumerate(names if isinstance(names, BytesColumn) else ()):
            name = bytes(raw).decode("utf-8", "backslashreplace")
            if name not in self.demos:
                message = f"names {name}, which is no demonstration of this file"
                samples.faults.append(Fault(row, "record-missing-twin", message, path))
        return samples


def _is_mask(info: DatasetInfo) -> bool:
    return info.path.startswith(_MASK) and info.readable and info.kind == "text" and bool(info.shape)


def _has_actions(parts: dict[str, DatasetInfo]) -> bool:
    return "actions" in parts and usable(parts["actions"]) and bool(parts["actions"].shape)


def _demo_faults(demos: Episodes) -> Iterator[Fault]:
    for path, parts in demos.items():
        if not _has_actions(parts):
            yield Fault(None, "record-missing-twin", "the demonstration has no actions", path)
            continue
        rows = rows_of(parts["actions"])
        for info in parts.values():
            if info.shape and usable(info) and rows_of(info) != rows:
                yield twin_fault(info, rows, "actions has")


class Aloha(Hdf5Named):
    """See `RowLayout`.

    Source: ``record_sim_episodes.py`` of tonyzhaozh/act, ``compress_data.py`` of MarkFzp/act-plus-plus: one file an
    episode; images raw or as JPEGs filled up to one width, then with their lengths in ``compress_len``.
    """

    name = "aloha"
    title = "ALOHA and ACT episodes: action, observations/qpos, observations/images"

    def __init__(self, options: Options, datasets: Sequence[DatasetInfo]) -> None:
        by_path = {info.path: info for info in datasets}
        rows = rows_of(by_path["/action"])
        lengths = by_path.get("/compress_len")
        steps = [info for info in datasets if info.path == "/action" or info.path.startswith("/observations/")]
        faults = [twin_fault(info, rows, "action has") for info in steps if info.shape and rows_of(info) != rows]
        if lengths is not None and lengths.shape and len(lengths.shape) == 2 and lengths.shape[1] != rows:
            message = f"holds the lengths of {lengths.shape[1]:,} images a camera, action has {rows:,} rows"
            faults.append(Fault(None, "record-missing-twin", message, lengths.path))
        tables = tables_of("/", [by_path["/action"], *(info for info in steps if info.path != "/action")])
        tables += lone_tables([info for info in datasets if info not in steps])
        super().__init__(options, tables, (), left_out(datasets), faults)
        widths = [info.shape[1] for info in steps if "/images/" in info.path and info.shape and len(info.shape) == 2]
        self.width = max(widths, default=0)

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> Aloha | None:
        """See `RowLayout.recognise`."""
        usable_paths = {info.path for info in datasets if usable(info) and info.shape}
        return cls(options, datasets) if {"/action", "/observations/qpos"} <= usable_paths else None

    def decode(self, batch: RowBatch) -> SampleBatch:
        """See `RowLayout.decode`."""
        samples = super().decode(batch)
        lengths = batch.columns.get("/compress_len")
        if isinstance(lengths, np.ndarray) and self.width:
            for row, place in np.argwhere(lengths.reshape(len(lengths), -1) > self.width).tolist():
                value = float(lengths.reshape(len(lengths), -1)[row, place])
                message = f"says {value:,.0f} bytes for image {place}, of which {self.width:,} are stored"
                samples.faults.append(Fault(row, "record-size-mismatch", message, "/compress_len", (place,)))
        return samples
