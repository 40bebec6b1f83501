"""Caffe's log, block by block: columns of values into the run's series, everything else to `log_events`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .log_columns import Columns, Values, columns
from .log_events import Events
from .log_facts import TEXT_CHARACTERS, DebugLine, LogFacts, LogRun
from .log_lines import Block
from .log_numbers import number
from .log_series import Point, Series

DEBUG_LINE = re.compile(
    r"\[(Forward|Backward|Update)\] "
    r"(?:Layer (.*), (top|bottom|param)(?: blob)? (\S+) (?:data|diff): (\S+)|(All net params).*)"
)
NORM = re.compile(rb"L2 norm = \(([^,\n]+), ([^)\n]+)\)")
OUTPUT_LABEL = re.compile(r"    (Train|Test) net output #\d+: (.*?) = \S+(?: \(\* (\S+) = )?")
GLOG = re.compile(rb"[IWEF](?:\d{4}|\d{8}) \d\d:\d\d:\d\d\.\d+ +\d+ [^\]\s]+:\d+\] ")
UNTIDY = re.compile(
    rb"^(?:\*\*\* |PC: |terminate|Traceback|HDF5|OpenCV|Corrupt|Premature|JPEG|Not a|Invalid|Unsupported|Bogus|libpng"
    rb"|TIFF|Killed|Segm|Bus|Float|Abort|Illegal|malloc|free|realloc|calloc|munmap|double|corrupted| +#\d"
    rb"|\s+(?:major|minor): )|Assertion|error: |: line |malloc|oom|slurm|Out of mem|\[libprotobuf",
    re.MULTILINE,
)
"""What a dump's lines never hold, or hardly ever: where it matches, they are read one by one."""

DUMP_ROWS = 4096
BAD_KEPT = 64
HUGE_KEPT = 16
HUGE = 1e10
"""A mean magnitude that no healthy layer has, and from which float32 overflows in a few products."""

RESTARTS_KEPT = 8


