"""All parts of the summary together."""

from __future__ import annotations

from typing import Any

from ..options import Options
from ..sample import SampleBatch
from ..spill import Workspace
from .base import SummaryPart
from .contents import ContentSummary
from .copies import Copies, find_copies
from .fields import FieldSummary
from .folders import FolderSummary
from .keys import KeySummary
from .kinds import KindSummary
from .labels import LabelSummary
from .lists import ListSummary
from .near import NearSummary
from .near_pairs import NearPairs, find_near
from .probe import ProbeSummary
from .shapes import ShapeSummary
from .texts import TextSummary
from .twins import TwinSummary
from .values import ValueSummary


class Summary:
    """What one or several partitions gave together.

    ``records`` counts all rows, ``samples`` those that are samples; ``damages`` counts what is wrong with the store
    (whoever reads it adds to this).
    """

    def __init__(self, options: Options) -> None:
        self.cap = options.most_told
        self.records = 0
        self.samples = 0
        self.damages = 0
        self.labels = LabelSummary(options)
        self.shapes = ShapeSummary(options)
        self.values = ValueSummary(options)
        self.keys = KeySummary(options)
        self.contents = ContentSummary(options)
        self.twins = TwinSummary(options)
        self.kinds = KindSummary(options)
        self.probe = ProbeSummary(options)
        self.lists = ListSummary(options)
        self.fields = FieldSummary(options)
        self.texts = TextSummary(options)
        self.folders = FolderSummary(options)
        self.near = NearSummary(options)
        self._workspace: Workspace | None = None
        self._copies: Copies | None = None
        self._near: NearPairs | None = None

    def spill_to(self, workspace: Workspace) -> None:
        """From now on let what grows with the records go to disk, when it takes too much memory."""
        self._workspace = workspace
        self.labels.spill_to(workspace)
        self.contents.spill_to(workspace)
        self.twins.spill_to(workspace)
        self.near.spill_to(workspace)

    def copies(self) -> Copies:
        """Records whose contents stood in the store before; asked when the summary is whole.

        Raises
        ------
        SpillError
            There was no room to find them.
        """
        if self._copies is None:
            column = self.labels.first_class_column
            sequence = None if column is None else column.sequence
            self._copies = find_copies(self.contents, sequence, self._workspace or Workspace(), self.cap)
        return self._copies

    def near_copies(self) -> NearPairs:
        """Records whose picture looks like an earlier one; asked when the summary is whole.

        Raises
        ------
        SpillError
            There was no room to find them.
        """
        if self._near is None:
            self._near = find_near(self.near, self._workspace or Workspace(), self.cap)
        return self._near

    @property
    def parts(self) -> tuple[SummaryPart, ...]:
        """The parts, in the order of the statistics."""
        known = (self.labels, self.shapes, self.values, self.keys, self.contents, self.twins, self.kinds, self.probe)
        return (*known, self.lists, self.fields, self.texts, self.folders, self.near)

    def add(self, samples: SampleBatch) -> None:
        """Take in a batch."""
        self.records += len(samples)
        self.samples += len(samples.sample_rows)
        for part in self.parts:
            part.add(samples)

    def merge(self, later: Summary, offset: int) -> None:
        """Take in what follows in store order; its positions move by ``offset``."""
        self.records += later.records
        self.samples += later.samples
        self.damages += later.damages
        for part, other in zip(self.parts, later.parts, strict=True):
            part.merge(other, offset)

    def statistics(self) -> dict[str, Any]:
        """The report's ``statistics``."""
        merged: dict[str, Any] = {}
        for part in self.parts:
            merged.update(part.statistics())
        return merged
