"""Where a scan's time goes: ``python -m benchmarks.profile PATH [full|sampled]`` prints shares of it by function."""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
from pathlib import Path

SHOWN = 6
ROOT = Path(__file__).resolve().parent.parent


def profile(path: str, statistics: str) -> list[tuple[float, str]]:
    """The functions with the most time of their own, in one process without workers: share and name."""
    from datascan.scanner.api import make_options
    from datascan.scanner.plan import Request, make_plan
    from datascan.scanner.rules import select
    from datascan.scanner.worker import Window, scan_window

    options = make_options(statistics="full" if statistics == "full" else "sampled")
    plan = make_plan(Request(path, options, tuple(rule.name for rule in select((), ()))))
    recorder = cProfile.Profile()
    recorder.enable()
    for task in plan.tasks():
        scan_window(task, Window(), mapped=True)
    recorder.disable()
    times = {where: entry[2] for where, entry in pstats.Stats(recorder).stats.items()}  # type: ignore[attr-defined]
    total = sum(times.values())
    most = sorted(times.items(), key=lambda item: -item[1])[:SHOWN]
    return [(own / total, _named(*where)) for where, own in most]


def _named(file: str, line: int, function: str) -> str:
    if file == "~":  # written in C: "<built-in method posix.preadv>"
        return function.strip("<>").removeprefix("built-in method ").replace("method ", "")
    path = Path(file)
    return f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}: {function}"


if __name__ == "__main__":
    print(json.dumps(profile(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "sampled")))
