"""JUnit XML: a suite for each source, a case for each rule, for whatever shows test results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TextIO

from ..address import address
from ..finding import Finding
from ..printable import printable
from ..report import ExitCode, Report, SourceReport
from .findings import Group, grouped
from .numbers import counted
from .pages import FIX, WHY, Page
from .portable import writer
from .style import DEFAULT, Style
from .terminal import rule_pages, verdict_sentence

PLACES = 100
"""Findings of a rule that are written out: a view of test results is no place for thousands."""

COVERAGE = "coverage"
"""The case that stands for having looked at everything."""

CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def render_junit(
    report: Report, stream: TextIO, style: Style = DEFAULT, pages: Mapping[str, Page] | None = None
) -> None:
    """Write the report, suite by suite."""
    known = rule_pages(report) if pages is None else pages
    write = writer(stream, "xmlcharrefreplace")
    write('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="datascan">\n')
    for one in report.reports:
        for line in suite(one, known):
            write(f"{line}\n")
    for line in causes_suite(report) if report.causes is not None else ():
        write(f"{line}\n")
    write("</testsuites>\n")


def suite(report: SourceReport, pages: Mapping[str, Page]) -> Iterator[str]:
    """One source: did it get looked at, then each rule."""
    path = report.source.path
    groups: dict[str, list[Group]] = {}
    for group in grouped(report):
        groups.setdefault(group.rule, []).append(group)
    skipped: dict[str, str] = {}
    for entry in report.coverage.not_run:
        skipped.setdefault(entry.rule, (entry.reason.strip().splitlines() or ["no reason given"])[-1])
    rules = dict.fromkeys((*report.rules, *groups, *skipped))
    failed = sum(any(fails(report, group) for group in groups.get(rule, ())) for rule in rules)
    looked = report.exit_code in (ExitCode.CLEAN, ExitCode.FINDINGS) and report.coverage.complete
    shown = sum(rule in skipped and rule not in groups for rule in rules)
    yield tag(
        "testsuite",
        name=path,
        tests=len(rules) + 1,
        failures=failed,
        errors=int(not looked),
        skipped=shown,
        time=f"{report.run.seconds:.3f}",
        timestamp=report.run.started.replace("+00:00", "") or None,
    )
    yield tag("testcase", classname=path, name=COVERAGE, time="0")
    if not looked:
        reasons = "\n".join(dict.fromkeys(filter(None, (report.error, *report.coverage.reasons))))
        yield f"{tag('error', message=verdict_sentence(report), type='incomplete')}{words(reasons)}</error>"
    yield "</testcase>"
    for rule in rules:
        yield from case(report, rule, groups.get(rule, []), skipped.get(rule), pages.get(rule))
    yield "</testsuite>"


def fails(report: SourceReport, group: Group) -> bool:
    """Whether findings of a severity fail the run."""
    return report.fail_on is not None and group.severity >= report.fail_on


def case(report: SourceReport, rule: str, groups: list[Group], skipped: str | None, page: Page | None) -> Iterator[str]:
    """One rule: failed, skipped, or passed with what it found below the level that fails."""
    yield tag("testcase", classname=report.source.path, name=rule, time="0")
    failing = [group for group in groups if fails(report, group)]
    others = [group for group in groups if group not in failing]
    if failing:
        text = "\n".join([*(line for group in failing for line in places(group)), *advice(page)])
        said = ", ".join(f"{group.count:,} {group.severity.value}" for group in failing)
        first = next((finding.message for group in failing for finding in group.findings), "")
        message = f"{said}: {first}" if first else said
        yield f"{tag('failure', message=message, type=failing[0].severity.value)}{words(text)}</failure>"
    elif skipped is not None and not groups:
        yield f"<skipped>{words(skipped)}</skipped>"
    if others:
        yield f"<system-out>{words(chr(10).join(line for group in others for line in places(group)))}</system-out>"
    yield "</testcase>"


def places(group: Group) -> Iterator[str]:
    """The first findings of a group, a line each."""
    yield f"{group.severity.value}: {counted(group.count, 'finding')}"
    yield from (f"  {line_of(finding)}" for finding in islice(group.findings, PLACES))
    if (left := group.count - min(len(group.findings), PLACES)) > 0:
        yield f"  and {left:,} more"


def line_of(finding: Finding) -> str:
    """A finding in a line."""
    where = address(finding)
    return f"{where}: {finding.message}" if where else finding.message


def advice(page: Page | None) -> Iterator[str]:
    """Why it matters and what to do."""
    for word, title in (("why", WHY), ("fix", FIX)):
        if page is not None and (text := page.brief(title, 80)):
            yield f"{word}: {text}"


def causes_suite(report: Report) -> Iterator[str]:
    """The verdicts of ``doctor``: a case for each cause."""
    causes = report.causes or ()
    yield tag(
        "testsuite",
        name="causes",
        tests=len(causes),
        failures=sum(cause.guilty for cause in causes),
        errors=0,
        skipped=sum(cause.verdict == "not-checked" for cause in causes),
        time="0",
    )
    for cause in causes:
        yield tag("testcase", classname="causes", name=cause.cause, time="0")
        text = "\n".join([*cause.evidence, *([f"fix: {cause.remedy}"] if cause.remedy else [])])
        if cause.guilty:
            yield f"{tag('failure', message=cause.summary, type=cause.verdict)}{words(text)}</failure>"
        elif cause.verdict == "not-checked":
            yield f"<skipped>{words(cause.summary)}</skipped>"
        else:
            yield f"<system-out>{words(f'{cause.verdict}: {cause.summary}')}</system-out>"
        yield "</testcase>"
    yield "</testsuite>"


def tag(element: str, /, **attributes: str | int | None) -> str:
    """A start tag; attributes that are ``None`` are left out."""
    from xml.sax.saxutils import quoteattr  # loads the library's HTTP client, which no other format shall wait for

    said = "".join(f" {key}={quoteattr(clean(str(value)))}" for key, value in attributes.items() if value is not None)
    return f"<{element}{said}>"


def words(text: str) -> str:
    """Text between tags."""
    from xml.sax.saxutils import escape

    return escape("\n".join(clean(line) for line in text.split("\n")))


def clean(text: str) -> str:
    """A text without what XML can't hold, or a reader can't see."""
    return CONTROLS.sub("", printable(text))
