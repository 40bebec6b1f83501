"""How programs die in a log: failed checks, exceptions, signals, the allocator, the shell's last word."""

from __future__ import annotations

import re
from collections import deque

from .log_facts import TEXT_CHARACTERS, Failure, LogRun

SIGNALS = re.compile(r"\*\*\* (SIG[A-Z]+) \(@.*received by PID|\*\*\* (?:Signal|signal) (\w+)")
TERMINATED = re.compile(
    r"terminate called (?:after throwing an instance of '(.*)'|without an active exception|recursively)"
)
WHAT = re.compile(r"\s*what\(\):\s*(.*)")
ASSERTION = re.compile(r".*: Assertion [`'\"].*' failed\.")
MEMORY = re.compile(
    r"(?:malloc|free|realloc|calloc|munmap_chunk)\(\): .+"
    r"|(?:double free or corruption|corrupted (?:size|double-linked)|malloc_consolidate).*"
    r"|\*\*\* Error in [`'].*|\*\*\* (?:stack smashing|buffer overflow) detected.*"
    r"|\S+: malloc\.c:\d+: .*|\S+\(\d+,0x[0-9a-f]+\) malloc: \*\*\* error.*"
)
DEATHS = "Killed|Segmentation fault|Bus error|Floating point exception|Aborted|Illegal instruction"
SHELL = re.compile(rf"(?:{DEATHS})(?: \(core dumped\))?|\S+: line \d+: +\d+ (?:{DEATHS}).*")
KILLER = re.compile(r".*(?:oom-kill|Out of memory: Kill|slurmstepd: error: .*(?:oom|OOM|CANCELLED|[Ee]xceeded)).*")
FRAME = re.compile(r"\s+@\s+0x[0-9a-f]+\s+(.*)")
TRACEBACK = "Traceback (most recent call last):"
RAISED = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning|Failure))(?::\s?(.*))?$")
OPENCV = re.compile(r"OpenCV(?:\(\S+\))? ?(?:Error|: error)|.*\berror: \(-\d+")
JPEG = re.compile(
    r"Corrupt JPEG data|Premature end of JPEG|JPEG datastream contains no image|Not a JPEG file|Invalid SOS par"
    r"|Unsupported marker type|Bogus (?:marker|Huffman|DQT|DAC|virtual)|libpng error"
)
REMARKS = (
    ("hdf5", re.compile(r"HDF5-DIAG: |\s+#\d{3}: \S+ line \d+ in |\s+(?:major|minor): ")),
    ("error", re.compile(r"\[libprotobuf (?:ERROR|FATAL) ")),
    ("error", OPENCV),
    ("jpeg", JPEG),
    ("decoder", re.compile(r"libpng warning|\[libprotobuf WARNING |TIFF\w*: Warning")),
)
UNTOLD = re.compile(r"google::|gsignal|abort$|raise$|std::|__|\(anonymous|_?start|clone|main$|boost::")
"""Functions of a stack trace that tell nothing of where it failed."""

FRAMES_KEPT = 24
DETAILS_KEPT = 12
CONTEXT_LINES = 40
"""Lines above a failure among which an error belongs to it."""


