"""What the reserved records of serialised sets say once some records are gone, or have other numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...backends.errors import UsageError
from .kept import KeptKeys, Revision
from .keys import numbered
from .reserved import COUNT_KEYS, LIST_KEYS
from .rewriting import Plain, plain_value, written_as

_SPARSE = 4
"""Numbers are looked for up to so many times the number of records: keys beyond are no running numbers."""


def revised(reserved: Mapping[bytes, bytes], kept: KeptKeys) -> Revision:
    """Lists of keys without those that are gone, counts as they are then.

    Raises
    ------
    UsageError
        A record can't be written again, or loaders would ask for numbers that are gone.
    """
    places = running_numbers(kept, 0)
    numbers = moved = None
    if places is not None and kept.renumber:
        numbers, moved = kept.numbered_again(places[places >= 0], 0)
    listed = sorted(reserved.keys() & LIST_KEYS)
    counts = sorted(reserved.keys() & COUNT_KEYS)
    if counts and not listed and places is not None and not kept.renumber:
        refuse_holes(places, 0, counts[0])
    values = {key: _relisted(key, reserved[key], kept, numbers) for key in listed}
    values |= {key: written(key, reserved[key], kept.samples) for key in counts}
    return Revision(values, numbers, moved)


def running_numbers(kept: KeptKeys, start: int) -> NDArray[np.int64] | None:
    """The places of the keys that are plain numbers from ``start`` on, -1 for holes; ``None`` where some are none."""
    places = kept.decimals(start, start + _SPARSE * kept.samples + 1024)
    return places if kept.samples and int((places >= 0).sum()) == kept.samples else None


def refuse_holes(places: NDArray[np.int64], start: int, key: bytes) -> None:
    """Refuse a set of which loaders would ask for numbers that are not there.

    Raises
    ------
    UsageError
        There is a number without a record below the last that has one.
    """
    there = np.flatnonzero(places >= 0)
    if len(there) and int(there[-1]) != len(there) - 1:
        raise UsageError(
            f"{key.decode()} says how many records there are, and loaders ask for the numbers from {start} on: "
            "what is left out would be a hole. Give --renumber as well, which numbers the others again"
        )


def written(key: bytes, value: bytes, fresh: Plain) -> bytes:
    """The new value of a reserved record.

    Raises
    ------
    UsageError
        It can't be written as the old one is.
    """
    made = written_as(value, fresh)
    if made is None:
        raise UsageError(
            f"{key.decode()} is written in a way that can't be written again, and would still name what is left out; "
            "drop it too with --drop-keys and write it again with the set's own tool"
        )
    return made


def _relisted(key: bytes, value: bytes, kept: KeptKeys, numbers: NDArray[np.int64] | None) -> bytes:
    old = plain_value(value)
    if not isinstance(old, list) or not all(isinstance(one, int | str | bytes) for one in old):
        return written(key, b"", 0)  # refuses
    names = [_name(one) for one in old]
    places = kept.places(names).tolist()
    fresh: list[Plain] = []
    for one, name, place in zip(old, names, places, strict=True):
        if place >= 0 and kept.renumber:
            name = b"%d" % numbers[place] if numbers is not None else numbered(name, place)
            fresh.append(name if isinstance(one, bytes) else name.decode() if isinstance(one, str) else int(name))
        elif place >= 0:
            fresh.append(one)
    return written(key, value, fresh)


def _name(entry: Plain) -> bytes:
    if isinstance(entry, str):
        return entry.encode(errors="surrogatepass")
    return entry if isinstance(entry, bytes) else str(entry).encode()
