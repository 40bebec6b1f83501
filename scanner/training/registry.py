"""All rules about files, in the order of their pages, and the judge of each kind of file.

To add a family: a tuple of `rules.FileRule` classes in its own module and a line in `FILE_RULES`; for a kind of file
that ``datascan lint`` is to judge, a line in `JUDGES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..finding import Finding
from .log_rules import LOG_RULES
from .net import NET_RULES, check_net
from .prototxt import Message
from .rules import FileRule
from .solver_check import SOLVER_RULES, check_solver

FILE_RULES: tuple[type[FileRule], ...] = (*SOLVER_RULES, *NET_RULES, *LOG_RULES)
"""Every rule about solvers, nets and logs."""

JUDGES: Mapping[str, Callable[[Message], list[Finding]]] = {"solver": check_solver, "net": check_net}
"""Kind of file to what judges it."""
