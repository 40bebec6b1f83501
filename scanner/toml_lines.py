"""In which line of a TOML file each key stands: Python's parser does not say, and an error has to."""

from __future__ import annotations

import re
import tomllib

Keys = tuple[str, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANKS = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:\s|#[^\n]*)*")
_PLAIN = re.compile(r"[^,\]}#\n]+")
_STRINGS = {
    '"""': re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    "'''": re.compile(r"'''.*?'{3,5}", re.DOTALL),
    '"': re.compile(r'"(?:\\.|[^"\\])*"'),
    "'": re.compile(r"'[^']*'"),
}
"""A string by how it begins; the long ones first."""


def lines_of(text: str) -> dict[Keys, int]:
    """The line, from 1, of every table and key of a document that `tomllib` has accepted."""
    reader = _Reader(text)
    reader.document()
    return reader.lines


class _Reader:
    """Walks through a document; it is known to be well-formed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Keys, int] = {}

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return match[0]

    def document(self) -> None:
        table: Keys = ()
        while self.skip(_BETWEEN) is not None and self.at < len(self.text):
            if self.text[self.at] != "[":
                self.pair(table)
                continue
            line, brackets = self.line, 2 if self.text.startswith("[[", self.at) else 1
            self.at += brackets
            table = self.key()
            self.note((), table, line)
            self.at += brackets

    def note(self, table: Keys, keys: Keys, line: int) -> None:
        for depth in range(len(table) + 1, len(keys) + 1):
            self.lines.setdefault(keys[:depth], line)

    def pair(self, table: Keys) -> None:
        line, keys = self.line, (*table, *self.key())
        self.note(table, keys, line)
        self.at += 1  # the equals sign
        self.value(keys)

    def key(self) -> Keys:
        parts: list[str] = []
        while True:
            self.skip(_BLANKS)
            parts.append(self.string() if self.text[self.at] in "\"'" else self.skip(_BARE))
            self.skip(_BLANKS)
            if self.text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def string(self) -> str:
        begin = next(begin for begin in _STRINGS if self.text.startswith(begin, self.at))
        value = tomllib.loads(f"value = {self.skip(_STRINGS[begin])}")["value"]
        assert isinstance(value, str)
        return value

    def value(self, keys: Keys) -> None:
        self.skip(_BLANKS)
        begin = self.text[self.at]
        if begin in "\"'":
            self.string()
        elif begin in "[{":
            self.at += 1
            self.members(keys, "]" if begin == "[" else "}")
        else:
            self.skip(_PLAIN)

    def members(self, keys: Keys, end: str) -> None:
        while True:
            self.skip(_BETWEEN)
            if self.text[self.at] == end:
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
            elif end == "}":
                self.pair(keys)
            else:
                self.value(keys)
