"""Small files that belong to a store: read whole, up to a limit, never followed to another place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 64 << 20
"""A list of a million keys has some 40 MB."""


def read_sidecar(folder: Path, name: str) -> bytes | None:
    """The bytes of a regular file in this folder; ``None`` if there is none, or it is a link, or too large."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            return None
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)
