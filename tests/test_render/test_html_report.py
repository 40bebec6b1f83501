"""The page: whatever the data set is called and holds, it is text in it, and nothing comes from outside."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_render.examples import ERROR, EXAMPLES, PAGES, images
from tests.test_render.html_reading import Page, read_page

from datascan.scanner.finding import Finding, Location
from datascan.scanner.render import RENDERERS
from datascan.scanner.render.html import render_html
from datascan.scanner.report import Chart, Coverage, Report, SourceInfo, SourceReport

OUTSIDE = re.compile(r"(?:https?:)?//[a-z0-9]", re.IGNORECASE)
KNOWN = {"http://www.w3.org/2000/svg"}


def rendered(report: Report) -> str:
    stream = io.StringIO()
    render_html(report, stream, pages=PAGES)
    return stream.getvalue()


def hostile(text: str, key: bytes) -> Report:
    """A report in which every word that a data set has a say in is this text."""
    findings = (
        Finding("record-undecodable", ERROR, text, Location(key=key, index=1)),
        Finding(
            "value-nan", ERROR, text, Location(dataset=text, index=2, element=(1,)), {"file": text, "remedy": text}
        ),
    )
    statistics = {
        "labels": {text: 2},
        "shapes": {text: 1},
        "formats": {text: 3},
        "channels": [{"name": text, "mean": 1.0, "std": 1.0, "min": 0, "max": 2}],
    }
    source = SourceReport(
        SourceInfo(text, "lmdb", text, 3, 1), Coverage(3, 0, False, (text,)), findings, {}, statistics
    )
    charts = (Chart(text, ((0, 1.0), (1, 2.0)), (1, text)),)
    return Report([source, source], (), charts)


def skeleton(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    """Elements with the names of their attributes: what no text may change."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in page.elements]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_element_is_closed_and_every_id_is_there_once(name: str) -> None:
    page = read_page(rendered(EXAMPLES[name]))
    assert page.faults == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {
        attributes[name] for _, attributes in page.elements for name in ("aria-labelledby", "for") if name in attributes
    }
    assert named <= set(ids)


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_loaded_and_nothing_is_styled_in_place(name: str) -> None:
    html = rendered(EXAMPLES[name])
    page = read_page(html)
    (policy,) = [one["content"] for one in page.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag, attributes in page.elements:
        assert not any(one == "style" or one.startswith("on") for one in attributes), tag
        for one in ("src", "href", "action", "srcset"):
            assert (attributes.get(one) or "#").startswith(("#", "data:")), (tag, attributes)
    assert {match.group() for match in OUTSIDE.finditer(html)} <= {url[: len("http://w")] for url in KNOWN}
    assert len(page.named("script")) == 1


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec=None), min_size=1, max_size=40), st.binary(max_size=20))
def test_no_text_of_a_source_becomes_markup(text: str, key: bytes) -> None:
    html = rendered(hostile(text, key))
    assert html.encode("utf-8")
    assert "\0" not in html
    page = read_page(html)
    assert page.faults == []
    assert skeleton(page) == skeleton(read_page(rendered(hostile("x", b"x"))))


@pytest.mark.parametrize(
    "text",
    [
        "</script><img src=x onerror=alert(1)>",
        "</style><script>alert(1)</script>",
        '"><svg onload=alert(1)>',
        "' onmouseover='alert(1)",
        "{{7*7}}{% raw %}",
        "]]><![CDATA[",
        "<!--",
        "javascript:alert(1)",
        "&lt;b&gt;",
    ],
)
def test_markup_stays_text(text: str) -> None:
    page = read_page(rendered(hostile(text, text.encode())))
    assert skeleton(page) == skeleton(read_page(rendered(hostile("x", b"x"))))
    assert text in page.text
    assert "49" not in page.text or "7*7" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\u202eb", r"a\u202eb"), ("nul\0", r"nul\x00"), ("lone\udcff", r"lone\udcff"), ("\x9b1m", r"\x9b1m")],
)
def test_what_does_not_print_is_written_out(text: str, shown: str) -> None:
    html = rendered(hostile(text, b"k"))
    assert text not in html
    assert shown in read_page(html).text


def test_a_long_key_is_cut_where_it_can_be_seen() -> None:
    html = rendered(hostile("x", b"k" * 10_240))
    assert "…" in read_page(html).text
    assert len(html) < 120_000


def test_the_page_says_how_many_it_does_not_list() -> None:
    many = tuple(Finding("value-nan", ERROR, "NaN", Location(key=b"%08d" % n, index=n)) for n in range(5000))
    page = read_page(rendered(Report([replace(images(), findings=many, omitted={"value-nan": {ERROR: 95_000}})])))
    assert "100,000 findings" in page.text
    assert "200 of 100,000 are listed here; 95,000 were counted beyond --max-findings." in page.text


def test_what_was_not_looked_at_is_never_green() -> None:
    page = read_page(rendered(EXAMPLES["missing"]))
    assert "INCOMPLETE" in page.text
    assert "nosuch: no such file or folder" in page.text
    assert "Nothing was found" not in page.text
    kinds = [
        attributes["class"] for attributes in page.named("rect") if attributes.get("class") in ("seen", "gap", "lost")
    ]
    assert kinds
    assert "seen" not in kinds
    part = read_page(rendered(EXAMPLES["interrupted"]))
    assert "Nothing was found in what was looked at." in part.text
    assert "not looked at" in part.text


def test_html_is_a_format_like_any_other() -> None:
    stream = io.StringIO()
    RENDERERS["html"](EXAMPLES["images"], stream)
    assert stream.getvalue().startswith("<!doctype html>")
