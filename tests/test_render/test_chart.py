"""Charts in characters: within their width, true to the extremes, with the bad point marked."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.render.chart import ASCII, UNICODE, can_draw, chart_lines


def test_a_chart_looks_like_this() -> None:
    points = [(at, value) for at, value in enumerate([4.0, 3.0, 2.0, 1.0, math.nan])]
    assert list(chart_lines(points, "loss", bad=(4, "loss is nan"), width=41, height=4, ascii_only=True)) == [
        "loss",
        "          4 |*                          X",
        "          3 |       *                   :",
        "            |              *            :",
        "          1 |                    *      :",
        "            +----------------------------",
        "             0                          4",
        "               loss is nan at iteration 4",
    ]


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.floats()), max_size=40),
    st.integers(0, 120),
    st.integers(0, 20),
    st.booleans(),
    st.booleans(),
)
def test_any_points_fit_any_width(
    points: list[tuple[int, float]], width: int, height: int, ascii_only: bool, marked: bool
) -> None:
    bad = (5, "loss is -nan") if marked else None
    lines = list(chart_lines(points, "loss", bad=bad, width=width, height=height, ascii_only=ascii_only))
    assert lines
    assert max(map(len, lines)) <= max(width, 24)
    assert not ascii_only or "".join(lines).isascii()


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1.0, 2.0, 3.0], ""), ([1.0, 1e6], " (logarithmic)"), ([4.0, -1e20], " (logarithmic to both sides of 0)")],
)
def test_the_scale_is_logarithmic_where_it_must_be(values: list[float], kind: str) -> None:
    lines = list(chart_lines(list(enumerate(values)), "loss"))
    assert lines[0] == f"loss{kind}"
    assert f"{max(values):.4g}" in lines[1]
    assert any(f"{min(values):.4g}" in line for line in lines)


def test_the_bad_point_is_marked_and_named() -> None:
    lines = list(chart_lines([(0, 1.0), (5, 2.0), (10, math.nan)], "loss", bad=(10, "loss is -nan"), width=60))
    assert lines[1].endswith(UNICODE.bad)
    assert lines[-1].endswith("loss is -nan at iteration 10")
    assert sum(line.endswith(UNICODE.column) for line in lines) == 11


def test_without_a_finite_value_it_says_so() -> None:
    assert list(chart_lines([(0, math.nan)], "loss", bad=(0, "nan"))) == ["loss: no finite value; nan at 0"]


def test_ascii_is_used_where_the_output_has_nothing_else() -> None:
    assert [can_draw(name) for name in ("utf-8", "ascii", None, "no such encoding")] == [True, False, False, False]
    assert ASCII.point.isascii()
