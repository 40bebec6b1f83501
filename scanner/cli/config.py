"""``datascan config``."""

from __future__ import annotations

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan config
  datascan config --json
  DATASCAN_JOBS=2 datascan config
  datascan --config nightly.toml config
"""


@click.command(epilog=EXAMPLES, short_help="Show every setting in force, and where it comes from.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@params.colour_option
@params.debug_option
@click.pass_obj
def config(session: Session, /, as_json: bool, color: str) -> int:
    """Show every setting in force and where it comes from: a line of the configuration file, a variable, the default.

    What is given on a command line wins over the environment (DATASCAN_*), that over the table of a source in the
    configuration file, that over the file as a whole, and that over the default.
    """
    from .config_run import run_config

    return run_config(session, as_json, color)
