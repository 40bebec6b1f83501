"""What ``datascan probe`` does: show the network, then scan with it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ...backends.errors import StoreError
from ..api import check_limits, make_options, preview_probe
from ..crew import Crew
from ..interrupt import uninterrupted
from ..options import Options
from ..printable import printable
from ..render import Style
from ..render.probe import network_lines
from ..supervisor import Limits
from .check import check
from .check_run import option_fields, run_check
from .names import check_layout
from .outputs import parse_outputs
from .probe import DEFAULT_RULES
from .session import Session
from .terminal import stdout_style


def unasked() -> dict[str, Any]:
    """What ``check`` takes where nothing is said: ``probe`` has a part of its options."""
    with check.make_context("check", ["SOURCE"]) as context:
        return {**context.params, "statistics": "sampled", "probe": True}


def run_probe(session: Session, sources: Sequence[str], given: Mapping[str, Any]) -> int:
    """Show the networks, scan, write the reports, and give the exit code."""
    given = {**unasked(), **given, "select": given["select"] or tuple(DEFAULT_RULES.split(","))}
    shown = any(output.file is None and output.format == "text" for output in parse_outputs(given["outputs"]))
    check_limits(given["timeout"], given["max_memory"])
    options = make_options(**option_fields(given))
    check_layout(given["layout"])
    with uninterrupted(), Crew(given["jobs"], Limits(given["timeout"], given["max_memory"])) as crew:
        if shown and not given["quiet"]:
            style = stdout_style(given["color"], given["quiet"])
            for source in sources:
                _show(session, source, options, given, crew, style)
        return run_check(session, sources, given, crew)


def _show(session: Session, source: str, options: Options, given: Mapping[str, Any], crew: Crew, style: Style) -> None:
    """The network of a source; one that can't be opened is left to the report."""
    try:
        shown = preview_probe(
            source,
            options,
            crew,
            backend=given["backend"],
            database=given["database"],
            layout=given["layout"],
            data_root=given["data_root"],
        )
    except StoreError:
        return

    def write(stream: TextIO) -> None:
        for path, facts in shown.items():
            name = style.paint(printable(path), "name")
            stream.write(f"{name}\n" + "".join(f"{line}\n" for line in network_lines(facts, style)) + "\n")

    session.write(write)
    sys.stdout.flush()
