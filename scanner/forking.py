"""Workers that are copies of a process which has loaded already what they need: they start in milliseconds.

Only the program itself makes them, of itself, and only while it has a single thread: a copy of somebody's script, with
its threads, locks and devices, would be asking for trouble. Everybody else's workers are started from nothing.
"""

from __future__ import annotations

import fcntl
import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import IO, Never

from ..backends import plugins

_NEEDED = (".plan", ".worker")
"""Modules with all that a worker loads whatever it scans."""

_LONGEST_NAP_S = 0.01

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Variables for who loads numpy: processes are the parallelism here, its threads would only take memory and time."""

_allowed = False


def allow() -> None:
    """Say that this process is the program, and may be copied as long as nobody forbids it."""
    global _allowed
    _allowed = True
    os.environ.update(ONE_THREAD)


def forbid() -> None:
    """Say that something is at work in this process that would not survive to be copied."""
    global _allowed
    _allowed = False


def is_possible() -> bool:
    """Whether a worker can be made by copying this process as it is now."""
    if not _allowed or plugins.may_be_at_work():  # they may hold open, or have started, what they like
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1  # counts the threads of C libraries too
    except OSError:
        return False


class Forked:
    """A child of this process that runs a function: what `subprocess.Popen` offers, as far as it is needed here.

    Attributes
    ----------
    stdin, stdout
        Our ends of two pipes; the child's are its standard input and output. It holds nothing else that was open here
        but ``kept``.
    returncode
        As `subprocess.Popen.returncode`.
    """

    def __init__(self, run: Callable[[], None], kept: int) -> None:
        for module in _NEEDED:
            import_module(module, __package__)
        parent_ends, child_ends = _pipes()
        self.pid = os.fork()
        if self.pid == 0:
            _run_as_child(run, *child_ends, kept)
        for descriptor in child_ends:
            os.close(descriptor)
        self.stdin: IO[bytes] | None = os.fdopen(parent_ends[0], "wb")
        self.stdout: IO[bytes] | None = os.fdopen(parent_ends[1], "rb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """See `subprocess.Popen.poll`."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """See `subprocess.Popen.wait`."""
        deadline, nap = time.monotonic() + timeout, 0.0005
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                from subprocess import TimeoutExpired  # which a help text has no need of

                raise TimeoutExpired("worker", timeout)
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP_S)
        return code

    def kill(self) -> None:
        """See `subprocess.Popen.kill`."""
        if self.poll() is None:
            os.kill(self.pid, 9)


def _pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Our ends and the child's: each what the parent writes to or the child reads from, then the other way round."""
    calls_read, calls_write = os.pipe()
    try:
        answers_read, answers_write = os.pipe()
    except OSError:
        os.close(calls_read)
        os.close(calls_write)
        raise
    return (calls_write, answers_read), (calls_read, answers_write)


def _run_as_child(run: Callable[[], None], calls: int, answers: int, kept: int) -> Never:
    """Run the function and end: whatever the parent was in the middle of is not the child's to finish."""
    code = 1
    try:
        gc.freeze()  # nothing of the parent's is garbage here: its memory stays shared, its objects close nothing
        _move_to_standard(calls, answers)
        _let_go(kept)
        run()
        code = 0
    finally:
        os._exit(code)


def _move_to_standard(calls: int, answers: int) -> None:
    """Make the pipes standard input and output, which either may already be if this process was started without."""
    apart = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in (calls, answers)]
    for number, descriptor in enumerate(apart):
        os.dup2(descriptor, number)


def _let_go(kept: int) -> None:
    """Put the null device in place of all else that is open.

    The numbers stay taken: an object of the parent's that closes its own here must not hit a file of the child's.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 1 and number not in (kept, null):
            with suppress(OSError):
                os.dup2(null, number, inheritable=False)
