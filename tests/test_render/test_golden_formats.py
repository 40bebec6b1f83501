"""Every format of the same reports, held by golden files; ``DATASCAN_REWRITE_GOLDEN=1`` rewrites them.

And their memory: a report of very many findings is written piece by piece.
"""

from __future__ import annotations

import io
import os
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from tests.test_render.examples import ERROR, EXAMPLES, images
from tests.test_render.test_machine_formats import REPORTS, rendered

from datascan.scanner.finding import Finding, Location
from datascan.scanner.render import RENDERERS
from datascan.scanner.render.html import render_html
from datascan.scanner.report import Report
from datascan.scanner.version import __version__

from .examples import PAGES

GOLDEN = Path(__file__).parent / "golden_formats"
FORMATS = [name for name in RENDERERS if name != "text"]
HELD = ("images", "rows", "causes")


def written(name: str, report: Report) -> str:
    """A format without what changes by itself: the version, and what a page has of style and script."""
    if name != "html":
        return rendered(name, report).replace(__version__, "VERSION")
    stream = io.StringIO()
    render_html(report, stream, pages=PAGES)
    bare = re.sub(r"<(style|script)>.*?</\1>|sha256-[A-Za-z0-9+/=]+", "", stream.getvalue(), flags=re.DOTALL)
    return bare.replace(__version__, "VERSION")


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("name", FORMATS)
def test_format_is_as_its_golden_file(name: str, held: str) -> None:
    path = GOLDEN / f"{held}.{name}"
    text = written(name, REPORTS[held])
    if os.environ.get("DATASCAN_REWRITE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    assert text == path.read_bytes().decode()


def test_every_golden_file_has_its_test() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{held}.{name}" for held in HELD for name in FORMATS}


class Counting(io.StringIO):
    """A stream that forgets what it is given."""

    size = 0

    def write(self, text: str) -> int:
        self.size += len(text)
        return len(text)


@pytest.fixture(scope="module")
def many() -> Report:
    places = (Location(key=b"%08d" % index, index=index) for index in range(3000))
    found = tuple(Finding("value-nan", ERROR, "NaN", place, {"count": place.index}) for place in places)
    return Report([replace(images(), findings=found, omitted={})])


@pytest.mark.parametrize("name", FORMATS)
def test_findings_are_written_piece_by_piece(name: str, many: Report) -> None:
    """As dictionaries all of them take several MiB, which grow with their number."""
    RENDERERS[name](EXAMPLES["images"], Counting())  # what is loaded once
    stream = Counting()
    tracemalloc.start()
    try:
        RENDERERS[name](many, stream)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stream.size
    assert peak < 1 << 20, f"{name} took {peak >> 10} KiB to write {stream.size >> 10} KiB"
