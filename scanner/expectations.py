"""What the owner of a data set knows of it: compared with what a scan finds, by the rules of the family ``expect``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..backends.errors import UsageError

ANY = "*"
"""In a shape: whatever stands there."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """Facts about a source; ``None`` is not expected anything of.

    Attributes
    ----------
    records, min_records, max_records
        How many records there are, exactly or at least and at most.
    shape
        Shape of the main array or image of each sample, an encoded image as ``(channels, height, width)``; ``None``
        in it stands for any length.
    dtype
        Its dtype, where it is an array: ``uint8``, ``float32``.
    value_range
        Lowest and highest value of the main array or image, both allowed.
    layout, store
        What the records and the store have to be recognised as.
    """

    records: int | None = None
    min_records: int | None = None
    max_records: int | None = None
    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None
    value_range: tuple[float, float] | None = None
    layout: str | None = None
    store: str | None = None

    def __post_init__(self) -> None:
        _check(self)


def make_expectations(given: Expectations | Mapping[str, Any] | None) -> Expectations:
    """Checked expectations from an instance or from their fields, where lists and ``"*"`` may stand in a shape.

    Raises
    ------
    UsageError
        An unknown field, or a value that nothing could meet.
    """
    if isinstance(given, Expectations):
        return given
    named = dict(given or {})
    unknown = sorted(set(named) - {one.name for one in fields(Expectations)})
    if unknown:
        raise UsageError(f"there is no expectation {unknown[0]!r}")
    if named.get("shape") is not None:
        named["shape"] = tuple(None if length == ANY else length for length in named["shape"])
    if named.get("value_range") is not None:
        named["value_range"] = tuple(named["value_range"])
    return Expectations(**named)


def expected_shape(shape: tuple[int | None, ...]) -> str:
    """A shape as it was asked for: ``3x*x*``."""
    return "x".join(ANY if length is None else str(length) for length in shape) or "scalar"


def _check(expected: Expectations) -> None:
    """Refuse what can't be met."""
    if expected.records is not None and (expected.min_records is not None or expected.max_records is not None):
        raise UsageError("records is exact: give it, or min_records and max_records")
    for name in ("records", "min_records", "max_records"):
        number = getattr(expected, name)
        if number is not None and number < 0:
            raise UsageError(f"{name} is {number}; there can't be fewer than 0 records")
    if (
        expected.min_records is not None
        and expected.max_records is not None
        and (expected.max_records < expected.min_records)
    ):
        raise UsageError(f"min_records {expected.min_records} is above max_records {expected.max_records}")
    for length in expected.shape or ():
        if length is not None and (not isinstance(length, int) or length < 0):
            raise UsageError(f"shape holds {length!r}; write lengths, or {ANY!r} for any")
    if expected.value_range is not None:
        pair = expected.value_range
        if len(pair) != 2 or not pair[0] <= pair[1]:
            raise UsageError(f"value_range is {list(pair)}; write [lowest, highest]")


NOTHING_EXPECTED = Expectations()
