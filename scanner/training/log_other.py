"""Logs of other programs: Keras, TensorFlow, PyTorch scripts, Lightning, Hugging Face, CSV.

They have no common format; what they share is that a number stands behind its name. So lines are read as pairs of name
and number, and the iteration is looked for in the usual places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from .log_facts import TEXT_CHARACTERS, LogFacts, LogRun
from .log_failures import Failures
from .log_lines import Block
from .log_numbers import ANY_NUMBER, number
from .log_series import Series

LOWER_NUMBER = ANY_NUMBER.replace("eE", "e").replace("QNAN|SNAN|IND|INF", "qnan|snan|ind|inf")
"""Searching without regard to case is slow: the expressions below are for lines in lower case."""

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
BREAKS = re.compile(r"[\r\x08]+")
INTERESTING = re.compile(r"loss|cost|entropy|\blr\b|epoch|nan|diverge|error|exception|traceback|kill|fault|abort")
PAIR = re.compile(
    rf"""(?<![\w.])(?P<name>(?:(?:train|training|val|valid|validation|test|eval|avg|average|total|learning|grad)[ ])?
         [a-z][\w./-]*)
         (?:["']?\s*[:=]\s*|["']?\s+)["']?(?:tensor\()?\s*(?P<value>{LOWER_NUMBER})(?![\w:])""",
    re.VERBOSE,
)
DARKNET = re.compile(rf"\s*(\d+): {LOWER_NUMBER}, ({LOWER_NUMBER}) avg(?: loss)?, ({LOWER_NUMBER}) rate")
STEP = re.compile(r"\b(?:global[ _]?step|iterations?|iters?|steps?)\b[\"']?\W{0,4}(\d+)")
EPOCH = re.compile(r"\bepochs?\b[\"']?[\s:=\[(#]{0,4}(\d+)")
BATCH = re.compile(r"\bbatch(?:es)?\b[\"']?\W{0,4}(\d+)")
PROGRESS = re.compile(r"(?<![\w.:/])(\d+)/(\d+)(?![\w/:])")
INNERMOST = re.compile(r"\{[^{}]*\}")
JSON_LINE = re.compile(r"\s*\"([^\"]+)\":\s*\"?([^\",]*)\"?,?\s*")
NAN_TOLD = re.compile(
    r"invalid loss, terminating|loss is (?:inf or )?(?:nan|inf)|diverged with loss = nan|nan loss during training"
    r"|tensor had (?:nan|inf)|nan or inf (?:found|detected)|(?:nan|inf) (?:found|detected|encountered) in (?:the )?loss"
    r"|non-?finite loss|loss (?:became|went|turned) (?:nan|inf)",
)
LOSS = re.compile(r"(?:^|[ _/.-])(?:loss|cost|cross-entropy|nll|objective)(?:$|[ _/.-])|loss$|^loss", re.IGNORECASE)
NOT_A_LOSS = re.compile(r"loss[ _]?scale|loss[ _]?weight|scaler|patience|improve", re.IGNORECASE)
HELD_OUT = re.compile(r"(?:^|[ _/.-])(?:val|valid|validation|test|eval)(?:$|[ _/.-])", re.IGNORECASE)
RATE = re.compile(r"(?:^|[ _/.-])(?:lr|learning[ _-]?rate)(?:$|[ _/.-]?\w{0,6}$)", re.IGNORECASE)
NORM = re.compile(r"grad(?:ient)?s?[ _/.-]?norm|gnorm$", re.IGNORECASE)
SCORE = re.compile(r"acc(?:uracy)?$|top[ _-]?[15]$|^map$|^auc$", re.IGNORECASE)
MAIN = (
    "loss",
    "train_loss",
    "train loss",
    "training loss",
    "train/loss",
    "total_loss",
    "total loss",
    "avg loss",
    "average loss",
)
CELLS = re.compile(r"[,;\t]")
COLUMN = re.compile(r"[A-Za-z_][\w./()-]*(?: [A-Za-z_(][\w./()-]*)*")
"""A column's name: no word of it is a number, as in "iter 5, loss 2.3"."""

CELLS_BYTES = re.compile(rb"\s*[A-Za-z_][\w ./()-]*[,;\t][\w ./(),;\t\"'-]*$")


POINTS_WAITING = 4096
DYING = re.compile(
    r"error|exception|traceback|kill|fault|abort|terminate|\*\*\*|malloc|free\(\)|corrupt|what\(\)|hdf5|png|jpeg"
    r"|memory|^\s+@ |#\d{3}: ",
)
TELLING = re.compile(
    rb"loss|cost|entropy|\blr\b|learning.rate|epoch|nan\b|norm|error|exception|traceback|kill|fault|abort|terminate|\*\*\*"
    rb"|malloc|free\(\)|corrupt|hdf5|libpng|jpeg|memory|log_history|\n *[{}]\r?\n"
)


def telling_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that hold a telling word, with their rows. From the first brace or table on, all lines."""
    lowered = data.lower()
    row, counted, place = 0, 0, 0
    while (match := TELLING.search(lowered, place)) is not None:
        begin = data.rfind(b"\n", 0, match.start() + (match[0][:1] != b"\n")) + 1
        if match[0].startswith(b"\n"):
            begin = match.start() + 1
        end = data.find(b"\n", begin)
        row += data.count(b"\n", counted, begin)
        counted = begin
        if data[begin:end].strip()[:1] in (b"{", b"}") or CELLS_BYTES.match(data, begin, end):
            yield from enumerate(data[begin:].split(b"\n")[:-1], row)
            return
        yield row, data[begin:end]
        place = end


def is_number(cell: str) -> bool:
    """Whether a cell of a table is a number."""
    return number(cell) is not None


def pairs_of(lowered: str) -> list[tuple[str, str]]:
    """Names and numbers of a line in lower case."""
    return [(name, value) for name, value in PAIR.findall(lowered)]


@lru_cache(maxsize=4096)
def kind_of(name: str) -> str:
    """What a number is by its name: ``loss``, ``held out`` (a loss), ``rate``, ``norm``, ``score``, or nothing."""
    if LOSS.search(name) and not NOT_A_LOSS.search(name):
        return "held out" if HELD_OUT.search(name) else "loss"
    for kind, pattern in (("rate", RATE), ("norm", NORM), ("score", SCORE)):
        if pattern.search(name):
            return kind
    return ""


class OtherReader:
    """Reads lines that Caffe did not write into the run under way."""

    def __init__(self, facts: LogFacts) -> None:
        self.facts = facts
        self.failures = Failures()
        self.main: str | None = None
        self.fed: LogRun | None = None
        self.waiting: dict[int, tuple[Series, list[tuple[int, float, int]], list[str]]] = {}
        self.epoch: int | None = None
        self.first_epoch = 1
        self.entries = 0
        self.fineness, self.offset, self.last_raw = 0, 0, -1
        self.header: list[str] | None = None
        self.separator = ","
        self.record: dict[str, tuple[str, int]] = {}

    @property
    def run(self) -> LogRun:
        """The run under way."""
        return self.facts.run

    def feed(self, block: Block) -> None:
        """Read a block in which Caffe wrote nothing; lines without any telling word are not looked at."""
        if self.header is not None or self.record or self.failures.traceback is not None:
            rows: Iterable[tuple[int, bytes]] = enumerate(block.data.split(b"\n")[:-1])
        else:
            rows = telling_lines(block.data)
        for row, raw in rows:
            text, line = raw.decode("utf-8", "replace"), block.line + row
            if self.failures.traceback is not None or DYING.search(text.lower()):
                self.flush()
                self.failures.bare(self.run, line, text)
            self.line(line, text)
        self.flush()

    def flush(self) -> None:
        """Hand over the values that were read, many at once."""
        for series, points, texts in self.waiting.values():
            columns = ([one[place] for one in points] for place in range(3))
            iterations, values, lines = columns
            at = series.extend(np.array(iterations, np.int64), np.array(values), np.array(lines, np.int64))
            if at is not None:
                series.bad_text = texts[at][:TEXT_CHARACTERS]
        self.waiting.clear()

    def line(self, line: int, text: str) -> None:
        """Read a line; progress bars overwrite theirs, so it can hold many."""
        if "\x1b" in text:
            text = ESCAPE.sub("", text)
        for part in BREAKS.split(text):
            if part.strip():
                self.part(line, part)

    def part(self, line: int, text: str) -> None:
        """Read one state of a line."""
        if self.cells(line, text):
            return
        stripped = text.strip()
        if (match := JSON_LINE.fullmatch(text)) and len(self.record) < 64:
            self.record[match[1]] = match[2], line
            return
        if self.record and stripped.startswith(("}", "{", "]")):
            record, self.record = self.record, {}
            shown = ", ".join(f"{name}: {value}" for name, (value, _) in record.items())
            place = next((at for name, (_, at) in record.items() if LOSS.search(name)), line)
            self.values(place, [(name, value) for name, (value, _) in record.items()], None, shown)
            return
        if stripped.startswith(("{", "[")) and stripped.count("{") > 1:
            for inner in INNERMOST.findall(stripped):
                lowered = inner.lower()
                self.values(line, pairs_of(lowered), lowered, inner)
            return
        lowered = text.lower()
        if darknet := DARKNET.match(lowered):
            pairs = [("iteration", darknet[1]), ("avg loss", darknet[2]), ("lr", darknet[3])]
            self.values(line, pairs, None, stripped)
            return
        if not INTERESTING.search(lowered):
            return
        self.values(line, pairs_of(lowered), lowered, stripped)
        if NAN_TOLD.search(lowered):
            self.run.remark("nan", stripped, line)

    # ---- tables ----

    def cells(self, line: int, text: str) -> bool:
        """Read a row of a table; whether it is one."""
        if self.header is not None:
            cells = [cell.strip().strip("\"'") for cell in text.split(self.separator)]
            if len(cells) == len(self.header) and (cells == self.header or any(map(is_number, cells))):
                if cells != self.header:
                    pairs = [(name, cell) for name, cell in zip(self.header, cells, strict=True) if cell]
                    self.values(line, pairs, None, text.strip())
                return True
            self.header = None
        match = CELLS.search(text)
        if match is None or "loss" not in text.lower():
            return False
        cells = [cell.strip().strip("\"'") for cell in text.split(match[0])]
        names = [cell for cell in cells if COLUMN.fullmatch(cell)]
        if len(cells) > 1 and len(names) == len(cells) and any(LOSS.search(cell) for cell in cells):
            self.header, self.separator = cells, match[0]
            return True
        return False

    # ---- values ----

    def values(self, line: int, pairs: list[tuple[str, str]], text: str | None, shown: str) -> None:
        """Put the values of a line into their series; ``text`` is the line in lower case, ``None`` of a table."""
        if text is not None and (match := EPOCH.search(text)):
            self.epoch = int(match[1][:9])
            self.first_epoch = min(self.first_epoch, self.epoch)
        found = [(name.strip(), value) for name, shown_ in pairs if (value := number(shown_)) is not None]
        kinds = [kind_of(name) for name, _ in found]
        if not any(kind in ("loss", "held out", "rate", "norm") for kind in kinds):
            return
        losses = [one for one, kind in zip(found, kinds, strict=True) if kind == "loss"]
        run = self.run
        if self.fed is not run and run.loss.count:
            return
        self.fed = run
        self.facts.understood += 1
        iteration = self.iteration(dict(reversed(found)), text)
        if run.solver is None:
            run.framework = "other"
        main = self.main_of(losses)
        seen: set[str] = set()
        for (name, value), kind in zip(found, kinds, strict=True):
            if kind == "loss":
                series = run.loss if name == main else run.series("train", name)
            elif kind in ("held out", "score"):
                series = run.series("test" if HELD_OUT.search(name) else "train", name)
            elif kind in ("rate", "norm") and kind not in seen:
                series = run.rate if kind == "rate" else run.norm
            else:
                continue
            seen.add(kind)
            self.add(series, iteration, value, line, shown)

    def main_of(self, losses: list[tuple[str, float]]) -> str | None:
        """The loss that is trained on: by its name, or because it came first."""
        usual = min(
            (name for name, _ in losses if name.lower() in MAIN),
            key=lambda name: MAIN.index(name.lower()),
            default=None,
        )
        if usual is not None:
            self.main = usual
        elif self.main is None and losses:
            self.main = losses[0][0]
        return self.main

    def add(self, series: Series | None, iteration: int, value: float, line: int, shown: str) -> None:
        """Put one value into its series."""
        if series is not None:
            _, points, texts = self.waiting.setdefault(id(series), (series, [], []))
            points.append((iteration, value, line))
            texts.append(shown)
            if len(points) >= POINTS_WAITING:
                self.flush()

    def iteration(self, found: dict[str, float], text: str | None) -> int:
        """The iteration that a line is of: as it says, or counted where no line says anything.

        Lines that say it less finely than others (a summary of the epoch among steps) get that of the line before.
        """
        self.entries += 1
        fineness, raw = self.named(found, text)
        if raw is None or fineness < self.fineness:
            return self.entries - 1 if self.last_raw < 0 else self.offset + self.last_raw
        if fineness > self.fineness:
            self.fineness, self.offset, self.last_raw = fineness, 0, -1
        if raw < self.last_raw:
            self.offset += self.last_raw + 1
        self.last_raw = raw
        return self.offset + raw

    def named(self, found: dict[str, float], text: str | None) -> tuple[int, int | None]:
        """What a line says of its iteration, and how finely: 3 by steps, 2 by a progress bar, 1 by epochs."""
        for name in ("global_step", "global step", "step", "iteration", "iter", "batch"):
            value = found.get(name)
            if value is not None and 0 <= value < 1e15 and value == int(value):
                return 3, int(value)
        epoch = found.get("epoch")
        if epoch is not None and (not 0 <= epoch < 1e9 or epoch != int(epoch)):
            return 0, None
        if text is None:
            return 1, None if epoch is None else int(epoch)
        if match := STEP.search(text):
            return 3, int(match[1][:15])
        places = [(int(one[:12]), int(all_[:12])) for one, all_ in PROGRESS.findall(text)] if "/" in text else []
        inner = next(((one, all_) for one, all_ in reversed(places) if one <= all_), None)
        if inner is not None:
            return 2, inner[0] + ((self.epoch - self.first_epoch) * inner[1] if self.epoch is not None else 0)
        if match := BATCH.search(text):
            return 3, int(match[1][:15])
        return 1, self.epoch
