"""No valid image raises an alarm, and the facts are those that the decoder's pixels give."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from tests.test_images.pictures import encoded, image, look, photo, rules

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def sums_by_numpy(pixels: np.ndarray[Any, Any]) -> tuple[int, list[float], list[float], list[float], list[float]]:
    flat = pixels.reshape(pixels.shape[0] * pixels.shape[1], -1).astype(np.float64)
    return (
        len(flat),
        flat.sum(0).tolist(),
        (flat * flat).sum(0).tolist(),
        flat.min(0).tolist(),
        flat.max(0).tolist(),
    )


def sums_of(data: bytes) -> tuple[int, list[float], list[float], list[float], list[float]]:
    sums = look(data).sums
    assert sums is not None
    return (
        sums.count,
        sums.total.tolist(),
        sums.squares.tolist(),
        sums.minimum.tolist(),
        sums.maximum.tolist(),
    )


def valid_images() -> Iterator[Any]:
    for mode, channels in (("L", 1), ("RGB", 3), ("CMYK", 4)):
        for name, options in (
            ("baseline", {}),
            ("progressive", {"progressive": True}),
            ("restarts", {"restart_marker_rows": 1}),
            ("optimised", {"optimize": True}),
            ("low quality", {"quality": 5}),
            ("icc", {"icc_profile": b"profile" * 20000}),
            ("comment", {"comment": b"\xff\xd8\xff\xd9 in a comment"}),
        ):
            yield pytest.param(encoded(image(mode), **options), channels, id=f"jpeg {mode} {name}")
    for subsampling in ("444", "422", "420", "440", "411"):
        data = simplejpeg.encode_jpeg(photo(97, 101), colorsubsampling=subsampling)
        yield pytest.param(data, 3, id=f"jpeg {subsampling}")
    for mode, channels in (("1", 1), ("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("P", 3), ("I;16", 1)):
        yield pytest.param(encoded(image(mode), "PNG"), channels, id=f"png {mode}")
    yield pytest.param(encoded(image("P"), "PNG", transparency=3), 4, id="png P with transparency")
    yield pytest.param(encoded(image("P"), "PNG", bits=4), 3, id="png 4 bits")
    frames = [image(), Image.fromarray(photo(seed=1)), Image.fromarray(photo(seed=2))]
    for name in ("PNG", "WEBP"):
        data = encoded(frames[0], name, save_all=True, append_images=frames[1:])
        yield pytest.param(data, 3, id=f"animated {name.lower()}")
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield pytest.param(data, 3, id="animated gif")
    for mode, channels in (("RGB", 3), ("RGBA", 4)):
        yield pytest.param(encoded(image(mode), "WEBP"), channels, id=f"webp {mode}")
        yield pytest.param(encoded(image(mode), "WEBP", lossless=True), channels, id=f"webp lossless {mode}")
    yield pytest.param(encoded(image("L"), "GIF"), 3, id="gif grey")
    for mode, channels in (("1", 1), ("L", 1), ("RGB", 3), ("P", 3)):
        yield pytest.param(encoded(image(mode), "BMP"), channels, id=f"bmp {mode}")
    for mode, channels in (("1", 1), ("L", 1), ("I;16", 1), ("RGB", 3), ("RGBA", 4), ("CMYK", 4), ("P", 3)):
        yield pytest.param(encoded(image(mode), "TIFF"), channels, id=f"tiff {mode}")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield pytest.param(encoded(image(), "TIFF", compression=compression), 3, id=f"tiff {compression}")
    yield pytest.param(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]), 3, id="tiff pages")


@pytest.mark.parametrize(("data", "channels"), list(valid_images()))
def test_a_valid_image_gives_no_alarm(data: bytes, channels: int) -> None:
    facts = look(data)
    assert facts.faults == ()
    assert facts.channels == channels
    assert facts.sums is not None
    assert facts.width is not None
    assert facts.height is not None
    assert facts.sums.count == facts.width * facts.height
    assert len(facts.sums.total) == channels


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_sums_of_a_png_are_those_of_its_pixels(mode: str) -> None:
    picture = image(mode)
    assert sums_of(encoded(picture, "PNG")) == sums_by_numpy(np.asarray(picture))


def test_sums_of_16_bits_are_exact() -> None:
    pixels = photo(channels=1).astype(np.uint16) * 257
    assert sums_of(encoded(Image.fromarray(pixels), "PNG")) == sums_by_numpy(pixels)


@pytest.mark.parametrize(("mode", "space"), [("L", "GRAY"), ("RGB", "RGB"), ("CMYK", "CMYK")])
def test_sums_of_a_jpeg_are_those_of_its_pixels(mode: str, space: str) -> None:
    data = encoded(image(mode))
    assert sums_of(data) == sums_by_numpy(simplejpeg.decode_jpeg(data, colorspace=space))


def test_a_palette_counts_as_the_colours_that_it_stands_for() -> None:
    picture = image("P")
    assert sums_of(encoded(picture, "PNG")) == sums_by_numpy(np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_packed_palettes(bits: int) -> None:
    picture = image().quantize(1 << bits)
    assert sums_of(encoded(picture, "PNG", bits=bits)) == sums_by_numpy(np.asarray(picture.convert("RGB")))


def test_an_animation_gives_the_sums_of_its_first_frame() -> None:
    first, second = Image.fromarray(photo()), Image.fromarray(photo(seed=1))
    data = encoded(first, "WEBP", save_all=True, append_images=[second], lossless=True)
    assert sums_of(data) == sums_by_numpy(photo())


def test_interlaced_png() -> None:
    for height, width in ((3, 5), (9, 8), (33, 47), (2, 1)):
        pixels = photo(height, width)
        assert sums_of(interlaced(pixels)) == sums_by_numpy(pixels)


def test_a_multi_picture_jpeg_is_whole() -> None:
    data = encoded(image(), "MPO", save_all=True, append_images=[Image.fromarray(photo(seed=1))])
    assert rules(data) == []
    assert rules(data + b"tail") == ["image-trailing-data"]


def test_an_index_of_pictures_that_are_not_there_is_odd() -> None:
    data = encoded(image(), "MPO", save_all=True, append_images=[Image.fromarray(photo(seed=1))])
    first = data[: data.index(b"\xff\xd9\xff\xd8") + 2]
    assert rules(first) == ["image-oddity"]


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", [3, 6, 8])
def test_orientation_is_told(format_name: str, turn: int) -> None:
    picture = image()
    exif = picture.getexif()
    exif[0x0112] = turn
    facts = look(encoded(picture, format_name, exif=exif))
    assert facts.orientation == turn
    assert [fault.rule for fault in facts.faults] == ["image-orientation"]
    if format_name != "TIFF":  # Pillow turns TIFF by itself, and tells the size that they have then
        assert (facts.width, facts.height) == picture.size


def test_an_upright_orientation_is_nothing_to_tell() -> None:
    picture = image()
    exif = picture.getexif()
    exif[0x0112] = 1
    assert rules(encoded(picture, exif=exif)) == []


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "GIF", "TIFF", "JPEG", "WEBP"])
def test_a_single_colour_is_told(format_name: str) -> None:
    black = look(encoded(np.zeros((40, 30, 3), np.uint8), format_name))
    assert [fault.rule for fault in black.faults] == ["image-constant"]
    assert black.faults[0].message == "the image is all zero"
    grey = look(encoded(np.full((40, 30, 3), 128, np.uint8), format_name))
    assert [fault.rule for fault in grey.faults] == ["image-constant"]
    assert "single colour" in grey.faults[0].message


def test_one_different_pixel_is_not_a_single_colour() -> None:
    pixels = np.zeros((40, 30, 3), np.uint8)
    pixels[39, 29, 2] = 1
    assert rules(encoded(pixels, "PNG")) == []


def interlaced(pixels: np.ndarray[Any, Any]) -> bytes:
    """An Adam7 PNG; Pillow reads those and does not write them."""
    height, width = pixels.shape[:2]
    raw = b""
    for x, y, dx, dy in ADAM7:
        for row in pixels[y::dy, x::dx]:
            raw += b"\0" + row.tobytes() if len(row) else b""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
