"""Text for terminals: escaped, measured, cut, filled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.printable import clip, encodable, fill, key_text, pad, printable, width
from datascan.scanner.render.numbers import counted, duration, real, share, size

ANY = st.text(st.characters(codec=None))
PRINTABLE = ANY.map(printable)


@given(ANY)
def test_printable_text_is_printable_and_encodable(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 日本", "plain ä 日本"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\x9b1m", "\\x9b1m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (b"00000037_cat.jpg", "00000037_cat.jpg"),
        ("日本/é".encode(), "日本/é"),
        (b"dir\\file", "dir\\file"),
        (b"\xff\x00", "hex:ff00"),
        (b"", '""'),
        (b" a", '" a"'),
        (b'a\n"\\', '"a\\n\\"\\\\"'),
    ],
)
def test_keys_are_shown_without_doubt(key: bytes, shown: str) -> None:
    assert key_text(key) == shown


@given(PRINTABLE, st.integers(8, 60))
def test_clipped_text_fits_and_keeps_both_ends(text: str, columns: int) -> None:
    short = clip(text, columns)
    assert width(short) <= columns
    if width(text) <= columns:
        assert short == text
    else:
        head, _, tail = short.partition("…")
        assert text.startswith(head)
        assert text.endswith(tail)


@given(PRINTABLE, st.integers(2, 60))
def test_filled_lines_fit_and_lose_nothing(text: str, columns: int) -> None:
    lines = fill(text, columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_width_counts_wide_and_combining_characters() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert pad("日", 4) == "日  "
    assert pad("日", 4, right=True) == "  日"


def test_what_an_encoding_does_not_know_is_drawn_plainly() -> None:
    assert encodable("█ é …", "utf-8") == "█ é …"
    assert encodable("█ é …", "ascii") == "# \\xe9 ~"
    assert encodable("é", "latin-1") == "é"


def test_numbers_read_well() -> None:
    assert counted(1, "record") == "1 record"
    assert counted(1200, "class", "classes") == "1,200 classes"
    assert [size(n) for n in (0, 999, 1000, 196_608, 999_950, 3.5e9)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "196.6 kB",
        "1.0 MB",
        "3.5 GB",
    ]
    assert [duration(s) for s in (0, 0.84, 0.996, 59.94, 59.96, 125.2, 7380)] == [
        "0.00 s",
        "0.84 s",
        "1.0 s",
        "59.9 s",
        "1 min 00 s",
        "2 min 05 s",
        "2 h 03 min",
    ]
    assert [real(value) for value in (3, 255.0, 110.07941, 1e-7, 1e30, float("nan"))] == [
        "3",
        "255",
        "110.08",
        "1e-07",
        "1e+30",
        "nan",
    ]


def test_a_share_is_never_all_or_nothing_by_rounding() -> None:
    assert share(1, 1_000_000) == "<0.1%"
    assert share(999_999, 1_000_000) == ">99.9%"
    assert share(0, 5) == "0.0%"
    assert share(5, 5) == "100.0%"
    assert share(0, 0) == "-"
