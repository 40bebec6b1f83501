"""What became of a rebuild, for people: before the report on the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..printable import fill, pad, printable
from ..rebuilt import Rebuilt
from ..report import ExitCode, Report
from .numbers import counted, size
from .style import Style

LABELS = 10
"""Columns of the words before source, quarantine and the like."""


def rebuild_lines(report: Report, style: Style) -> Iterator[str]:
    """Verdict, facts and notes of a rebuild."""
    rebuilt = report.rebuild
    assert rebuilt is not None
    if style.quiet and report.exit_code is ExitCode.CLEAN:
        return
    word = rebuild_word(rebuilt)
    first, *others = fill(
        f"{printable(rebuilt.target)}: {rebuild_sentence(rebuilt)}", max(style.width - len(word) - 2, 20)
    )
    yield f"{style.paint(word, report.verdict)}  {first}"
    yield from (" " * (len(word) + 2) + line for line in others)
    yield ""
    for label, text in rebuild_facts(rebuilt, report):
        for number, line in enumerate(fill(printable(text), max(style.width - LABELS - 4, 20))):
            yield f"  {style.paint(pad('' if number else label, LABELS), 'dim')}  {line}"


def rebuild_word(rebuilt: Rebuilt) -> str:
    """In a word or two, how it ended."""
    if rebuilt.dry_run:
        return "DRY RUN"
    if rebuilt.skip_list is not None:
        return "LISTED"
    return "REBUILT" if rebuilt.written else "NOT PROVEN"


def rebuild_sentence(rebuilt: Rebuilt) -> str:
    """How many records were kept and set aside, and whether that is proven."""
    records = rebuilt.records
    if rebuilt.skip_list is not None:
        return (
            f"not written; {counted(records['quarantined'] or 0, 'record')} to skip in {printable(rebuilt.skip_list)}"
        )
    would = "would be " if rebuilt.dry_run else ""
    parts = [f"{counted(records['kept'] or 0, 'record')} {would}kept"]
    if records["quarantined"]:
        parts.append(f"{records['quarantined']:,} {would}set aside")
    if records["unreadable"]:
        parts.append(f"{records['unreadable']:,} could not be read")
    said = ", ".join(parts)
    proof = rebuilt.proof
    if proof is None:
        return said
    if proof.holds:
        return f"{said}; all {proof.compared:,} fingerprints compared are equal"
    return f"{said}; but the copy is not what it should be, and nothing was put in its place"


def rebuild_facts(rebuilt: Rebuilt, report: Report) -> Iterator[tuple[str, str]]:
    """What was read, dropped and written, each with a word before it."""
    source = report.reports[0].source
    parts = [rebuilt.source, source.store or "", source.layout or ""]
    if source.records is not None:
        parts.append(counted(source.records, "record"))
    yield "source", " · ".join(part for part in parts if part)
    if rebuilt.validation is not None and rebuilt.records["validation"] is not None:
        yield "validation", f"{rebuilt.validation}: {counted(rebuilt.records['validation'], 'record')} of these"
    if rebuilt.dropped:
        yield "dropped", _tally(rebuilt.dropped)
    if rebuilt.fixed:
        yield "fixed", _tally(rebuilt.fixed)
    if rebuilt.quarantine is not None:
        yield "quarantine", f"{rebuilt.quarantine}: the reasons are in quarantine.jsonl"
    if rebuilt.map is not None:
        yield "map", f"{rebuilt.map}: old keys and positions to new ones"
    if rebuilt.dry_run and rebuilt.needed_bytes is not None and rebuilt.free_bytes is not None:
        short = "" if rebuilt.needed_bytes <= rebuilt.free_bytes else ": too little"
        yield "space", f"about {size(rebuilt.needed_bytes)} needed, {size(rebuilt.free_bytes)} free{short}"
    for problem in rebuilt.proof.problems if rebuilt.proof is not None else ():
        yield "problem", problem
    for note in rebuilt.notes:
        yield "note", note


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
