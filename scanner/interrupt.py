"""Ctrl-C and its like: the first one ends the scan and keeps the report, the next ones do no harm."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENOUGH_S = 5.0
"""A signal that comes so long after the first one ends the process at once: its report can't be written, it seems."""

_INTERRUPTED = 130


class _Interruption:
    """What the signals of this run have led to."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.held = False
        self.pending = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the main thread once."""
        now = time.monotonic()
        if self.first is None:
            self.first = now
            if self.held:
                self.pending = True
                return
            raise KeyboardInterrupt
        if now - self.first > _ENOUGH_S:
            os._exit(_INTERRUPTED)


_current: _Interruption | None = None


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into one `KeyboardInterrupt`; the old handlers come back at the end.

    SIGINT counts even where it was ignored at the start, as it is for ``datascan ... &`` in a script; SIGHUP does not,
    for that is how ``nohup`` works.
    """
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer, _current = _current, _Interruption()
    handlers: dict[int, Any] = {}
    try:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
                continue
            handlers[number] = signal.signal(number, _current.handle)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _current = outer


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold a first signal back, but for the parts of the block that are `interrupting`.

    What is under way in the other parts is short, and must be whole: merging, writing reports.
    """
    current = _current
    if current is None:
        yield
        return
    held, current.held = current.held, True
    try:
        yield
    finally:
        current.held = held


@contextmanager
def interrupting() -> Iterator[None]:
    """Let a signal interrupt this part of an `uninterrupted` block; one that came before does so at once."""
    current = _current
    if current is None:
        yield
        return
    held, current.held = current.held, False
    try:
        if current.pending:
            current.pending = False
            raise KeyboardInterrupt
        yield
    finally:
        current.held = held
