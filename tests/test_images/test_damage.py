"""Damaged images: what is wrong has one name, and whatever the decoder can see is seen."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from simplejpeg import decode_jpeg
from tests.test_images.pictures import encoded, flipped, image, look, photo, rules, zeroed

ENDS_EARLY = {"image-truncated", "image-undecodable"}


def one_rule(data: bytes) -> str:
    found = rules(data)
    assert len(found) == 1, found
    return found[0]


# ---- every format ----


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_an_image_cut_anywhere_ends_early(format_name: str, options: dict[str, Any]) -> None:
    data = encoded(image(), format_name, **options)
    cuts = [len(data) * step // 50 for step in range(1, 50)] + [len(data) - 2, len(data) - 1]
    assert {one_rule(data[:cut]) for cut in cuts} <= ENDS_EARLY


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("tail", [b"\n", b"\0" * 700, b"\xff\xd9", bytes(range(256))])
def test_bytes_behind_the_end_are_told(format_name: str, tail: bytes) -> None:
    data = encoded(image(), format_name)
    facts = look(data + tail)
    assert [fault.rule for fault in facts.faults] == ["image-trailing-data"]
    assert facts.faults[0].offset == len(data)
    assert facts.faults[0].message.startswith(f"{len(tail)} byte")
    assert facts.sums is not None


def test_what_stands_behind_the_end_is_named() -> None:
    data = encoded(image())
    assert look(data + data).faults[0].message.endswith("another image")
    assert look(data + bytes(9)).faults[0].message.endswith("zeros")
    assert look(data + b"\0\0\0\x18ftypmp42" + bytes(99)).faults[0].message.endswith("a video (motion photo)")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no bytes"),
        (b"\0" * 100, "zero bytes"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"some words", "unknown data that starts with 73 6f 6d 65"),
        (b"BM and no bitmap at all, only words", "unknown data"),
    ],
)
def test_what_is_no_image_is_described(data: bytes, words: str) -> None:
    facts = look(data)
    assert facts.format is None
    assert [fault.rule for fault in facts.faults] == ["image-undecodable"]
    assert words in facts.faults[0].message


def test_equal_bytes_give_equal_messages() -> None:
    cases = [encoded(image(), name)[:40] for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")]
    for data in cases:
        first, second = look(data), look(bytes(bytearray(data)))
        assert first.faults == second.faults
        assert not any("0x7" in fault.message for fault in first.faults)


# ---- JPEG ----


@pytest.mark.parametrize("share", [0.2, 0.5, 0.61, 0.9])
def test_the_share_of_rows_is_honest(share: float) -> None:
    """Rows up to the cut are those of the whole image, the ones behind it are not."""
    data = encoded(photo(480, 64), subsampling=0, quality=90)
    cut = data[: int(len(data) * share)]
    fault = look(cut).faults[0]
    assert fault.rule == "image-truncated"
    rows = fault.data["rows"]
    whole, part = decode_jpeg(data), decode_jpeg(cut, strict=False)
    assert (whole[: rows - 8] == part[: rows - 8]).all()
    assert not (whole[rows + 8 :] == part[rows + 8 :]).all()
    assert abs(rows / 480 - share) < 0.1
    assert fault.message == f"JPEG ends after {rows / 480:.0%} of its rows"


@pytest.mark.parametrize("lost", [1, 2])
def test_a_missing_end_marker_is_told_as_that(lost: int) -> None:
    fault = look(encoded(image())[:-lost]).faults[0]
    assert (fault.rule, fault.message) == ("image-truncated", "all rows decode, the end marker is missing")


@pytest.mark.parametrize("size", [2, 3, 4, 20, 200])
def test_a_header_alone_gives_no_pixels(size: int) -> None:
    assert one_rule(encoded(image())[:size]) == "image-undecodable"


def test_a_tail_of_zeros_was_never_written() -> None:
    data = encoded(image())
    fault = look(data[: len(data) // 2] + bytes(len(data) // 2)).faults[0]
    assert fault.rule == "image-truncated"
    assert "zeros" in fault.message


def test_a_progressive_jpeg_names_the_scan() -> None:
    data = encoded(image(), progressive=True)
    assert re.match(r"JPEG ends in scan \d+", look(data[: len(data) * 9 // 10]).faults[0].message)
    assert "of its first scan" in look(data[: data.index(b"\xff\xda") + 60]).faults[0].message


@pytest.mark.parametrize(
    ("options", "least"),
    [({}, 1), ({"restart_marker_rows": 1}, 1), ({"optimize": True}, 0.4), ({"progressive": True}, 0.4)],
)
def test_a_zeroed_sector_is_seen_where_the_decoder_can_see_it(options: dict[str, Any], least: float) -> None:
    data = encoded(image(height=256, width=256), quality=90, **options)
    seen = [rules(zeroed(data, offset)) for offset in range(1024, len(data) - 1024, 512)]
    assert {rule for found in seen for rule in found} <= {"image-corrupt", "image-truncated", "image-undecodable"}
    assert sum(map(bool, seen)) >= least * len(seen)


def test_zeros_of_a_flat_image_are_no_lost_sector() -> None:
    pixels = photo(600, 600)
    pixels[20:] = 255
    data = encoded(pixels, optimize=True, quality=50, subsampling=0)
    assert bytes(64) in encoded(pixels[..., 0], optimize=True)
    assert rules(data) == []
    assert rules(encoded(pixels)) == []


def test_flipped_bytes_never_pass_as_an_oddity_of_the_header() -> None:
    data = encoded(image(height=256, width=256), quality=90)
    offsets = range(1000, len(data) - 100, len(data) // 60)
    found = [tuple(rules(flipped(data, offset))) for offset in offsets]
    assert set(found) <= {(), ("image-corrupt",)}
    assert found.count(("image-corrupt",)) > len(found) // 4


def test_stray_bytes_in_the_header_are_odd_and_the_pixels_are_the_same() -> None:
    data = encoded(image())
    odd = look(data[:20] + b"abc" + data[20:])
    assert [fault.rule for fault in odd.faults] == ["image-oddity"]
    clean = look(data)
    assert odd.sums is not None
    assert clean.sums is not None
    assert odd.sums.total.tolist() == clean.sums.total.tolist()


def test_stray_bytes_in_the_header_do_not_hide_damage() -> None:
    data = encoded(image(height=256, width=256), quality=90)
    damaged = zeroed(data, len(data) // 2)
    assert rules(damaged) == ["image-corrupt"]
    assert rules(damaged[:20] + b"abc" + damaged[20:]) == ["image-corrupt"]
    assert rules(data[:20] + b"abc" + data[20 : len(data) // 2]) == ["image-truncated"]


def test_a_damaged_colour_profile_is_odd() -> None:
    data = encoded(image(), icc_profile=b"profile" * 20000)
    at = data.index(b"ICC_PROFILE\0") + 12
    assert rules(data[:at] + b"\x09" + data[at + 1 :]) in ([], ["image-oddity"])


def test_zeros_before_the_end_marker_are_padding() -> None:
    data = encoded(image())
    assert rules(data[:-2] + bytes(40) + data[-2:]) == ["image-oddity"]
    assert rules(data[:-2] + bytes(range(40, 80)) + data[-2:]) == ["image-corrupt"]


def test_fill_bytes_before_a_marker_are_legal() -> None:
    data = encoded(image())
    assert rules(data[:-2] + b"\xff\xff\xff" + data[-2:]) == []


@pytest.mark.parametrize(("frame", "precision", "word"), [(0xC1, 12, "12-bit"), (0xC3, 8, "lossless")])
def test_a_kind_that_no_loader_reads_is_a_warning(frame: int, precision: int, word: str) -> None:
    data = bytearray(encoded(image()))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = frame, precision
    (fault,) = look(bytes(data)).faults
    assert (fault.rule, fault.severe) == ("image-undecodable", False)
    assert word in fault.message


def test_unusual_subsampling_is_read_by_the_fallback() -> None:
    """Chroma of three components with factors that the strict decoder has no name for."""
    data = unusual_subsampling()
    assert rules(data) == []
    assert rules(data[:-2]) == ["image-truncated"]
    assert rules(data[:-70]) == ["image-truncated"]
    assert rules(data + b"x") == ["image-trailing-data"]


def unusual_subsampling() -> bytes:
    """A JPEG of three components with factors 1x1, 1x1 and 2x1: one row of units, 16 pixels each."""
    grey = encoded(np.full((8, 8), 128, np.uint8))
    tables = grey[: grey.index(b"\xff\xc0")]
    huffman = grey[grey.index(b"\xff\xc4") : grey.index(b"\xff\xda")]
    units = 40
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 8, 16 * units, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x21, 0])
    scan = b"\xff\xda" + struct.pack(">HB", 12, 3) + bytes([1, 0, 2, 0, 3, 0, 0, 63, 0])
    # Annex K's table for luminance: DC difference of 3 bits 100 xxx, of none 00; end of block 1010.
    bits = "".join(f"100{number % 2 * 7:03b}1010" + "001010" * 3 for number in range(units))
    bits += "1" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return tables + frame + huffman + scan + body + b"\xff\xd9"


# ---- PNG ----


@pytest.mark.parametrize("options", [{}, {"compress_level": 0}])
def test_any_flipped_byte_of_a_png_is_seen(options: dict[str, Any]) -> None:
    data = encoded(image(height=40, width=50), "PNG", **options)
    for offset in [*range(8, 60), *range(60, len(data), max(len(data) // 200, 1)), *range(len(data) - 16, len(data))]:
        assert rules(flipped(data, offset)), offset


def test_a_damaged_chunk_is_named() -> None:
    data = encoded(image(), "PNG")
    at = data.index(b"IDAT")
    (fault,) = look(flipped(data, at + 50)).faults
    assert (fault.rule, fault.message, fault.offset) == (
        "image-corrupt",
        "the checksum of chunk IDAT is wrong",
        at - 4,
    )


def test_a_checksum_of_an_ancillary_chunk_counts() -> None:
    data = encoded(image(), "PNG", dpi=(72, 72))
    assert rules(flipped(data, data.index(b"pHYs") + 5)) == ["image-corrupt"]


def test_a_png_says_how_much_of_it_is_there() -> None:
    data = encoded(photo(400, 64), "PNG", compress_level=0)
    (fault,) = look(data[: len(data) * 3 // 5]).faults
    assert (fault.rule, fault.message) == ("image-truncated", "PNG ends after 60% of its rows")
    (fault,) = look(data[:-12]).faults
    assert fault.message == "all rows decode, the end of the PNG is missing"


def png(rows: bytes, width: int = 4, height: int = 4, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG with any rows at all, its checksums right."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows) + extra), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def row(filter_type: int, seed: int) -> bytes:
    return bytes([filter_type]) + random.Random(seed).randbytes(12)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (png(b"".join(row(n, n) for n in range(4))), None),
        (png(b"".join(row(n, n) for n in (0, 1, 5, 0))), "image-corrupt"),
        (png(b"".join(row(n, n) for n in range(3))), "image-truncated"),
        (png(b"".join(row(0, n) for n in range(5))), "image-corrupt"),
        (png(b"".join(row(0, n) for n in range(4)), width=0), "image-undecodable"),
        (png(b"".join(row(0, n) for n in range(4)), colour=5), "image-undecodable"),
        (png(b"".join(row(0, n) for n in range(4)), colour=3), "image-corrupt"),
        (png(b"".join(row(0, n)[:5] for n in range(4)), colour=3), "image-corrupt"),
    ],
)
def test_image_data_must_be_what_the_header_says(data: bytes, rule: str | None) -> None:
    assert rules(data) == ([] if rule is None else [rule])


def test_a_damaged_frame_of_an_animation_is_told() -> None:
    data = encoded(image(), "PNG", save_all=True, append_images=[Image.fromarray(photo(seed=1))])
    at = data.index(b"fdAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    body = b"fdAT" + data[at + 4 : at + 8] + bytes(length - 4)
    damaged = data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 8 + length :]
    (fault,) = look(damaged).faults
    assert (fault.rule, fault.message) == ("image-corrupt", "frame 1 of the animation is damaged")


# ---- others ----


def test_a_chunk_of_a_webp_must_fit() -> None:
    data = bytearray(encoded(image(), "WEBP"))
    data[16:20] = struct.pack("<I", len(data) * 2)
    assert one_rule(bytes(data)) in {"image-corrupt", "image-undecodable"}


def test_a_damaged_later_frame_is_told() -> None:
    frames = [Image.fromarray(photo(seed=seed)) for seed in (1, 2)]
    data = encoded(image(), "TIFF", save_all=True, append_images=frames, compression="tiff_lzw")
    seen = [rules(zeroed(data, offset, 256)) for offset in range(len(data) // 2, len(data) - 1200, 2048)]
    assert ["image-corrupt"] in seen


def test_what_libtiff_prints_and_pillow_ignores_is_damage(capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(image("1"), "TIFF", compression="group4")
    found = [rules(flipped(data, offset)) for offset in range(200, len(data) - 200, 97)]
    assert ["image-corrupt"] in found
    assert capfd.readouterr() == ("", "")


def test_a_directory_beyond_the_end_is_odd_where_all_pixels_are_there() -> None:
    data = bytearray(encoded(image(), "TIFF"))
    count = len(photo().tobytes())
    at = data.index(struct.pack("<HHII", 279, 4, 1, count)) + 8
    data[at : at + 4] = struct.pack("<I", count + 5000)
    assert rules(bytes(data)) == ["image-oddity"]
    assert rules(bytes(data[:-2000])) == ["image-truncated"]


BREAKERS: list[Callable[[bytes, random.Random], bytes]] = [
    lambda data, rng: flipped(data, rng.randrange(len(data))),
    lambda data, rng: zeroed(data, rng.randrange(len(data)), 64),
    lambda data, rng: data[: rng.randrange(len(data))] + rng.randbytes(200),
    lambda data, rng: data[:30] + data[rng.randrange(30, len(data)) :],
]


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_damage_of_any_kind_gives_facts_and_prints_nothing(format_name: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(format_name)
    options = {"compression": "tiff_lzw"} if format_name == "TIFF" else {}
    data = encoded(image(height=60, width=70), format_name, **options)
    for number in range(120):
        facts = look(BREAKERS[number % len(BREAKERS)](data, rng))
        damage = [fault for fault in facts.faults if fault.rule in ("image-corrupt", *ENDS_EARLY)]
        assert len(damage) <= 1
        assert not (damage and facts.sums is not None)
    assert capfd.readouterr() == ("", "")
