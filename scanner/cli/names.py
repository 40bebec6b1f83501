"""Names as people type them: rules, families, layouts; with the nearest ones for a slip of the finger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ...backends.errors import UsageError
from ..layouts import layout_named
from ..rules import Rule, broken_rule, known_rules
from ..training.rules import FileRule


def all_rules() -> tuple[type[Rule] | type[FileRule], ...]:
    """Rules about data sets, then those about solvers, nets and logs."""
    from ..training.registry import FILE_RULES  # with the readers of those files, which few commands need

    return (*known_rules(), *FILE_RULES)


def names_of(name: str, said_by: str = "", among: Sequence[type[Rule] | type[FileRule]] | None = None) -> list[str]:
    """The rules that a name stands for: itself, or all of a family; by default of the rules about data sets.

    Raises
    ------
    UsageError
        No such rule or family; the message starts with ``said_by``, the option that the name was given to.
    """
    rules = [rule.name for rule in (known_rules() if among is None else among)]
    families = list(dict.fromkeys(rule.partition("-")[0] for rule in rules))
    if name in rules:
        return [name]
    if name in families:
        return [rule for rule in rules if rule.partition("-")[0] == name]
    if among is None and broken_rule(name) is not None:
        return [name]
    near = get_close_matches(name, [*rules, *families], 3, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"families are {', '.join(families)}"
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
        With the nearest names, or all; or with why the class of ``module:Class`` can't be loaded.
    """
    if name is not None:
        try:
            layout_named(name)
        except UsageError as exc:
            raise UsageError(f"--layout: {exc}") from exc
