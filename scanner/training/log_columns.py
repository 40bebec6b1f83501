"""The lines of a Caffe log sorted by what they say, a block at a time.

Nearly all of a long log is a dozen kinds of lines: iterations, outputs, ``debug_info``. They are told apart by the
eight bytes that follow glog's prefix, in columns; only what is left over is read line by line (`log_events`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .log_numbers import WINDOW, integers_at, numbers_at

Rows = NDArray[np.int64]
PADDING = bytes(64)
LABEL = 64
"""Bytes that ``    Train net output #0: NAME`` fits in; longer ones share a series."""

WEIGHTS = np.random.default_rng(20140612).integers(1, 1 << 63, LABEL, dtype=np.uint64) | np.uint64(1)


def key(text: bytes) -> np.uint64:
    """Up to eight bytes as the number that they are in memory."""
    return np.uint64(int.from_bytes(text.ljust(8, b"\0"), "little"))


ITERATION = key(b"Iteratio")
OUTPUTS = np.array([key(b"    Trai"), key(b"    Test")])
DEBUG = np.array([key(b"    [For"), key(b"    [Bac"), key(b"    [Upd")])
NORM = key(b" All net")
CLIPPING = key(b"Gradient")
RESTART = key(b"Restarti")
WAITING = key(b"Waiting ")
LOSS = key(b", loss =")
RATE = key(b", lr =")
SIX_BYTES = np.uint64((1 << 48) - 1)
BACKWARD_PREFIX = len("    [Backward]")
CLIPPING_PREFIX = len("Gradient clipping: scaling down gradients (L2 norm ")
ITERATION_PREFIX = len("Iteration ")
TESTING = key(b", Testin")
TESTING_PREFIX = len(", Testing net (#")
POWERS = 10 ** np.arange(1, 16)


@dataclass(frozen=True, slots=True)
class Values:
    """Numbers with the rows of the block that they stand in.

    ``numbers`` are the lines' iterations; -1 where they name none.
    """

    rows: Rows
    values: NDArray[np.float64]
    numbers: Rows

    def between(self, low: int, high: int) -> Values:
        """Those of some rows."""
        begin, end = np.searchsorted(self.rows, (low, high))
        return Values(self.rows[begin:end], self.values[begin:end], self.numbers[begin:end])


@dataclass(frozen=True, slots=True)
class Columns:
    """A block of lines; rows count from 0.

    Attributes
    ----------
    starts, ends
        Of each row's bytes, without the line feed.
    messages
        Where the text behind glog's prefix begins; -1 where there is no prefix.
    loss, rate, tests
        Iteration lines; the value of a test is the number of the net.
    outputs, labels
        Output lines, and a number for each that stands for ``Train net output #0: NAME``.
    norms
        Rows of the norms of all parameters (``debug_info``).
    odd_debug, large_debug
        Rows of ``debug_info`` whose value may be not finite; is very large.
    rest
        Rows that must be read one by one.
    """

    data: bytes
    starts: Rows
    ends: Rows
    messages: Rows
    loss: Values
    rate: Values
    tests: Values
    outputs: Values
    labels: NDArray[np.uint64]
    clipping: Values
    norms: Rows
    odd_debug: Rows
    large_debug: Rows
    restarts: Rows
    waits: Rows
    rest: Rows

    def text(self, row: int) -> str:
        """A row as text, whatever its bytes."""
        return self.data[int(self.starts[row]) : int(self.ends[row])].rstrip(b"\r").decode("utf-8", "replace")

    def message(self, row: int) -> str:
        """The same without glog's prefix."""
        begin = max(int(self.messages[row]), int(self.starts[row]))
        return self.data[begin : int(self.ends[row])].rstrip(b"\r").decode("utf-8", "replace")


def columns(data: bytes) -> Columns:
    """Sort the lines of a block, which ends with a line feed."""
    text = np.frombuffer(data + PADDING, np.uint8)
    eights = np.ndarray((len(data) + len(PADDING) - 8,), "<u8", text.data, strides=(1,))
    ends = np.flatnonzero(text == 10)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    messages = message_starts(text, starts)
    rows = np.flatnonzero(messages >= 0)
    begins = messages[rows]
    keys = eights[begins]
    taken = np.zeros(len(starts), np.bool_)

    def chosen(mask: NDArray[np.bool_]) -> Rows:
        taken[rows[mask]] = True
        return rows[mask]

    is_iteration = keys == ITERATION
    loss, rate, tests = iteration_values(text, eights, rows[is_iteration], begins[is_iteration], ends)
    for one in (loss, rate, tests):
        taken[one.rows] = True
    is_output = np.isin(keys, OUTPUTS)
    outputs, labels, used = output_values(text, rows[is_output], begins[is_output], ends)
    taken[used] = True
    debug = chosen(np.isin(keys, DEBUG))
    is_norm = eights[messages[debug] + BACKWARD_PREFIX] == NORM
    odd_debug, large_debug = odd_values(text, debug[~is_norm], ends)
    clip = rows[keys == CLIPPING]
    amounts, known = numbers_at(text, np.minimum(messages[clip] + CLIPPING_PREFIX, len(data)))
    taken[clip[known]] = True
    return Columns(
        data=data,
        starts=starts,
        ends=ends,
        messages=messages,
        loss=loss,
        rate=rate,
        tests=tests,
        outputs=outputs,
        labels=labels,
        clipping=Values(clip[known], amounts[known], np.zeros(int(known.sum()), np.int64)),
        norms=debug[is_norm],
        odd_debug=odd_debug,
        large_debug=large_debug,
        restarts=chosen(keys == RESTART),
        waits=chosen(keys == WAITING),
        rest=np.flatnonzero(~taken),
    )


