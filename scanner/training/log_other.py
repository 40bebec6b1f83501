"""Logs of other programs: Keras, TensorFlow, PyTorch scripts, Lightning, Hugging Face, CSV.

They have no common format; what they share is that a number stands behind its name. So lines are read as pairs of name
and number, and the iteration is looked for in the usual places.
"""

from __future__ import annotations

import re

from .log_facts import TEXT_CHARACTERS, LogFacts, LogRun
from .log_failures import Failures
from .log_lines import Block
from .log_numbers import ANY_NUMBER, number
from .log_series import Point, Series

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
BREAKS = re.compile(r"[\r\x08]+")
INTERESTING = re.compile(
    r"loss|cost|entropy|\blr\b|epoch|nan|diverge|error|exception|traceback|kill|fault|abort", re.IGNORECASE
)
PAIR = re.compile(
    rf"""(?<![\w.])(?P<name>(?:(?:train|training|val|valid|validation|test|eval|avg|average|total|learning|grad)[ ])?
         [a-z][\w./-]*)
         (?:["']?\s*[:=]\s*|["']?\s+)["']?(?:tensor\()?\s*(?P<value>{ANY_NUMBER})(?![\w:])""",
    re.IGNORECASE | re.VERBOSE,
)
DARKNET = re.compile(rf"\s*(\d+): {ANY_NUMBER}, ({ANY_NUMBER}) avg(?: loss)?, ({ANY_NUMBER}) rate", re.IGNORECASE)
STEP = re.compile(r"\b(?:global[ _]?step|iterations?|iters?|steps?)\b[\"']?\W{0,4}(\d+)", re.IGNORECASE)
EPOCH = re.compile(r"\bepochs?\b[\"']?[\s:=\[(#]{0,4}(\d+)", re.IGNORECASE)
BATCH = re.compile(r"\bbatch(?:es)?\b[\"']?\W{0,4}(\d+)", re.IGNORECASE)
PROGRESS = re.compile(r"(?<![\w.:/])(\d+)/(\d+)(?![\w/:])")
INNERMOST = re.compile(r"\{[^{}]*\}")
JSON_LINE = re.compile(r"\s*\"([^\"]+)\":\s*\"?([^\",]*)\"?,?\s*")
NAN_TOLD = re.compile(
    r"invalid loss, terminating|loss is (?:inf or )?(?:nan|inf)|diverged with loss = nan|nan loss during training"
    r"|tensor had (?:nan|inf)|nan or inf (?:found|detected)|(?:nan|inf) (?:found|detected|encountered) in (?:the )?loss"
    r"|non-?finite loss|loss (?:became|went|turned) (?:nan|inf)",
    re.IGNORECASE,
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


class OtherReader:
    """Reads lines that Caffe did not write into the run under way."""

    def __init__(self, facts: LogFacts) -> None:
        self.facts = facts
        self.failures = Failures()
        self.main: str | None = None
        self.epoch: int | None = None
        self.entries = 0
        self.offset, self.last_raw = 0, -1
        self.header: list[str] | None = None
        self.separator = ","
        self.record: dict[str, str] = {}

    @property
    def run(self) -> LogRun:
        """The run under way."""
        return self.facts.run

    def feed(self, block: Block) -> None:
        """Read a block in which Caffe wrote nothing."""
        for number_, raw in enumerate(block.data.split(b"\n")[:-1]):
            text = raw.decode("utf-8", "replace")
            line = block.line + number_
            if self.header is None and not INTERESTING.search(text) and not text.lstrip().startswith(("{", "}", '"')):
                if self.failures.traceback is not None:
                    self.failures.bare(self.run, line, text)
                continue
            self.failures.bare(self.run, line, text)
            self.line(line, text)

    def line(self, line: int, text: str) -> None:
        """Read a line; progress bars overwrite theirs, so it can hold many."""
        for part in BREAKS.split(ESCAPE.sub("", text)):
            if part.strip():
                self.part(line, part)

    def part(self, line: int, text: str) -> None:
        """Read one state of a line."""
        if self.cells(line, text):
            return
        stripped = text.strip()
        if (match := JSON_LINE.fullmatch(text)) and len(self.record) < 64:
            self.record[match[1]] = match[2]
            return
        if self.record and stripped.startswith(("}", "{", "]")):
            record, self.record = self.record, {}
            self.values(line, [(name, value) for name, value in record.items()], None, stripped)
            return
        if stripped.startswith(("{", "[")) and stripped.count("{") > 1:
            for inner in INNERMOST.findall(stripped):
                self.values(line, [(one["name"], one["value"]) for one in PAIR.finditer(inner)], inner, inner)
            return
        if darknet := DARKNET.match(text):
            pairs = [("iteration", darknet[1]), ("avg loss", darknet[2]), ("lr", darknet[3])]
            self.values(line, pairs, None, stripped)
            return
        if not INTERESTING.search(text):
            return
        pairs = [(one["name"], one["value"]) for one in PAIR.finditer(text)]
        self.values(line, pairs, text, stripped)
        if NAN_TOLD.search(text):
            self.run.remark("nan", stripped, line)

    # ---- tables ----

    def cells(self, line: int, text: str) -> bool:
        """Read a row of a table; whether it is one."""
        if self.header is not None:
            cells = [cell.strip().strip("\"'") for cell in text.split(self.separator)]
            if len(cells) == len(self.header):
                if cells != self.header:
                    pairs = [(name, cell) for name, cell in zip(self.header, cells, strict=True) if cell]
                    self.values(line, pairs, None, text.strip())
                return True
            self.header = None
        match = CELLS.search(text)
        if match is None or "loss" not in text.lower():
            return False
        cells = [cell.strip().strip("\"'") for cell in text.split(match[0])]
        names = [cell for cell in cells if re.fullmatch(r"[A-Za-z_][\w ./()-]*", cell)]
        if len(cells) > 1 and len(names) == len(cells) and any(LOSS.search(cell) for cell in cells):
            self.header, self.separator = cells, match[0]
            return True
        return False

    # ---- values ----

    def values(self, line: int, pairs: list[tuple[str, str]], text: str | None, shown: str) -> None:
        """Put the values of a line into their series."""
        if text is not None and (match := EPOCH.search(text)):
            self.epoch = int(match[1][:9])
        found = [(name.strip(), value) for name, shown_ in pairs if (value := number(shown_)) is not None]
        losses = [(name, value) for name, value in found if LOSS.search(name) and not NOT_A_LOSS.search(name)]
        rates = [value for name, value in found if RATE.search(name)]
        norms = [value for name, value in found if NORM.search(name)]
        scores = [(name, value) for name, value in found if SCORE.search(name)]
        if not losses and not rates and not norms:
            return
        iteration = self.iteration(dict(reversed(found)), text)
        self.facts.understood += 1
        run = self.run
        run.framework = "other" if not run.solver and run.framework == "caffe" and not run.loss.count else run.framework
        if run.framework == "caffe":
            return
        for name, value in losses:
            if HELD_OUT.search(name):
                self.add(run.series("test", name), iteration, value, line, shown)
            elif self.is_main(name, losses):
                self.add(run.loss, iteration, value, line, shown)
            else:
                self.add(run.series("train", name), iteration, value, line, shown)
        for name, value in scores:
            self.add(run.series("test" if HELD_OUT.search(name) else "train", name), iteration, value, line, shown)
        for value in rates[:1]:
            self.add(run.rate, iteration, value, line, shown)
        for value in norms[:1]:
            self.add(run.norm, iteration, value, line, shown)

    def is_main(self, name: str, losses: list[tuple[str, float]]) -> bool:
        """Whether a loss is the one that is trained on: by its name, or because it came first."""
        if self.main is None:
            names = [one for one, _ in losses if not HELD_OUT.search(one)]
            self.main = next((one for one in names if one.lower() in MAIN), names[0])
        return name == self.main

    def add(self, series: Series | None, iteration: int, value: float, line: int, shown: str) -> None:
        """Put one value into its series."""
        if series is not None and series.add(Point(iteration, value, line)):
            series.bad_text = shown[:TEXT_CHARACTERS]

    def iteration(self, found: dict[str, float], text: str | None) -> int:
        """The iteration that a line is of: as it says, or counted where it says nothing."""
        self.entries += 1
        raw = self.named(found, text)
        if raw is None:
            return self.entries - 1
        if raw < self.last_raw:
            self.offset += self.last_raw + 1
        self.last_raw = raw
        return self.offset + raw

    def named(self, found: dict[str, float], text: str | None) -> int | None:
        """What a line says of its iteration."""
        for name in ("global_step", "global step", "step", "iteration", "iter", "batch"):
            value = found.get(name)
            if value is not None and value == int(value) if value is not None and abs(value) < 1e15 else False:
                return int(found[name])
        if text is None:
            epoch = found.get("epoch")
            return int(epoch) if epoch is not None and abs(epoch) < 1e15 and epoch == int(epoch) else None
        if match := STEP.search(text):
            return int(match[1][:15])
        places = [(int(one[:12]), int(all_[:12])) for one, all_ in PROGRESS.findall(text)]
        inner = next(((one, all_) for one, all_ in reversed(places) if one <= all_), None)
        if inner is not None:
            return (self.epoch or 0) * inner[1] + inner[0] if self.epoch is not None else inner[0]
        if match := BATCH.search(text):
            return int(match[1][:15])
        return self.epoch
