"""Images made to hurt: any bytes give facts, sizes are refused before they are allocated."""

from __future__ import annotations

import struct
import subprocess
import tracemalloc
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.test_images.pictures import encoded, image, look, rules

from datascan.scanner.images import sniff_format

HEADS = [
    encoded(image(height=60, width=60), name)[:size]
    for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
    for size in (8, 30, 64, 300)
]


@given(st.binary(max_size=300))
def test_any_bytes_give_facts(data: bytes) -> None:
    facts = look(data)
    assert facts.format == sniff_format(data)


@given(st.sampled_from(HEADS), st.binary(max_size=200))
def test_any_bytes_behind_a_header_give_facts(head: bytes, tail: bytes) -> None:
    assert look(head + tail, max_pixels=1 << 16).faults


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def resized(data: bytes, width: int, height: int) -> bytes:
    """A JPEG that declares another size than it has."""
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


@pytest.mark.parametrize(
    "data",
    [
        png_header(100_000, 100_000),
        resized(encoded(image()), 65_000, 65_000),
        b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + encoded(image(), "GIF")[10:],
        encoded(image(), "BMP")[:18] + struct.pack("<ii", 100_000, 100_000) + encoded(image(), "BMP")[26:],
    ],
    ids=["png", "jpeg", "gif", "bmp"],
)
def test_a_declared_size_is_refused_before_decoding(data: bytes) -> None:
    tracemalloc.start()
    found = rules(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ["image-too-large"]
    assert peak < 1 << 24


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_limit_is_the_option(format_name: str) -> None:
    data = encoded(image(height=50, width=60), format_name)
    assert rules(data, max_pixels=3000) == []
    facts = look(data, max_pixels=2999)
    assert [fault.rule for fault in facts.faults] == ["image-too-large"]
    assert (facts.width, facts.height, facts.sums) == (60, 50, None)


def test_pillow_keeps_its_own_limit_for_others() -> None:
    before = Image.MAX_IMAGE_PIXELS
    rules(encoded(image(), "PNG"))
    assert before == Image.MAX_IMAGE_PIXELS


def test_an_image_above_pillows_limit_is_decoded_where_ours_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for format_name in ("PNG", "BMP", "GIF", "TIFF", "WEBP"):
        assert rules(encoded(image(), format_name)) == []


def test_a_progressive_jpeg_of_very_many_scans_is_refused() -> None:
    data = encoded(image(height=64, width=64), progressive=True)
    last = data.rindex(b"\xff\xda")
    bomb = data[:last] + data[last:-2] * 3000 + b"\xff\xd9"
    assert rules(bomb, max_pixels=64 * 64) == ["image-too-large"]


def test_an_animation_of_very_many_pixels_is_refused() -> None:
    frames = [image().resize((64, 64)).rotate(turn) for turn in range(8)]
    for format_name in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], format_name, save_all=True, append_images=frames[1:])
        assert rules(data) == []
        assert rules(data, max_pixels=64 * 64) == ["image-too-large"]


def test_a_png_that_inflates_to_more_than_it_declares_is_not_inflated() -> None:
    rows = zlib.compress(bytes(1 << 26))
    body = b"IDAT" + rows
    end = b"\0\0\0\0IEND\xaeB`\x82"
    data = png_header(10, 10) + struct.pack(">I", len(rows)) + body + struct.pack(">I", zlib.crc32(body)) + end
    tracemalloc.start()
    found = rules(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ["image-corrupt"]
    assert peak < 1 << 23


@pytest.mark.parametrize(
    ("name", "place"),
    [("JPEG", "simplejpeg.decode_jpeg"), ("PNG", "deflate.zlib_decompress"), ("TIFF", "PIL.Image.open")],
)
def test_memory_that_is_not_to_be_had_is_told(name: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(image(), name)

    def refuse(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(place, refuse)
    assert rules(data) == ["image-too-large"]


@pytest.mark.parametrize("name", ["WEBP", "GIF", "BMP", "TIFF"])
def test_pillow_tries_the_one_format_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(image(), name)
    opened, asked = Image.open, []

    def spy(source: BytesIO, formats: list[str] | None = None) -> Image.Image:
        asked.append(formats)
        return opened(source, formats=formats)

    monkeypatch.setattr(Image, "open", spy)
    assert rules(data) == []
    assert asked == [[name]]


def test_no_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError(f"started {args}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert rules(eps) == ["image-undecodable"]


def test_a_second_frame_header_does_not_enlarge_the_image() -> None:
    data = encoded(image())
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 19]
    bomb = data[: at + 19] + frame[:5] + struct.pack(">HH", 60_000, 60_000) + frame[9:] + data[at + 19 :]
    found = look(bomb)
    assert len(found.faults) == 1
    assert (found.width, found.height) == (128, 96)
