"""Lines of a Caffe log that come once or seldom: set-up, dumps, snapshots, the end, and every way of failing."""

from __future__ import annotations

import re
from collections.abc import Callable

from .log_facts import NETS_KEPT, TEXT_CHARACTERS, LogFacts, LogRun, NetFacts, TextBlock
from .log_failures import Failures
from .log_numbers import number
from .log_series import Point

PREFIX = re.compile(r"([IWEF])(?:\d{4}|\d{8}) \d\d:\d\d:\d\d\.\d+ +(\d+) [^\]\s]+:\d+\] ")
WIRE = re.compile(r"(\S+) (<-|->) (\S+)(?: \(in-place\))?$")
SHAPE = re.compile(r"Top shape: ([\d ]*)\(\d+\)")
SOURCE = re.compile(r"(?:Opened|Opening) (lmdb|leveldb|dataset) (.+)|(Loading list of HDF5) filenames? from:? (.+)")
SNAPSHOT = re.compile(r"Snapshotting (solver state )?to (?:(?:binary proto|HDF5) file )?(.+)")
SNAPSHOT_ITERATION = re.compile(r"_iter_(\d+)")
SCORE = re.compile(r"(?:Test score #(\d+)|Test (loss)|Batch (\d+), (\S+)|(Loss)): (\S+)|Batch (\d+), (\S+) = (\S+)")
RESUMED = re.compile(r"(?:Resuming from|Restoring previous solver status from) (.+)")
PHASE = re.compile(r"^state \{\n  phase: (TEST|TRAIN)$", re.MULTILINE)
SHAPES_KEPT = 4096
SOURCES_KEPT = 32


