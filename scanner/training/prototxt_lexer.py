"""Tokens of protobuf's text format, as the C++ library that Caffe is linked with splits them.

Source of the format's facts: protobuf, ``io/tokenizer.cc`` (numbers, strings, comments) with the settings of
``text_format.cc``: ``#`` comments, ``f`` allowed after a float, no space needed after a number.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TokenKind = Literal["word", "number", "string", "symbol", "end"]

BLANK = re.compile(r"(?:[ \t\r\n\v\f]+|#[^\n]*)+")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HEX = re.compile(r"0[xX][0-9a-fA-F]+")
OCTAL = re.compile(r"0(?=[0-9])[0-7]*")
DECIMAL = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?")
QUOTED = {
    '"': re.compile(r'"([^"\\\n]*(?:\\[^\n][^"\\\n]*)*)"'),
    "'": re.compile(r"'([^'\\\n]*(?:\\[^\n][^'\\\n]*)*)'"),
}
SYMBOLS = frozenset("{}<>[]:,;-./")

ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?'\"])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "?": 63, "'": 39, '"': 34}


class SyntaxProblem(Exception):
    """Text that is no prototxt; caught inside the reader, never seen by its callers."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` is as written, for a string what it stands for; ``offset`` is its first character's."""

    kind: TokenKind
    text: str
    offset: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the file"
        shown = self.text if len(self.text) <= 40 else self.text[:39] + "…"
        return f'"{shown}"'


class Lines:
    """Character offsets to line and column, both from 1."""

    def __init__(self, text: str, first_line: int = 1) -> None:
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.first_line = first_line

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset."""
        number = bisect_right(self.starts, offset) - 1
        return self.first_line + number, offset - self.starts[number] + 1


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, an ``end`` last.

    Raises
    ------
    SyntaxProblem
        A character that begins no token, a number or string that does not end as it must.
    """
    offset = 1 if text.startswith("\ufeff") else 0
    while True:
        if blank := BLANK.match(text, offset):
            offset = blank.end()
        if offset >= len(text):
            yield Token("end", "", offset)
            return
        char = text[offset]
        if word := WORD.match(text, offset):
            yield Token("word", word.group(), offset)
            offset = word.end()
        elif char in "0123456789" or (char == "." and text[offset + 1 : offset + 2] in tuple("0123456789")):
            end = number_end(text, offset)
            yield Token("number", text[offset:end], offset)
            offset = end
        elif char in QUOTED:
            quoted = QUOTED[char].match(text, offset)
            if quoted is None:
                raise SyntaxProblem("a string that begins here does not end on its line", offset)
            yield Token("string", unescaped(quoted.group(1), offset + 1), offset)
            offset = quoted.end()
        elif char in SYMBOLS:
            yield Token("symbol", char, offset)
            offset += 1
        else:
            raise SyntaxProblem(f"a character that may only stand in strings and comments: {char!r}", offset)


def number_end(text: str, offset: int) -> int:
    """Where the number that begins at an offset ends."""
    if text[offset : offset + 2] in ("0x", "0X"):
        match = HEX.match(text, offset)
        if match is None:
            raise SyntaxProblem('"0x" must be followed by hexadecimal digits', offset)
    else:
        match = OCTAL.match(text, offset) or DECIMAL.match(text, offset)
        assert match is not None, "called at a digit, or at a point before one"
    end = match.end()
    if match.re is OCTAL and text[end : end + 1] in ("8", "9"):
        raise SyntaxProblem("a number that begins with 0 is octal and has no digit 8 or 9", offset)
    if match.re is not DECIMAL and text[end : end + 1] == ".":
        raise SyntaxProblem("hexadecimal and octal numbers have no decimal point", offset)
    if match.re is DECIMAL and text[end : end + 1] == ".":
        raise SyntaxProblem("a second decimal point", offset)
    if match.re is DECIMAL and text[end : end + 1] in ("e", "E"):
        raise SyntaxProblem("an exponent without digits", offset)
    return end


def unescaped(text: str, offset: int) -> str:
    """What a string's text between its quotes stands for; bytes that are not UTF-8 become lone surrogates."""
    if "\\" not in text:
        return text
    parts: list[bytes] = []
    done = 0
    for match in ESCAPE.finditer(text):
        parts.append(text[done : match.start()].encode("utf-8", "surrogateescape"))
        parts.append(_escape(match, offset))
        done = match.end()
    parts.append(text[done:].encode("utf-8", "surrogateescape"))
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _escape(match: re.Match[str], offset: int) -> bytes:
    simple, octal, hexadecimal, short, long, other = match.groups()
    if simple is not None:
        return bytes([SIMPLE[simple]])
    if octal is not None:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal is not None:
        return bytes([int(hexadecimal, 16)])
    code = int(short or long or "110000", 16)
    if other is not None or code > 0x10FFFF:
        raise SyntaxProblem(f"no escape sequence: {match.group()}", offset + match.start())
    return chr(code).encode("utf-8", "surrogatepass")
