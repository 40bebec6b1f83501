"""What is remembered of a training log: a few facts for each run in it, whatever its length."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from .log_series import Point, Series

RUNS_KEPT = 64
SERIES_KEPT = 256
DUMP_BYTES = 8 << 20
NETS_KEPT = 8
REMARKS_KEPT = 32
TEXT_CHARACTERS = 600
"""Of a quoted line; a line of a damaged log can have millions."""


@dataclass(slots=True)
class TextBlock:
    """A solver or net that Caffe printed into the log.

    ``line`` is the log's line on which the text's first line stands, so that the text's line *n* is the log's line
    ``line + n - 1``. ``complete`` is false where glog cut the text (it prints 30,000 bytes a message) or the log ends.
    """

    line: int
    lines: list[str] = field(default_factory=list)
    size: int = 0
    depth: int = 0

    def add(self, text: str) -> None:
        """Take in the next line, or several with line feeds between them."""
        if self.size <= DUMP_BYTES:
            self.lines += text.split("\n")
            self.size += len(text) + 1
            self.depth += text.count("{") - text.count("}")

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n" if self.lines else ""

    @property
    def complete(self) -> bool:
        """Whether every bracket is closed."""
        return self.depth == 0 and self.size <= DUMP_BYTES

    def scalar(self, name: str) -> str | None:
        """The last value of an outermost field, without quotes."""
        for line in reversed(self.lines):
            if line.startswith(f"{name}: "):
                return line[len(name) + 2 :].strip().strip('"')
        return None

    def real(self, name: str) -> float | None:
        """The same as a number."""
        try:
            return float(self.scalar(name) or "")
        except ValueError:
            return None

    def whole(self, name: str) -> int | None:
        """The same as a whole number."""
        value = self.real(name)
        return int(value) if value is not None and math.isfinite(value) else None


@dataclass(slots=True)
class NetFacts:
    """A net as it was built: its text, and the shapes that Caffe computed.

    Attributes
    ----------
    phase
        ``TRAIN`` or ``TEST``.
    shapes
        Blob to shape, only where the log names both ("ip -> ip" and "Top shape").
    bottoms
        Layer to the blobs that it reads.
    losses
        Layers with a loss weight, in order.
    """

    phase: str = "TRAIN"
    file: str | None = None
    text: TextBlock | None = None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bottoms: dict[str, list[str]] = field(default_factory=dict)
    tops: dict[str, list[str]] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    layer: str = ""
    top_number: int = 0

    def scores_of(self, layer: str) -> tuple[int, ...] | None:
        """The shape of what a loss layer is fed first."""
        bottoms = self.bottoms.get(layer)
        return self.shapes.get(bottoms[0]) if bottoms else None


@dataclass(frozen=True, slots=True)
class DebugLine:
    """A line of ``debug_info``: the mean magnitude of a blob.

    ``direction`` is ``forward``, ``backward`` or ``update``; ``part`` is ``top``, ``bottom``, ``param``, or ``norm``
    where it is of all parameters; ``step`` counts the passes of the iteration from 0 (there are ``iter_size``).
    ``iteration`` is ``None`` where the log ends before saying.
    """

    line: int
    direction: str
    layer: str
    part: str
    blob: str
    text: str
    value: float
    step: int = 0
    iteration: int | None = None


@dataclass(slots=True)
class Failure:
    """How a program ended by itself.

    Attributes
    ----------
    kind
        ``check`` (a failed ``CHECK``), ``fatal``, ``exception``, ``assertion``, ``memory``, ``signal``, ``killed``.
    reason
        As the log says it.
    iteration
        The last one that was printed before.
    signal
        ``SIGSEGV`` and the like, where named.
    frames
        Functions of the stack trace that have a name.
    details
        Lines around that belong to it, quoted.
    """

    kind: str
    reason: str
    line: int
    iteration: int | None
    thread: str = ""
    signal: str | None = None
    frames: list[str] = field(default_factory=list)
    details: list[tuple[int, str]] = field(default_factory=list)

    @property
    def in_prefetch(self) -> bool:
        """Whether a data thread failed, which reads ahead of the iteration."""
        names = ("InternalThreadEntry", "load_batch", "DataReader")
        return any(name in frame for frame in self.frames for name in names)


@dataclass(frozen=True, slots=True)
class Remark:
    """A line that says something about the data or the machine, and how many like it came after."""

    kind: str
    text: str
    line: int
    iteration: int | None


@dataclass(slots=True)
class LogRun:
    """One run of a training program.

    Attributes
    ----------
    begun
        Whether its beginning is in the log (a rotated log goes on in the middle).
    loss, rate, norm, clipped
        The loss of the iteration lines, the learning rate, the gradient's L2 norm of ``debug_info`` and that of the
        clipping lines.
    train, test
        Outputs by name; tests by "number of the net: name".
    bad_debug, huge_debug
        The first lines of ``debug_info`` that are not finite or very large, in order.
    restarts
        The first times that the data began again, each with the last iteration printed.
    """

    framework: str = "caffe"
    first_line: int = 1
    last_line: int = 1
    begun: bool = False
    solver: TextBlock | None = None
    nets: list[NetFacts] = field(default_factory=list)
    device: str | None = None
    policy: str | None = None
    sources: list[tuple[str, str, int]] = field(default_factory=list)
    finetuned: tuple[str, int] | None = None
    restored: tuple[str, int] | None = None
    snapshots: deque[tuple[int | None, str, int]] = field(default_factory=lambda: deque(maxlen=64))
    snapshot_before_bad: tuple[int | None, str, int] | None = None
    loss: Series = field(default_factory=lambda: Series("loss"))
    rate: Series = field(default_factory=lambda: Series("rate"))
    norm: Series = field(default_factory=lambda: Series("gradient norm"))
    clipped: Series = field(default_factory=lambda: Series("gradient norm before clipping"))
    train: dict[str, Series] = field(default_factory=dict)
    test: dict[str, Series] = field(default_factory=dict)
    bad_debug: list[DebugLine] = field(default_factory=list)
    huge_debug: list[DebugLine] = field(default_factory=list)
    debug_passes: int = 0
    clip_lines: int = 0
    waits: int = 0
    restarts: list[Point] = field(default_factory=list)
    restart_count: int = 0
    remarks: list[Remark] = field(default_factory=list)
    remark_counts: dict[str, int] = field(default_factory=dict)
    failure: Failure | None = None
    done: int | None = None
    stopped: int | None = None
    started: int | None = None
    last_message: tuple[int, str] | None = None

    @property
    def first_iteration(self) -> int | None:
        """The first that was printed."""
        found = [series.first.iteration for series in (self.loss, self.rate) if series.first]
        return min(found) if found else None

    @property
    def last_iteration(self) -> int | None:
        """The last that was printed."""
        found = [series.last.iteration for series in (self.loss, self.rate) if series.last]
        return max(found) if found else None

    @property
    def used(self) -> bool:
        """Whether there is anything in it that another run must not be mixed with."""
        return bool(self.solver or self.loss.count or self.rate.count or self.failure or self.done or self.started)

    @property
    def train_net(self) -> NetFacts | None:
        """The last net built for training."""
        return next((net for net in reversed(self.nets) if net.phase == "TRAIN"), None)

    @property
    def troubled(self) -> bool:
        """Whether to keep it when there are too many."""
        series = (self.loss, self.rate, *self.train.values(), *self.test.values())
        return self.failure is not None or any(one.bad for one in series)

    def setting(self, name: str, default: int) -> int:
        """A whole number of the solver that was printed; the default where it is absent or none was printed."""
        value = self.solver.whole(name) if self.solver else None
        return default if value is None else value

    def series(self, kind: str, name: str) -> Series | None:
        """An output's series, made on first sight; ``None`` where there are too many."""
        kept = self.train if kind == "train" else self.test
        if name not in kept:
            if len(kept) >= SERIES_KEPT:
                return None
            kept[name] = Series(name)
        return kept[name]

    def remark(self, kind: str, text: str, line: int) -> None:
        """Remember a remark; of each kind the first few, and how many."""
        self.remark_counts[kind] = self.remark_counts.get(kind, 0) + 1
        if self.remark_counts[kind] <= REMARKS_KEPT // 4 and len(self.remarks) < REMARKS_KEPT:
            self.remarks.append(Remark(kind, text[:TEXT_CHARACTERS], line, self.last_iteration))


