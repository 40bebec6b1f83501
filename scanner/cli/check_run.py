"""What ``datascan check`` does once its options are understood: scan source after source, write the reports."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ...backends.errors import UsageError
from ..api import OptionFields, check, make_options
from ..baseline import Baseline
from ..complain import complain, complain_of_bug, complain_with_traceback, describe
from ..crew import Crew
from ..engines import Engine, open_engine
from ..finding import Severity
from ..journal import Journal, ResumeError
from ..progress import progress_bar
from ..render import ILLUSTRATED, LIVE, RENDERERS, RenderFailed, Style
from ..report import Coverage, Report, SourceInfo, SourceReport
from ..spill import Workspace
from ..twin_sources import with_twins
from .live import LiveOutputs, Write
from .names import check_layout, check_names, names_of
from .outputs import Output, OutputFile, open_outputs, refuse_sources
from .probe_params import probe_fields
from .session import CannotWrite, Session
from .targets import Target
from .terminal import WIDEST, stdout_style

BASELINE_DAYS = 180
"""How long a finding is accepted where nobody says otherwise; the date stands in the file, to be changed there."""


def run_check(session: Session, targets: Sequence[Target], given: Mapping[str, Any], crew: Crew) -> int:
    """Scan, write the reports, and give the exit code."""
    for target in targets:
        make_options(**option_fields(target.given))
        check_layout(target.given["layout"])
    sources = [target.path for target in targets]
    with ExitStack() as stack:
        written = [path for target in targets for path in read_by(target)]
        Workspace(given["work_dir"], sources=written)  # one that can't be used is told before anything is read
        outputs, files = open_outputs(given["outputs"], written, stack)
        engine = stack.enter_context(open_engine(given["executor"], crew))
        baseline = None if given["baseline"] is None else Baseline(given["baseline"])
        target_file = baseline_to_write(given, written, stack)
        journal = None if given["resume"] is None else stack.enter_context(Journal(given["resume"], sources))
        live = LiveOutputs(outputs, files, session)
        scans = Scans(session, given, crew, journal, engine, live=live)
        report = reviewed(Report(tuple(scans.scan_all(targets))), given, baseline, target_file)
        write_reports(report, outputs, files, given, session, crew, live)
        if journal is not None:
            end_journal(journal, report)
    crashes = [*scans.crashes, *(crash_of(one) for one in report.reports if one.crashed)]
    if crashes:
        complain_of_bug(crashes[0])
    return int(report.exit_code)


def baseline_to_write(given: Mapping[str, Any], sources: Sequence[str], stack: ExitStack) -> OutputFile | None:
    """The file of ``--write-baseline``, made before a scan that it could stop."""
    if (given["write_baseline"] is None) != (given["reason"] is None):
        raise UsageError("--write-baseline and --reason go together: why are the findings accepted?")
    if given["write_baseline"] is None:
        return None
    Baseline(given["write_baseline"], needed=False)
    refuse_sources(given["write_baseline"], sources)
    file = OutputFile(given["write_baseline"])
    stack.callback(file.close)
    return file


def reviewed(
    report: Report, given: Mapping[str, Any], baseline: Baseline | None, target_file: OutputFile | None
) -> Report:
    """The report without what a baseline accepts; the baseline to write is written from all of it."""
    today = datetime.now().date()
    if target_file is not None:
        written = Baseline(target_file.file, needed=False)
        import getpass  # readline with it

        author, expires = getpass.getuser(), today + timedelta(days=BASELINE_DAYS)
        text = written.updated(report, given["reason"], author, expires)
        target_file.write(lambda stream: stream.write(text))
        complain(f"datascan: {given['write_baseline']} accepts {len(report)} findings until {expires}")
    if baseline is None:
        return report
    accepted = baseline.accept(report, today)
    for remark in accepted.remarks:
        complain(f"datascan: {remark}")
    return accepted.report


def read_by(target: Target) -> list[str]:
    """What is read for a target, itself included: none of it is ever written to."""
    return [target.path, *named_by_nets(target), *files_read(option_fields(target.given))]


def named_by_nets(target: Target) -> list[str]:
    """The data sets that a net names: they are never written to either."""
    if not target.path.endswith(".prototxt"):
        return []
    from ..net_sources import folders_of, paths_named_by

    return paths_named_by(target.path, folders_of(target.given["data_root"]))


def files_read(fields: OptionFields) -> list[str]:
    """The files of a network's options: models, weights, means, nets."""
    probe = fields.get("probe")
    if not isinstance(probe, Mapping):
        return []
    return [probe[name] for name in ("mean_file", "prototxt", "onnx", "torch", "caffe", "weights") if probe[name]]


def end_journal(journal: Journal, report: Report) -> None:
    """Take the checkpoint away when all is done and told, or say how to go on."""
    if journal.failure is not None:
        complain(f"datascan: {journal.failure}")
    if report.finished:
        journal.finish()
    elif journal.failure is None:
        complain(f"datascan: what is done is kept in {journal.file}; the same command goes on there")


def crash_of(report: SourceReport) -> str:
    """What crashed, as far as the report says it."""
    return next((reason for reason in report.coverage.reasons if "crashed" in reason), "a part of the scan crashed")


