"""What grows with the number of records: kept in memory up to a limit, on disk beyond it."""

from __future__ import annotations

from .log import Log
from .sorter import Sorter
from .workspace import SpillError, SpillFile, Workspace

__all__ = ["Log", "Sorter", "SpillError", "SpillFile", "Workspace"]