class Failures:
    """Puts together what a program says while it dies; the run gets one `Failure`."""

    def __init__(self) -> None:
        self.recent: deque[tuple[int, str]] = deque(maxlen=DETAILS_KEPT)
        self.open: Failure | None = None
        self.continuing = False
        self.traceback: int | None = None

    def recognises(self, text: str) -> bool:
        """Whether a line can't belong to a dump, although it stands in one."""
        return self.opens(text) or any(pattern.match(text) for _, pattern in REMARKS)

    def opens(self, text: str) -> bool:
        """Whether a line says that the program is dying."""
        if text.startswith(("*** ", "PC: @", "terminate called", TRACEBACK)):
            return True
        patterns = (ASSERTION, MEMORY, SHELL, KILLER)
        return any(pattern.fullmatch(text) for pattern in patterns)

    def context(self, line: int, text: str) -> None:
        """An error that may explain a failure that follows."""
        if self.open is not None:
            self.detail(line, text)
        else:
            self.recent.append((line, text.strip()[:TEXT_CHARACTERS]))

    def detail(self, line: int, text: str) -> None:
        """A line that belongs to the failure."""
        if self.open is not None and text.strip() and len(self.open.details) < DETAILS_KEPT:
            self.open.details.append((line, text.strip()[:TEXT_CHARACTERS]))

    def close(self) -> None:
        """Ordinary lines follow: a message is not going on."""
        self.continuing = False

    def fatal(self, run: LogRun, text: str, line: int, thread: str) -> None:
        """An F line."""
        if run.failure is not None and run.failure.kind in ("check", "fatal"):
            self.open, self.continuing = run.failure, False
            self.detail(line, text)
            return
        kind = "check" if text.startswith("Check failed: ") else "fatal"
        self.begin(run, kind, text.strip(), line, thread)
        self.continuing = True

    def begin(self, run: LogRun, kind: str, reason: str, line: int, thread: str = "") -> Failure:
        """The run has failed; errors just above belong to it."""
        details = [(at, text) for at, text in self.recent if line - at <= CONTEXT_LINES]
        self.recent.clear()
        self.open = Failure(kind, reason[:TEXT_CHARACTERS], line, run.last_iteration, thread, details=details)
        if run.failure is not None:
            self.open.details = (run.failure.details + self.open.details)[:DETAILS_KEPT]
        run.failure = self.open
        return self.open

    def bare(self, run: LogRun, line: int, text: str) -> None:
        """A line without prefix."""
        if not text.strip():
            return
        if self.traceback is not None and not text.startswith((" ", "\t")):
            self.raised(run, line, text)
            return
        if what := WHAT.fullmatch(text):
            self.what(line, what[1])
            return
        kind = next((kind for kind, pattern in REMARKS if pattern.match(text)), None)
        if kind is not None:
            run.remark(kind, text.strip(), line)
            if kind != "decoder" and not text.lstrip().startswith(("major:", "minor:")):
                self.context(line, text.strip())
            return
        if text.startswith(TRACEBACK):
            self.traceback, self.continuing = line, False
        elif frame := FRAME.match(text):
            self.continuing = False
            if (
                self.open is not None
                and len(self.open.frames) < FRAMES_KEPT
                and frame[1] != "(unknown)"
                and not UNTOLD.match(frame[1])
            ):
                self.open.frames.append(frame[1].strip()[:TEXT_CHARACTERS])
        elif self.opens(text):
            self.dying(run, line, text)
        elif self.continuing and self.open is not None:
            room = TEXT_CHARACTERS - len(self.open.reason)
            if room > 1:
                self.open.reason += f" {text.strip()}"[:room]

    def raised(self, run: LogRun, line: int, text: str) -> None:
        """The line that ends a Python traceback."""
        begun, self.traceback = self.traceback, None
        if RAISED.match(text):
            self.begin(run, "exception", text.strip(), line)
            self.detail(begun or line, TRACEBACK)

    def what(self, line: int, text: str) -> None:
        """What an exception has to say; OpenCV's goes on in the next line."""
        if self.open is not None and self.open.kind == "exception":
            self.open.reason = f"{self.open.reason}: {text.strip()}"[:TEXT_CHARACTERS]
            self.continuing = True
        else:
            self.detail(line, text)

    def dying(self, run: LogRun, line: int, text: str) -> None:
        """One of the lines by which a program is known to be dying."""
        self.continuing = False
        if text.startswith("*** Check failure stack trace"):
            return
        if text.startswith(("*** Aborted at", "PC: @")):
            if run.failure is None:
                self.begin(run, "signal", text.strip(), line)
            return
        if found := SIGNALS.match(text):
            self.signalled(run, line, text, found[1] or found[2])
            return
        if TERMINATED.match(text):
            kind = "exception"
        elif ASSERTION.fullmatch(text):
            kind = "assertion"
        elif SHELL.fullmatch(text) or KILLER.fullmatch(text):
            kind = "killed"
        else:
            kind = "memory"
        if run.failure is None or run.failure.kind == "signal":
            self.begin(run, kind, text.strip(), line)
        else:
            self.open = run.failure
            self.detail(line, text)

    def signalled(self, run: LogRun, line: int, text: str, name: str) -> None:
        """``*** SIGSEGV (@0x0) received by PID ...``."""
        failure = run.failure
        if failure is None or failure.reason.startswith(("*** Aborted at", "PC: @")):
            failure = self.begin(run, "signal", text.strip(), failure.line if failure else line)
        self.open = failure
        failure.signal = name
        if failure.kind != "signal":
            self.detail(line, text)