def option_fields(given: Mapping[str, Any]) -> OptionFields:
    """The fields of `Options` from the command line's words.

    Raises
    ------
    UsageError
        An unknown rule, ``--limit`` together with ``--sample``.
    """
    if given["limit"] is not None and given["sample"] is not None:
        raise UsageError("--limit and --sample were both given; choose one")
    return {
        "select": check_names(given["select"], "--select"),
        "ignore": check_names(given["ignore"], "--ignore"),
        "severities": {
            rule: level for name, level in given["severities"].items() for rule in names_of(name, "--severity")
        },
        "fail_on": None if given["fail_on"] == "never" else given["fail_on"],
        "num_classes": given["num_classes"],
        "charset": given["charset"],
        "ignore_labels": given["ignore_labels"],
        "batch_size": given["batch_size"],
        "crop": given["crop"],
        "extreme": given["extreme"],
        "max_pixels": given["max_pixels"],
        "max_findings": given["max_findings"],
        "limit": given["limit"],
        "sample": given["sample"],
        "statistics": given["statistics"],
        "duplicates": given["duplicates"],
        "follow_external": given["follow_external"],
        "near": given["near"],
        "probe": probe_fields(given) if given["probe"] else None,
        "expect": given.get("expect"),
    }


class Scans:
    """Scans one source after the other; whatever happens to one, it has a report, and so have the others."""

    def __init__(
        self,
        session: Session,
        given: Mapping[str, Any],
        crew: Crew,
        journal: Journal | None,
        engine: Engine | None = None,
        fields: Callable[[Mapping[str, Any]], OptionFields] = option_fields,
        live: LiveOutputs | None = None,
    ) -> None:
        self.session = session
        self.given = given
        self.crew = crew
        self.journal = journal
        self.engine = engine
        self.fields = fields
        self.live = live
        self.crashes: list[str] = []

    def scan_all(self, targets: Sequence[Target]) -> list[SourceReport]:
        """A report for each source, also for those that an interruption left out."""
        reports: list[SourceReport] = []
        for target in targets:
            if reports and reports[-1].interrupted:
                done: Sequence[SourceReport] = [
                    self._left_out(target, "not looked at: the run was interrupted before", interrupted=True)
                ]
            else:
                done = self._scan(target, alone=len(targets) == 1)
            done = [with_twins(report, reports, self.crew.call) for report in done]
            reports += done
            if self.live is not None:
                for report in done:
                    self.live.source(report)
        return reports

    def _scan(self, target: Target, alone: bool) -> Sequence[SourceReport]:
        given = target.given
        shown = not (self.given["quiet"] or self.given["no_progress"])
        try:
            with progress_bar(target.path, sys.stderr, shown) as bar:
                return check(
                    target.path,
                    backend=given["backend"],
                    database=given["database"],
                    layout=given["layout"],
                    crew=self.crew,
                    executor=self.engine,
                    resume=self.journal,
                    progress=bar,
                    found=self.live.findings if self.live is not None and self.live.wanted else None,
                    data_root=given["data_root"],
                    work_dir=given["work_dir"],
                    cache_dir=given["cache_dir"],
                    **self.fields(given),
                ).reports
        except KeyboardInterrupt:
            return [self._left_out(target, "interrupted before the first record", interrupted=True)]
        except ResumeError:
            raise
        except UsageError as exc:
            if alone:  # the scans of other sources are not thrown away for one that the options do not fit
                raise
            return [self._left_out(target, str(exc))]
        except Exception as exc:
            if self.session.debug:
                complain_with_traceback(exc)
            self.crashes.append(describe(exc))
            why = f"the scan crashed, which is a bug in datascan: {describe(exc)}"
            return [self._left_out(target, why, crashed=True)]

    def _left_out(self, target: Target, why: str, *, interrupted: bool = False, crashed: bool = False) -> SourceReport:
        level = target.given["fail_on"]
        return SourceReport(
            source=SourceInfo(target.path),
            coverage=Coverage(complete=False, reasons=(why,)),
            fail_on=None if level == "never" else Severity(level),
            error=why,
            interrupted=interrupted,
            crashed=crashed,
        )


def write_reports(
    report: Report,
    outputs: Sequence[Output],
    files: Sequence[tuple[Output, OutputFile]],
    given: Mapping[str, Any],
    session: Session,
    crew: Crew | None = None,
    live: LiveOutputs | None = None,
) -> None:
    """Write every report; one that can't be written does not keep the others from it.

    What ``live`` has written as it came is ended; ``crew`` reads the records that an output shows.

    Raises
    ------
    CannotWrite, RenderFailed
        The first that could not be written.
    """
    failures: list[CannotWrite | RenderFailed] = []
    if live is not None:
        live.end(report)
        failures += live.failures
    if any(output.format in ILLUSTRATED for output in outputs):
        from ..gallery import with_exhibits

        report = with_exhibits(report, crew)
    told = LIVE if live is not None else {}
    places: list[tuple[Output, Write, Style]] = [
        (output, session.write, stdout_style(given["color"], given["quiet"]))
        for output in outputs
        if output.file is None
    ]
    style = Style(WIDEST, given["color"] == "always", given["quiet"])
    places += [(output, file.write, style) for output, file in files]
    for output, write, chosen in places:
        if output.format in told:
            continue
        try:
            write(partial(RENDERERS[output.format], report, style=chosen))
        except (CannotWrite, RenderFailed) as exc:
            failures.append(exc)
    if failures:
        raise failures[0]
