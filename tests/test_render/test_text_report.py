"""The report for people, held by golden files; ``DATASCAN_REWRITE_GOLDEN=1`` rewrites them."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_render.examples import ERROR, EXAMPLES, PAGES, clean, images, missing, rows, warned

from datascan.scanner.finding import Finding, Location, Severity
from datascan.scanner.printable import width
from datascan.scanner.render import Style
from datascan.scanner.render.terminal import render_text
from datascan.scanner.report import Coverage, Report, SourceInfo, SourceReport

GOLDEN = Path(__file__).parent / "golden"


def rendered(report: Report, style: Style) -> str:
    stream = io.StringIO()
    render_text(report, stream, style, PAGES)
    return stream.getvalue()


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("DATASCAN_REWRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", EXAMPLES)
def test_report_is_as_its_golden_file(name: str, columns: int) -> None:
    compare(f"{name}-{columns}.txt", rendered(EXAMPLES[name], Style(columns)))


def test_quiet_report_is_as_its_golden_file() -> None:
    compare("several-quiet.txt", rendered(EXAMPLES["several"], Style(quiet=True)))


def test_coloured_report_is_as_its_golden_file() -> None:
    compare("images-colour.txt", rendered(EXAMPLES["images"], Style(colour=True)))


def test_every_golden_file_has_its_test() -> None:
    expected = {f"{name}-{columns}.txt" for name in EXAMPLES for columns in (80, 120)}
    assert {path.name for path in GOLDEN.iterdir()} == expected | {"several-quiet.txt", "images-colour.txt"}


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", EXAMPLES)
def test_lines_fit_and_hold_no_control_character(name: str, columns: int) -> None:
    for line in rendered(EXAMPLES[name], Style(columns)).split("\n"):
        assert line.isprintable()
        assert line == line.rstrip()
        assert width(line) <= columns


ANY_TEXT = st.text(st.characters(codec=None), max_size=80)  # surrogates and controls among them


@given(ANY_TEXT, st.binary(max_size=60), ANY_TEXT, ANY_TEXT, st.sampled_from([60, 80]))
def test_no_text_of_a_source_steers_the_terminal(path: str, key: bytes, message: str, label: str, columns: int) -> None:
    findings = (
        Finding("record-undecodable", ERROR, message, Location(key=key, index=7)),
        Finding("value-nan", ERROR, message, Location(dataset=label, index=7, element=(1, 2)), {"file": path}),
    )
    coverage = Coverage(1, 0, False, (message,))
    statistics = {"labels": {label: 2}, "shapes": {label: 1}, "channels": [{"mean": 1.0}]}
    source = SourceReport(SourceInfo(path, "lmdb", label, 1, 1), coverage, findings, {}, statistics)
    text = rendered(Report([source, source]), Style(columns))
    assert text.encode("utf-8")
    assert all(line.isprintable() and width(line) <= columns for line in text.split("\n"))


def test_without_colours_there_is_no_escape_and_with_them_the_words_are_the_same() -> None:
    plain, coloured = (rendered(EXAMPLES["images"], Style(colour=colour)) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[1;31mFAIL\x1b[0m" in coloured
    for code in ("1;31", "1;33", "1;36", "1", "2", "34", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain


def test_quiet_says_nothing_of_what_passed() -> None:
    assert rendered(Report([clean(), warned()]), Style(quiet=True)) == ""


def test_quiet_names_what_was_not_looked_at() -> None:
    text = rendered(Report([clean(), missing()]), Style(quiet=True))
    assert text == "INCOMPLETE  nosuch: no such file or folder\n"


def test_counts_include_what_was_not_kept() -> None:
    text = rendered(Report([images()]), Style())
    assert text.startswith("FAIL  train_lmdb: 40 errors, 2 warnings and 1 info in 60 records\n")
    assert "image-truncated  40 findings" in text
    assert "and 35 more, 34 of them beyond --max-findings" in text


def test_a_group_of_which_nothing_was_kept_is_still_counted() -> None:
    report = replace(images(), findings=())
    assert "34 counted, 34 of them beyond --max-findings" in rendered(Report([report]), Style())


def test_groups_come_by_severity_then_by_number() -> None:
    lines = rendered(Report([rows()]), Style()).split("\n")
    heads = [line for line in lines if line.endswith(("finding", "findings"))]
    assert heads == ["error  value-nan  2 findings", "error  store-damaged  1 finding"]


def test_why_and_fix_stand_once_for_a_rule_with_two_severities() -> None:
    findings = (
        Finding("value-nan", Severity.WARNING, "NaN", Location(index=1, key=b"a")),
        Finding("value-nan", Severity.ERROR, "NaN", Location(index=2, key=b"b")),
    )
    text = rendered(Report([replace(clean(), findings=findings)]), Style())
    assert text.count("  why  ") == 1
    assert text.index("error  value-nan") < text.index("  why  ") < text.index("warning  value-nan")


def test_a_traceback_shows_as_its_last_line() -> None:
    text = rendered(Report([rows()]), Style())
    assert "value-constant: ZeroDivisionError: division by zero" in text
    assert "Traceback" not in text


def test_findings_that_may_be_there_say_so() -> None:
    report = replace(images(), fail_on=None)
    text = rendered(Report([report]), Style())
    assert text.startswith(
        "PASS  train_lmdb: 40 errors, 2 warnings and 1 info in 60 records (--fail-on\n      never)\n"
    )


def test_an_ascii_stream_gets_ascii_in_the_same_columns() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    render_text(EXAMPLES["images"], stream, Style(), PAGES)
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert "lmdb - caffe-datum - 60 records" in text
    assert "####" in text
    assert len(text.split("\n")) == len(rendered(EXAMPLES["images"], Style()).split("\n"))