def message_starts(text: NDArray[np.uint8], starts: Rows) -> Rows:
    """Where each line goes on behind ``file.cpp:123] ``, -1 where it has no such prefix."""
    brackets = np.flatnonzero(text == 93)
    before, after = text[np.maximum(brackets - 1, 0)], text[brackets + 1]
    brackets = brackets[(after == 32) & (before >= 48) & (before <= 57)]
    lines = np.searchsorted(starts, brackets, "right") - 1
    first = np.ones(len(lines), np.bool_)
    first[1:] = lines[1:] != lines[:-1]
    found = np.full(len(starts), -1, np.int64)
    found[lines[first]] = brackets[first] + 2
    return found


def equal_signs(text: NDArray[np.uint8], begins: Rows, ends: Rows) -> Rows:
    """The first ``=`` behind each position, -1 where the line has none."""
    signs = np.flatnonzero(text == 61)
    if not len(signs):
        return np.full(len(begins), -1, np.int64)
    at = np.searchsorted(signs, begins)
    found = signs[np.minimum(at, len(signs) - 1)]
    return np.where((at < len(signs)) & (found < ends), found, -1)


def iteration_values(
    text: NDArray[np.uint8], eights: NDArray[np.uint64], rows: Rows, begins: Rows, ends: Rows
) -> tuple[Values, Values, Values]:
    """Loss, rate and test lines among those of iterations."""
    numbers = integers_at(text, begins + ITERATION_PREFIX)
    behind = begins + ITERATION_PREFIX + 1 + np.searchsorted(POWERS, numbers, "right")
    is_test = (numbers >= 0) & (eights[behind] == TESTING)
    nets = integers_at(text, behind[is_test] + TESTING_PREFIX)
    signs = equal_signs(text, begins, ends[rows])
    values, known = numbers_at(text, np.maximum(signs, 0) + 2)
    known &= (signs >= 8) & (numbers >= 0) & ~is_test
    is_loss = known & (eights[np.maximum(signs - 7, 0)] == LOSS)
    is_rate = known & ((eights[np.maximum(signs - 5, 0)] & SIX_BYTES) == RATE)
    loss, rate = (Values(rows[which], values[which], numbers[which]) for which in (is_loss, is_rate))
    return loss, rate, Values(rows[is_test], nets.astype(np.float64), numbers[is_test])


def output_values(
    text: NDArray[np.uint8], rows: Rows, begins: Rows, ends: Rows
) -> tuple[Values, NDArray[np.uint64], Rows]:
    """Values of the output lines, a number for each label, and the rows that were understood."""
    signs = equal_signs(text, begins, ends[rows])
    values, known = numbers_at(text, np.maximum(signs, 0) + 2)
    known &= signs > begins
    rows, begins, signs = rows[known], begins[known], signs[known]
    windows = np.lib.stride_tricks.sliding_window_view(text, LABEL)[np.minimum(begins, len(text) - LABEL)]
    inside = np.arange(LABEL) < (signs - begins)[:, None]
    labels = np.where(inside, windows, 0).astype(np.uint64) @ WEIGHTS
    return Values(rows, values[known], np.full(len(rows), -1, np.int64)), labels, rows


def odd_values(text: NDArray[np.uint8], rows: Rows, ends: Rows) -> tuple[Rows, Rows]:
    """Rows that end with something that ends no number, and those whose number has an exponent of ten or more."""
    last = ends[rows] - 1
    last = last - (text[last] == 13)
    odd = (text[last] < 48) | (text[last] > 57)
    three, four = np.maximum(last - 3, 0), np.maximum(last - 4, 0)
    large = (text[three] == 101) & (text[three + 1] == 43) & (text[three + 2] >= 49)
    # Windows before 2015 prints exponents of three digits.
    larger = (text[four] == 101) & (text[four + 1] == 43) & ((text[four + 2] >= 49) | (text[four + 3] >= 49))
    return rows[odd], rows[~odd & (large | larger)]


assert len(PADDING) // 2 >= WINDOW
