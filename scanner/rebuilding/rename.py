"""Renames that never overwrite by accident, and that swap two names at once where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_AT_FDCWD = -100
_NO_REPLACE, _EXCHANGE = 1, 2


def rename_new(old: Path, new: Path) -> None:
    """Rename; raises `FileExistsError` where the new name is taken."""
    if _renameat2(old, new, _NO_REPLACE):
        return
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
    os.rename(old, new)


def exchange(one: Path, other: Path) -> bool:
    """Swap two names at once; ``False`` where the system or the file system can't."""
    return _renameat2(one, other, _EXCHANGE)


def _renameat2(old: Path, new: Path, flags: int) -> bool:
    """Call Linux's renameat2; ``False`` where there is none, or not with these flags."""
    function = _function()
    if function is None:
        return False
    if function(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(old), None, str(new))


@cache
def _function() -> Any | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
