"""Where a finding is, in words for a line of text, and as a fingerprint that is the same in the next run."""

from __future__ import annotations

from hashlib import blake2b

from .finding import Finding
from .printable import key_text, printable

DIGEST_BYTES = 16


def address(finding: Finding) -> str:
    """``00000037_cat.jpg (#37)``, ``row 17 of /data [1, 5, 5]``, ``line 12``; empty for the set as a whole."""
    location = finding.location
    if location.line is not None:
        return f"line {location.line}"
    element = "" if location.element is None else f" [{', '.join(map(str, location.element))}]"
    inside = element if location.dataset is None else f" in {printable(location.dataset)}{element}"
    if location.key is not None:
        number = "" if location.index is None else f" (#{location.index})"
        return f"{key_text(location.key)}{number}{inside}"
    file = finding.data.get("file")
    of = f" of {printable(file)}" if isinstance(file, str) else ""
    if location.dataset is not None:
        row = "" if location.index is None else f"row {location.index} of "
        return f"{row}{printable(location.dataset)}{element}{of}"
    if location.index is not None:
        return f"#{location.index}{element}{of}"
    return f"byte {location.offset}{of}" if location.offset is not None else ""


def fingerprint(path: str, finding: Finding) -> str:
    """A finding of a source, known again while it is about the same place.

    A record is its key, a row its number and dataset, whatever the message says of it today. A finding about a line
    of a file or about the set as a whole is known by its message: lines move, and other numbers are news.
    """
    location = finding.location
    parts: list[object] = [path, finding.rule, finding.data.get("file"), location.dataset, location.element]
    if location.key is not None:
        parts.append(location.key.hex())
    elif location.index is not None:
        parts += [location.index, location.offset]
    else:
        parts.append(finding.message)
    return blake2b(repr(parts).encode(errors="surrogateescape"), digest_size=DIGEST_BYTES).hexdigest()
