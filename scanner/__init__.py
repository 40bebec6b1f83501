"""The scanner: finds what is wrong in training inputs before the training does."""

from __future__ import annotations

from .api import check
from .api_compare import compare
from .api_rebuild import rebuild
from .finding import Finding, Location, Severity
from .keylist import read_keys
from .report import FindingsError, Report, SourceReport
from .spread import check_shard, merge
from .version import __version__

__all__ = [
    "Finding",
    "FindingsError",
    "Location",
    "Report",
    "Severity",
    "SourceReport",
    "__version__",
    "check",
    "check_shard",
    "compare",
    "merge",
    "read_keys",
    "rebuild",
]
