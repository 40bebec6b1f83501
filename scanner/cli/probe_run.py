"""What ``datascan probe`` does: show the network, then scan with it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
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
from . import SETTINGS
from .check import check
from .check_run import option_fields, run_check
from .names import check_layout
from .outputs import parse_outputs
from .probe import DEFAULT_RULES
from .session import Session
from .targets import Target, targets_of
from .terminal import stdout_style

OWN = ("select", "ignore", "severities", "statistics", "probe")
"""What a probe decides by itself, whatever a configured source says."""


def unasked() -> dict[str, Any]:
    """What ``check`` takes where nothing is said: ``probe`` has a part of its options."""
    with check.make_context("check", ["SOURCE"], **SETTINGS) as context:
        return {**context.params, "statistics": "sampled", "probe": True}


def run_probe(session: Session, sources: Sequence[str], given: Mapping[str, Any], asked: Collection[str]) -> int:
    """Show the networks, scan, write the reports, and give the exit code."""
    given = {**unasked(), **given, "select": given["select"] or tuple(DEFAULT_RULES.split(","))}
    shown = any(output.file is None and output.format == "text" for output in parse_outputs(given["outputs"]))
    check_limits(given["timeout"], given["max_memory"])
    targets = targets_of(session.configuration, sources, given, {*asked, *OWN})
    options = [make_options(**option_fields(target.given)) for target in targets]
    for target in targets:
        check_layout(target.given["layout"])
    with uninterrupted(), Crew(given["jobs"], Limits(given["timeout"], given["max_memory"])) as crew:
        if shown and not given["quiet"]:
            style = stdout_style(given["color"], given["quiet"])
            for target, chosen in zip(targets, options, strict=True):
                _show(session, target, chosen, crew, style)
        return run_check(session, targets, given, crew)


def _show(session: Session, target: Target, options: Options, crew: Crew, style: Style) -> None:
    """The network of a source; one that can't be opened is left to the report."""
    try:
        shown = preview_probe(
            target.path,
            options,
            crew,
            backend=target.given["backend"],
            database=target.given["database"],
            layout=target.given["layout"],
            data_root=target.given["data_root"],
        )
    except StoreError:
        return

    def write(stream: TextIO) -> None:
        for path, facts in shown.items():
            name = style.paint(printable(path), "name")
            stream.write(f"{name}\n" + "".join(f"{line}\n" for line in network_lines(facts, style)) + "\n")

    session.write(write)
    sys.stdout.flush()