@dataclass(slots=True)
class LogFacts:
    """A log, or several that follow each other.

    Attributes
    ----------
    runs
        In order. The last one takes what comes next.
    left_out
        Runs that were forgotten because there were more than `RUNS_KEPT`; only such as had nothing wrong, as long as
        there are such.
    damage
        Why the log could not be read to its end.
    terminated
        Whether its last line was complete.
    """

    runs: list[LogRun] = field(default_factory=list)
    left_out: int = 0
    lines: int = 0
    bytes_read: int = 0
    understood: int = 0
    damage: str | None = None
    terminated: bool = True

    @property
    def run(self) -> LogRun:
        """The run under way."""
        if not self.runs:
            self.runs.append(LogRun())
        return self.runs[-1]

    def begin(self, line: int, *, begun: bool = True) -> LogRun:
        """Start another run, unless the one under way has nothing in it yet."""
        if self.runs and not self.runs[-1].used:
            self.runs[-1].begun |= begun
            return self.runs[-1]
        if len(self.runs) >= RUNS_KEPT:
            middle = self.runs[1:-1]
            quiet = next((run for run in middle if not run.troubled), middle[0])
            self.runs.remove(quiet)
            self.left_out += 1
        self.runs.append(LogRun(first_line=line, begun=begun))
        return self.runs[-1]
