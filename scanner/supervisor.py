"""Workers that may die: each runs in a process of its own, is watched, and is replaced when it ends."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .serve import receive, send
from .stamp import Stamp

_TICK_S = 0.1


@dataclass(frozen=True)
class Limits:
    """What a worker may use before it is ended.

    ``timeout_s`` is the longest time without progress; ``max_memory`` is in bytes, ``None`` for no limit.
    """

    timeout_s: float = 60.0
    max_memory: int | None = None


class WorkerDied(Exception):
    """A worker ended without an answer. ``start`` and ``stop`` are the positions it had stamped (-1: none)."""

    def __init__(self, reason: str, start: int, stop: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.start = start
        self.stop = stop


class Cancelled(Exception):
    """The scan was interrupted while a call was under way."""


class Worker:
    """One worker process at a time; a new one is started when a call finds none."""

    def __init__(self, limits: Limits, cancelled: threading.Event) -> None:
        self.limits = limits
        self.cancelled = cancelled
        self._process: subprocess.Popen[bytes] | None = None
        self._stamp: Stamp | None = None
        self._answers: queue.Queue[Any] = queue.Queue()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a module-level function in the worker and wait for what it returns.

        Raises
        ------
        WorkerDied
            It was killed, ran out of time or memory.
        Cancelled
            ``cancelled`` was set meanwhile; the worker is gone.
        Exception
            What the function itself raised.
        """
        if self.cancelled.is_set():
            raise Cancelled
        process, stamp = self._running()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a worker that died while idle: noticed below
            send(process.stdin, (function, args))
        ok, value = self._wait(process, stamp)
        if ok:
            return value
        if isinstance(value, MemoryError):
            raise self._died("needs more memory than the limit")
        raise value

    def progress(self) -> tuple[int, int]:
        """Records and bytes done in the call that is under way."""
        if self._stamp is None:
            return 0, 0
        _, _, _, records, size_bytes = self._stamp.read()
        return records, size_bytes

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        stamp, self._stamp = self._stamp, None
        if stamp is not None:
            stamp.remove()

    def start(self) -> None:
        """Start the process, if there is none, without waiting for it."""
        self._running()

    def _running(self) -> tuple[subprocess.Popen[bytes], Stamp]:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it died while it had nothing to do: no record is to blame
        if self._process is None or self._stamp is None:
            self._stamp = Stamp.create()
            # Not multiprocessing: its children run the caller's main module again, and a user's script has no guard.
            code = "import sys; sys.path[:] = {!r}; from {} import main; main({!r}, {!r})".format(
                sys.path, __name__.rpartition(".")[0] + ".serve", str(self._stamp.path), self.limits.max_memory
            )
            self._answers = queue.Queue()
            self._process = _starter.submit(_start, code).result()
            threading.Thread(target=_collect, args=(self._process, self._answers), daemon=True).start()
        return self._process, self._stamp

    def _wait(self, process: subprocess.Popen[bytes], stamp: Stamp) -> tuple[bool, Any]:
        beats, since = -1, time.monotonic()
        while True:
            try:
                answer = self._answers.get(timeout=_TICK_S)
            except queue.Empty:
                if self.cancelled.is_set():
                    self.close()
                    raise Cancelled from None
                now = time.monotonic()
                latest = stamp.read()[0]
                if latest != beats:
                    beats, since = latest, now
                elif now - since > self.limits.timeout_s:
                    raise self._died(f"made no progress for {self.limits.timeout_s:g} s") from None
                if self.limits.max_memory is not None and resident_bytes(process.pid) > self.limits.max_memory:
                    raise self._died(f"took more than {self.limits.max_memory >> 20} MiB of memory") from None
                continue
            if answer is None:
                raise self._died(_ending(process.wait()))
            result: tuple[bool, Any] = answer
            return result

    def _died(self, reason: str) -> WorkerDied:
        assert self._stamp is not None
        _, start, stop, _, _ = self._stamp.read()
        self.close()
        return WorkerDied(reason, start, stop)


_starter = ThreadPoolExecutor(1, thread_name_prefix="datascan-starter")
"""Starts all workers: Linux kills a child with the thread that started it, so this one outlives every scan."""


def _start(code: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _collect(process: subprocess.Popen[bytes], answers: queue.Queue[Any]) -> None:
    """Move answers from the pipe to the queue; ``None`` when the worker is gone."""
    assert process.stdout is not None
    try:
        while True:
            answers.put(receive(process.stdout))
    except (EOFError, OSError, ValueError):
        answers.put(None)


def _ending(code: int) -> str:
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
