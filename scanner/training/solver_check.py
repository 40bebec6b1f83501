"""A solver, judged."""

from __future__ import annotations

from ..finding import Finding
from .prototxt import Message
from .rules import FileRule, in_line_order
from .schema import as_meant, check_message
from .solver import Solver
from .solver_rate import RATE_RULES, check_rate
from .solver_run import RUN_RULES, check_run
from .solver_update import UPDATE_RULES, check_update
from .text_rules import SOLVER_TEXT_RULES, check_text

SOLVER_RULES: tuple[type[FileRule], ...] = (*SOLVER_TEXT_RULES, *RATE_RULES, *UPDATE_RULES, *RUN_RULES)


def check_solver(message: Message) -> list[Finding]:
    """Findings of a solver in the order of its lines.

    A misspelt field and a value of a wrong type are said once, and judged as what they were meant to be. Behind a
    syntax error nothing was read, so only what stands before it is judged, and nothing that is absent.
    """
    text = list(check_text(message, "solver"))
    if message.fault is not None:
        return list(in_line_order(text))
    solver = Solver.of(as_meant(message, check_message(message, "SolverParameter")))
    return list(in_line_order([*text, *check_rate(solver), *check_update(solver), *check_run(solver)]))
