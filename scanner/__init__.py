"""The scanner: finds what is wrong in training inputs before the training does.

What it offers is loaded when it is first asked for: the command line, whose modules are all below this one, needs
little of it to print a help text.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .api import check
    from .api_compare import compare
    from .api_rebuild import rebuild
    from .finding import Finding, Location, Severity
    from .keylist import read_keys
    from .report import FindingsError, Report, SourceReport
    from .spread import check_shard, merge

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

_PLACES = {
    "Finding": "finding",
    "FindingsError": "report",
    "Location": "finding",
    "Report": "report",
    "Severity": "finding",
    "SourceReport": "report",
    "check": "api",
    "check_shard": "spread",
    "compare": "api_compare",
    "merge": "spread",
    "read_keys": "keylist",
    "rebuild": "api_rebuild",
}
"""Name to the module that has it."""


def __getattr__(name: str) -> Any:
    """Load what is asked for, and keep it: the next one who asks finds it without this function."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    """All that is there, and all that can be loaded."""
    return sorted({*globals(), *__all__})
