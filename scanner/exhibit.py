"""What a record looks like, small enough for a report: pictures, plots of rows, first bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """A thumbnail.

    Attributes
    ----------
    mime, data
        The encoded thumbnail: ``image/png`` or ``image/jpeg``.
    width, height
        Its pixels.
    full
        Width and height of what it shows.
    broken_from
        The share of the height from which on the rows are missing, ``None`` where they are all there.
    spots
        Places of values that are no numbers, or far beyond the others: shares of width and height.
    """

    mime: str
    data: bytes
    width: int
    height: int
    full: tuple[int, int]
    broken_from: float | None = None
    spots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """The values of a row, in order: ``lows`` and ``highs`` of neighbours where there are more than can be drawn.

    ``None`` stands where no value is finite. ``bad`` are places of values that are not, as shares of the length,
    with how the value is written. ``length`` is the number of values.
    """

    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    length: int
    bad: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Dump:
    """The first bytes of what nothing could be made of, and how many there are."""

    head: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One record: what it shows, and what it decodes to in words."""

    shown: tuple[Picture | Plot | Dump, ...]
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distribution:
    """How often values of one channel fall into equal steps from ``low`` to ``high``, in some records of a source."""

    name: str
    low: float
    high: float
    counts: tuple[int, ...]
    outside: int = 0


@dataclass(frozen=True, slots=True)
class Distributions:
    """Those of all channels, and of how many records they are; ``order`` is ``RGB`` or ``BGR`` where that is known."""

    channels: tuple[Distribution, ...]
    records: int
    order: str = ""
