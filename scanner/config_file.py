"""The configuration file: found upwards from the working folder, read, and asked in which line a key stands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends.errors import UsageError
from ..backends.urls import is_remote

if TYPE_CHECKING:
    from .toml_lines import Keys

OWN, SHARED = "datascan.toml", "pyproject.toml"
TABLE = ("tool", "datascan")
"""Where settings stand in `SHARED`; in `OWN` they stand at the top."""

NO_FILE = "none"
"""In place of a file's name: none is looked for."""


class ConfigError(UsageError):
    """A configuration that can't be used; the message begins with file and line."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file. ``table`` holds the settings, ``prefix`` the keys that lead to them."""

    path: Path
    table: Mapping[str, Any]
    prefix: Keys
    lines: Mapping[Keys, int]

    def where(self, *keys: str) -> str:
        """File and line of a key, for people: ``datascan.toml:12``."""
        line = next((self.lines[k] for k in _upwards((*self.prefix, *keys)) if k in self.lines), 1)
        return f"{shown(self.path)}:{line}"

    def error(self, keys: Keys, what: str) -> ConfigError:
        """An error at a key."""
        return ConfigError(f"{self.where(*keys)}: {what}")

    def unknown(self, keys: Keys, known: list[str]) -> ConfigError:
        """An error for a key that there is not, with the nearest one."""
        table = ".".join((*self.prefix, *keys[:-1]))
        inside = f" in [{table}]" if table else ""
        near = get_close_matches(keys[-1].replace("_", "-"), known, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        return self.error(keys, f"unknown key {keys[-1]!r}{inside}; {hint}")

    def resolve(self, path: str) -> str:
        """A path that counts from the file's folder, as it is shown; the address of a source on a server stays."""
        if is_remote(path):
            return path
        return shown(Path(os.path.abspath(self.path.parent / Path(path).expanduser())))


def _upwards(keys: Keys) -> list[Keys]:
    return [keys[:depth] for depth in range(len(keys), 0, -1)]


def shown(path: Path) -> str:
    """A path as it is shown: from the working folder where it is below it, else in full."""
    full = Path(os.path.abspath(path))
    try:
        return os.fspath(full.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(full)


def find_config(start: Path | None = None, given: str | None = None) -> ConfigFile | None:
    """The file that is given, or the nearest one from a folder upwards, the working folder by default.

    Raises
    ------
    ConfigError
        It is not there, is no TOML, or one folder has two.
    """
    if given == NO_FILE:
        return None
    if given is not None:
        return read_config(Path(given))
    folder = Path(os.path.abspath(start or Path.cwd()))
    for place in (folder, *folder.parents):
        own, shared = place / OWN, place / SHARED
        settings = read_config(shared, needed=False) if shared.is_file() else None
        if own.is_file():
            if settings is not None:
                raise ConfigError(f"{shown(place)}: both {OWN} and [tool.datascan] in {SHARED}; keep one of them")
            return read_config(own)
        if settings is not None:
            return settings
    return None


def read_config(path: Path, needed: bool = True) -> ConfigFile | None:
    """A file's settings; ``None`` where they are not ``needed`` and the file has none.

    Raises
    ------
    ConfigError
        It can't be read, or is no TOML.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as exc:
        raise ConfigError(f"can't read the configuration {shown(path)}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{shown(path)}: not UTF-8 at byte {exc.start}") from exc
    import tomllib  # with its patterns, where there is something to read

    from .toml_lines import lines_of

    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        if not needed and "datascan" not in text:
            return None
        raise ConfigError(f"{shown(path)}: no TOML: {exc}") from exc
    prefix = TABLE if path.name == SHARED else ()
    table: Any = document
    for key in prefix:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    if not needed and "datascan" not in document.get("tool", {}):
        return None
    found = ConfigFile(path, table if isinstance(table, dict) else {}, prefix, lines_of(text))
    if not isinstance(table, dict):
        raise found.error((), "tool.datascan must be a table: [tool.datascan]")
    return found
