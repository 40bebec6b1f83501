"""Workers that may die: each runs in a process of its own, is watched, and is replaced when it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..backends.errors import StoreError
from . import forking
from .serve import main, receive, send, widen
from .stamp import NOTHING, Mark, Stamp, shared_memory

_TICK_S = 0.1
_START_S = 60.0
"""How long a worker may take to start, whatever the timeout: a busy machine says nothing about a record."""

_PATIENCE = 60
"""While no record is touched (a log is replayed, pages are listed) a worker that goes on reading may take so many
times the timeout."""

_GIVE_UP_S = 0.5
"""How long to wait for a killed process. One that hangs in a dead file system ends when that answers."""

_Process: TypeAlias = "subprocess.Popen[bytes] | forking.Forked"


@dataclass(frozen=True)
class Limits:
    """What a worker may use before it is ended.

    ``timeout_s`` is the longest time without progress. ``max_memory`` is in bytes, ``None`` for no limit; the default
    leaves room for the largest image and chunk that are decoded at all, and stops what allocates without an end.
    """

    timeout_s: float = 60.0
    max_memory: int | None = 4 << 30


LEAST_MEMORY = 256 << 20
"""A lower limit would stop workers that only read a batch of the usual size."""


class WorkerDied(Exception):
    """A worker ended without an answer; ``mark`` is its last stamp."""

    def __init__(self, reason: str, mark: Mark) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mark = mark


class Cancelled(Exception):
    """The scan was interrupted while a call was under way."""


class Worker:
    """One worker process at a time; a new one is started when a call finds none."""

    def __init__(self, limits: Limits, cancelled: threading.Event) -> None:
        self.limits = limits
        self.cancelled = cancelled
        self._process: _Process | None = None
        self._stamp: Stamp | None = None
        self._busy = False

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a module-level function in the worker and wait for what it returns.

        Raises
        ------
        WorkerDied
            It was killed, ran out of time or memory.
        Cancelled
            ``cancelled`` was set meanwhile; the worker is gone.
        StoreError
            No worker could be started.
        Exception
            What the function itself raised.
        """
        if self.cancelled.is_set():
            raise Cancelled
        process, stamp = self._running()
        stamp.forget()
        self._busy = True
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # a worker that died while idle: noticed below
                send(process.stdin, (function, args))
            ok, value = self._wait(process, stamp)
        except BaseException:
            self.close()  # its answer would be taken for that of the next call
            raise
        finally:
            self._busy = False
        if ok:
            return value
        if isinstance(value, MemoryError):
            raise self._died("needs more memory than the limit")
        raise value

    def progress(self) -> tuple[int, int]:
        """Records and bytes done in the call that is under way."""
        stamp = self._stamp
        if stamp is None or not self._busy:
            return 0, 0
        with contextlib.suppress(ValueError):  # closed at this moment
            mark = stamp.read()
            return mark.records, mark.size_bytes
        return 0, 0

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        stamp, self._stamp = self._stamp, None
        if stamp is not None:
            stamp.close()

    def start(self) -> None:
        """Start the process, if there is none, without waiting for it."""
        self._running()

    def _running(self) -> tuple[_Process, Stamp]:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it died while it had nothing to do: no record is to blame
        if self._process is None or self._stamp is None:
            self.close()
            descriptor = shared_memory()
            try:
                self._stamp = Stamp(descriptor)
                self._process = _started(descriptor, self.limits.max_memory)
            except OSError as exc:
                raise StoreError(f"no reader process could be started: {exc.strerror}") from exc
            finally:
                os.close(descriptor)
        return self._process, self._stamp

    def _wait(self, process: _Process, stamp: Stamp) -> tuple[bool, Any]:
        watch = _Watch(self.limits, process.pid, stamp)

        def look() -> None:
            if self.cancelled.is_set():
                raise Cancelled
            if (reason := watch.look()) is not None:
                raise _GivenUp(reason)

        try:
            answer: tuple[bool, Any] = receive(_Answers(process, look))
        except _GivenUp as given_up:
            raise self._died(str(given_up)) from None
        except Cancelled:
            raise
        except Exception:  # it is gone, or its memory is damaged: then it may send anything before it dies
            raise self._died(_ending(process)) from None
        return answer

    def _died(self, reason: str) -> Exception:
        assert self._process is not None
        assert self._stamp is not None
        _end(self._process)  # first, so that the stamp is its last
        mark = self._stamp.read()
        self.close()
        if mark.beats == 0:
            return StoreError(f"a reader process could not start: it {reason}")
        return WorkerDied(reason, mark)


