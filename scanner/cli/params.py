"""Option values: parsed, and refused with a message that says what would do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .session import Session

LEVELS = ("error", "warning", "info")

FORMATS = ("text", "json", "jsonl", "html", "sarif", "junit", "github", "metrics", "csv", "keys")
"""The formats of reports, spelt out here: to import them for ``--help`` would take longer than to print it."""


class BackendName(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 only
    """A name of `BACKENDS`; those of plug-ins are looked up only where the name is not ours."""

    name = "backend"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Our own names, as a choice."""
        return "[lmdb|leveldb|hdf5]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, if there is such a backend."""
        from ...backends import BACKENDS

        if value not in BACKENDS:
            self.fail(f"{value!r} is not one of {', '.join(BACKENDS)}", param, ctx)
        return value


F = TypeVar("F", bound=Callable[..., Any])


def names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Comma lists of a repeated option in one, each name once."""
    found = tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))
    if values and not found:
        raise click.BadParameter("no name given; 'datascan rules' lists them", ctx, param)
    return found


def levels(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``RULE=LEVEL`` of a repeated option: rule or family to level; the last one wins."""
    chosen = {}
    for value in values:
        rule, _, level = (part.strip() for part in value.partition("="))
        if not rule or level.lower() not in LEVELS:
            raise click.BadParameter(
                f"{value!r} is not RULE=LEVEL with a level of {', '.join(LEVELS)} (value-nan=warning)", ctx, param
            )
        chosen[rule] = level.lower()
    return chosen


def number(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """A number; NaN passes any test of a range."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no number", ctx, param)
    return value


def size_bytes(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """``512M``, ``2G``: bytes; ``none`` for no limit."""
    if value is None or value.lower() == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", value.strip().lower())
    if match is None:
        raise click.BadParameter(f"{value!r} is no size; write 512M, 2G or none", ctx, param)
    return int(float(match[1]) * (1 << (10 * " kmgt".index(match[2] or " "))))


def characters(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Characters as they stand, or those of ``@FILE``: line breaks separate them there and are none of them."""
    if value is None or not value.startswith("@") or value == "@":
        if value == "":
            raise click.BadParameter("no characters given", ctx, param)
        return value
    try:
        with open(value[1:], encoding="utf-8") as file:
            found = "".join(dict.fromkeys(file.read(1 << 22).replace("\r", "").replace("\n", "")))
    except (OSError, UnicodeDecodeError) as exc:
        raise click.BadParameter(f"can't read {value[1:]}: {exc}", ctx, param) from None
    if not found:
        raise click.BadParameter(f"{value[1:]} holds no characters", ctx, param)
    return found


def paths(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of sources, as given."""
    for value in values:
        if not value or "\0" in value:
            raise click.BadParameter(f"{value!r} is no path; name an LMDB, LevelDB or HDF5 data set", ctx, param)
    return values


def debug_option(command: F) -> F:
    """``--debug`` behind a command's name as well as before it."""

    def remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            ctx.ensure_object(Session).debug = True

    return click.option(
        "--debug", is_flag=True, expose_value=False, callback=remember, help="Show tracebacks of datascan's own bugs."
    )(command)


def backend_option(command: F) -> F:
    """``--backend``."""
    return click.option(
        "--backend",
        type=BackendName(),
        help="The store, where it must not be recognised from its bytes.",
    )(command)


def database_option(command: F) -> F:
    """``--database``."""
    return click.option(
        "--database", metavar="NAME", help="The named database inside an LMDB.  [default: the unnamed one]"
    )(command)


def layout_option(command: F) -> F:
    """``--layout``."""
    return click.option(
        "--layout", metavar="NAME", help="How records are encoded.  [default: recognised from the first records]"
    )(command)


def colour_option(command: F) -> F:
    """``--color``."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colours: auto means on a terminal, unless NO_COLOR or FORCE_COLOR is set.",
    )(command)


def data_root_option(command: F) -> F:
    """``--data-root``."""
    return click.option(
        "--data-root",
        metavar="DIR",
        help="A folder that relative paths in a net count from, besides the working folder.",
    )(command)


def jobs_option(command: F) -> F:
    """``--jobs``."""
    return click.option(
        "-j",
        "--jobs",
        metavar="N",
        type=click.IntRange(1),
        help="Worker processes; the report is the same for any number.  [default: one for each core]",
    )(command)


def outputs_option(command: F) -> F:
    """``--output``."""
    return click.option(
        "-o",
        "--output",
        "outputs",
        metavar="FORMAT[=FILE]",
        multiple=True,
        help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}, to a file or to standard output; repeatable.  "
        "[default: text]",
    )(command)


def executor_option(command: F) -> F:
    """``--executor``."""
    return click.option(
        "--executor",
        metavar="NAME",
        default="processes",
        show_default=True,
        help="What scans: processes of this machine, dask (a local cluster), dask://HOST:PORT, mpi (the ranks of "
        "mpiexec), or package.module:factory that gives a concurrent.futures.Executor.",
    )(command)


def shard(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """``I/N``."""
    if value is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", value)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise click.BadParameter(f"{value!r} is no shard; of three there are 1/3, 2/3 and 3/3", ctx, param)
    return int(match[1]), int(match[2])


def work_dir_option(command: F) -> F:
    """``--work-dir``."""
    return click.option(
        "--work-dir",
        metavar="DIR",
        help="A folder outside of the data sets for temporary files: 24 bytes a record from a million records on.  "
        "[default: the system's]",
    )(command)


def select_option(families: str) -> Callable[[F], F]:
    """``--select``, with families for an example."""
    return click.option(
        "--select",
        metavar="NAMES",
        multiple=True,
        callback=names,
        help=f"Only these rules or families ({families}); a comma list, repeatable.  [default: all]",
    )


def ignore_option(command: F) -> F:
    """``--ignore``."""
    return click.option(
        "--ignore",
        metavar="NAMES",
        multiple=True,
        callback=names,
        help="Not these rules or families; wins over --select.",
    )(command)


def severity_option(command: F) -> F:
    """``--severity``."""
    return click.option(
        "--severity",
        "severities",
        metavar="RULE=LEVEL",
        multiple=True,
        callback=levels,
        help="Report a rule as error, warning or info; repeatable.  [default: the rule's own]",
    )(command)


def fail_on_option(command: F) -> F:
    """``--fail-on``."""
    return click.option(
        "--fail-on",
        type=click.Choice([*LEVELS, "never"]),
        default="error",
        show_default=True,
        help="Findings at or above it make the verdict FAIL.",
    )(command)


def max_findings_option(command: F) -> F:
    """``--max-findings``."""
    return click.option(
        "--max-findings",
        metavar="N",
        type=click.IntRange(0),
        default=1000,
        show_default=True,
        help="Findings kept for each rule; the rest is counted.",
    )(command)


def timeout_option(command: F) -> F:
    """``--timeout``."""
    return click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(0, min_open=True),
        default=60.0,
        show_default=True,
        callback=number,
        help="A record that takes longer is reported, and the scan goes on behind it.",
    )(command)


def max_memory_option(command: F) -> F:
    """``--max-memory``."""
    return click.option(
        "--max-memory",
        metavar="SIZE",
        default="4G",
        show_default=True,
        callback=size_bytes,
        help="A record whose reader takes more memory is reported (512M, 2G, none).",
    )(command)
