"""JSON written in pieces, so that a report of many findings never stands in memory as one text."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class Lists:
    """Lists that are made while they are written. Each has a mark that stands for it in the tree around it."""

    def __init__(self) -> None:
        self._token = os.urandom(16).hex()
        self._lists: dict[str, Iterable[Any]] = {}

    def mark(self, entries: Iterable[Any]) -> str:
        """What stands for a list of JSON values."""
        name = f"{self._token}-{len(self._lists)}-"
        self._lists[name] = entries
        return name

    def pieces(self, tree: Mapping[str, Any], indent: int = 2) -> Iterator[str]:
        """The tree with its lists, as `json.dumps` writes it."""
        text = dumped(tree, indent)
        for name, entries in self._lists.items():
            before, text = text.split(f'"{name}"', 1)
            yield before
            margin = len(last := before.rpartition("\n")[2]) - len(last.lstrip(" "))
            yield from list_pieces(entries, indent, margin)
        yield text


def list_pieces(entries: Iterable[Any], indent: int, margin: int) -> Iterator[str]:
    """A list, each of its entries on lines of its own."""
    lead, end = "[\n", "[]"
    inner = " " * (margin + indent)
    for entry in entries:
        yield lead + inner + dumped(entry, indent).replace("\n", "\n" + inner)
        lead, end = ",\n", f"\n{' ' * margin}]"
    yield end


def dumped(value: Any, indent: int | None) -> str:
    """JSON as reports have it: readable where it may be, and without NaN."""
    separators = (",", ":") if indent is None else None
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, separators=separators)
