"""Letting everybody run over one workload: in turn, in fresh processes, and what they found compared."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from . import peers
from .cold import evict
from .field import OURS_2, Contestant, field, findings_of
from .measure import Run, peak_memory, timed
from .results import ROOT, Figures, Measured, code, machine, today
from .workloads import WORKLOADS, Workload, files_of, size_of


class Competition:
    """Runs workload after workload at one scale; ``wrong`` gathers the results that were not what was planted."""

    def __init__(self, cache: Path, scale: str, runs: int) -> None:
        self._cache, self._scale, self._runs = cache, scale, runs
        self._idle: dict[tuple[str, str, str], list[Run]] = {}
        self.wrong: list[str] = []

    def over(self, workload: Workload) -> Measured:
        """Everybody's figures over a workload."""
        entrants = field(workload, self._cache, self._scale)
        absent = {one.name: one.absent for one in entrants if one.absent is not None}
        entrants = [one for one in entrants if one.absent is None]
        done: dict[str, list[Run]] = {one.name: [] for one in entrants}
        for one in entrants:
            self._path(workload, one)  # built before anything is timed
        for _ in range(self._runs):
            for one in list(entrants):
                if one.cold and not evict(files_of(self._path(workload, one))):
                    absent[one.name] = "the system does not let go of what is in the page cache"
                    entrants.remove(one)
                    continue
                run = timed(one.command(workload, self._path(workload, one)), ROOT)
                if one.own_clock and run.code == 0:
                    run = replace(run, **json.loads(run.output))
                done[one.name].append(run)
        for one in entrants:
            self.wrong += self._faults(workload, one, done[one.name])
        table = {one.name: self._figures(workload, one, done[one.name]) for one in entrants}
        versions = {name: peers.version_of(name, self._cache) for name in table}
        known = {name: text for name, text in versions.items() if text is not None}
        profile = self._profile(workload) if workload.kind not in ("growth", "start") else []
        return Measured(table, profile, absent, known, machine(), today(), self._runs, code())

    def _path(self, workload: Workload, one: Contestant) -> Path:
        return workload.ready(self._cache, self._scale_of(one))

    def _scale_of(self, one: Contestant) -> str:
        return one.scale if one.scale is not None and self._scale == "full" else self._scale

    def _figures(self, workload: Workload, one: Contestant, runs: list[Run]) -> Figures:
        idle = self._idle_runs(workload, one)
        path = self._path(workload, one)
        looked = one.name == OURS_2 and self._scale == "full"
        cpu, wall = (
            statistics.median(getattr(run, clock) for run in idle) if idle else 0.0 for clock in ("cpu_s", "wall_s")
        )
        return Figures(
            workload.records(self._scale_of(one)),
            size_of(path),
            tuple(run.cpu_s - cpu for run in runs),
            tuple(run.wall_s - wall for run in runs),
            wall,
            peak_memory(one.command(workload, path), ROOT) if looked else 0,
        )

    def _idle_runs(self, workload: Workload, one: Contestant) -> list[Run]:
        """Runs over a handful of records, which show what it costs to start; the same for all sets of a kind."""
        if self._scale == "small" or workload.kind == "start" or one.own_clock:  # the start is not, or all, of interest
            return []
        kind = "raw" if workload.kind == "growth" else workload.kind
        alike = next(other for other in WORKLOADS if other.kind == kind and other.store == workload.store)
        key = (one.name, kind, workload.store)
        if key not in self._idle:
            path = alike.ready(self._cache, "start")
            self._idle[key] = [timed(one.command(alike, path), ROOT) for _ in range(self._runs)]
        return self._idle[key]

    def _faults(self, workload: Workload, one: Contestant, runs: list[Run]) -> list[str]:
        """What was wrong with the results: a fast run that finds something else is no run at all."""
        due = workload.expected(self._scale_of(one))
        found = []
        for run in runs:
            if one.checks and (run.code != 0 or findings_of(run.output) != due):
                what = sorted(findings_of(run.output), key=str)[:10] if run.code == 0 else f"exit code {run.code}"
                found.append(f"{workload.name}: {one.name} found {what}")
            elif not one.checks and run.code not in (0, 1):
                found.append(f"{workload.name}: {one.name} ended with {run.code}")
        return found

    def _profile(self, workload: Workload) -> list[tuple[float, str]]:
        """Where the time of a worker goes, by share."""
        scale = (
            "part"
            if workload.kind == "images" and workload.full > workload.part and self._scale == "full"
            else self._scale
        )
        done = timed([sys.executable, "-m", "benchmarks.profile", str(workload.ready(self._cache, scale))], ROOT)
        shares: list[tuple[float, str]] = json.loads(done.output)
        return shares
