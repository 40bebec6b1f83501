"""All parts of the summary together."""

from __future__ import annotations

from typing import Any

from ..options import Options
from ..sample import SampleBatch
from .base import SummaryPart
from .contents import ContentSummary
from .keys import KeySummary
from .kinds import KindSummary
from .labels import LabelSummary
from .probe import ProbeSummary
from .shapes import ShapeSummary
from .twins import TwinSummary
from .values import ValueSummary


class Summary:
    """What one or several partitions gave together.

    ``records`` counts all rows, ``samples`` those that are samples; ``damages`` counts what is wrong with the store
    (whoever reads it adds to this).
    """

    def __init__(self, options: Options) -> None:
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

    @property
    def parts(self) -> tuple[SummaryPart, ...]:
        """The parts, in the order of the statistics."""
        return (self.labels, self.shapes, self.values, self.keys, self.contents, self.twins, self.kinds, self.probe)

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
