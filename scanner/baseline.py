"""Baselines: findings that somebody has reviewed, each with a reason, an author and a day on which it ends."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ..backends.errors import UsageError
from .finding import Finding
from .fingerprint import Identity, identity
from .report import Report, SourceReport

SCHEMA = "datascan-baseline/1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One reviewed finding. ``source`` counts from the baseline's folder."""

    source: str
    rule: str
    message: str
    location: Mapping[str, Any]
    file: str | None
    reason: str
    author: str
    expires: date

    @property
    def identity(self) -> Identity:
        """What it is compared by."""
        data = {} if self.file is None else {"file": self.file}
        return identity({"rule": self.rule, "location": self.location, "message": self.message, "data": data})

    def to_dict(self) -> dict[str, Any]:
        """The entry as it is written; what does not apply is left out, so that a person can read it in a diff."""
        where = {name: value for name, value in self.location.items() if value is not None}
        file = {} if self.file is None else {"file": self.file}
        return {
            "source": self.source,
            "rule": self.rule,
            "location": where,
            **file,
            "message": self.message,
            "reason": self.reason,
            "author": self.author,
            "expires": self.expires.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Accepted:
    """A report without what the baseline accepts, and what has to be said of the baseline."""

    report: Report
    remarks: tuple[str, ...]


class Baseline:
    """A file of reviewed findings.

    Raises
    ------
    UsageError
        It can't be read, or an entry lacks its reason, author or expiry.
    """

    def __init__(self, file: str, needed: bool = True) -> None:
        self.file = file
        self.folder = os.path.dirname(os.path.realpath(file))
        self.entries: list[Entry] = []
        if needed or os.path.exists(file):
            self.entries = [self._entry(number, one) for number, one in enumerate(self._read())]

    def _read(self) -> list[Any]:
        try:
            contents = json.loads(Path(self.file).read_text(encoding="utf-8"))
        except OSError as exc:
            raise UsageError(f"can't read the baseline {self.file}: {exc.strerror}") from exc
        except ValueError as exc:
            raise UsageError(f"the baseline {self.file} is no JSON: {exc}") from exc
        if not isinstance(contents, dict) or contents.get("schema") != SCHEMA:
            raise UsageError(f"{self.file} is no baseline: its schema is not {SCHEMA}")
        found = contents.get("findings")
        if not isinstance(found, list):
            raise UsageError(f"the baseline {self.file} has no list of findings")
        return found

    def _entry(self, number: int, one: Any) -> Entry:
        where = f"{self.file}: finding {number + 1}"
        texts = ("source", "rule", "message", "reason", "author", "expires")
        lacking = [name for name in texts if not isinstance(one, dict) or not str(one.get(name) or "").strip()]
        if lacking:
            raise UsageError(f"{where} has no {lacking[0]}; every entry needs a reason, an author and an expiry")
        try:
            expires = date.fromisoformat(one["expires"])
        except (TypeError, ValueError):
            raise UsageError(f"{where}: {one['expires']!r} is no date; write 2027-06-30") from None
        names = ("key", "key_hex", "index", "dataset", "element", "offset", "line")
        location = {name: (one.get("location") or {}).get(name) for name in names}
        return Entry(
            one["source"], one["rule"], one["message"], location, one.get("file"), one["reason"], one["author"], expires
        )

    def name_of(self, path: str) -> str:
        """A source as entries name it."""
        return path if "://" in path else os.path.relpath(os.path.realpath(path), self.folder)

    def accept(self, report: Report, today: date) -> Accepted:
        """Take away what is accepted; each entry accepts one finding."""
        live = [entry for entry in self.entries if entry.expires >= today]
        left = Counter((entry.source, entry.identity) for entry in live)
        reports = tuple(self._without(one, left) for one in report.reports)
        looked = {self.name_of(one.source.path) for one in report.reports if one.exit_code in (0, 1)}
        remarks = [
            f"{self._told(entry)} has expired on {entry.expires}: it counts again"
            for entry in self.entries
            if entry.expires < today and entry.source in looked
        ]
        for entry in live:
            key = (entry.source, entry.identity)
            if entry.source in looked and left[key]:
                left[key] -= 1
                remarks.append(f"{self._told(entry)} is not found any more: take it out")
        return Accepted(replace(report, reports=reports), tuple(remarks))

    def _without(self, report: SourceReport, left: Counter[tuple[str, Identity]]) -> SourceReport:
        name, kept = self.name_of(report.source.path), []
        for finding in report.findings:
            key = (name, identity(finding.to_dict()))
            if left[key]:
                left[key] -= 1
            else:
                kept.append(finding)
        return replace(report, findings=tuple(kept), accepted=len(report.findings) - len(kept))

    def _told(self, entry: Entry) -> str:
        place = entry.location["key"] or entry.location["dataset"] or "the set"
        return f"baseline {self.file}: {entry.rule} of {place} in {entry.source}"

    def updated(self, report: Report, reason: str, author: str, expires: date) -> str:
        """The file's new text: every finding of the report, those that stand in it as they were reviewed."""
        known: dict[tuple[str, Identity], list[Entry]] = {}
        for entry in self.entries:
            known.setdefault((entry.source, entry.identity), []).append(entry)
        names = {self.name_of(one.source.path) for one in report.reports}
        entries = [entry for entry in self.entries if entry.source not in names]
        for one in report.reports:
            name = self.name_of(one.source.path)
            for finding in one.findings:
                old = known.get((name, identity(finding.to_dict())))
                fresh = _entry_of(finding, name, reason, author, expires)
                entries.append(old.pop(0) if old else fresh)
        text = {"schema": SCHEMA, "findings": [entry.to_dict() for entry in entries]}
        return json.dumps(text, indent=1, ensure_ascii=False) + "\n"


def _entry_of(finding: Finding, source: str, reason: str, author: str, expires: date) -> Entry:
    file = finding.data.get("file")
    location = finding.location.to_dict()
    named = file if isinstance(file, str) else None
    return Entry(source, finding.rule, finding.message, location, named, reason, author, expires)