class CaffeReader:
    """Reads glog blocks into the facts.

    Lines keep their order where it matters: before a line that begins or ends something is read, the values above it
    are handed to the run that they belong to (`flush`).
    """

    def __init__(self, facts: LogFacts, other: Callable[[int, str], None]) -> None:
        self.facts = facts
        self.other = other
        self.events = Events(facts, self.flush, self.foreign)
        self.labels: dict[int, tuple[str, str, float | None]] = {}
        self.columns: Columns | None = None
        self.first_line = 1
        self.flushed = 0
        self.passes = 0
        self.waiting_norms: list[tuple[int, float]] = []
        self.test = (0, 0.0)

    def expects(self, block: Block) -> bool:
        """Whether there is anything of Caffe's in a block."""
        return self.events.dump is not None or GLOG.search(block.data) is not None

    def feed(self, block: Block) -> None:
        """Read a block."""
        table = columns(block.data)
        self.columns, self.first_line, self.flushed = table, block.line, 0
        messages = table.messages.tolist()
        dumped = 0
        for row in table.rest.tolist():
            if row < dumped:
                continue
            if messages[row] >= 0:
                self.events.message(row, block.line + row, table.text(row), table.message(row))
            elif self.events.dump is not None and (dumped := self.plain_until(table, row)) > row:
                begin, end = int(table.starts[row]), int(table.ends[dumped - 1])
                self.events.dump.add(block.data[begin:end].decode("utf-8", "replace").replace("\r", ""))
            else:
                self.events.bare(row, block.line + row, table.text(row))
        self.flush(len(table.starts))

    def plain_until(self, table: Columns, row: int) -> int:
        """The row at which a dump's text ends, if nothing in between looks like a message of something else."""
        prefixed = np.flatnonzero(table.messages[row : row + DUMP_ROWS] >= 0)
        end = row + (int(prefixed[0]) if len(prefixed) else len(table.messages[row : row + DUMP_ROWS]))
        return row if UNTIDY.search(table.data, int(table.starts[row]), int(table.ends[end - 1])) else end

    def foreign(self, line: int, text: str) -> None:
        """A line that Caffe did not write: the losses of a program around it count where Caffe prints none."""
        if self.columns is not None and not len(self.columns.loss.rows):
            self.other(line, text)

    def flush(self, row: int) -> None:
        """Hand the values above a row to the run."""
        table = self.columns
        if table is None or row <= self.flushed:
            return
        begin, self.flushed = self.flushed, row
        loss = table.loss.between(begin, row)
        backwards = np.flatnonzero(np.diff(loss.numbers) < 0) + 1
        cuts = loss.rows[backwards].tolist()
        previous = self.facts.run.loss.last
        if previous is not None and len(loss.rows) and loss.numbers[0] < previous.iteration:
            cuts.insert(0, int(loss.rows[0]))
        for cut in cuts:
            # The loss line of an iteration stands above its other lines, so that is where a run begins whose
            # announcement is not in the log. Lines of debug_info above it stay with the run before: they can't be told.
            self.take(table, begin, cut)
            self.facts.begin(self.first_line + cut, begun=False)
            self.labels.clear()
            begin = cut
        self.take(table, begin, row)

    def take(self, table: Columns, begin: int, end: int) -> None:
        """Hand the values of some rows to the run under way."""
        if end - begin == int(np.diff(np.searchsorted(table.rest, (begin, end)))[0]):
            return
        run = self.facts.run
        loss, rate = table.loss.between(begin, end), table.rate.between(begin, end)
        self.outputs(run, table, begin, end, loss)
        self.debug(run, table, begin, end, loss)
        if self.extend(run.loss, table, loss) and run.loss.bad:
            line = run.loss.bad.line
            run.snapshot_before_bad = next((one for one in reversed(run.snapshots) if one[2] < line), None)
        self.extend(run.rate, table, rate)
        self.clipping(run, table, begin, end, rate if len(rate.rows) else loss)
        waits = np.searchsorted(table.waits, (begin, end))
        run.waits += int(waits[1] - waits[0])
        self.restarts(run, table, begin, end)
        self.facts.understood += len(loss.rows) + len(rate.rows)

    def extend(self, series: Series, table: Columns, values: Values) -> bool:
        """Hand values to a series, and the text of its first bad one; whether there was that."""
        at = series.extend(values.numbers, values.values, values.rows + self.first_line)
        if at is not None:
            series.bad_text = table.text(int(values.rows[at]))[:TEXT_CHARACTERS]
        return at is not None

    # ---- outputs ----

    def outputs(self, run: LogRun, table: Columns, begin: int, end: int, loss: Values) -> None:
        """Output lines: each belongs to the iteration (of training or testing) last named above it."""
        tests = table.tests.between(begin, end)
        self.facts.understood += len(tests.rows)
        low, high = np.searchsorted(table.outputs.rows, (begin, end)).tolist()
        if low < high:
            found, first, inverse = np.unique(table.labels[low:high], return_index=True, return_inverse=True)
            known = [
                self.label(int(label), table, low + int(at)) for label, at in zip(found.tolist(), first, strict=True)
            ]
            rows, values = table.outputs.rows[low:high], table.outputs.values[low:high]
            for kind, name in dict.fromkeys((kind, name) for kind, name, _ in known):
                chosen = np.array([one[:2] == (kind, name) for one in known])[inverse]
                weight = next(weight for *one, weight in known if one == [kind, name])
                part = Values(rows[chosen], values[chosen], rows[chosen])
                if kind == "train":
                    last = run.loss.last.iteration if run.loss.last else 0
                    numbers, _ = named_above(part.rows, loss, last, 0.0)
                    self.output(run, table, kind, name, weight, Values(part.rows, part.values, numbers))
                    continue
                numbers, nets = named_above(part.rows, tests, *self.test)
                for net in np.unique(nets).tolist():
                    mine = nets == net
                    title = f"{name} (test net {net:.0f})" if net > 0 else name
                    one_net = Values(part.rows[mine], part.values[mine], numbers[mine])
                    self.output(run, table, kind, title, weight, one_net)
        if len(tests.rows):
            self.test = int(tests.numbers[-1]), float(tests.values[-1])
            self.events.testing = self.test[0]

    def output(self, run: LogRun, table: Columns, kind: str, name: str, weight: float | None, values: Values) -> None:
        """Hand an output's values to its series."""
        series = run.series(kind, name)
        if series is not None:
            series.weight = weight
            self.extend(series, table, values)

    def label(self, label: int, table: Columns, at: int) -> tuple[str, str, float | None]:
        """Kind, name and loss weight of an output line, read from the text at its first sight."""
        if label not in self.labels:
            match = OUTPUT_LABEL.match(table.message(int(table.outputs.rows[at])))
            kind, name, weight = (match[1].lower(), match[2], match[3]) if match else ("train", "", None)
            if len(self.labels) > 1 << 16:
                self.labels.clear()
            self.labels[label] = (kind, name[:TEXT_CHARACTERS], number(weight) if weight else None)
        return self.labels[label]

    # ---- debug_info ----

    def debug(self, run: LogRun, table: Columns, begin: int, end: int, loss: Values) -> None:
        """Lines of ``debug_info``: they stand above the loss of their iteration."""
        norms = table.norms[slice(*np.searchsorted(table.norms, (begin, end)))]
        bad_norms = [row for row in norms.tolist() if not self.norm(table, row)]
        odd = table.odd_debug[slice(*np.searchsorted(table.odd_debug, (begin, end)))]
        large = table.large_debug[slice(*np.searchsorted(table.large_debug, (begin, end)))]
        if len(run.bad_debug) >= BAD_KEPT:
            bad_norms, odd = [], odd[:0]
        for rows, kept, room in (
            (sorted([*odd.tolist(), *bad_norms]), run.bad_debug, BAD_KEPT),
            (large.tolist(), run.huge_debug, HUGE_KEPT),
        ):
            for row in rows if len(kept) < room else ():
                self.odd_debug(run, table, row, self.step_of(row, norms, loss))
                if len(kept) >= room:
                    break
        run.debug_passes += len(norms)
        after = loss.rows[-1] if len(loss.rows) else -1
        self.passes = int((norms > after).sum()) + (0 if len(loss.rows) else self.passes)
        self.settle(run, loss)

    def norm(self, table: Columns, row: int) -> bool:
        """Take in the norm of all gradients; whether it is finite, or no number."""
        match = NORM.search(table.data, int(table.messages[row]), int(table.ends[row]))
        value = number(match[2].decode("latin-1")) if match else None
        if value is not None:
            self.waiting_norms.append((self.first_line + row, value))
        return value is None or math.isfinite(value)

    def step_of(self, row: int, norms: NDArray[np.int64], loss: Values) -> int:
        """How many passes of this iteration ended above a row."""
        at = int(np.searchsorted(loss.rows, row))
        above = int(np.searchsorted(norms, row))
        return above - int(np.searchsorted(norms, loss.rows[at - 1])) if at else above + self.passes

    def odd_debug(self, run: LogRun, table: Columns, row: int, step: int) -> None:
        """Remember a line whose value looked unusual, if it is."""
        text = table.message(row)
        match = DEBUG_LINE.search(text)
        if not match:
            return
        direction, layer, part, blob, shown, whole = match.groups()
        if whole:
            parts = re.findall(r"[^\s(),]+(?=[,)])", text.partition("L1 norm")[2])
            values = [value for value in map(number, parts) if value is not None]
            bad = [value for value in values if not math.isfinite(value)]
            value = bad[0] if bad else max(values, default=0.0)
            layer, part, blob = "", "norm", ""
        else:
            parsed = number(shown)
            if parsed is None:
                return
            value = parsed
        line = DebugLine(
            line=self.first_line + row,
            direction=direction.lower(),
            layer=layer,
            part=part,
            blob=blob,
            text=text.strip()[:TEXT_CHARACTERS],
            value=value,
            step=step,
        )
        if not math.isfinite(value):
            if len(run.bad_debug) < BAD_KEPT:
                run.bad_debug.append(line)
        elif value >= HUGE and len(run.huge_debug) < HUGE_KEPT:
            run.huge_debug.append(line)

    def settle(self, run: LogRun, loss: Values) -> None:
        """Give the lines of ``debug_info`` their iteration, which is that of the next loss line."""
        lines = loss.rows + self.first_line
        for kept in (run.bad_debug, run.huge_debug):
            for place, one in enumerate(kept):
                at = int(np.searchsorted(lines, one.line))
                if one.iteration is None and at < len(lines):
                    kept[place] = replace(one, iteration=int(loss.numbers[at]))
        if not len(lines):
            return
        named = [one for one in self.waiting_norms if one[0] < lines[-1]]
        self.waiting_norms = self.waiting_norms[len(named) :]
        rows = np.array([line for line, _ in named], np.int64)
        numbers = loss.numbers[np.searchsorted(lines, rows)] if named else rows
        run.norm.extend(numbers, np.array([value for _, value in named], np.float64), rows)

    # ---- the rest ----

    def clipping(self, run: LogRun, table: Columns, begin: int, end: int, named: Values) -> None:
        """Norms that were clipped: of the iteration last named above, or a later one that was not displayed."""
        clipped = table.clipping.between(begin, end)
        if not len(clipped.rows):
            return
        run.clip_lines += len(clipped.rows)
        last = run.clipped.last.iteration if run.clipped.last else 0
        numbers, _ = named_above(clipped.rows, named, last, 0.0)
        self.extend(run.clipped, table, Values(clipped.rows, clipped.values, numbers))

    def restarts(self, run: LogRun, table: Columns, begin: int, end: int) -> None:
        """The data began again."""
        rows = table.restarts[slice(*np.searchsorted(table.restarts, (begin, end)))]
        run.restart_count += len(rows)
        for row in rows[: max(RESTARTS_KEPT - len(run.restarts), 0)].tolist():
            run.restarts.append(Point(run.last_iteration or 0, 0.0, self.first_line + row))


def named_above(
    rows: NDArray[np.int64], named: Values, number_before: int, value_before: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each row the iteration, and the value, of the last line above it that names one."""
    at = np.searchsorted(named.rows, rows, "right")
    numbers = np.concatenate((np.array([number_before], np.int64), named.numbers))[at]
    return numbers, np.concatenate(([value_before], named.values))[at]
