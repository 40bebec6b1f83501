"""``datascan rebuild``."""

from __future__ import annotations

from typing import Any

import click

from . import params
from .check import check
from .probe_params import given_without_probe
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan rebuild train_lmdb train_clean
  datascan rebuild train_lmdb train_clean --dry-run             # what would happen, and the space that it needs
  datascan rebuild train_lmdb train_clean --num-classes 1000 --drop error,record-duplicate
  datascan rebuild train_lmdb train_clean --fix trailing-data,end-marker
  datascan rebuild train_lmdb train_clean --drop-keys reviewed.txt
  datascan rebuild train_leveldb train_lmdb --to lmdb --renumber
  datascan rebuild all_lmdb train_lmdb --shuffle 1 --split 0.9  # and train_lmdb-val
  datascan rebuild train.h5 train.txt --rows-per-file 10000
  datascan rebuild train_lmdb --skip-list skip.txt              # no copy: keys for a loader to skip

\b
Exit codes:
  0  the target stands, is proven and clean; all of the source could be read
  1  the target stands and is proven, but has findings at or above --fail-on
  2  an option that makes no sense, or a target that is in the way; nothing was written
  3  not all of the source could be read (what could be stands in the target), or nothing could be written
  4  the copy is not what it should be, or a bug in datascan: nothing was put in the target's place
  130  interrupted; nothing was put in the target's place
"""

_NOT_SHARED = (
    *("sources", "limit", "sample", "statistics", "duplicates", "resume", "data_root"),
    *("cache_dir", "work_dir", "executor"),
    *("shard", "partial", "baseline", "write_baseline", "reason"),
)


@click.command(epilog=EXAMPLES, short_help="Write a data set again without its broken records, and prove it.")
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option(
    "--drop",
    metavar="WORDS",
    multiple=True,
    callback=params.names,
    help="What sends a record to the quarantine: findings at or above a severity (error, warning, info, never), and "
    "rules or families by name; a comma list.  [default: error]",
)
@click.option(
    "--drop-keys",
    metavar="FILE",
    help="Drop the records that FILE lists, one key a line (hex:0a0b, #37 for a position, DATASET#37 for a row), or a "
    "quarantine.jsonl; only these, unless --drop is given too.",
)
@click.option("--to", type=click.Choice(["lmdb", "leveldb", "hdf5"]), help="Store to write.  [default: the source's]")
@click.option(
    "--fix",
    "fixes",
    metavar="NAMES",
    multiple=True,
    callback=params.names,
    help="Repair what loses nothing: trailing-data, end-marker, orientation (as PNG), grey-to-colour, colour-to-grey, "
    "label-offset (1..K to 0..K-1); a comma list.",
)
@click.option("--renumber", is_flag=True, help="Number the keys again without holes (%08d); TARGET-map.tsv says how.")
@click.option("--shuffle", metavar="SEED", type=click.IntRange(0), help="A random order, the same for the same seed.")
@click.option(
    "--split",
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    callback=params.number,
    help="Keep this share in TARGET, the rest goes to TARGET-val: each label with its share, no content on both sides.",
)
@click.option("--validation", metavar="PATH", help="Where the rest of a split goes.  [default: TARGET-val]")
@click.option("--map", "map_file", metavar="FILE", help="Where the map goes.  [default: TARGET-map.tsv]")
@click.option(
    "--rows-per-file", metavar="N", type=click.IntRange(1), help="HDF5: TARGET is a list of files of N rows each."
)
@click.option("--decode", is_flag=True, help="Datum to HDF5: decode encoded images.")
@click.option("--keep-dtype", is_flag=True, help="Datum to HDF5: numbers of the type that is stored, not float32.")
@click.option("--overwrite", is_flag=True, help="Replace a data set that stands at TARGET.")
@click.option("--dry-run", is_flag=True, help="Scan, say what would happen and how much space it takes; write nothing.")
@click.option("--skip-list", metavar="FILE", help="Write only a list of the records to skip (.jsonl: with reasons).")
@click.pass_obj
def rebuild(session: Session, /, source: str, target: str | None, **given: Any) -> int:
    """Write SOURCE again as TARGET without its broken records.

    Records with findings go to a quarantine beside the target, with their reasons. The others are byte for byte what
    they were (between stores: number for number), in the same order. TARGET gets its name only after a scan of it has
    shown every one of them equal. SOURCE is never written to.
    """
    from ..api import check_limits
    from ..crew import Crew
    from ..interrupt import uninterrupted
    from ..supervisor import Limits

    if target is None and given["skip_list"] is None:
        raise click.UsageError("no TARGET given; name the data set to write, or a --skip-list")
    stray = None if given["probe"] else given_without_probe(click.get_current_context())
    if stray is not None:
        raise click.UsageError(f"{stray} is about a network; give --probe as well")
    with uninterrupted():
        check_limits(given["timeout"], given["max_memory"])
        with Crew(given["jobs"], Limits(given["timeout"], given["max_memory"])) as crew:
            from .rebuild_run import run_rebuild  # while the first worker starts

            return run_rebuild(session, source, target, given, crew)


rebuild.params += [param for param in check.params if param.name not in _NOT_SHARED]
"""The scans before and after take what ``check`` takes."""
