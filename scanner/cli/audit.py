"""``datascan audit``."""

from __future__ import annotations

import re
from typing import Any

import click

from . import params
from .check import check
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan audit                                  # all sources of the configuration file
  datascan audit train --history /var/lib/datascan/history.sqlite
  datascan audit --max-duration 4h                # goes on tomorrow where the time was up
  datascan audit --subset 2/7                     # the second of seven nights
  datascan audit --notify 'mail -s datascan team@example.org'
  datascan audit --output html=audit.html --output json=audit.json

\b
Exit codes: as datascan check; 3 also where a source was postponed to another night.
"""

TAKEN = ("select", "ignore", "severities", "fail_on", "jobs", "timeout", "max_memory", "work_dir")
"""Options of ``datascan check`` that mean the same here."""

ENDING = ("quiet", "no_progress", "color")

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """``90m``, ``4h``: seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|)", value.strip().lower())
    if match is None or not float(match[1]):
        raise click.BadParameter(f"{value!r} is no duration; write 90m, 4h or 30s", ctx, param)
    return float(match[1]) * UNITS[match[2]]


def share(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """``2/7``: the second of seven."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", value.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise click.BadParameter(f"{value!r} is not N/T with N from 1 to T (2/7 is the second of seven)", ctx, param)
    return int(match[1]), int(match[2])


OPTIONS: tuple[click.Option, ...] = (
    click.Option(
        ["--history"],
        metavar="FILE",
        help="Where runs are remembered (SQLite), outside of the data sets.  [default: datascan-history.sqlite beside "
        "the configuration file, or in the working folder]",
    ),
    click.Option(["--force"], is_flag=True, help="Read every source, also what has not changed since it was read."),
    click.Option(
        ["--reread"],
        metavar="DAYS",
        type=click.FloatRange(0),
        default=7.0,
        show_default=True,
        callback=params.number,
        help="Read what has not changed again after so many days: only that finds bit-rot.",
    ),
    click.Option(
        ["--max-duration"],
        metavar="TIME",
        callback=duration,
        help="Begin nothing more after so long (90m, 4h); the next audit goes on there.",
    ),
    click.Option(
        ["--subset"],
        metavar="N/T",
        callback=share,
        help="Read only the N-th of T shares of each source tonight; after T nights all of it is covered.",
    ),
    click.Option(
        ["--notify"],
        metavar="COMMAND",
        help="Run this when something is new that is wrong, with the JSON on its standard input; no shell is involved.",
    ),
    click.Option(
        ["--drift-records"],
        metavar="SHARE",
        type=click.FloatRange(0, min_open=True),
        default=0.10,
        show_default=True,
        callback=params.number,
        help="A number of records that differs by this share is drift.",
    ),
    click.Option(
        ["--drift-labels"],
        metavar="SHARE",
        type=click.FloatRange(0, 1, min_open=True),
        default=0.05,
        show_default=True,
        callback=params.number,
        help="Labels are drifting when this share of them has moved.",
    ),
    click.Option(
        ["--drift-values"],
        metavar="X",
        type=click.FloatRange(0, min_open=True),
        default=0.10,
        show_default=True,
        callback=params.number,
        help="Values are drifting when a channel's mean has moved by X standard deviations.",
    ),
)


def _taken(names: tuple[str, ...]) -> list[click.Parameter]:
    return [param for param in check.params if param.name in names]


@click.command(epilog=EXAMPLES, short_help="Scan all sources, and say what is new since the last time.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, callback=params.paths)
@click.option(
    "-o",
    "--output",
    "outputs",
    metavar="FORMAT[=FILE]",
    multiple=True,
    help="text, json or html of the night, or another format of datascan check for all that is known; repeatable.  "
    "[default: text]",
)
@params.debug_option
@click.pass_obj
def audit(session: Session, /, sources: tuple[str, ...], **given: Any) -> int:
    """Scan the sources of the configuration file (or some of them, by name or path), and say what has changed.

    Every run is remembered. The report says which findings are new and which are gone, which records are new, gone or
    changed, what has drifted, and what has changed although nobody wrote (store-bit-rot). A source that is as it was
    when it was read last is not read again before --reread days have passed; the report says when it was.
    """
    from .audit_run import run_audit
    from .targets import asked_for

    return run_audit(session, sources, given, asked_for(click.get_current_context()))


audit.params[1:1] = [*_taken(TAKEN[:4]), *OPTIONS, *_taken(TAKEN[4:])]
audit.params[-1:-1] = _taken(ENDING)
