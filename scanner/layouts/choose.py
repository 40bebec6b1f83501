"""Choosing the layout of a store from a few of its records, or from what its datasets say of themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch, Store, Table
from ...backends.errors import StoreError, UsageError
from ...backends.plugins import said
from ..options import Options
from ..printable import key_text
from . import LAYOUTS, layout_named, record_layouts, row_layouts
from .base import ACCEPT, Layout, Look, RecordLayout, RowLayout
from .keys import RESERVED, reserved_rows
from .value_kinds import value_kind

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
    failed
        Layouts of plug-ins that failed when they were asked, each with the reason.
    """

    layout: Layout
    tables: tuple[Table, ...] | None = None
    reasons: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


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
    look = look_at(store, sample)
    if forced is not None:
        layout = _forced(forced, RecordLayout, record_layouts(), store)
        assert issubclass(layout, RecordLayout)
        return Choice(layout.made_for(options, look))
    return choose_among(look, options)


def look_at(store: Store, sample: RecordBatch) -> Look:
    """The ordinary records of a sample, and all reserved keys that the store has."""
    reserved = {}
    for key in sorted(RESERVED):
        try:
            found = store.find(key)
        except StoreError:  # damage on the way to the key: the scan names it
            continue
        if found is not None:
            reserved[key] = bytes(found[1])
    here = store.path if isinstance(store.path, Path) else None
    return Look(sample.take(~reserved_rows(sample.keys)), reserved, here)


@dataclass(slots=True)
class _Votes:
    """What each layout says of the sampled records; ``failed`` are plug-ins that could not say."""

    agreed: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, name: str, look: Look) -> None:
        """Let a layout look."""
        layout = LAYOUTS[name]
        assert issubclass(layout, RecordLayout)
        try:
            agreed = np.array(layout.agrees(look.sample), np.bool_) if layout.belongs(look) else np.zeros(1, np.bool_)
        except Exception as exc:
            if name not in LAYOUTS.foreign:
                raise
            self.failed.append((name, said(exc)))
        else:
            self.agreed[name] = agreed

    def best(self) -> tuple[str, int]:
        """The layout with the most votes, the first of equals, and how many it has."""
        votes = {name: int(np.count_nonzero(agreed)) for name, agreed in self.agreed.items()}
        name = max(votes, key=lambda one: votes[one])
        return name, votes[name]


def choose_among(look: Look, options: Options) -> Choice:
    """The layout with the most votes, or ``raw`` where too few of the records agree with any."""
    votes = _Votes()
    for name in record_layouts():
        votes.ask(name, look)
        if name not in LAYOUTS.foreign and len(look.sample) and votes.agreed[name].all():
            break  # none of the others can have more votes, and the first of equals is taken
    best, count = votes.best()
    if len(look.sample) and count >= needed(len(look.sample)):
        layout = LAYOUTS[best]
        assert issubclass(layout, RecordLayout)
        return Choice(layout.made_for(options, look), failed=tuple(votes.failed))
    reasons = _why_raw(look.sample, best, votes.agreed[best])
    return Choice(LAYOUTS["raw"](options), reasons=reasons, failed=tuple(votes.failed))


def needed(sampled: int) -> int:
    """How many of the sampled records have to agree: `ACCEPT` of them, rounded down but at least one.

    Rounding in the layout's favour lets a set of five records keep its layout when one of them is damaged: each
    layout is so strict that one record which fits is more evidence than one that does not.
    """
    return max(math.floor(sampled * ACCEPT), 1)


def _why_raw(sample: RecordBatch, best: str, agreed: NDArray[np.bool_]) -> tuple[str, ...]:
    """That nothing fits; the layout that is nearest, and what speaks against it."""
    if not len(sample):
        return ()
    closest = ""
    if agreed.any():
        odd = int(np.flatnonzero(~agreed)[0])
        against = f"but {key_text(bytes(sample.keys[odd]))} is {_kind(sample.values[odd])}"
        votes = np.count_nonzero(agreed)
        closest = f" ({votes} of {len(sample)} sampled records look like {best}, {against})"
    return (f"no layout fits{closest}: values were counted by kind and not decoded; --layout names one",)


def _kind(value: memoryview) -> str:
    kind = value_kind(value)
    return "of no kind that is known" if kind == "other" else kind


def _choose_rows(store: Store, options: Options, forced: str | None) -> Choice:
    datasets = store.datasets()
    if forced is not None:
        layout = _forced(forced, RowLayout, row_layouts(), store)
        assert issubclass(layout, RowLayout)
        made = layout.recognise(datasets, options)
        if made is None:
            raise UsageError(f"the datasets of {store.path} are not {forced}; without --layout one is chosen")
        made.consult(store)
        return Choice(made, tuple(made.tables()))
    failed: list[tuple[str, str]] = []
    for name in row_layouts():
        layout = LAYOUTS[name]
        assert issubclass(layout, RowLayout)
        try:
            made = layout.recognise(datasets, options) if layout.belongs(store) else None
            if made is not None:
                made.consult(store)
            tables = () if made is None else tuple(made.tables())
        except Exception as exc:
            if name not in LAYOUTS.foreign:
                raise
            failed.append((name, said(exc)))
            continue
        if made is not None:
            return Choice(made, tables, failed=tuple(failed))
    raise UsageError(f"no layout takes the datasets of {store.path}")


def _forced(name: str, kind: type[Layout], choices: Sequence[str], store: Store) -> type[Layout]:
    """The layout that was asked for, if it is one for this kind of store."""
    layout = layout_named(name)
    if not issubclass(layout, kind):
        raise UsageError(f"layout {name} is not for {store.name} stores; choose from {', '.join(choices)}")
    return layout
