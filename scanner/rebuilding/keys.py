"""Keys as people write them in lists: one a line, as text, ``hex:0a0b``, or ``#37`` for a position."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.columns import BytesColumn
from ...backends.errors import UsageError
from ..keylist import REMARK, parse_line
from ..prints import key_hashes

_SHOWN = 3


@dataclass(slots=True)
class Listed:
    """Records that a list names: ``keys`` by key, ``rows`` by dataset (empty where there is one) and position."""

    file: str
    keys: list[bytes] = field(default_factory=list)
    rows: list[tuple[str, int]] = field(default_factory=list)
    reasons: dict[bytes | tuple[str, int], str] = field(default_factory=dict)

    @classmethod
    def read(cls, file: str) -> Listed:
        """The records of a list file: lines as `key_line` writes them, or the JSON lines of a quarantine.

        Raises
        ------
        UsageError
            The file can't be read, or a line of it is neither.
        """
        listed = cls(file)
        try:
            text = Path(file).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as exc:
            raise UsageError(f"can't read the list {file}: {exc.strerror}") from exc
        for number, line in enumerate(text.split("\n"), 1):
            if line.startswith(f"{REMARK}INCOMPLETE"):
                raise UsageError(f"the list {file} says that it is not complete: {line.removeprefix(REMARK)}")
            if line.strip() and not line.startswith(REMARK):
                try:
                    listed._add(line.rstrip("\r"))
                except (ValueError, KeyError, TypeError, AttributeError) as exc:
                    raise UsageError(f"{file}:{number}: neither a key nor a line of a quarantine list: {exc}") from exc
        return listed

    def _add(self, line: str) -> None:
        if line.startswith("{"):
            self._add_entry(json.loads(line))
            return
        entry = parse_line(line)
        if isinstance(entry, bytes):
            self.keys.append(entry)
        else:
            self.rows.append(("", entry) if isinstance(entry, int) else entry)

    def _add_entry(self, entry: dict[str, Any]) -> None:
        if entry.get("key_hex") is not None:
            self.keys.append(bytes.fromhex(entry["key_hex"]))
        elif entry.get("key") is not None:
            self.keys.append(str(entry["key"]).encode(errors="surrogateescape"))
        else:
            self.rows.append((str(entry.get("dataset") or ""), int(entry["index"])))

    def hashes(self) -> NDArray[np.uint64]:
        """Hashes of the keys, in the order of the list."""
        return key_hashes(BytesColumn.from_strings(self.keys)) if self.keys else np.empty(0, np.uint64)


def refuse_missing(file: str, missing: Sequence[str]) -> None:
    """Refuse a list that names what is not there.

    Raises
    ------
    UsageError
        There is any; the message names the first.
    """
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (" and others" if len(missing) > _SHOWN else "")
        raise UsageError(f"{file}: {len(missing)} of the records in it are not in the source: {shown}")
