"""What ``datascan rebuild`` does once its options are understood: rebuild, write the reports."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ...backends.errors import UsageError
from ..api_rebuild import rebuild
from ..complain import complain
from ..crew import Crew
from ..progress import progress_bar
from ..report import ExitCode
from .check_run import option_fields, write_reports
from .names import check_layout
from .outputs import open_outputs, parse_outputs
from .session import Session

_OWN = (
    "to", "fixes", "decode", "renumber", "shuffle", "split", "validation", "rows_per_file", "map_file",
    "overwrite", "dry_run", "skip_list", "drop_keys", "backend", "database", "layout",
)  # fmt: skip


def run_rebuild(session: Session, source: str, target: str | None, given: Mapping[str, Any], crew: Crew) -> int:
    """Rebuild, write the reports, and give the exit code."""
    if source.endswith(".prototxt"):
        raise UsageError(f"{source} is a net; name the data set that it reads")
    parse_outputs(given["outputs"])  # what can't be written is told before anything is read
    fields = option_fields({**given, "limit": None, "sample": None, "statistics": "sampled", "duplicates": "exact"})
    check_layout(given["layout"])
    with ExitStack() as stack:
        outputs, files = open_outputs(given["outputs"], [source, *([target] if target else [])], stack)
        bar = stack.enter_context(progress_bar(source, sys.stderr, not (given["quiet"] or given["no_progress"])))
        report = rebuild(
            source,
            target or f"{source.rstrip('/')}-clean",
            drop=given["drop"] or None,
            dtype="stored" if given["keep_dtype"] else "float32",
            crew=crew,
            progress=bar,
            **{name: given[name] for name in _OWN},
            **fields,
        )
        if bar is not None:
            bar.close()
        write_reports(report, outputs, files, given, session, crew)
    assert report.rebuild is not None
    if report.exit_code is ExitCode.BUG:
        complain(
            "datascan: the copy could not be proven and nothing was put in the target's place: failing memory or disk, "
            "or a bug in datascan"
        )
    return int(report.exit_code)
