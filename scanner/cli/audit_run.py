"""What ``datascan audit`` does once its options are understood."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from ...backends.errors import UsageError
from ..api import check_limits, make_options
from ..auditing.drift import Thresholds
from ..auditing.history import History, refuse_history
from ..auditing.nightly import Audit, Job, Policy, audit
from ..auditing.text import audit_dict, render_audit
from ..complain import complain, complain_of_bug
from ..crew import Crew
from ..interrupt import uninterrupted
from ..progress import progress_bar
from ..render import RENDERERS, Renderer, Style
from ..render.json_ import portable_json
from ..supervisor import Limits
from . import SETTINGS
from .check import check
from .check_run import crash_of, option_fields
from .names import check_layout
from .outputs import Output, OutputFile, open_outputs, refuse_sources
from .session import CannotWrite, Session
from .targets import Target, targets_of
from .terminal import WIDEST, stdout_style

HISTORY = "datascan-history.sqlite"


def run_audit(session: Session, sources: Sequence[str], given: Mapping[str, Any], asked: Collection[str]) -> int:
    """Audit, write the reports, notify, let the run count, and give the exit code."""
    check_limits(given["timeout"], given["max_memory"])
    command = notify_command(given["notify"])
    targets = audited(session, sources, {**scan_defaults(session), **given}, asked)
    jobs = [job_of(target) for target in targets]
    paths = [job.path for job in jobs]
    file = history_file(session, given["history"])
    refuse_history(file, paths)
    refuse_sources(file, paths)
    policy = Policy(
        given["force"],
        given["reread"],
        given["max_duration"],
        given["subset"],
        Thresholds(given["drift_records"], given["drift_labels"], given["drift_values"]),
        given["work_dir"],
    )
    with uninterrupted(), ExitStack() as stack:
        outputs, files = open_outputs(given["outputs"], [*paths, file], stack)
        history = stack.enter_context(History(file))
        crew = stack.enter_context(Crew(given["jobs"], Limits(given["timeout"], given["max_memory"])))
        shown = not (given["quiet"] or given["no_progress"])

        def progress(path: str) -> Any:
            return stack.enter_context(progress_bar(path, sys.stderr, shown))

        found = audit(jobs, history, crew, policy, progress=progress)
        write_audit(found, outputs, files, given, session)
        if command is not None and found.has_new:
            notify(command, found)
        found.finish()
    crashes = [crash_of(one) for one in found.report.reports if one.crashed]
    if crashes:
        complain_of_bug(crashes[0])
    return int(found.exit_code)


def scan_defaults(session: Session) -> dict[str, Any]:
    """What ``check`` would take for the options that ``audit`` has not: a source is scanned as there."""
    from .settings import defaults_for

    defaults = defaults_for("check", check, session.configuration.values)
    with check.make_context("check", [], default_map=defaults, **SETTINGS) as context:
        return {**context.params, "outputs": ()}


def audited(session: Session, sources: Sequence[str], given: Mapping[str, Any], asked: Collection[str]) -> list[Target]:
    """The sources to audit; without any named those of the configuration that are not left out there."""
    targets = targets_of(session.configuration, sources, given, asked)
    if not sources:
        configured = session.configuration.sources
        targets = [one for one in targets if one.name is None or configured[one.name].audit]
    paths = [os.path.realpath(target.path) for target in targets]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise UsageError(f"{targets[number].path} is there twice; an audit looks at each source once")
        if path.endswith(".prototxt"):
            raise UsageError(f"{targets[number].path} is a net; an audit takes data sets: name those that it reads")
    if not targets:
        raise UsageError("no source is left to audit: all have audit = false")
    return targets


def job_of(target: Target) -> Job:
    """How a source is audited."""
    given = target.given
    if given["limit"] is not None or given["sample"] is not None:
        raise UsageError(f"{target.path}: limit and sample leave records out for ever; take --subset or --max-duration")
    check_layout(given["layout"])
    options = make_options(**option_fields(given))
    return Job(target.name or target.path, target.path, options, given["backend"], given["database"], given["layout"])


def history_file(session: Session, given: str | None) -> str:
    """The history's path: as given, or beside the configuration file, or in the working folder."""
    if given is not None:
        return given
    file = session.configuration.file
    return HISTORY if file is None else file.resolve(HISTORY)


# ---- reports ----


def write_audit(
    found: Audit,
    outputs: Sequence[Output],
    files: Sequence[tuple[Output, OutputFile]],
    given: Mapping[str, Any],
    session: Session,
) -> None:
    """Write every report; one that can't be written does not keep the others from it."""
    failures: list[CannotWrite] = []
    for output in outputs:
        if output.file is None:
            try:
                session.write(partial(render, output.format, found, style=stdout_style(given["color"], given["quiet"])))
            except CannotWrite as exc:
                failures.append(exc)
    for output, file in files:
        style = Style(WIDEST, given["color"] == "always", given["quiet"])
        try:
            file.write(partial(render, output.format, found, style=style))
        except CannotWrite as exc:
            failures.append(exc)
    if failures:
        raise failures[0]


def render(format_: str, found: Audit, stream: TextIO, style: Style) -> None:
    """Text, JSON and HTML are about the night; the other formats about what is known of the sources."""
    if format_ == "text":
        render_audit(found, stream, style)
    elif format_ == "json":
        text = json.dumps(audit_dict(found), indent=2, ensure_ascii=False, allow_nan=False)
        stream.write(portable_json(text, stream.encoding) + "\n")
    elif format_ == "html":
        from ..auditing.pages import render_audit_html

        render_audit_html(found, stream)
    else:
        renderer: Renderer = RENDERERS[format_]
        renderer(found.report, stream, style=style)


# ---- telling somebody ----


def notify_command(text: str | None) -> list[str] | None:
    """The words of the command; no shell ever sees them.

    Raises
    ------
    UsageError
        A quote that is not closed, no words at all.
    """
    if text is None:
        return None
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise UsageError(f"--notify: {text!r}: {exc}") from exc
    if not words:
        raise UsageError("--notify: no command given")
    return [os.path.expanduser(words[0]), *words[1:]]


def notify(command: Sequence[str], found: Audit) -> None:
    """Run the command with the JSON on its standard input. That it fails is said, and changes nothing else."""
    text = json.dumps(audit_dict(found), ensure_ascii=False, allow_nan=False)
    try:
        ended = subprocess.run(command, input=text.encode(errors="backslashreplace"), check=False)
    except OSError as exc:
        complain(f"datascan: --notify: can't run {Path(command[0]).name}: {exc.strerror}; nobody was told")
        return
    if ended.returncode:
        complain(f"datascan: --notify: {Path(command[0]).name} ended with {ended.returncode}; was anybody told?")
