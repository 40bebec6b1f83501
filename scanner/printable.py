"""Text that is safe to print: whatever a key, a path or a message holds, no control sequence reaches the terminal."""

from __future__ import annotations

import unicodedata

CUT = "…"
"""Stands where something was left out."""

PLAIN = str.maketrans("…█▌·─", "~#+--")
"""One ASCII character for each that datascan itself prints beyond ASCII, so that columns stay aligned."""


def printable(text: str) -> str:
    r"""The text with every character escaped that steers a terminal or is invisible.

    Controls (C0, C1, DEL), direction marks, other format characters, odd blanks, lone surrogates (from file names
    that are not UTF-8) and unassigned characters become ``\n``, ``\x1b``, ``\u202e``.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else escaped(char) for char in text)


def escaped(char: str) -> str:
    """One character as Python writes it in a string."""
    return char.encode("unicode_escape").decode("ascii")


def key_text(key: bytes) -> str:
    """A key for people, as ``datascan show`` takes it where that is possible.

    UTF-8 that is all printable stands as it is; other UTF-8 is quoted and escaped; bytes that are no text are
    ``hex:0a0b``.
    """
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return f"hex:{key.hex()}"
    if text.isprintable() and text.strip() == text and text:
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def width(text: str) -> int:
    """Columns that printable text takes on a terminal: 2 for wide East Asian characters, 0 for combining marks."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, columns: int) -> str:
    """The text cut in its middle to so many columns: a path's first folder and its file name both tell something."""
    if width(text) <= columns:
        return text
    tail_columns = columns * 2 // 3
    head, tail = _head(text, columns - tail_columns - 1), _head(text[::-1], tail_columns)[::-1]
    return head + CUT + tail


def _head(text: str, columns: int) -> str:
    """As much of the text's beginning as fits."""
    taken = 0
    for place, char in enumerate(text):
        taken += _columns(char)
        if taken > columns:
            return text[:place]
    return text


def pad(text: str, columns: int, right: bool = False) -> str:
    """The text with blanks up to so many columns; ``right`` moves it to the right edge."""
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def fill(text: str, columns: int) -> list[str]:
    """The text in lines of at most so many columns, broken between words; a longer word is broken where it must."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and width(line) + 1 + width(word) <= columns:
            line += " " + word
            continue
        if line:
            lines.append(line)
        while width(word) > columns:
            part = _head(word, columns) or word[0]
            lines.append(part)
            word = word[len(part) :]
        line = word
    return [*lines, line] if line else lines


def encodable(text: str, encoding: str | None) -> str:
    """The text as a stream of this encoding can take it, in plain ASCII drawing where it must be."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        codec = encoding or "utf-8"
        return text.translate(PLAIN).encode(codec, "backslashreplace").decode(codec)
    return text
