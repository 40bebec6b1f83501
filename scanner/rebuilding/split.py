"""New orders and splits: which set a record goes to and its number there, the same for the same seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .routes import Positions
from .spill import Table, among

_MANY_CLASSES = 20
"""With fewer records a class than this, labels are no classes to be balanced."""


def kept_of(table: Table, dropped: Positions) -> Table:
    """The prints of records that stay."""
    return np.asarray(table[~among(table["position"], dropped)])


def sides(kept: Table, share: float, seed: int) -> NDArray[np.uint8]:
    """0 for records that stay in the target, 1 for the validation part.

    Each label keeps its share, as near as whole contents allow: records with the same contents are on one side.
    """
    contents, first, group = np.unique(kept["content"], return_index=True, return_inverse=True)
    sizes = np.bincount(group)
    labels = _strata(kept["label"])[first]
    rank = _scattered(contents, seed)
    order = np.lexsort((rank, labels))
    starts = np.flatnonzero(np.r_[True, np.diff(labels[order]) != 0])
    chosen = np.zeros(len(contents), np.uint8)
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        members = order[begin:end]
        wanted = round(float(sizes[members].sum()) * (1 - share))
        chosen[members[np.cumsum(sizes[members]) <= wanted]] = 1
    return chosen[group]


def numbers(side: NDArray[np.uint8], seed: int) -> Positions:
    """A random place for each record in its set."""
    places = np.empty(len(side), np.int64)
    generator = np.random.default_rng(seed)
    for which in np.unique(side).tolist():
        rows = np.flatnonzero(side == which)
        places[rows] = generator.permutation(len(rows))
    return places


def _strata(labels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Labels as strata; one for all where they are targets, which have as many values as there are records."""
    values, strata = np.unique(labels, return_inverse=True)
    if len(values) * _MANY_CLASSES > len(labels) and not bool((values == np.round(values)).all()):
        return np.zeros(len(labels), np.int64)
    return strata


def _scattered(contents: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Hashes of hashes, another for each seed (SplitMix64)."""
    mixed = contents + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & ((1 << 64) - 1))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
