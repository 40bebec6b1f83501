"""``datascan check``."""

from __future__ import annotations

from typing import Any

import click

from . import params
from .probe_params import given_without_probe, probe_options
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan check train_lmdb
  datascan check train_lmdb val_lmdb --num-classes 1000 --crop 224
  datascan check train_val.prototxt --data-root /data    # what the net reads, as it reads it
  datascan check train_lmdb --near                       # re-encoded, resized and brightened copies too
  datascan check train.h5 --select value,label --fail-on warning
  datascan check train_lmdb --ignore record-duplicate --severity image-constant=error
  datascan check train_lmdb --sample 0.01                # a first look at a large set
  datascan check train_lmdb --resume train.ckpt          # goes on where it was killed
  datascan check train_lmdb --quiet --output json=report.json   # in a pipeline
  datascan check                                         # what the configuration file names
  datascan check train_lmdb --shard 3/7 --partial parts/3       # a seventh of it, on one of seven machines
  datascan check s3://bucket/train.h5                    # on a server: read in ranges
  datascan check train_lmdb --executor dask://head:8786         # on a Dask cluster

\b
Exit codes:
  0  looked at everything asked for, and nothing at or above --fail-on
  1  findings at or above --fail-on
  2  an option that makes no sense; nothing was read
  3  could not look, or not at all of it
  4  a bug in datascan; the partial report is still written
  130  interrupted; the partial report is written, marked incomplete
