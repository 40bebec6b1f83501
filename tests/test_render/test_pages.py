"""Rule pages: docstrings taken apart, briefs for the report, tables and pages for the terminal."""

from __future__ import annotations

import pytest

from datascan.scanner.finding import Severity
from datascan.scanner.render.pages import FIX, WHAT, WHY, Page, page_lines, plain, table_lines
from datascan.scanner.render.style import Style
from datascan.scanner.rules import RULES
from datascan.scanner.rules.base import Rule


class ExampleNan(Rule):
    """
    ## What it does
    Checks `float` arrays, e.g. of Caffe, for **NaN** (see [IEEE](https://ieee.org)). A second
    sentence.

    A second paragraph.

    ## Why is this bad?
    It spreads

    ## How to fix
    - rebuild the set, which takes a while and must be told in a sentence that is longer than a line of a terminal is
    - or mask it

        datascan rebuild A B

    | a | b |
    """

    name = "example-nan"
    severity = Severity.ERROR


def test_a_brief_is_the_first_sentence_without_marks() -> None:
    page = Page.of(ExampleNan)
    assert page.brief(WHAT) == "Checks float arrays, e.g. of Caffe, for NaN (see IEEE)."
    assert page.brief(WHY) == "It spreads"
    assert page.brief("no such section") == ""


def test_a_page_keeps_lists_code_and_tables() -> None:
    lines = list(page_lines(Page.of(ExampleNan), Style(80)))
    assert lines[:4] == [
        "example-nan  error",
        "",
        "What it does",
        "  Checks float arrays, e.g. of Caffe, for NaN (see IEEE). A second sentence.",
    ]
    start = lines.index("How to fix")
    assert lines[start + 1 :] == [
        "  - rebuild the set, which takes a while and must be told in a sentence that is",
        "    longer than a line of a terminal is",
        "  - or mask it",
        "",
        "  datascan rebuild A B",
        "",
        "  | a | b |",
    ]


def test_json_has_the_whole_page() -> None:
    page = Page.of(ExampleNan).to_dict()
    assert page["name"] == "example-nan"
    assert page["family"] == "example"
    assert page["severity"] == "error"
    assert [section["title"] for section in page["sections"]] == [WHAT, WHY, FIX]
    assert page["sections"][0]["text"].endswith("A second paragraph.")


def test_a_table_groups_families_and_fits() -> None:
    pages = [Page.of(ExampleNan), Page("other-thing", Severity.INFO, (("What it does", "Checks " + "x " * 60),))]
    lines = list(table_lines(pages, Style(80)))
    assert lines[0].startswith("example-nan  error  Checks float arrays")
    assert "" in lines
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize(("marked", "bare"), [("`a` b", "a b"), ("**a**", "a"), ("[t](u)", "t"), ("a * b", "a * b")])
def test_marks_are_taken_away(marked: str, bare: str) -> None:
    assert plain(marked) == bare


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_what_why_and_fix(rule: type[Rule]) -> None:
    page = Page.of(rule)
    assert [title for title, _ in page.sections][:3] == [WHAT, WHY, FIX]
    assert all(page.brief(title) for title in (WHAT, WHY, FIX))
