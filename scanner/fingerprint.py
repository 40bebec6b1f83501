"""What makes two findings of different scans the same one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Identity = tuple[str, ...]

_POSITION = re.compile(r"\b(record|row|position) \d[\d,]*")
_NUMBER = re.compile(r"(?<![\w.])(?<!class )(?<!label )(?<!number )-?\d[\d,.]*(?:e[+-]?\d+)?%?")


def identity(finding: Mapping[str, Any]) -> Identity:
    """Rule, place and message of a finding, as the JSON report has it.

    The place is the key where the record has one: its position moves whenever a record is put before it, and so does
    what a message says of other records' positions. Everything else of the message counts: a label that is wrong in
    another way is another finding.
    """
    location = finding["location"]
    key = location["key"] if location["key"] is not None else location["key_hex"]
    row = "" if key is not None or location["index"] is None else str(location["index"])
    file = finding["data"].get("file")
    return (
        finding["rule"],
        "" if key is None else f"={key}",
        str(file) if isinstance(file, str) else "",
        location["dataset"] or "",
        row,
        "" if location["element"] is None else ",".join(map(str, location["element"])),
        _POSITION.sub(r"\1 #", finding["message"]),
    )


def loose(found: Identity) -> Identity:
    """The same without figures that move from night to night, where a finding is about the set as a whole."""
    *place, message = found
    about_the_set = not (place[1] or place[4])
    return (*place, _NUMBER.sub("#", message) if about_the_set else message)
