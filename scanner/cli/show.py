"""``datascan show``."""

from __future__ import annotations

from typing import Any

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan show train_lmdb 00000037_cat.jpg
  datascan show train_lmdb '#37'               # the record at position 37
  datascan show train_lmdb hex:0000002f        # a key that is not text
  datascan show train.h5 17 --dataset /data
  datascan show train_lmdb '#37' --save record.bin

\b
Exit codes:
  0  the record was found, whatever is wrong with it
  2  an option that makes no sense
  3  there is no such record, or it could not be read
"""


@click.command(epilog=EXAMPLES, short_help="Show one record: decoded, checked, and its first bytes.")
@click.argument("source", callback=lambda ctx, param, value: params.paths(ctx, param, (value,))[0])
@click.argument("key")
@params.backend_option
@params.database_option
@params.layout_option
@click.option("--dataset", metavar="PATH", help="HDF5: the dataset.  [default: all that belong to the row]")
@click.option("--save", metavar="FILE", help="Write the record's raw value to a new file.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or JSON.",
)
@params.colour_option
@params.debug_option
@click.pass_obj
def show(session: Session, /, source: str, key: str, **given: Any) -> None:
    """Show one record of a data set: what it decodes to, what is wrong with it by itself, its first bytes.

    KEY is the record's key as text, hex:0a0b for one that is not text, or '#37' for the position that reports give
    (quoted: a shell takes # for a comment). For HDF5 it is the number of the row.
    """
    from .show_run import run_show

    run_show(session, source, key, given)
