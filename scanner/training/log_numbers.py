"""Numbers as programs print them into logs, NaN and infinity in every spelling among them."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

SPECIAL = re.compile(
    r"""(?P<sign>[+-]?)(?:
        (?P<nan>nan(?:\((?:\w*)\))?(?:\.0)?       # C, Python; nan(ind) of newer Windows; nan.0 of progress bars
          | \d\.\#(?:QNAN|SNAN|IND)\d*)           # Windows before 2015
      | (?P<inf>inf(?:inity)?(?:\.0)? | \d\.\#INF\d*)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
NUMBER = r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
SPECIAL_NUMBER = r"[+-]?(?:nan(?:\(\w*\))?|inf(?:inity)?)(?:\.0)?(?![\w])|[+-]?\d\.\#(?:QNAN|SNAN|IND|INF)\d*"
ANY_NUMBER = rf"(?:{SPECIAL_NUMBER}|{NUMBER})"
"""A number inside a line, for other expressions; case is to be ignored."""

PLAIN = re.compile(NUMBER)


def number(text: str) -> float | None:
    """The value of a printed number, ``None`` where the text is none (cut short, or overwritten by another thread)."""
    special = SPECIAL.fullmatch(text)
    if special:
        value = math.nan if special["nan"] else math.inf
        return math.copysign(value, -1.0) if special["sign"] == "-" else value
    return float(text) if PLAIN.fullmatch(text) else None


def spelled(value: float) -> str:
    """A number as Caffe prints it: six significant digits."""
    if math.isnan(value):
        return "-nan" if math.copysign(1.0, value) < 0 else "nan"
    return f"{value:g}"


WINDOW = 16
"""Bytes that a printed number fits in: ``-1.17549e-38`` and whatever ends it."""

ENDING = np.zeros(256, np.bool_)
ENDING[:33] = True
ENDING[[ord(sign) for sign in "(),[]"]] = True
"""Bytes that end a number: control characters, a blank, a comma, brackets."""

POSITIONS = np.arange(WINDOW)


def windows_at(text: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """``WINDOW`` bytes from each position, ``(positions, WINDOW)``; zeros behind the end of the text."""
    room = np.ndarray((max(len(text) - WINDOW, 0),), f"V{WINDOW}", text.data, strides=(1,))
    return room[np.minimum(positions, len(room) - 1)].view(np.uint8).reshape(-1, WINDOW)


def numbers_at(text: NDArray[np.uint8], positions: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers that begin at byte positions, and which of them are numbers.

    ``text`` must go on for `WINDOW` bytes behind the last position.
    """
    if not len(positions):
        return np.empty(0), np.empty(0, np.bool_)
    windows = windows_at(text, positions)
    ended = ENDING[windows]
    length = np.where(ended.any(axis=1), ended.argmax(axis=1), WINDOW)
    values, known = plain_numbers(windows, length)
    odd = np.flatnonzero(~known)
    if len(odd):
        kept = np.where(length[odd, None] > POSITIONS, windows[odd], 0).astype(np.uint8)
        tokens: list[bytes] = kept.view(f"S{WINDOW}").ravel().tolist()
        values[odd], known[odd] = odd_numbers(tokens)
    return values, known


def plain_numbers(
    windows: NDArray[np.uint8], length: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers of digits and at most one point, all at once; the others are not known.

    Fifteen digits fit into a float64 and so does the power of ten, so that one division rounds correctly.
    """
    inside = length[:, None] > POSITIONS
    points = (windows == 46) & inside
    digits = windows - np.uint8(48)
    is_digit = (digits <= 9) & inside
    point_count, digit_count = points.sum(axis=1), is_digit.sum(axis=1)
    known = (point_count <= 1) & (digit_count > 0) & (point_count + digit_count == length) & (digit_count <= 15)
    whole = np.zeros(len(length))
    for place in range(int(length[known].max(initial=0))):
        whole = np.where(is_digit[:, place], whole * 10 + digits[:, place], whole)
    behind = np.where(point_count == 1, length - 1 - points.argmax(axis=1), 0)
    return whole / 10.0 ** np.clip(behind, 0, WINDOW), known


def odd_numbers(tokens: list[bytes]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The same one at a time, for signs, exponents and whatever else stands there."""
    try:
        return np.fromiter(map(float, tokens), np.float64, len(tokens)), np.ones(len(tokens), np.bool_)
    except ValueError:
        values = [number(token.decode("latin-1")) for token in tokens]
    known = np.array([value is not None for value in values], np.bool_)
    return np.array([math.nan if value is None else value for value in values], np.float64), known


def integers_at(text: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Unsigned decimal numbers that begin at byte positions; -1 where there is no digit or there are too many."""
    digits = windows_at(text, positions) - np.uint8(48)
    ended = digits > 9
    length = np.where(ended.any(axis=1), ended.argmax(axis=1), WINDOW)
    value = np.zeros(len(positions), np.int64)
    for place in range(int(length.max(initial=0))):
        value = np.where(length > place, value * 10 + digits[:, place], value)
    return np.where((length > 0) & (length < WINDOW), value, -1)
