"""Sets for offline reinforcement learning: D4RL's flat files, and Minari's files of episodes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...backends.base import DatasetInfo, RowBatch, Store
from ..options import Options
from ..sample import Fault, SampleBatch
from .hdf5_groups import Episodes, Hdf5Named, count_fault, episodes_in, tables_of, twin_fault, usable
from .hdf5_rows import left_out, lone_tables, rows_of
from .sidecars import read_sidecar

_EPISODE = re.compile(r"(/episode_[0-9]+)/(.+)")
_ENDS = (("terminals", "timeouts"), ("terminations", "truncations"))


def end_faults(batch: RowBatch, prefix: str) -> Iterator[Fault]:
    """Steps that are marked as the end of an episode and as cut off at once."""
    for ended, cut in _ENDS:
        first, second = batch.columns.get(f"{prefix}/{ended}"), batch.columns.get(f"{prefix}/{cut}")
        if not isinstance(first, np.ndarray) or not isinstance(second, np.ndarray):
            continue
        both = (first.reshape(len(first), -1) != 0).any(axis=1) & (second.reshape(len(second), -1) != 0).any(axis=1)
        for row in np.flatnonzero(both).tolist():
            message = f"{ended} and {cut} are both set: the episode either ends here or is cut off"
            yield Fault(row, "label-contradiction", message, f"{prefix}/{ended}")


class D4rl(Hdf5Named):
    """See `RowLayout`. Source: ``d4rl/offline_env.py`` of Farama-Foundation/D4RL: all arrays have as many rows."""

    name = "d4rl"
    title = "D4RL: observations, actions, rewards, terminals, timeouts"

    STEPS = frozenset(("/observations", "/actions", "/rewards", "/terminals"))

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> D4rl | None:
        """See `RowLayout.recognise`."""
        by_path = {info.path: info for info in datasets if usable(info) and info.shape}
        if not by_path.keys() >= cls.STEPS:
            return None
        rows = rows_of(by_path["/rewards"])
        steps = [info for path, info in by_path.items() if path in cls.STEPS | {"/timeouts", "/next_observations"}]
        steps += [info for path, info in by_path.items() if path.startswith("/infos/") and rows_of(info) == rows]
        faults = [twin_fault(info, rows, "rewards has") for info in steps if rows_of(info) != rows]
        tables = tables_of("/", sorted(steps, key=lambda info: rows_of(info) != rows))
        read = {path for table in tables for path in table.columns}
        tables += lone_tables([info for info in datasets if info.path not in read])
        return cls(options, tables, (), left_out(datasets), faults)

    def decode(self, batch: RowBatch) -> SampleBatch:
        """See `RowLayout.decode`."""
        samples = super().decode(batch)
        samples.faults += end_faults(batch, "")
        return samples


class Minari(Hdf5Named):
    """See `RowLayout`.

    Source: ``minari/dataset/_storages/hdf5_storage.py`` of Farama-Foundation/Minari: a group for each episode; actions
    and rewards have a row a step, observations one more, for what came after the last. ``metadata.json`` beside it
    counts episodes and steps.
    """

    name = "minari"
    title = "Minari: episode_N with observations, actions, rewards, terminations, truncations"

    def __init__(self, options: Options, datasets: Sequence[DatasetInfo], episodes: Episodes) -> None:
        inside = {info.path for parts in episodes.values() for info in parts.values()}
        tables = []
        for path, parts in episodes.items():
            steps = [info for name, info in parts.items() if name != "observations"]
            tables += tables_of(path, [*steps, *(info for name, info in parts.items() if name == "observations")])
        tables += lone_tables([info for info in datasets if info.path not in inside])
        super().__init__(options, tables, (), left_out(datasets), list(_episode_faults(episodes)))
        self._steps = {path: rows_of(parts["rewards"]) for path, parts in episodes.items() if "rewards" in parts}

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_steps": {}}

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> Minari | None:
        """See `RowLayout.recognise`."""
        episodes = episodes_in(datasets, _EPISODE)
        known = [parts for parts in episodes.values() if {"rewards", "terminations", "truncations"} <= parts.keys()]
        return cls(options, datasets, episodes) if known else None

    def consult(self, store: Store) -> None:
        """See `RowLayout.consult`."""
        faults = list(self._faults)
        for path, steps in self._steps.items():
            claimed = store.attributes(path, ["total_steps"]).get("total_steps")
            if claimed is not None and claimed != steps:
                faults.append(count_fault(path, "total_steps", claimed, steps, "steps"))
        said = {**_metadata(store), **store.attributes("/", ["total_episodes", "total_steps"])}
        for name, read, what in (
            ("total_episodes", len(self._steps), "episodes"),
            ("total_steps", sum(self._steps.values()), "steps"),
        ):
            claimed = said.get(name)
            if isinstance(claimed, int) and claimed != read:
                faults.append(count_fault("/", name, claimed, read, what))
        self._faults = tuple(faults)

    def decode(self, batch: RowBatch) -> SampleBatch:
        """See `RowLayout.decode`."""
        samples = super().decode(batch)
        samples.faults += end_faults(batch, batch.table.name)
        return samples


def _metadata(store: Store) -> dict[str, object]:
    """What ``metadata.json`` beside the file says; older versions have the same as attributes."""
    text = read_sidecar(store.path.parent, "metadata.json") if isinstance(store.path, Path) else None
    try:
        found = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _episode_faults(episodes: Episodes) -> Iterator[Fault]:
    for path, parts in episodes.items():
        if "rewards" not in parts:
            yield Fault(None, "record-missing-twin", "the episode has no rewards", path)
            continue
        steps = rows_of(parts["rewards"])
        for name, info in parts.items():
            kind = name.partition("/")[0]
            wanted = steps + 1 if kind == "observations" else steps
            if kind == "infos" or not info.shape or not usable(info) or rows_of(info) == wanted:
                continue
            why = ": one for each step and one after the last" if kind == "observations" else ""
            yield twin_fault(info, wanted, "there should be", why)
