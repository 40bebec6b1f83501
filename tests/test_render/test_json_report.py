"""The JSON report: what `Report.to_json` says, in characters that any stream and terminal takes."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_render.examples import EXAMPLES

from datascan.scanner.cli.params import FORMATS
from datascan.scanner.render import RENDERERS
from datascan.scanner.render.json_ import portable_json, render_json


@pytest.mark.parametrize("name", EXAMPLES)
def test_json_is_the_report_and_a_line_end(name: str) -> None:
    stream = io.StringIO()
    render_json(EXAMPLES[name], stream)
    assert stream.getvalue().endswith("}\n")
    assert json.loads(stream.getvalue()) == EXAMPLES[name].to_dict()


@given(st.text(st.characters(codec=None), max_size=40), st.sampled_from(["utf-8", "UTF8", "ascii", "latin-1", None]))
def test_any_text_survives_any_encoding(text: str, encoding: str | None) -> None:
    written = portable_json(json.dumps({"key": text}, ensure_ascii=False), encoding)
    decoded = written.encode(encoding or "utf-8").decode(encoding or "utf-8")
    assert json.loads(decoded) == json.loads(json.dumps({"key": text}))
    assert not any(char in decoded for char in "\x1b\x7f\x9b\u202e\u2066\r\n")


def test_text_stays_readable_where_the_stream_takes_it() -> None:
    assert portable_json('"日本語 é"', "utf-8") == '"日本語 é"'
    assert portable_json('"é 😀"', "ascii") == '"\\u00e9 \\ud83d\\ude00"'


def test_formats_are_those_that_the_help_names() -> None:
    assert tuple(RENDERERS) == FORMATS
