"""Two sets beside each other: which records they share by content, and which keys name different ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..spill import Workspace
from .contents import SECOND, ContentSummary, grouped
from .copies import Copies, tell_apart
from .label_sequence import LabelSequence
from .near_pairs import NearPairs, find_near
from .total import Summary

_MARK = np.uint64(SECOND)


@dataclass(slots=True)
class EqualKeys:
    """Keys that both sets have: records of the second set by whether their contents are those of the first's."""

    agreeing: int = 0
    differing: int = 0


@dataclass(slots=True)
class Pair:
    """The summaries of two sets, of which the second was joined to the first (see `ContentSummary.join`).

    ``name`` is what the first set is called. A question raises `SpillError` where there was no room for its answer.
    """

    name: str
    first: Summary
    second: Summary
    workspace: Workspace
    cap: int
    equal_keys: EqualKeys = field(default_factory=EqualKeys)
    _shared: Copies | None = None
    _conflicts: Copies | None = None
    _near: NearPairs | None = None

    def shared(self) -> Copies:
        """Records of the second set whose contents the first has, each with the first one there."""
        if self._shared is None:
            self._shared = self._told_apart(self._shared_pairs())
        return self._shared

    def conflicts(self) -> Copies:
        """Records of the second set whose key the first has with other contents; counts `equal_keys` as well."""
        if self._conflicts is None:
            self._conflicts = self._told_apart(self._conflicting_pairs())
        return self._conflicts

    def near(self) -> NearPairs:
        """Records of the second set whose picture looks like one of the first, and whose contents the first lacks."""
        if self._near is None:
            self._near = find_near(self.second.near, self.workspace, self.cap, across=True)
        return self._near

    def _told_apart(self, pairs: Iterator[NDArray[np.uint64]]) -> Copies:
        return tell_apart(pairs, _labels(self.first), _labels(self.second), self.workspace, self.cap)

    @property
    def contents(self) -> ContentSummary:
        """The contents of both."""
        return self.second.contents

    def _shared_pairs(self) -> Iterator[NDArray[np.uint64]]:
        for pairs in self.contents.pairs():
            first, later = pairs.T
            across = (first < _MARK) & (later >= _MARK)
            yield np.stack([first[across], later[across] - _MARK], axis=1)

    def _conflicting_pairs(self) -> Iterator[NDArray[np.uint64]]:
        if self.contents.keys is None:
            return
        for rows, group in grouped(self.contents.keys, 1):
            first = rows[group]
            across = (first[:, 1] < _MARK) & (rows[:, 1] >= _MARK)
            differ = across & (first[:, 2] != rows[:, 2])
            self.equal_keys.differing += int(np.count_nonzero(differ))
            self.equal_keys.agreeing += int(np.count_nonzero(across & ~differ))
            yield np.stack([first[differ, 1], rows[differ, 1] - _MARK], axis=1)


def _labels(summary: Summary) -> LabelSequence | None:
    column = summary.labels.first_class_column
    return None if column is None else column.sequence
