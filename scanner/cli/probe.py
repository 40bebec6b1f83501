"""``datascan probe``."""

from __future__ import annotations

from typing import Any

import click

from . import params
from .probe_params import probe_options
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan probe train_lmdb --batch-size 64 --crop 224 --mean-value 104,117,123
  datascan probe train_lmdb --scale 0.00390625 --train-steps 100 --rate 0.1
  datascan probe sequences.h5 --net lstm --num-units 128
  datascan probe train.h5 --dtype float16
  datascan probe train_lmdb --onnx model.onnx
  datascan probe train_val.prototxt
  datascan probe train_lmdb --caffe train_val.prototxt --weights model.caffemodel

\b
Exit codes are those of datascan check.
"""

DEFAULT_RULES = "store,record-undecodable,record-empty,record-size-mismatch,image-undecodable,image-truncated,probe"
"""What a network can't be fed is reported; the rest is the business of ``check``."""


@click.command(epilog=EXAMPLES, short_help="Run every record through a small network: is the loss finite?")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, callback=params.paths)
@params.backend_option
@params.database_option
@params.layout_option
@probe_options()
@click.option(
    "--batch-size",
    metavar="N",
    type=click.IntRange(1),
    help="Records in a training batch: findings name the batch that meets the record.  [default: 64]",
)
@click.option("--crop", metavar="N", type=click.IntRange(1), help="Side of the training crop; the middle is taken.")
@click.option("--num-classes", metavar="N", type=click.IntRange(1), help="Labels must be below N.")
@click.option(
    "--ignore-label",
    "ignore_labels",
    metavar="N",
    type=int,
    multiple=True,
    help="A label value that the training skips; repeatable.",
)
@click.option(
    "--select",
    metavar="NAMES",
    multiple=True,
    callback=params.names,
    help="Rules or families to report; a comma list, repeatable.  [default: probe, and what can't be decoded]",
)
@params.max_findings_option
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1),
    help="Only the first N records; the report says that it is incomplete.",
)
@params.data_root_option
@params.jobs_option
@params.timeout_option
@params.max_memory_option
@params.outputs_option
@click.option("-q", "--quiet", is_flag=True, help="No summary, no progress, and nothing of sources that passed.")
@click.option("--no-progress", is_flag=True, help="Show no progress.")
@params.colour_option
@params.debug_option
@click.pass_obj
def probe(session: Session, /, sources: tuple[str, ...], **given: Any) -> int:
    """Run every record through a small network, and name those that make the loss, or a value on the way, not finite.

    The network is chosen by the shape of the samples, its loss by the labels; both are shown before it runs, with the
    number of parameters of each layer. Batches are those of training that reads in store order.

    SOURCE may also be the name of a source in the configuration file; without SOURCE all that stand there are probed.
    """
    from .probe_run import run_probe
    from .targets import asked_for

    return run_probe(session, sources, given, asked_for(click.get_current_context()))
