"""What audits remember, in one SQLite file: runs, the scans of each source, contents, and what is under way.

A scan counts once the run that it belongs to has told of it and ended. What a run that was killed leaves behind is
cleared away by the next one, but for the partial reports of partitions (``parts``): those are taken over.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...backends.errors import StoreError, UsageError
from ...backends.urls import is_remote
from ..version import __version__
from .remembered import Remembered

APPLICATION = 0x64736361
VERSION = 1
BUSY_S = 60.0
"""How long to wait for another audit that writes; each write is short."""

SCHEMA = (
    """
    CREATE TABLE runs(id INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT, state TEXT NOT NULL, pid INTEGER,
        host TEXT, version TEXT, exit_code INTEGER);
    CREATE TABLE sources(id INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL UNIQUE, last INTEGER,
        reference INTEGER, drift_base TEXT);
    CREATE TABLE scans(id INTEGER PRIMARY KEY, run INTEGER NOT NULL, source INTEGER NOT NULL, at TEXT NOT NULL,
        action TEXT NOT NULL, verdict TEXT NOT NULL, stamp TEXT, signature TEXT, read_at TEXT, figures TEXT,
        news TEXT, report BLOB);
    CREATE INDEX scans_of_source ON scans(source, id);
    CREATE TABLE contents(scan INTEGER NOT NULL, part INTEGER NOT NULL, keys BLOB NOT NULL, hashes BLOB NOT NULL,
        PRIMARY KEY(scan, part));
    CREATE TABLE rot(source INTEGER NOT NULL, key INTEGER NOT NULL, good INTEGER NOT NULL, rotten INTEGER NOT NULL,
        since TEXT NOT NULL, PRIMARY KEY(source, key));
    CREATE TABLE parts(source INTEGER NOT NULL, round TEXT NOT NULL, ordinal INTEGER NOT NULL, at TEXT NOT NULL,
        partial BLOB NOT NULL, PRIMARY KEY(source, round, ordinal));
    """,
)
"""What leads from each version of the file to the next."""


class HistoryError(StoreError):
    """A history that can't be used."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan that counts. ``report`` is the source's JSON report; ``read_at`` when its contents were read last."""

    id: int
    at: str
    stamp: Mapping[str, Any]
    signature: str
    read_at: str
    figures: Mapping[str, Any]
    report: Mapping[str, Any]


class History:
    """The file, open.

    Raises
    ------
    HistoryError
        It is something else, of a later version, or can't be opened.
    """

    def __init__(self, file: str | os.PathLike[str], readonly: bool = False) -> None:
        self.file = os.fspath(file)
        if readonly and not Path(self.file).is_file():
            raise HistoryError(f"there is no history {self.file}: datascan audit makes one")
        try:
            self._db = sqlite3.connect(self.file, timeout=BUSY_S, isolation_level=None)
            self._open(readonly)
        except sqlite3.Error as exc:
            raise HistoryError(f"can't use the history {self.file}: {exc}") from exc

    def _open(self, readonly: bool) -> None:
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != APPLICATION:
            raise HistoryError(f"{self.file} is a database of something else; name another file with --history")
        if version > VERSION:
            raise HistoryError(f"the history {self.file} was written by a later version of datascan; install that one")
        if readonly:
            self._db.execute("PRAGMA query_only = 1")
            return
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self.writing():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()  # another audit may have been faster
            for number in range(version, VERSION):
                for statement in filter(str.strip, SCHEMA[number].split(";")):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it, or nothing."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            raise HistoryError(f"can't write the history {self.file}: {exc}") from exc

    # ---- runs ----

    def begin(self, now: str) -> tuple[int, list[str]]:
        """The number of a new run, and when the runs began that were killed since the last one."""
        with self.writing():
            dead = [
                (number, started)
                for number, started, pid, host in self._db.execute(
                    "SELECT id, started, pid, host FROM runs WHERE state = 'running'"
                ).fetchall()
                if host != socket.gethostname() or not _alive(pid)
            ]
            for number, _ in dead:
                self._forget(number)
                self._db.execute("UPDATE runs SET state = 'killed' WHERE id = ?", (number,))
            values = (now, "running", os.getpid(), socket.gethostname(), __version__)
            run = self._db.execute(
                "INSERT INTO runs(started, state, pid, host, version) VALUES (?, ?, ?, ?, ?)", values
            ).lastrowid
        assert run is not None
        return run, [started for _, started in dead]

    def _forget(self, run: int) -> None:
        """Take away the scans of a run that nobody was told of."""
        self._db.execute("DELETE FROM contents WHERE scan IN (SELECT id FROM scans WHERE run = ?)", (run,))
        self._db.execute("DELETE FROM scans WHERE run = ?", (run,))

    # ---- sources ----

    def source(self, name: str, path: str) -> int:
        """The number of a source, by where its path leads."""
        real = path if is_remote(path) else os.path.realpath(path)
        with self.writing():
            self._db.execute(
                "INSERT INTO sources(name, path) VALUES (?, ?) ON CONFLICT(path) DO UPDATE SET name = excluded.name",
                (name, real),
            )
            (number,) = self._db.execute("SELECT id FROM sources WHERE path = ?", (real,)).fetchone()
        return int(number)

    def last(self, source: int) -> Scan | None:
        """The last complete scan that was told of."""
        row = self._db.execute(
            "SELECT scans.id, at, stamp, signature, read_at, figures, report FROM scans JOIN sources "
            "ON scans.id = sources.last WHERE sources.id = ?",
            (source,),
        ).fetchone()
        if row is None:
            return None
        number, at, stamp, signature, read_at, figures, report = row
        return Scan(number, at, json.loads(stamp), signature, read_at, json.loads(figures), unpacked(report))

    def drift_base(self, source: int) -> Mapping[str, Any] | None:
        """The figures that drift is measured against."""
        (text,) = self._db.execute("SELECT drift_base FROM sources WHERE id = ?", (source,)).fetchone()
        return None if text is None else dict(json.loads(text))

    def reference(self, source: int) -> tuple[Mapping[str, Any], Remembered] | None:
        """The contents that later ones are compared with, and the stamp of the scan that read them."""
        row = self._db.execute(
            "SELECT scans.id, stamp FROM scans JOIN sources ON scans.id = sources.reference WHERE sources.id = ?",
            (source,),
        ).fetchone()
        if row is None:
            return None
        parts = self._db.execute("SELECT keys, hashes FROM contents WHERE scan = ? ORDER BY part", (row[0],))
        return json.loads(row[1]), Remembered.of_parts(parts)

    def rotten(self, source: int) -> dict[int, tuple[int, int, str]]:
        """Keys of records that are known to have rotted: the good contents, the rotten ones, since when."""
        rows = self._db.execute("SELECT key, good, rotten, since FROM rot WHERE source = ?", (source,))
        return {_unsigned(key): (_unsigned(good), _unsigned(bad), since) for key, good, bad, since in rows}

    # ---- parts ----

    def parts(self, source: int, round_: str) -> dict[int, str]:
        """The partitions of a round that are done, and when each was read; those of other states are cleared."""
        with self.writing():
            self._db.execute("DELETE FROM parts WHERE source = ? AND round <> ?", (source, round_))
            rows = self._db.execute("SELECT ordinal, at FROM parts WHERE source = ? AND round = ?", (source, round_))
            return dict(rows.fetchall())

    def part(self, source: int, round_: str, ordinal: int) -> bytes | None:
        """The partial report of a partition; ``None`` where another audit has used it up."""
        row = self._db.execute(
            "SELECT partial FROM parts WHERE source = ? AND round = ? AND ordinal = ?", (source, round_, ordinal)
        ).fetchone()
        return None if row is None else row[0]

    def keep_part(self, source: int, round_: str, ordinal: int, at: str, partial: bytes) -> None:
        """Write a partial report down: a run that is killed behind it has lost nothing."""
        with self.writing():
            self._db.execute(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)", (source, round_, ordinal, at, partial)
            )

    # ---- scans ----

    def add_scan(self, run: int, source: int, values: Mapping[str, Any], contents: Remembered | None) -> int:
        """Write a scan down; it counts when the run has ended."""
        packed = {
            name: json.dumps(value) if isinstance(value, dict | list) else value
            for name, value in values.items()
            if name != "report"
        }
        row = {"run": run, "source": source, **packed, "report": packed_report(values.get("report"))}
        with self.writing():
            columns, marks = ", ".join(row), ", ".join("?" * len(row))
            cursor = self._db.execute(f"INSERT INTO scans({columns}) VALUES ({marks})", tuple(row.values()))
            scan = cursor.lastrowid
            assert scan is not None
            if contents is not None:
                rows = ((scan, number, keys, values) for number, (keys, values) in enumerate(contents.parts()))
                self._db.executemany("INSERT INTO contents VALUES (?, ?, ?, ?)", rows)
        return scan

    def end(self, run: int, now: str, state: str, exit_code: int, settled: Mapping[int, Settled]) -> None:
        """Let the scans of a run count: what it told is what the next one compares with."""
        with self.writing():
            for source, one in settled.items():
                self._settle(source, one)
            self._db.execute(
                "UPDATE runs SET ended = ?, state = ?, exit_code = ? WHERE id = ?", (now, state, exit_code, run)
            )
            self._db.execute(
                "DELETE FROM contents WHERE scan NOT IN (SELECT reference FROM sources WHERE reference IS NOT NULL) "
                "AND scan IN (SELECT s.id FROM scans AS s JOIN runs ON runs.id = s.run WHERE runs.state <> 'running')"
            )
            self._db.execute(
                "UPDATE scans SET report = NULL WHERE report IS NOT NULL AND id NOT IN (SELECT last FROM sources WHERE "
                "last IS NOT NULL) AND run IN (SELECT id FROM runs WHERE state <> 'running')"
            )

    def _settle(self, source: int, one: Settled) -> None:
        if one.last is not None:
            self._db.execute("UPDATE sources SET last = ? WHERE id = ?", (one.last, source))
        if one.reference is not None:
            self._db.execute("UPDATE sources SET reference = ? WHERE id = ?", (one.reference, source))
        if one.drift_base is not None:
            self._db.execute("UPDATE sources SET drift_base = ? WHERE id = ?", (json.dumps(one.drift_base), source))
        if one.round is not None:
            self._db.execute("DELETE FROM parts WHERE source = ? AND round = ?", (source, one.round))
        if one.rot is not None:
            self._db.execute("DELETE FROM rot WHERE source = ?", (source,))
            self._db.executemany(
                "INSERT INTO rot VALUES (?, ?, ?, ?, ?)",
                [
                    (source, _signed(key), _signed(good), _signed(bad), since)
                    for key, (good, bad, since) in one.rot.items()
                ],
            )

    # ---- trends ----

    def trend(self, names: tuple[str, ...] = (), runs: int = 30) -> list[dict[str, Any]]:
        """Of each source, in order of their names, its last nights: date, action, verdict, figures, news."""
        found = []
        for source, name, path in self._db.execute("SELECT id, name, path FROM sources ORDER BY name, path").fetchall():
            if names and name not in names and path not in map(os.path.realpath, names):
                continue
            rows = self._db.execute(
                "SELECT scans.at, action, verdict, figures, news, read_at FROM scans JOIN runs ON runs.id = scans.run "
                "WHERE source = ? AND runs.state <> 'running' ORDER BY scans.id DESC LIMIT ?",
                (source, runs),
            ).fetchall()
            nights = [
                {
                    "at": at,
                    "action": action,
                    "verdict": verdict,
                    "figures": json.loads(figures) if figures else {},
                    "news": json.loads(news) if news else {},
                    "read_at": read_at,
                }
                for at, action, verdict, figures, news, read_at in reversed(rows)
            ]
            found.append({"name": name, "path": path, "nights": nights})
        return found

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Settled:
    """What a source's state is when the run has ended; ``None`` leaves it as it was."""

    last: int | None = None
    reference: int | None = None
    drift_base: Mapping[str, Any] | None = None
    round: str | None = None
    rot: Mapping[int, tuple[int, int, str]] | None = None


def packed_report(report: Mapping[str, Any] | None) -> bytes | None:
    """A JSON report as it is written down."""
    return None if report is None else zlib.compress(json.dumps(report).encode(), 6)


def unpacked(report: bytes) -> dict[str, Any]:
    """The report of `packed_report`."""
    return dict(json.loads(zlib.decompress(report)))


def refuse_history(file: str, sources: list[str]) -> None:
    """Refuse a history within a data set: a source is never written to."""
    target = Path(os.path.realpath(file))
    for source in sources:
        path = Path(os.path.realpath(source))
        if target == path or (path.is_dir() and path in target.parents):
            raise UsageError(f"can't keep the history in {file}: it is in the data set {source}")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signed(word: int) -> int:
    """A word of 64 bits as SQLite keeps it."""
    return word - (1 << 64) if word >= 1 << 63 else word


def _unsigned(word: int) -> int:
    return word + (1 << 64) if word < 0 else word
