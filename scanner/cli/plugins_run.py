"""What ``datascan plugins`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ...backends import BACKENDS
from ...backends.plugins import Plugin
from ..layouts import LAYOUTS
from ..printable import printable
from ..render import RENDERERS
from ..render.json_ import portable_json
from ..rules import RULE_PLUGINS
from .session import Session
from .terminal import write_lines


def run_plugins(session: Session, output: str) -> int:
    """Print all plug-ins; 3 where one is broken."""
    found = {
        plugin: why
        for registry in (BACKENDS, LAYOUTS, RULE_PLUGINS, RENDERERS)
        for plugin, why in registry.plugins.items()
    }
    if output == "json":
        text = json.dumps({"plugins": [_entry(plugin, why) for plugin, why in found.items()]}, indent=2)
        session.write(lambda stream: stream.write(portable_json(text, stream.encoding) + "\n"))
    else:
        session.write(lambda stream: write_lines(list(_lines(found)), stream))
    return 3 if any(found.values()) else 0


def _entry(plugin: Plugin, why: str) -> dict[str, str | None]:
    return {
        "kind": plugin.kind.removesuffix("s"),
        "name": plugin.name,
        "object": plugin.target,
        "package": plugin.package,
        "broken": why or None,
    }


def _lines(found: dict[Plugin, str]) -> Iterator[str]:
    if not found:
        yield "no plug-ins are installed"
        return
    rows = [(plugin.kind.removesuffix("s"), plugin.name, plugin.package, plugin.target) for plugin in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row, why in zip(rows, found.values(), strict=True):
        columns = [text.ljust(width) for text, width in zip(row[:3], widths, strict=True)]
        yield printable("  ".join([*columns, row[3]]))
        if why:
            yield printable(f"  broken: {why}")
