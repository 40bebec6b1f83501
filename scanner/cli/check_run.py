"""What ``datascan check`` does once its options are understood: scan source after source, write the reports."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from ...backends.errors import UsageError
from ..api import OptionFields, check, make_options
from ..complain import complain, complain_of_bug, complain_with_traceback, describe
from ..crew import Crew
from ..engines import Engine, open_engine
from ..journal import Journal, ResumeError
from ..options import Options
from ..progress import progress_bar
from ..render import RENDERERS, RenderFailed, Style
from ..report import Coverage, Report, SourceInfo, SourceReport
from ..spill import Workspace
from .names import check_layout, check_names, names_of
from .outputs import Output, OutputFile, open_outputs
from .probe_params import probe_fields
from .session import CannotWrite, Session
from .terminal import WIDEST, stdout_style


def run_check(session: Session, sources: Sequence[str], given: Mapping[str, Any], crew: Crew) -> int:
    """Scan, write the reports, and give the exit code."""
    fields = option_fields(given)
    options = make_options(**fields)
    check_layout(given["layout"])
    with ExitStack() as stack:
        written = [*sources, *named_by_nets(sources, given["data_root"]), *files_read(fields)]
        Workspace(given["work_dir"], sources=written)  # one that can't be used is told before anything is read
        outputs, files = open_outputs(given["outputs"], written, stack)
        engine = stack.enter_context(open_engine(given["executor"], crew))
        journal = None if given["resume"] is None else stack.enter_context(Journal(given["resume"], sources))
        scans = Scans(session, fields, options, given, crew, journal, engine)
        report = Report(tuple(scans.scan_all(sources)))
        write_reports(report, outputs, files, given, session)
        if journal is not None:
            end_journal(journal, report)
    crashes = [*scans.crashes, *(crash_of(one) for one in report.reports if one.crashed)]
    if crashes:
        complain_of_bug(crashes[0])
    return int(report.exit_code)


def named_by_nets(sources: Sequence[str], data_root: str | None) -> list[str]:
    """The data sets that nets among the sources name: they are never written to either."""
    nets = [source for source in sources if source.endswith(".prototxt")]
    if not nets:
        return []
    from ..net_sources import folders_of, paths_named_by

    return [path for net in nets for path in paths_named_by(net, folders_of(data_root))]


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
        "ignore_labels": given["ignore_labels"],
        "batch_size": given["batch_size"],
        "crop": given["crop"],
        "extreme": given["extreme"],
        "max_pixels": given["max_pixels"],
        "max_findings": given["max_findings"],
        "limit": given["limit"],
        "sample": given["sample"],
        "statistics": given["statistics"],
        "follow_external": given["follow_external"],
        "probe": probe_fields(given) if given["probe"] else None,
    }


class Scans:
    """Scans one source after the other; whatever happens to one, it has a report, and so have the others."""

    def __init__(
        self,
        session: Session,
        fields: OptionFields,
        options: Options,
        given: Mapping[str, Any],
        crew: Crew,
        journal: Journal | None,
        engine: Engine | None = None,
    ) -> None:
        self.session = session
        self.fields = fields
        self.options = options
        self.given = given
        self.crew = crew
        self.journal = journal
        self.engine = engine
        self.crashes: list[str] = []

    def scan_all(self, sources: Sequence[str]) -> list[SourceReport]:
        """A report for each source, also for those that an interruption left out."""
        reports: list[SourceReport] = []
        for source in sources:
            if reports and reports[-1].interrupted:
                reports.append(
                    self._left_out(source, "not looked at: the run was interrupted before", interrupted=True)
                )
            else:
                reports += self._scan(source, alone=len(sources) == 1)
        return reports

    def _scan(self, source: str, alone: bool) -> Sequence[SourceReport]:
        given = self.given
        try:
            with progress_bar(source, sys.stderr, not (given["quiet"] or given["no_progress"])) as bar:
                return check(
                    source,
                    backend=given["backend"],
                    database=given["database"],
                    layout=given["layout"],
                    crew=self.crew,
                    executor=self.engine,
                    resume=self.journal,
                    progress=bar,
                    data_root=given["data_root"],
                    work_dir=given["work_dir"],
                    **self.fields,
                ).reports
        except KeyboardInterrupt:
            return [self._left_out(source, "interrupted before the first record", interrupted=True)]
        except ResumeError:
            raise
        except UsageError as exc:
            if alone:  # the scans of other sources are not thrown away for one that the options do not fit
                raise
            return [self._left_out(source, str(exc))]
        except Exception as exc:
            if self.session.debug:
                complain_with_traceback(exc)
            self.crashes.append(describe(exc))
            why = f"the scan crashed, which is a bug in datascan: {describe(exc)}"
            return [self._left_out(source, why, crashed=True)]

    def _left_out(self, source: str, why: str, *, interrupted: bool = False, crashed: bool = False) -> SourceReport:
        return SourceReport(
            source=SourceInfo(source),
            coverage=Coverage(complete=False, reasons=(why,)),
            fail_on=self.options.fail_on,
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
) -> None:
    """Write every report; one that can't be written does not keep the others from it.

    Raises
    ------
    CannotWrite, RenderFailed
        The first that could not be written.
    """
    failures: list[CannotWrite | RenderFailed] = []
    for output in outputs:
        if output.file is None:
            style = stdout_style(given["color"], given["quiet"])
            try:
                session.write(partial(RENDERERS[output.format], report, style=style))
            except (CannotWrite, RenderFailed) as exc:
                failures.append(exc)
    for output, file in files:
        style = Style(WIDEST, given["color"] == "always", given["quiet"])
        try:
            file.write(partial(RENDERERS[output.format], report, style=style))
        except (CannotWrite, RenderFailed) as exc:
            failures.append(exc)
    if failures:
        raise failures[0]
