"""``docs/performance.md``: the machine, the tables, and which of the figures aimed at were reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .aims import Aim, aims
from .field import NAIVE
from .results import Measured, Results, code, machine, times_faster
from .workloads import WORKLOADS, Workload

MARK = "<!-- measured -->"
"""What stands above it in the page is written by hand and kept."""


def write_page(path: Path, results: Results) -> None:
    """Write the page anew below its mark."""
    path.parent.mkdir(exist_ok=True)
    kept = path.read_text(encoding="utf-8").partition(MARK)[0] if path.exists() else "# Performance\n\n"
    path.write_text(kept + "\n".join([MARK, "", *_lines(results), ""]), encoding="utf-8")


def aim_line(one: Aim) -> str:
    """A row of the table of figures to reach."""
    if one.measured is None:
        return f"| {one.workload} | {one.what} | {round(one.aim, 3):,g} | not measured | no |"
    shown = f"{one.measured:,.0f}" if one.measured >= 100 else f"{one.measured:.2f}"
    return f"| {one.workload} | {one.what} | {round(one.aim, 3):,g} | {shown} | {'yes' if one.reached else 'no'} |"


def _lines(results: Results) -> Iterator[str]:
    yield "## Measured"
    yield ""
    yield f"{machine()}; {_peers(results)}."
    yield "Figures are medians over the runs of each contestant, each a fresh process, taken in turn; ratios are"
    yield "medians of the ratios in turn. The cache is warm unless said otherwise. What a run over a handful of records"
    yield "takes is subtracted, and stands as *start*. Rates are per second of CPU time."
    yield ""
    yield "### Figures to reach"
    yield ""
    yield "| workload | figure | aim | measured | reached |"
    yield "|---|---|---|---|---|"
    yield from map(aim_line, aims(results))
    for workload in WORKLOADS:
        if workload.name in results:
            yield ""
            yield from _section(workload, results[workload.name])


def _peers(results: Results) -> str:
    versions = {name: text for one in results.values() for name, text in one.peers.items()}
    return ", ".join(f"{name} {text}" for name, text in versions.items()) or "no other tools"


def _section(workload: Workload, measured: Measured) -> Iterator[str]:
    yield f"### {workload.name}: {workload.title}"
    yield ""
    runs = "a single run" if measured.runs == 1 else f"{measured.runs} runs"
    older = "" if measured.code == code() else ", before the last change to the program"
    yield f"{measured.date}, {runs} of each{older}."
    yield ""
    yield "| | records | CPU s | wall s | records/s | MB/s | times the naive script (CPU) | start s | memory MB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    naive = measured.table.get(NAIVE)
    for name, one in measured.table.items():
        seconds = one.seconds("cpu")
        times = f"{times_faster(one, naive):.2f}" if naive is not None else ""
        held = f"{one.memory / 1e6:,.0f}" if one.memory else ""
        start = f"{one.start_s:.2f}" if one.start_s else ""
        yield (
            f"| {name} | {one.records:,} | {seconds:.2f} | {one.seconds('wall'):.2f} | {one.records / seconds:,.0f} | "
            f"{one.size_bytes / seconds / 1e6:,.0f} | {times} | {start} | {held} |"
        )
    for name, reason in measured.absent.items():
        yield ""
        yield f"Left out: {name}, because {reason}."
    if measured.profile:
        yield ""
        shares = "; ".join(f"{share:.0%} `{name}`" for share, name in measured.profile)
        yield f"Where a worker's time goes: {shares}."
