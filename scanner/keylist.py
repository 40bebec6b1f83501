"""The list of bad keys: how a line stands for a record, and how a loader reads the lines again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from os import PathLike

REMARK = "# "
"""Lines that begin with it are remarks. No key is written like that: see `key_line`."""

_POSITION = re.compile(r"(?P<dataset>.*)#(?P<position>\d+)", re.DOTALL)


def key_line(key: bytes) -> str:
    """A key as a line: its text where that can't be mistaken for anything else, else ``hex:0a0b``."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return f"hex:{key.hex()}"
    strange = not text.isprintable() or text != text.strip() or not text
    taken = text.startswith(("hex:", "{", REMARK.strip())) or _POSITION.fullmatch(text) is not None
    return f"hex:{key.hex()}" if strange or taken else text


def position_line(position: int, dataset: str = "") -> str:
    """A record by its position, or a row by its number: ``#37``, ``/data#37``."""
    return f"{dataset}#{position}"


def parse_line(line: str) -> bytes | int | tuple[str, int]:
    """What a line stands for: a key, a position or row, or a row of a dataset.

    Raises
    ------
    ValueError
        It is no line of such a list.
    """
    if line.startswith("hex:"):
        return bytes.fromhex(line[4:])
    if match := _POSITION.fullmatch(line):
        position = int(match["position"])
        return (match["dataset"], position) if match["dataset"] else position
    if not line or line.startswith(REMARK.strip()):
        raise ValueError(f"{line!r} is no key")
    return line.encode(errors="surrogateescape")


def read_keys(path: str | PathLike[str]) -> frozenset[bytes | int | tuple[str, int]]:
    """The records to skip, as ``datascan check --output keys=FILE`` has written them.

    Keys are bytes, as LMDB and LevelDB have them; rows and positions are numbers; rows of one dataset among several
    are pairs of its path and the row.

    Raises
    ------
    ValueError
        The list says of itself that records are missing from it: a loader that trusts it would read them.

    Examples
    --------
    >>> from datascan.scanner import read_keys
    >>> bad = read_keys("bad.txt")  # doctest: +SKIP
    >>> good = [key for key in keys if key not in bad]  # doctest: +SKIP
    """
    with open(path, encoding="utf-8", newline="\n") as stream:
        return frozenset(entries(stream.read().split("\n"), path))


def entries(lines: Iterable[str], path: str | PathLike[str]) -> Iterator[bytes | int | tuple[str, int]]:
    """What the lines of a list stand for; remarks and empty lines are passed over.

    Raises
    ------
    ValueError
        As `read_keys`.
    """
    for line in lines:
        if line.startswith(f"{REMARK}INCOMPLETE"):
            raise ValueError(f"{path} is not complete: {line.removeprefix(REMARK)}")
        if line and not line.startswith(REMARK):
            yield parse_line(line)
