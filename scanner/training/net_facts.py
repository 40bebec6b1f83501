"""What is known of the data that a net reads: from a scan of its sources, or from a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .net_spec import Layer

Dim = int | None
Shape = tuple[Dim, ...] | None
"""Sizes by axis; ``None`` for one that is not known, and in place of all of them where not even their number is."""

DATA, LABEL = "data", "label"
"""Names of the two tops of sources whose own names for them do not matter: all but HDF5."""


@dataclass(frozen=True, slots=True)
class TopFacts:
    """What is known of one array of a source.

    Attributes
    ----------
    shape
        Of one record: (channels, height, width) before the crop, or an HDF5 row's. ``None`` where records differ.
    low, high
        Smallest and largest value.
    integral
        Whether all values are whole numbers.
    values
        The distinct values, where they are few (labels).
    """

    shape: tuple[int, ...] | None = None
    low: float | None = None
    high: float | None = None
    integral: bool | None = None
    values: frozenset[float] | None = None


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of a source; ``tops`` by ``data`` and ``label``, for HDF5 by dataset.

    Attributes
    ----------
    smallest
        Height and width of the smallest image, where sizes differ.
    encoded
        Whether the images are kept as files (JPEG, PNG).
    complete
        Whether ``tops`` has every dataset of an HDF5 source.
    """

    tops: Mapping[str, TopFacts] = field(default_factory=dict)
    smallest: tuple[int, int] | None = None
    encoded: bool | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What is known besides the net's file.

    Attributes
    ----------
    sources
        By the data layer's name or by its source as written in the net; the source wins.
    tops
        Whole shapes of blobs by name, as a training log gives them.
    num_classes
        Classes of the data, where the caller knows better than the labels.
    solver_mode
        ``CPU`` or ``GPU``.
    """

    sources: Mapping[str, SourceFacts] = field(default_factory=dict)
    tops: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    num_classes: int | None = None
    solver_mode: str | None = None

    @classmethod
    def of_shapes(cls, data_shapes: Mapping[str, tuple[int, ...]], num_classes: int | None = None) -> DataFacts:
        """Facts of which only the records' shapes are known, by layer name or source."""
        sources = {name: SourceFacts({DATA: TopFacts(shape)}) for name, shape in data_shapes.items()}
        return cls(sources, num_classes=num_classes)

    def source_of(self, layer: Layer, source: str) -> SourceFacts:
        """What is known of a data layer's source; nothing where it was not given."""
        return self.sources.get(source) or self.sources.get(layer.name) or SourceFacts()

    def top_of(self, layer: Layer, source: str, place: int) -> TopFacts:
        """What is known of a data layer's top."""
        found = self.source_of(layer, source)
        return found.tops.get(top_key(layer, place)) or TopFacts()


def top_key(layer: Layer, place: int) -> str:
    """The name under which a source's facts have a data layer's top."""
    if layer.type == "HDF5Data":
        return layer.tops[place]
    return (DATA, LABEL)[place] if place < 2 else ""
