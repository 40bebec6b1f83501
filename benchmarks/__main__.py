"""``python -m benchmarks``: build the workloads, run everybody over them, and write how they fared."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .aims import aims
from .competition import Competition
from .page import aim_line, write_page
from .results import Kept, Measured, code
from .workloads import WORKLOADS, Workload

CACHE = Path.home() / ".cache" / "datascan-benchmarks"


def main(argv: list[str] | None = None) -> int:
    """Run what is asked for; 1 where datascan did not find exactly what was planted, 130 where it was cut short."""
    options = _options(argv)
    names = options.workloads.split(",") if options.workloads else [one.name for one in WORKLOADS]
    chosen = [workload for workload in WORKLOADS if workload.name in names]
    unknown = set(names) - {workload.name for workload in chosen}
    if unknown:
        print(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in WORKLOADS)}")
        return 2
    kept = Kept(options.cache, options.scale)
    competition = Competition(options.cache, options.scale, options.runs)
    try:
        for workload in chosen:
            if options.resume and _is_done(kept.get(workload.name), options.runs):
                print(f"{workload.name:16} was measured before", flush=True)
            else:
                _measure(workload, competition, kept)
            if options.write is not None:
                write_page(options.write, _all(kept))
    except KeyboardInterrupt:
        print("\nwhat was measured is kept: the same command with --resume goes on", file=sys.stderr)
        return 130
    if options.scale == "full":
        _tell_aims(chosen, kept)
    for line in competition.wrong:
        print(line, file=sys.stderr)
    return 1 if competition.wrong else 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--workloads", help="a comma list; default: all of them")
    parser.add_argument("--scale", choices=("full", "small"), default="full", help="small: for the results alone")
    parser.add_argument("--runs", type=int, default=3, help="runs of each contestant, taken in turn; default: 3")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where workloads, peers and results are kept (10 GB)")
    parser.add_argument("--resume", action="store_true", help="leave out what was measured with this very code before")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write the page (docs/performance.md): the newest of all workloads"
    )
    return parser.parse_args(argv)


def _measure(workload: Workload, competition: Competition, kept: Kept) -> None:
    before = len(competition.wrong)
    measured = competition.over(workload)
    for name, one in measured.table.items():
        rate = f"{1 / one.median('cpu'):12,.0f} records/s"
        print(
            f"{workload.name:16} {name:38} {one.seconds('cpu'):8.2f} s CPU {one.seconds('wall'):8.2f} s {rate}",
            flush=True,
        )
    for name, reason in measured.absent.items():
        print(f"{workload.name:16} {name:38} left out: {reason}", flush=True)
    if len(competition.wrong) == before:  # figures of a run that found something else are worth nothing
        kept.keep(workload.name, measured)


def _is_done(measured: Measured | None, runs: int) -> bool:
    return measured is not None and measured.code == code() and measured.runs >= runs


def _all(kept: Kept) -> dict[str, Measured]:
    found = {workload.name: kept.get(workload.name) for workload in WORKLOADS}
    return {name: measured for name, measured in found.items() if measured is not None}


def _tell_aims(chosen: list[Workload], kept: Kept) -> None:
    names = {workload.name for workload in chosen}
    for one in aims(_all(kept)):
        if one.workload in names:
            print(aim_line(one))


if __name__ == "__main__":
    sys.exit(main())
