"""The worker's side: a process that answers calls over its standard input and output until it ends."""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from io import BufferedReader, BufferedWriter
from typing import IO, Any, Protocol

from .stamp import NOTHING, Stamp, wear

_APART_BYTES = 1 << 16
"""Arrays of so many bytes are not copied into the message."""

_PIPE_BYTES = 1 << 20

_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": (-3, 32 << 20), "MALLOC_TRIM_THRESHOLD_": (-1, 64 << 20)}
"""glibc keeps a batch's freed memory for the next one: to fetch it from the system anew costs as much as to read
into it. By variable, where a setting of the user's own wins, and as ``mallopt`` takes them."""

_OOM_SCORE = "500"
"""Where the whole machine runs out of memory, the kernel shall end a worker, which is replaced, not its parent."""


def send(stream: IO[bytes], message: Any) -> None:
    """Write one pickled message with its lengths before it; large arrays come behind it as they are, uncopied."""
    arrays: list[memoryview] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        content = buffer.raw()
        if content.nbytes < _APART_BYTES:
            return True
        arrays.append(content)
        return False

    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL, buffer_callback=is_small)
    stream.write(struct.pack(f"<{len(arrays) + 2}Q", len(arrays), len(body), *(array.nbytes for array in arrays)))
    stream.write(body)
    for array in arrays:
        stream.write(array)
    stream.flush()


class Readable(Protocol):
    """Where messages come from."""

    def readinto(self, buffer: bytearray, /) -> int:
        """Fill a buffer; less than all of it only at the end."""


def receive(stream: Readable) -> Any:
    """Read one message that the other side of our own pipe sent.

    Raises
    ------
    EOFError
        The other side is gone.
    """
    (count,) = struct.unpack("<Q", _read(stream, 8))
    lengths = struct.unpack(f"<{count + 1}Q", _read(stream, 8 * (count + 1)))
    body, *arrays = (_read(stream, length) for length in lengths)
    return pickle.loads(body, buffers=arrays)


def _read(stream: Readable, length: int) -> bytearray:
    content = bytearray(length)
    if stream.readinto(content) < length:
        raise EOFError
    return content


def widen(descriptor: int) -> None:
    """Let a pipe hold as much as it may, so that a long message takes few turns."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # too many pipes of this user are as wide
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def main(parent: int, descriptor: int, max_memory: int | None) -> None:
    """Answer calls: each is ``(function, args)``, each answer ``(ok, value)``."""
    calls, answers = _own_streams()
    _end_with(parent)
    _keep_memory()
    own = Stamp(descriptor)
    import_module(".plan", __package__)  # while the parent is still busy with its own imports
    _limit_memory(max_memory)
    wear(own)
    own.write(NOTHING, NOTHING)
    while True:
        try:
            function, args = receive(calls)
        except EOFError:
            return
        send(answers, _answer(function, args))


def _answer(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*args)
    except Exception as exc:  # whatever it is, the parent decides what it means
        try:
            pickle.loads(pickle.dumps(exc))
        except Exception:
            return False, RuntimeError(f"{type(exc).__name__}: {exc}")
        return False, exc


def _own_streams() -> tuple[BufferedReader, BufferedWriter]:
    """Our pipes, moved out of the way: what a C library prints must not get between the messages."""
    calls = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.close(quiet)
    return calls, answers


def _end_with(parent: int) -> None:
    """Signals that end a scan are the parent's to handle; a parent that is killed takes its workers with it (Linux).

    Elsewhere a worker ends when it finds its standard input closed.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(_OOM_SCORE)
        except OSError:
            return


def _keep_memory() -> None:
    """Set up what the C library does with freed memory, where it is glibc."""
    if sys.platform == "linux":
        import ctypes

        library = ctypes.CDLL(None)
        for variable, (parameter, size_bytes) in _KEPT_MEMORY.items():
            if variable not in os.environ and hasattr(library, "mallopt"):
                library.mallopt(parameter, size_bytes)


def _limit_memory(max_memory: int | None) -> None:
    """RLIMIT_DATA and not RLIMIT_AS: mapped libraries do not count, what is allocated does."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if max_memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (max_memory, max_memory))
