"""The command line: options in, objects out.

A command's module is loaded when it is asked for, and loads the scanner when it runs: ``--help`` waits for neither.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from ..version import __version__
from .session import Session
from .variables import name_variables

COMMANDS = (
    "check",
    "probe",
    "doctor",
    "lint",
    "rebuild",
    "compare",
    "audit",
    "history",
    "merge",
    "show",
    "config",
    "rules",
    "plugins",
    "demo",
)
"""Module of this package and function in it, both of the command's name."""


CONFIGURED = tuple(name for name in COMMANDS if name not in ("config", "show", "rules", "plugins", "demo", "lint"))
"""Commands that a configuration file speaks to. The others work whatever is in one."""


def configured_defaults(name: str, command: click.Command, session: Session) -> dict[str, object]:
    """What the configuration file says in place of a command's own defaults."""
    values = session.configuration.values
    if not values:
        return {}
    from .settings import defaults_for

    return defaults_for(name, command, values)


SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
"""What a context of any command is made with."""


class Commands(click.Group):
    """The commands, each imported when it is looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, ``None`` where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f".{cmd_name}", __name__), cmd_name)
        assert isinstance(command, click.Command)
        name_variables(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it; what is no command gets the nearest ones, or ``check`` where it is a path."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS)
            hint = f"did you mean {near[0]!r}?" if near else f"to scan a data set: datascan check {name}"
            ctx.fail(f"there is no command {name!r}; {hint}")
        found, command, rest = super().resolve_command(ctx, args)
        if command is not None and found in CONFIGURED and not {"-h", "--help"} & set(rest):
            session = ctx.ensure_object(Session)
            session.config = ctx.params.get("config")
            ctx.default_map = {found: configured_defaults(found, command, session)}
        return found, command, rest


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings=SETTINGS,
    epilog="Exit codes: 0 nothing found, 1 findings, 2 usage, 3 could not look at everything, 4 a bug in datascan, "
    "130 interrupted.",
)
@click.version_option(__version__, message="datascan %(version)s")
@click.option(
    "--config",
    metavar="FILE",
    envvar="DATASCAN_CONFIG",
    help="The configuration file, or none.  [default: the nearest datascan.toml, or pyproject.toml with a table "
    "[tool.datascan], from the working folder upwards]",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of datascan's own bugs (also: DATASCAN_DEBUG=1).")
@click.pass_context
def datascan(ctx: click.Context, config: str | None, debug: bool) -> None:
    """Find broken records in LMDB, LevelDB and HDF5 training data before the training does.

    datascan reads every record, names those that would spoil a training run, and says where they are, why it
    matters and what to do. It never writes to a data set, and never executes what it reads.
    """
    session = ctx.ensure_object(Session)
    session.debug = session.debug or debug
    session.config = config
    if ctx.invoked_subcommand is None:
        ctx.fail("no command given; to scan a data set: datascan check PATH")
