"""Environment variables: every option of every command has one, named after it."""

from __future__ import annotations

import click

PREFIX = "DATASCAN_"


def variable_of(option: click.Option) -> str:
    """The variable of an option: ``--num-classes`` is ``DATASCAN_NUM_CLASSES``."""
    return PREFIX + max(option.opts, key=len).lstrip("-").replace("-", "_").upper()


def name_variables(command: click.Command) -> None:
    """Let each option of a command take its value from its variable, where it is not given."""
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None and option.expose_value:
            option.envvar = variable_of(option)
