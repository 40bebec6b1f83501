"""What plug-ins mean for a scan: broken ones are named, and what they would have looked for counts as missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..backends import BACKENDS
from ..backends.plugins import Plugin
from .layouts import LAYOUTS
from .options import Options
from .report import NotRun
from .rules import RULE_PLUGINS

_OURS = __name__.rpartition(".")[0] + "."


def broken_plugins(options: Options) -> Iterator[tuple[NotRun, bool]]:
    """Plug-ins that could not be loaded, and whether the scan is incomplete without each.

    It is without a rule, unless that was not asked for. A broken layout or backend shows in what is then not decoded.
    """
    for kind, registry in (("backend", BACKENDS), ("layout", LAYOUTS)):
        for plugin, why in registry.broken.items():
            yield NotRun("plugin", _text(kind, plugin, why)), False
    for plugin, why in RULE_PLUGINS.broken.items():
        names = {plugin.name, plugin.name.partition("-")[0]}
        wanted = (not options.select or names & set(options.select)) and not names & set(options.ignore)
        if wanted:
            yield NotRun("plugin", _text("rule", plugin, why)), True


def _text(kind: str, plugin: Plugin, why: str) -> str:
    return f"{kind} {plugin.name} of {plugin.package} can't be used: {why}"


def failed_layouts(failed: Iterable[tuple[str, str]]) -> list[NotRun]:
    """Layouts of plug-ins that failed when they were asked whether they know the records."""
    return [NotRun("plugin", f"layout {name} failed to look at the records: {why}") for name, why in failed]


def is_foreign(cls: type) -> bool:
    """Whether a class is no part of datascan."""
    return not cls.__module__.startswith(_OURS)
