"""Names as people type them: rules, families, layouts; with the nearest ones for a slip of the finger."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from ...backends.errors import UsageError
from ..layouts import LAYOUTS
from ..rules import FAMILIES, RULES


def names_of(name: str, said_by: str = "") -> list[str]:
    """The rules that a name stands for: itself, or all of a family.

    Raises
    ------
    UsageError
        No such rule or family; the message starts with ``said_by``, the option that the name was given to.
    """
    rules = [rule.name for rule in RULES]
    if name in rules:
        return [name]
    if name in FAMILIES:
        return [rule for rule in rules if rule.partition("-")[0] == name]
    near = get_close_matches(name, [*rules, *FAMILIES], 3, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"families are {', '.join(FAMILIES)}"
    said = f"{said_by}: " if said_by else ""
    raise UsageError(f"{said}no rule or family {name!r}; {hint} ('datascan rules' lists all)")


def check_names(names: Iterable[str], option: str) -> tuple[str, ...]:
    """The names as they are, if every one is a rule or a family."""
    return tuple(name for name in names if names_of(name, option))


def check_layout(name: str | None) -> None:
    """Refuse a layout that there is not.

    Raises
    ------
    UsageError
        With the nearest names, or all.
    """
    if name is not None and name not in LAYOUTS:
        near = get_close_matches(name, LAYOUTS, 2, 0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(LAYOUTS)}"
        raise UsageError(f"--layout: no layout {name!r}; {hint}")