class Events:
    """Reads single lines.

    ``flush`` hands over all values above a row: called where order matters. ``other`` takes what Caffe did not write.
    """

    def __init__(self, facts: LogFacts, flush: Callable[[int], None], other: Callable[[int, str], None]) -> None:
        self.facts = facts
        self.other = other
        self.flush = flush
        self.dump: TextBlock | None = None
        self.dump_is_net = False
        self.net_phase, self.net_file = "TRAIN", ""
        self.testing: int | None = None
        self.failures = Failures()

    @property
    def run(self) -> LogRun:
        """The run under way."""
        return self.facts.run

    # ---- lines with glog's prefix ----

    def message(self, row: int, line: int, whole: str, text: str) -> None:
        """A line that glog wrote."""
        match = PREFIX.search(whole)
        if match is None:
            self.bare(row, line, whole)
            return
        self.end_dump()
        severity, thread = match[1], match[2]
        if severity == "F":
            self.flush(row)
            self.failures.fatal(self.run, text, line, thread)
            self.facts.understood += 1
            return
        if severity in "EW":
            kind = "undecodable" if text.startswith("Could not decode") else "error" if severity == "E" else "warning"
            self.run.remark(kind, text, line)
            self.failures.context(line, text)
            return
        self.failures.close()
        word = text.lstrip().partition(" ")[0]
        handler = HANDLERS.get(word)
        if handler is not None:
            handler(self, row, line, text)
        elif " <- " in text or " -> " in text:
            self.wire(text)

    def beginning(self, row: int, line: int) -> LogRun:
        """A line that stands at a run's beginning: another run, if the one under way has something in it."""
        self.flush(row)
        if self.run.used:
            self.facts.begin(line)
            self.net_phase, self.net_file = "TRAIN", ""
        if not self.run.used:
            self.run.first_line, self.run.begun = min(self.run.first_line, line), True
        self.facts.understood += 1
        return self.run

    def device(self, row: int, line: int, text: str) -> None:
        """``Use CPU.``, ``Use GPU with device ID 0``, ``Using GPUs 0, 1``."""
        if text.startswith(("Use CPU", "Use GPU", "Using GPUs")):
            self.beginning(row, line).device = text.rstrip(".")[:TEXT_CHARACTERS]

    def initializing(self, row: int, line: int, text: str) -> None:
        """A dump of the solver or of a net follows."""
        if text.startswith("Initializing solver from parameters"):
            run = self.beginning(row, line)
            self.dump, self.dump_is_net = TextBlock(line + 1), False
            run.solver = self.dump
        elif text.startswith("Initializing net from parameters"):
            self.dump, self.dump_is_net = TextBlock(line + 1), True
            if len(self.run.nets) >= NETS_KEPT:
                del self.run.nets[1]
            self.run.nets.append(NetFacts(self.net_phase, self.net_file or None, self.dump))
            self.facts.understood += 1

    def creating(self, row: int, line: int, text: str) -> None:
        """A net or a layer is built."""
        if text.startswith("Creating Layer "):
            if self.run.nets:
                self.run.nets[-1].layer = text[len("Creating Layer ") :].strip()
        elif " net " in text:
            self.net_phase = "TRAIN" if text.startswith("Creating train") else "TEST"
            self.net_file = text.partition(" file: ")[2].strip()[:TEXT_CHARACTERS]

    def setting(self, row: int, line: int, text: str) -> None:
        """``Setting up NAME``: its shapes follow."""
        if text.startswith("Setting up ") and self.run.nets:
            net = self.run.nets[-1]
            net.layer, net.top_number = text[len("Setting up ") :].strip(), 0

    def shape(self, row: int, line: int, text: str) -> None:
        """``Top shape: 10 5 (50)``."""
        match = SHAPE.match(text)
        if not match or not self.run.nets:
            return
        net = self.run.nets[-1]
        tops = net.tops.get(net.layer, [])
        name = tops[net.top_number] if net.top_number < len(tops) else ""
        net.top_number += 1
        if name and len(net.shapes) < SHAPES_KEPT:
            net.shapes[name] = tuple(int(side) for side in match[1].split() if len(side) < 12)

    def weight(self, row: int, line: int, text: str) -> None:
        """``    with loss weight 1``."""
        if self.run.nets and text.startswith("    with loss weight "):
            losses = self.run.nets[-1].losses
            if self.run.nets[-1].layer not in losses and len(losses) < SHAPES_KEPT:
                losses.append(self.run.nets[-1].layer)

    def wire(self, text: str) -> None:
        """``ip <- pool1`` and ``ip -> ip``."""
        match = WIRE.match(text)
        if match and self.run.nets:
            net = self.run.nets[-1]
            kept = net.bottoms if match[2] == "<-" else net.tops
            if len(kept) < SHAPES_KEPT and len(kept.setdefault(match[1], [])) < SHAPES_KEPT:
                kept[match[1]].append(match[3])

    def source(self, row: int, line: int, text: str) -> None:
        """Which data was opened."""
        match = SOURCE.match(text)
        if match and len(self.run.sources) < SOURCES_KEPT:
            kind = match[1] or "hdf5"
            self.run.sources.append((kind, (match[2] or match[4]).strip()[:TEXT_CHARACTERS], line))

    def learning(self, row: int, line: int, text: str) -> None:
        """``Learning Rate Policy: P``."""
        if text.startswith("Learning Rate Policy: "):
            self.run.policy = text.partition(": ")[2].strip()[:TEXT_CHARACTERS]

    def starting(self, row: int, line: int, text: str) -> None:
        """``Starting Optimization``, ``Solving NAME``."""
        self.flush(row)
        if self.run.started is None:
            self.run.started = line
        self.facts.understood += 1

    def weights(self, row: int, line: int, text: str) -> None:
        """Weights that a run begins with."""
        self.flush(row)
        if text.startswith("Finetuning from "):
            self.run.finetuned = (text.partition(" from ")[2].strip()[:TEXT_CHARACTERS], line)
        elif match := RESUMED.match(text):
            self.run.restored = (match[1].strip()[:TEXT_CHARACTERS], line)

    def snapshot(self, row: int, line: int, text: str) -> None:
        """A snapshot was written."""
        match = SNAPSHOT.match(text)
        if not match:
            return
        named = SNAPSHOT_ITERATION.search(match[2])
        iteration = int(named[1][:15]) if named else self.run.last_iteration
        entry = (iteration, match[2].strip()[:TEXT_CHARACTERS], line)
        self.run.snapshots.append(entry)

    def ended(self, row: int, line: int, text: str) -> None:
        """``Optimization Done.``, ``Optimization stopped early.``"""
        self.flush(row)
        if text.startswith("Optimization Done"):
            self.run.done = line
        elif text.startswith("Optimization stopped early"):
            self.run.stopped = line
        self.facts.understood += 1

    def score(self, row: int, line: int, text: str) -> None:
        """What old versions say of a test, and ``caffe test``."""
        match = SCORE.match(text.strip())
        if not match:
            return
        old, _, batch, named, _, value, batch_2, named_2, value_2 = match.groups()
        name = f"score #{old}" if old else named or named_2 or "loss"
        parsed = number(value or value_2)
        place = batch or batch_2
        iteration = int(place[:15]) if place else self.testing or 0
        series = self.run.series("test", name[:TEXT_CHARACTERS])
        if parsed is not None and series is not None and series.add(Point(iteration, parsed, line)):
            series.bad_text = text.strip()[:TEXT_CHARACTERS]
        self.facts.understood += 1

    # ---- lines without prefix ----

    def end_dump(self) -> None:
        """The text that was printed has ended."""
        if self.dump is not None and self.dump_is_net and self.run.nets:
            match = PHASE.search(self.dump.text[:4000])
            if match:
                self.run.nets[-1].phase = match[1]
        self.dump = None

    def bare(self, row: int, line: int, text: str) -> None:
        """A line without glog's prefix: part of a dump or a message, or of something that is no log at all."""
        if self.failures.recognises(text):
            if self.failures.opens(text):
                self.flush(row)
            self.failures.bare(self.run, line, text)
        elif self.dump is not None:
            self.dump.add(text)
        else:
            self.failures.bare(self.run, line, text)
            self.other(line, text)


HANDLERS: dict[str, Callable[[Events, int, int, str], None]] = {
    "Use": Events.device,
    "Using": Events.device,
    "Initializing": Events.initializing,
    "Creating": Events.creating,
    "Setting": Events.setting,
    "Top": Events.shape,
    "with": Events.weight,
    "Opened": Events.source,
    "Opening": Events.source,
    "Loading": Events.source,
    "Learning": Events.learning,
    "Starting": Events.starting,
    "Solving": Events.starting,
    "Finetuning": Events.weights,
    "Resuming": Events.weights,
    "Restoring": Events.weights,
    "Snapshotting": Events.snapshot,
    "Optimization": Events.ended,
    "Test": Events.score,
    "Batch": Events.score,
    "Loss:": Events.score,
}
