"""The lists beside a rebuilt set: what is in quarantine and why, what could not be read, which key became which."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...backends.writing import writing
from ..finding import Finding, Location
from ..keylist import key_line
from ..report import SourceReport
from .places import MAP_HEAD

LOSING = ("store-damaged", "store-truncated", "store-reader-died", "store-unreadable")
"""Rules whose findings stand for records that could not be read."""

COLLISION = ("record-key", "another record that was kept has this key")


def write_lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON lines; gives their number."""
    count = 0
    with writing(path, (OSError,)), path.open("w", encoding="utf-8") as stream:
        for entry in entries:
            stream.write(json.dumps(entry, ensure_ascii=True, allow_nan=False) + "\n")
            count += 1
    return count


def entry_of(
    location: Location, told: Sequence[tuple[str, str]], stored: bool, file: str | None = None
) -> dict[str, Any]:
    """The line of one record."""
    place = location.to_dict()
    return {
        "key": place["key"],
        "key_hex": place["key_hex"],
        "index": place["index"],
        "dataset": place["dataset"],
        "file": file,
        "rules": [rule for rule, _ in told],
        "reasons": [reason for _, reason in told],
        "stored": stored,
    }


def unreadable(report: SourceReport) -> Iterator[dict[str, Any]]:
    """Lines for what could not be read: a record, or several that were lost together."""
    for finding in report.findings:
        if finding.rule in LOSING and _is_loss(finding):
            entry = entry_of(finding.location, [(finding.rule, finding.message)], False, finding.data.get("file"))
            yield {**entry, "records_lost": finding.data.get("records_lost")}


def _is_loss(finding: Finding) -> bool:
    return finding.data.get("records_lost") != 0 and "positions" not in finding.data


def write_list(path: Path, folder: Path, names: Sequence[str]) -> None:
    """Write a list of HDF5 files in a folder, as Caffe reads it."""
    with writing(path, (OSError,)):
        path.write_text("".join(f"{folder / name}\n" for name in names), encoding="utf-8")


def append_map(path: Path, rows: Iterable[tuple[int, bytes, bytes, int, int]], names: Sequence[str]) -> None:
    """Add lines to the map: old and new key and position, and the set."""
    with writing(path, (OSError,)), path.open("a", encoding="utf-8") as stream:
        if stream.tell() == 0:
            stream.write(MAP_HEAD)
        for position, old, new, number, side in rows:
            before, after = (key_line(key) if key else "" for key in (old, new))
            stream.write(f"{before}\t{position}\t{after}\t{number}\t{names[side]}\n")
