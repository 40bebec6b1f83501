"""Choosing the layout of a store from a few of its records, or from what its datasets say of themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...backends.base import RecordBatch, Store, Table
from ...backends.errors import UsageError
from ..options import Options
from . import LAYOUTS, RECORD_LAYOUTS, ROW_LAYOUTS
from .base import ACCEPT, Layout, RecordLayout, RowLayout
from .keys import reserved_rows

SAMPLED = 16
"""Records that a layout is recognised by."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The layout of a store.

    Attributes
    ----------
    layout
        An instance, ready for the workers.
    tables
        What the store has to read together; ``None`` for a key-value store, which has one table.
    reasons
        Why the scan will not look at everything, for the report's coverage: nothing fits, so values stay unread.
    """

    layout: Layout
    tables: tuple[Table, ...] | None = None
    reasons: tuple[str, ...] = ()


def choose_layout(store: Store, options: Options, forced: str | None = None) -> Choice:
    """The layout that fits a store, or the ``forced`` one.

    Raises
    ------
    UsageError
        When ``forced`` is no layout, or not one for this kind of store or for these datasets.
    """
    sample = store.sample(SAMPLED)
    if sample is None:
        return _choose_rows(store, options, forced)
    if forced is not None:
        return Choice(_record_class(_known(forced, RECORD_LAYOUTS, store))(options))
    return _choose_records(sample, options)


def _choose_records(sample: RecordBatch, options: Options) -> Choice:
    sample = sample.take(~reserved_rows(sample.keys))
    votes = {name: int(np.count_nonzero(_record_class(name).agrees(sample))) for name in RECORD_LAYOUTS}
    best = max(RECORD_LAYOUTS, key=lambda name: votes[name])  # the first of equals
    if len(sample) and votes[best] >= needed(len(sample)):
        return Choice(_record_class(best)(options))
    return Choice(_record_class("raw")(options), reasons=_why_raw(sample, best, votes[best]))


def needed(sampled: int) -> int:
    """How many of the sampled records have to agree: `ACCEPT` of them, rounded down but at least one.

    Rounding in the layout's favour lets a set of five records keep its layout when one of them is damaged: each
    layout is so strict that one record which fits is more evidence than one that does not.
    """
    return max(math.floor(sampled * ACCEPT), 1)


def _why_raw(sample: RecordBatch, best: str, votes: int) -> tuple[str, ...]:
    if not len(sample):
        return ()
    closest = f" ({votes} of {len(sample)} sampled records look like {best})" if votes else ""
    return (f"no layout fits{closest}: values were counted by kind and not decoded; --layout names one",)


def _choose_rows(store: Store, options: Options, forced: str | None) -> Choice:
    names = ROW_LAYOUTS if forced is None else (_known(forced, ROW_LAYOUTS, store),)
    datasets = store.datasets()
    for name in names:
        layout = _row_class(name).recognise(datasets, options)
        if layout is not None:
            return Choice(layout, tuple(layout.tables()))
    raise UsageError(f"the datasets of {store.path} are not {' or '.join(names)}; without --layout one is chosen")


def _known(name: str, choices: Sequence[str], store: Store) -> str:
    if name in choices:
        return name
    listed = ", ".join(choices)
    if name in LAYOUTS:
        raise UsageError(f"layout {name} is not for {store.name} stores; choose from {listed}")
    raise UsageError(f"unknown layout {name!r}; choose from {listed}")


def _record_class(name: str) -> type[RecordLayout]:
    layout = LAYOUTS[name]
    assert issubclass(layout, RecordLayout)
    return layout


def _row_class(name: str) -> type[RowLayout]:
    layout = LAYOUTS[name]
    assert issubclass(layout, RowLayout)
    return layout
