"""A rebuild from its beginning to its end: scan, copy, scan the copy, compare, and only then give it its name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ...backends.errors import StoreError, UsageError
from ...backends.leveldb_writer import load_plyvel
from ..conclude import Scanned
from ..crew import Crew
from ..layouts.base import RecordLayout
from ..options import Options, Trace
from ..partial import Partial
from ..plan import Plan, Request
from ..progress import Progress
from ..rebuilt import Proof, Rebuilt
from ..report import Report, SourceReport
from ..scan import plan_source, wanted_rules
from ..supervisor import WorkerDied
from .choices import Choices, Kind
from .drops import Drops, find_drops
from .fixes import check_fixes
from .keys import Listed
from .places import Places, files_of, is_ours, refuse
from .proof import traced_scan
from .spill import Spill
from .staging import Move, Staging

ProgressCallback = Callable[[Progress], None]
_PER_RECORD = 120
"""Bytes of fingerprints and lists for each record, while a rebuild goes on."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is rebuilt, as it was asked for."""

    path: str
    options: Options
    backend: str | None = None
    database: str | None = None
    layout: str | None = None


@dataclass(slots=True)
class Written:
    """What copying gave.

    ``targets`` and ``quarantine`` are names in the staging folder; ``moves`` what else is to be named.
    """

    kept: int
    validation: int
    quarantined: int
    proof: Proof
    reports: list[SourceReport]
    moves: list[Move]
    dropped: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Rebuild:
    """One rebuild; `run` gives its report, whose exit code says how it ended.

    Raises
    ------
    UsageError
        Options that make no sense, for this source or at all; nothing was written.
    StoreError
        The source could not be looked at.
    WriteError
        The target could not be written; nothing stands in its place.
    """

    def __init__(
        self, source: Source, target: str, choices: Choices, crew: Crew, progress: ProgressCallback | None = None
    ) -> None:
        choices.check()
        self.source, self.target, self.choices, self.crew, self.progress = source, target, choices, crew, progress
        self.places = Places.beside(target, choices.validation, choices.map_file)
        self.listed = Listed.read(choices.drop_keys) if choices.drop_keys else None
        self.notes: list[str] = []

    def run(self) -> Report:
        """Rebuild, or say what a rebuild would do."""
        self._refuse_places()
        plan = self._plan()
        self._check(plan)
        with ExitStack() as stack:
            staging: Staging | None = None
            if self.choices.dry_run or self.choices.skip_list:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datascan-")))
            else:
                staging = stack.enter_context(Staging(self.places.target))
                folder = staging.folder
                self.notes += [f"removed {name}, left by a rebuild that was ended" for name in staging.cleaned]
            report, scanned, spill = self._scan(plan, folder)
            if report.interrupted:
                raise KeyboardInterrupt
            self._refuse_partial(report)
            drops = find_drops(scanned, self.choices, spill, self.listed)
            from .ways import way_for  # knows the stores, which this module does not

            way = way_for(self, plan, report, scanned, drops, spill, folder)
            if self.choices.skip_list:
                return way.listed(self.choices.skip_list)
            if staging is None:
                return way.foretold()
            written = way.write(staging)
            return self._named(staging, plan, report, way.summary(written), written)

    # ---- before ----

    def _refuse_places(self) -> None:
        choices, places = self.choices, self.places
        sources = files_of(self.source.path)
        if choices.skip_list:
            refuse([Path(choices.skip_list).absolute()], sources, overwrite=False)
            return
        paths = [places.target, places.quarantine]
        paths += [places.validation] * (choices.split is not None)
        paths += [places.map] * (choices.renames or choices.to == "hdf5")
        paths += [places.files] * (choices.rows_per_file is not None or len(sources) > 1)
        refuse(paths, sources, choices.overwrite)

    def _plan(self) -> Plan:
        source = self.source
        options = source.options
        for name in ("limit", "sample"):
            if getattr(options, name) is not None:
                raise UsageError(f"{name} does not go with a rebuild: what was not looked at can't be kept")
        request = Request(source.path, options, wanted_rules(options), source.backend, source.database, source.layout)
        try:
            plan = plan_source(request, self.crew)
        except WorkerDied as death:
            raise StoreError(f"opening {source.path} ends the reader: it {death.reason}") from death
        trace = Trace("sample" if self._converts(plan) else "stored", self.choices.split is not None)
        return replace(plan, context=replace(plan.context, options=replace(plan.context.options, trace=trace)))

    @staticmethod
    def kind_of(plan: Plan) -> str:
        """``records`` of a key-value store, or ``rows``."""
        return "records" if isinstance(plan.choice.layout, RecordLayout) else "rows"

    def target_store(self, plan: Plan) -> Kind:
        """The kind of store that is written."""
        named: Any = plan.facts.name
        kind: Kind = self.choices.to or named
        return kind

    def _target_way(self, plan: Plan) -> str:
        return "rows" if self.target_store(plan) == "hdf5" else "records"

    def _converts(self, plan: Plan) -> bool:
        return self.kind_of(plan) != self._target_way(plan)

    def _check(self, plan: Plan) -> None:
        check_fixes(plan.choice.layout, self.choices.changes)
        if self.choices.decode and self._target_way(plan) != "rows":
            raise UsageError("--decode is for writing HDF5; give --to hdf5 as well, or leave it out")
        if self.target_store(plan) == "leveldb":
            load_plyvel()
        if self.choices.rows_per_file and self.target_store(plan) != "hdf5":
            raise UsageError("--rows-per-file is for HDF5; give --to hdf5 as well, or leave it out")

    def _scan(self, plan: Plan, folder: Path) -> tuple[SourceReport, Scanned, Spill]:
        spill = Spill(folder / "prints")
        return (*traced_scan(plan, self.crew, spill, self.progress), spill)

    def _refuse_partial(self, report: SourceReport) -> None:
        """Refuse to rebuild what a bug of ours, or a writer, kept from being looked at."""
        if report.crashed:
            raise StoreError(
                f"{report.source.path}: a part of the scan crashed ({report.coverage.reasons[-1]}), which is a bug in "
                "datascan; nothing was written"
            )
        if report.stopped or any(
            finding.rule == "store-in-use" and not finding.location.offset for finding in report.findings
        ):
            said = next((f.message for f in report.findings if f.rule == "store-in-use"), "it is gone")
            if report.stopped or "while" in said:
                raise StoreError(f"{report.source.path}: {said}; nothing was written")

    # ---- after ----

    def scan_target(self, path: Path, name: str, plan: Plan, spill: Spill, **chosen: Any) -> SourceReport:
        """Scan what was written with the checks that the source had."""
        options = replace(plan.context.options, trace=Trace(plan.context.options.trace.form))  # type: ignore[union-attr]
        ignored = chosen.pop("ignored", ())
        rules = tuple(rule for rule in wanted_rules(self.source.options) if rule not in ignored)
        request = Request(
            str(path), options, rules, chosen.get("backend"), chosen.get("database"), chosen.get("layout")
        )
        report, _ = traced_scan(plan_source(request, self.crew), self.crew, spill, self.progress)
        if report.interrupted:
            raise KeyboardInterrupt
        return replace(report, source=replace(report.source, path=name))

    def _named(self, staging: Staging, plan: Plan, report: SourceReport, rebuilt: Rebuilt, written: Written) -> Report:
        if written.proof.holds:
            staging.commit([*self._leftovers(written.moves), *written.moves])
            rebuilt = replace(rebuilt, written=True)
        return Report((report, *written.reports), rebuild=rebuilt)

    def _leftovers(self, moves: list[Move]) -> list[Move]:
        """What an earlier rebuild of the same target has beside it and this one has not: it would tell lies."""
        if not self.choices.overwrite:
            return []
        finals = {move.final for move in moves}
        beside = (self.places.quarantine, self.places.map, self.places.validation, self.places.files)
        return [
            Move(f"removed-{number}", path, removes=True)
            for number, path in enumerate(beside)
            if path not in finals and is_ours(path)
        ]

    def space(self, report: SourceReport, kept_share: float) -> tuple[int, int]:
        """Bytes that the rebuild needs, roughly, and bytes that are free where it goes."""
        size, records = report.source.bytes or 0, report.source.records or 0
        again = 2 if self.choices.shuffle is not None or self.choices.to == "leveldb" else 1
        needed = int(size * (again * kept_share + (1 - kept_share))) + records * _PER_RECORD
        return needed, shutil.disk_usage(self.places.target.parent).free

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The targets as they are named in lists and reports."""
        own = self.target
        if self.choices.split is None:
            return (own,)
        beside = self.choices.validation or str(Path(own).with_name(self.places.validation.name))
        return (own, beside)


__all__ = ["Drops", "Partial", "Rebuild", "Source", "Written"]
