"""``python -m benchmarks``: build the workloads, run everybody over them, and write how they fared."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from .field import Contestant, field, findings_of
from .measure import Run, peak_memory, timed
from .page import Figures, Results, write_page
from .workloads import WORKLOADS, Workload

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path.home() / ".cache" / "datascan-benchmarks"


def main(argv: list[str] | None = None) -> int:
    """Run what is asked for; 1 where datascan did not find exactly what was planted."""
    options = _options(argv)
    names = options.workloads.split(",") if options.workloads else [one.name for one in WORKLOADS]
    chosen = [workload for workload in WORKLOADS if workload.name in names]
    unknown = set(names) - {workload.name for workload in chosen}
    if unknown:
        print(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in WORKLOADS)}")
        return 2
    results: Results = {}
    wrong: list[str] = []
    for workload in chosen:
        results[workload] = _compete(workload, options.cache, options.scale, options.runs, wrong)
        for name, figures in results[workload].items():
            rate = f"{figures.records / figures.cpu_s:12,.0f} records/s" if figures.cpu_s > 0 else ""
            print(f"{workload.name:15} {name:38} {figures.cpu_s:8.2f} s CPU {figures.wall_s:8.2f} s {rate}", flush=True)
    for line in wrong:
        print(line, file=sys.stderr)
    if options.write is not None:
        paths = {workload: workload.ready(options.cache, options.scale) for workload in results}
        profiles = {workload.name: _profile(path) for workload, path in paths.items()}
        write_page(options.write, results, options.runs, profiles)
    return 1 if wrong else 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--workloads", help="a comma list; default: all of them")
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--runs", type=int, default=5, help="runs of each contestant, taken in turn")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the workloads are kept (about 7 GB)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page, docs/performance.md")
    return parser.parse_args(argv)


def _compete(workload: Workload, cache: Path, scale: str, runs: int, wrong: list[str]) -> dict[str, Figures]:
    """Median figures of every contestant, what it costs to start taken off."""
    path, start = workload.ready(cache, scale), workload.ready(cache, "start")
    entrants = field(workload)
    full: dict[str, list[Run]] = {one.name: [] for one in entrants}
    idle: dict[str, list[Run]] = {one.name: [] for one in entrants}
    for _ in range(runs):
        for one in entrants:
            if scale != "small":  # there the results matter, not the times
                idle[one.name].append(timed(one.command(workload, start), ROOT))
            full[one.name].append(timed(one.command(workload, path), ROOT))
    for one in entrants:
        wrong += _faults(workload, one, scale, full[one.name])
    records = workload.counts[scale] - workload.counts["start"]
    return {
        one.name: Figures(
            records,
            _size(path) - _size(start),
            _median(full[one.name], "cpu_s") - _median(idle[one.name], "cpu_s"),
            _median(full[one.name], "wall_s") - _median(idle[one.name], "wall_s"),
            _median(idle[one.name], "wall_s"),
            peak_memory(one.command(workload, path), ROOT) if one.checks and scale != "small" else 0,
        )
        for one in entrants
    }


def _profile(path: Path) -> list[tuple[float, str]]:
    """Where the time of a worker goes, by share."""
    done = timed([sys.executable, "-m", "benchmarks.profile", str(path)], ROOT)
    shares: list[tuple[float, str]] = json.loads(done.output)
    return shares


def _median(runs: list[Run], figure: str) -> float:
    return statistics.median(getattr(run, figure) for run in runs) if runs else 0.0


def _faults(workload: Workload, one: Contestant, scale: str, runs: list[Run]) -> list[str]:
    """What was wrong with the results: a fast run that finds something else is no run at all."""
    found = []
    for run in runs:
        if one.checks and findings_of(run.output) != workload.expected(scale):
            found.append(f"{workload.name}: {one.name} found {sorted(findings_of(run.output), key=str)}")
        elif not one.checks and run.code not in (0, 1):
            found.append(f"{workload.name}: {one.name} ended with {run.code}")
    return found


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