"""


@click.command(epilog=EXAMPLES, short_help="Scan data sets and say which records are broken.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, callback=params.paths)
@params.backend_option
@params.database_option
@params.layout_option
@params.select_option("value, label, ...")
@params.ignore_option
@params.severity_option
@params.fail_on_option
@click.option(
    "--num-classes", metavar="N", type=click.IntRange(1), help="Labels must be below N.  [default: not checked]"
)
@click.option(
    "--ignore-label",
    "ignore_labels",
    metavar="N",
    type=int,
    multiple=True,
    help="A label value that the training skips; repeatable.",
)
@click.option(
    "--charset",
    metavar="CHARS",
    callback=params.characters,
    help="Characters that text labels may hold; @FILE takes all of a file but its line breaks.  [default: not checked]",
)
@click.option(
    "--batch-size", metavar="N", type=click.IntRange(1), help="Records in a training batch, for label-sorted."
)
@click.option(
    "--crop", metavar="N", type=click.IntRange(1), help="Side of the training crop; smaller images are errors."
)
@click.option(
    "--extreme",
    metavar="X",
    type=click.FloatRange(0, min_open=True),
    default=1e6,
    show_default=True,
    callback=params.number,
    help="Magnitudes beyond X are called extreme.",
)
@click.option(
    "--max-pixels",
    metavar="N",
    type=click.IntRange(1),
    default=1 << 28,
    show_default=True,
    help="Images that declare more pixels are not decoded.",
)
@params.max_findings_option
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1),
    help="Only the first N records; the report says that it is incomplete.",
)
@click.option(
    "--sample",
    metavar="FRACTION",
    type=click.FloatRange(0, 1, min_open=True),
    callback=params.number,
    help="Only this share of the records, evenly spread (0.01 is every hundredth).",
)
@click.option(
    "--duplicates",
    type=click.Choice(["exact", "approximate"]),
    default="exact",
    show_default=True,
    help="approximate: about how many records are copies, in a few kB of memory and none of disk; none is named.",
)
@click.option(
    "--statistics",
    type=click.Choice(["auto", "full", "sampled"]),
    default="auto",
    show_default=True,
    help="Mean and deviation of encoded images: of all, or of one in 32 (auto: of all in sets up to 256 MB). "
    "Faults are looked for in every image.",
)
@click.option(
    "--near",
    is_flag=True,
    help="Name images that look like an earlier one although their bytes differ, too (record-near-duplicate).",
)
@click.option(
    "--follow-external",
    is_flag=True,
    help="HDF5: read links, raw data and virtual datasets that lead to regular files in the folder tree around the "
    "file too; without it they are named and not followed.",
)
@click.option(
    "--probe",
    is_flag=True,
    help="Run every record through a small network as well; its options are those of datascan probe.",
)
@probe_options(hidden=True)
@params.data_root_option
@click.option(
    "--cache-dir",
    metavar="DIR",
    help="Copy sources on a server (s3://, https://, ...) to DIR before they are read; without it they are read in "
    "ranges.",
)
@params.jobs_option
@params.executor_option
@params.timeout_option
@params.max_memory_option
@click.option(
    "--baseline",
    metavar="FILE",
    help="Findings that were reviewed and are accepted (JSON): only others count.",
)
@click.option(
    "--write-baseline",
    metavar="FILE",
    help="Write all findings there as reviewed, for --reason; entries that stand in it are kept.",
)
@click.option("--reason", metavar="TEXT", help="Why the findings of --write-baseline are accepted.")
@click.option(
    "--resume",
    metavar="FILE",
    help="Keep what is done in FILE, outside of the data sets: the same command goes on there if this one is killed. "
    "Removed when all is done.",
)
@params.work_dir_option
@click.option(
    "--shard",
    metavar="I/N",
    callback=params.shard,
    help="Scan only the I-th of N shares (1/N to N/N) and write its part of the report to --partial, for datascan "
    "merge; exit code 0 means that the share is done.",
)
@click.option(
    "--partial", metavar="FILE", help="Where --shard writes; the same command on the same file goes on there."
)
@params.outputs_option
@click.option("-q", "--quiet", is_flag=True, help="Text says nothing of sources that passed, and no progress is shown.")
@click.option(
    "--no-progress", is_flag=True, help="Show no progress. There is none unless standard error is a terminal."
)
@params.colour_option
@params.debug_option
@click.pass_obj
def check(session: Session, /, sources: tuple[str, ...], **given: Any) -> int:
    """Read every record of the data sets and report what is wrong, where, why it matters and what to do.

    SOURCE is an LMDB or LevelDB folder, an LMDB or HDF5 file, a list of HDF5 files, or a net in prototxt: then the
    net is judged, and what its data layers read is scanned with their batch size, crop and classes. Nothing is ever
    written to a source. A source that can't be looked at does not keep the others from being scanned.

    SOURCE may also be the name of a source in the configuration file; without SOURCE all that stand there are scanned,
    each with its own options and expectations.
    """
    from ..api import check_limits
    from ..crew import Crew
    from ..interrupt import uninterrupted
    from ..supervisor import Limits
    from .targets import asked_for, targets_of

    context = click.get_current_context()
    stray = None if given["probe"] else given_without_probe(context)
    if stray is not None:
        raise click.UsageError(f"{stray} is about a network; give --probe as well")
    _refuse_half_shards(given)
    targets = targets_of(session.configuration, sources, given, asked_for(context))
    with uninterrupted():
        check_limits(given["timeout"], given["max_memory"])
        with Crew(given["jobs"], Limits(given["timeout"], given["max_memory"])) as crew:
            if given["shard"] is not None:
                from .merge_run import run_shard

                return run_shard(session, targets, given, crew)
            from .check_run import run_check  # while the first worker starts

            return run_check(session, targets, given, crew)


def _refuse_half_shards(given: dict[str, Any]) -> None:
    """A shard has a file of its own kind, and no report yet."""
    if (given["shard"] is None) != (given["partial"] is None):
        raise click.UsageError("--shard and --partial go together: --shard 1/3 --partial parts/1")
    for name in ("outputs", "resume"):
        if given["shard"] is not None and given[name]:
            flag = name.removesuffix("s")
            raise click.UsageError(
                f"--{flag} does not go with --shard: the report is datascan merge's, and --partial goes on where it was"
            )
