"""CURRENT and MANIFEST: which tables and logs make up the set (``db/version_edit.cc``, ``doc/impl.md``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .base import Damage
from .leveldb_folder import Folder, NotOpened
from .leveldb_format import FormatError, varint
from .leveldb_log import FIRST, FULL, LAST, Tear, fragments

BYTEWISE = "leveldb.BytewiseComparator"

_CURRENT = re.compile(rb"MANIFEST-(\d{1,19})\n\Z")
_CURRENT_BYTES = 256
_INTERNAL = 8


@dataclass(frozen=True, slots=True)
class Claim:
    """What the MANIFEST says of a table; ``smallest`` and ``largest`` are users' keys."""

    level: int
    size_bytes: int
    smallest: bytes
    largest: bytes


@dataclass(slots=True)
class Manifest:
    """What the MANIFEST says, as far as it could be read.

    ``damage`` is empty where CURRENT and MANIFEST are sound in themselves; then the set can be what they say.
    """

    comparator: str = BYTEWISE
    log_number: int | None = None
    previous_log: int = 0
    next_file: int | None = None
    last_sequence: int | None = None
    tables: dict[int, Claim] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)


def read_manifest(folder: Folder) -> Manifest:
    """Read the MANIFEST that CURRENT names, or where that is lost the newest."""
    manifest = Manifest()
    name = _current(folder, manifest.damage)
    if name is None:
        if not folder.manifests:
            _damaged(manifest.damage, "MANIFEST", "there is no MANIFEST", None)
            return manifest
        name = folder.manifests[max(folder.manifests)]
    try:
        _replay(folder, name, manifest)
    except NotOpened as exc:
        _damaged(manifest.damage, name, str(exc), None)
    except OSError as exc:
        _damaged(manifest.damage, name, f"{name} can't be read: {exc.strerror}", None)
    return manifest


def read_current(folder: Folder) -> bytes:
    """The first bytes of CURRENT. Raises `NotOpened` or OSError."""
    with folder.opened("CURRENT") as file:
        return file.read(0, _CURRENT_BYTES)


def _current(folder: Folder, damage: list[Damage]) -> str | None:
    """The name that CURRENT gives. It must be one of the folder's own manifests: a path is not followed."""
    if "CURRENT" not in folder.sizes:
        known = "CURRENT" in folder.irregular
        _damaged(damage, "CURRENT", "CURRENT is not a regular file" if known else "CURRENT is missing", None)
        return None
    try:
        content = read_current(folder)
    except (NotOpened, OSError) as exc:
        _damaged(damage, "CURRENT", f"CURRENT can't be read: {exc}", None)
        return None
    match = _CURRENT.match(content)
    if match is None:
        shown = content[:60].decode("utf-8", "backslashreplace")
        _damaged(damage, "CURRENT", f"CURRENT does not name a MANIFEST but says {shown!r}", 0)
        return None
    name = content[:-1].decode("ascii")
    if name != folder.manifests.get(int(match[1])):
        _damaged(damage, "CURRENT", f"CURRENT names {name}, which is missing", 0)
        return None
    return name


def _replay(folder: Folder, name: str, manifest: Manifest) -> None:
    """Apply the version edits of a MANIFEST, up to the first that can't be trusted."""
    parts: list[bytes] = []
    begun: int | None = None
    with folder.opened(name) as file:
        for piece in fragments(file):
            if isinstance(piece, Tear):
                _damaged(manifest.damage, name, f"{name} {piece.reason} at offset {piece.offset}", piece.offset)
                return
            starts = piece.kind in (FULL, FIRST)
            if starts != (begun is None):
                _damaged(
                    manifest.damage, name, f"{name} has fragments out of order at offset {piece.offset}", piece.offset
                )
                return
            begun = piece.offset if starts else begun
            parts.append(piece.payload)
            if piece.kind in (FULL, LAST):
                try:
                    _apply(b"".join(parts), manifest)
                except (FormatError, UnicodeDecodeError) as exc:
                    _damaged(
                        manifest.damage, name, f"{name} has an edit that makes no sense at offset {begun}: {exc}", begun
                    )
                    return
                begun, parts = None, []
    if begun is not None:
        _damaged(manifest.damage, name, f"{name} ends inside the edit at offset {begun}", begun)
    elif manifest.log_number is None or manifest.next_file is None or manifest.last_sequence is None:
        _damaged(manifest.damage, name, f"{name} ends before its first edits are complete", None)


def _apply(edit: bytes, manifest: Manifest) -> None:
    """Apply one edit; its tags are those of ``db/version_edit.cc``."""
    reader = _Reader(edit)
    while reader.more():
        tag = reader.number()
        if tag == 1:
            manifest.comparator = reader.string().decode()
        elif tag == 2:
            manifest.log_number = reader.number()
        elif tag == 3:
            manifest.next_file = reader.number()
        elif tag == 4:
            manifest.last_sequence = reader.number()
        elif tag == 5:  # where the next compaction of a level begins
            reader.number()
            reader.string()
        elif tag == 6:
            reader.number()
            manifest.tables.pop(reader.number(), None)
        elif tag == 7:
            level, number, size = reader.number(), reader.number(), reader.number()
            manifest.tables[number] = Claim(level, size, reader.user_key(), reader.user_key())
        elif tag == 9:
            manifest.previous_log = reader.number()
        else:
            raise FormatError(f"unknown tag {tag}")


class _Reader:
    """Takes numbers and strings off an edit."""

    def __init__(self, edit: bytes) -> None:
        self._edit = edit
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._edit)

    def number(self) -> int:
        value, self._at = varint(self._edit, self._at)
        return value

    def string(self) -> bytes:
        size = self.number()
        first, self._at = self._at, self._at + size
        if self._at > len(self._edit):
            raise FormatError("a string is cut short")
        return self._edit[first : self._at]

    def user_key(self) -> bytes:
        key = self.string()
        if len(key) < _INTERNAL:
            raise FormatError("a key is too short")
        return key[:-_INTERNAL]


def _damaged(damage: list[Damage], file: str, reason: str, offset: int | None) -> None:
    data: Mapping[str, str] = {"file": file}
    damage.append(Damage("damaged", f"{reason}: all tables and logs are read instead", offset=offset, data=data))
