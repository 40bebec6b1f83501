"""Text for a stream of any encoding: what it does not know is written as an escape of the format."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

UNICODE = ("utf-8", "utf8")


def writer(stream: TextIO, errors: str = "backslashreplace") -> Callable[[str], object]:
    """How to write to a stream; ``errors`` is how Python's codecs call the format's escapes.

    Formats say of themselves that they are UTF-8: to a stream of another encoding goes ASCII, which is UTF-8, too.
    """
    if (stream.encoding or "utf-8").lower().replace("_", "-") in UNICODE:
        return stream.write
    return lambda text: stream.write(text.encode("ascii", errors).decode("ascii"))
