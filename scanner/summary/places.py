"""Names of arrays that come from the records themselves, of which there may be any number."""

from __future__ import annotations

MAX_PLACES = 1024
"""Arrays of serialised values that are told apart in what is remembered of a set."""


def is_beyond(name: str, known: bool, count: int) -> bool:
    """Whether an array has one place too many to be remembered by it.

    Places in serialised values (``['features']``, ``.pos``) are named by their records: without a limit a set could
    make the report grow with its records. HDF5's paths (``/data``) are as many as the file has datasets.
    """
    return count >= MAX_PLACES and not known and name.startswith(("[", "."))