class _GivenUp(Exception):
    """A worker has to be ended, for the reason given."""


class _Answers:
    """What a worker sends. Whoever waits for it looks after the worker meanwhile, and stops waiting by an exception."""

    def __init__(self, process: _Process, look: Callable[[], None]) -> None:
        assert process.stdout is not None
        self._descriptor = process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._look = look

    def readinto(self, buffer: bytearray) -> int:
        """Fill a buffer; less than all of it only at the end."""
        view, done = memoryview(buffer), 0
        while done < len(view):
            if not self._poll.poll(_TICK_S * 1000):
                self._look()
                continue
            count = os.readv(self._descriptor, [view[done:]])
            if count == 0:
                break
            done += count
        return done


class _Watch:
    """Looks after one call."""

    def __init__(self, limits: Limits, pid: int, stamp: Stamp) -> None:
        self.limits = limits
        self.pid = pid
        self.stamp = stamp
        self.seen: tuple[int, int] = (-1, -1)
        self.since = self.stamped = time.monotonic()

    def look(self) -> str | None:
        """Why the worker has to be ended, ``None`` while it need not."""
        now, mark = time.monotonic(), self.stamp.read()
        if mark.beats != self.seen[0]:
            self.stamped = now
        # Whoever opens a store or lists its pages does not stamp, but reads.
        seen = (mark.beats, read_bytes(self.pid) if mark.start == NOTHING else 0)
        if seen != self.seen:
            self.seen, self.since = seen, now
        timeout = self.limits.timeout_s if mark.beats else max(_START_S, self.limits.timeout_s)
        if now - self.since > timeout:
            return f"made no progress for {timeout:g} s"
        if now - self.stamped > timeout * _PATIENCE:
            return f"read on for {now - self.stamped:.0f} s without coming to an end"
        limit = self.limits.max_memory
        if limit is not None and resident_bytes(self.pid) > limit:
            return f"took more than {limit >> 20} MiB of memory"
        return None


# ---- processes ----

_threads: list[ThreadPoolExecutor] = []


def _starter() -> ThreadPoolExecutor:
    """Starts all workers: Linux kills a child with the thread that started it, so this one outlives every scan."""
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="datascan-starter"))
    return _threads[0]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.clear)  # the thread is not in the child


def _started(descriptor: int, max_memory: int | None) -> _Process:
    if forking.is_possible():
        process: _Process = forking.Forked(partial(main, os.getpid(), descriptor, max_memory), descriptor)
    else:
        process = _starter().submit(_start, descriptor, max_memory).result()
    assert process.stdout is not None
    widen(process.stdout.fileno())
    return process


def _start(descriptor: int, max_memory: int | None) -> subprocess.Popen[bytes]:
    # Not multiprocessing: its children run the caller's main module again, and a user's script has no guard.
    code = "import sys; sys.path[:] = {!r}; from {} import main; main({!r}, {!r}, {!r})".format(
        sys.path, __name__.rpartition(".")[0] + ".serve", os.getpid(), descriptor, max_memory
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env=dict(os.environ) | forking.ONE_THREAD,
    )


def _end(process: _Process) -> None:
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GIVE_UP_S)
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):
            pipe.close()


def _ending(process: _Process) -> str:
    """How a process ended that sends nothing more."""
    try:
        code = process.wait(_GIVE_UP_S)
    except subprocess.TimeoutExpired:
        return "sent no answer that makes sense"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def read_bytes(pid: int) -> int:
    """Bytes that a process has read so far; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/io").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
