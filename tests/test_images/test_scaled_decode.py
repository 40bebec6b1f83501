"""Statistics of a sample of the images only: what is found in each image must be what a full decode finds."""

from __future__ import annotations

import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.test_images.pictures import encoded, flipped, image, look, photo, zeroed

from datascan.backends.errors import UsageError
from datascan.scanner import check
from datascan.scanner.api import make_options
from datascan.scanner.crew import Crew
from datascan.scanner.images import inspect_image, pixels
from datascan.scanner.options import SMALL_SET_BYTES, Options
from datascan.scanner.render.statistics import statistics_lines
from datascan.scanner.render.style import Style
from datascan.scanner.sample import ImageFacts, Seen

Damage = Callable[[bytes, random.Random], bytes]


@pytest.fixture(autouse=True)
def _none_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image is summed up because its bytes say so: every one takes the shorter way."""
    monkeypatch.setattr(pixels, "ONE_IN", 1 << 70)


def facts_of(data: bytes) -> tuple[ImageFacts, ImageFacts]:
    """What is found with statistics, and without."""
    return look(data, statistics="full"), look(data, statistics="sampled")


def assert_alike(data: bytes) -> ImageFacts:
    full, sampled = facts_of(data)
    brightness = inspect_image(memoryview(data), Options(statistics="sampled"), Seen(colours=True))
    for other in (sampled, brightness):
        assert replace(other, sums=None) == replace(full, sums=None)
        assert (other.sums is None) == (full.sums is None)
    return full


def is_left_out(data: bytes) -> bool:
    """Whether the shorter way was taken, and all is well."""
    sums = look(data, statistics="sampled").sums
    return sums is not None and sums.count == 0


# ---- damage ----


def _truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(20, len(data))]


def _bit_flipped(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(20, len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _byte_flipped(data: bytes, chance: random.Random) -> bytes:
    return flipped(data, chance.randrange(20, len(data)))


def _burst(data: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(data) // 4, len(data) - 8), chance.randrange(2, 64)
    return data[:at] + bytes(byte ^ 0x5A for byte in data[at : at + length]) + data[at + length :]


def _zeros(data: bytes, chance: random.Random) -> bytes:
    return zeroed(data, chance.randrange(len(data) // 4, len(data)), chance.choice((16, 128, 512)))


def _tail_of_another(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) // 4, len(data))
    return data[:at] + data[at // 2 : at // 2 + len(data) - at]


def _without_end(data: bytes, chance: random.Random) -> bytes:
    return data[: -chance.randrange(1, 16)]


def _garbage_behind(data: bytes, chance: random.Random) -> bytes:
    return data + chance.randbytes(chance.randrange(1, 40))


def _header(data: bytes, chance: random.Random) -> bytes:
    return flipped(data, chance.randrange(2, 60))


def _piece_lost(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(60, len(data) - 40)
    return data[:at] + data[at + chance.randrange(1, 30) :]


DAMAGES: tuple[Damage, ...] = (
    _truncated,
    _bit_flipped,
    _byte_flipped,
    _burst,
    _zeros,
    _tail_of_another,
    _without_end,
    _garbage_behind,
    _header,
    _piece_lost,
)

KINDS: dict[str, list[bytes]] = {
    "JPEG": [
        encoded(image()),
        encoded(image(), quality=95, subsampling=0),
        encoded(image(), progressive=True),
        encoded(image(), optimize=True, restart_marker_rows=1),
        encoded(image("L")),
        encoded(image("CMYK")),
    ],
    "PNG": [encoded(image(mode), "PNG") for mode in ("RGB", "L", "RGBA", "P", "I;16", "LA")],
    "WEBP": [
        encoded(image(mode), "WEBP", **options)
        for mode, options in (("RGB", {}), ("RGB", {"lossless": True}), ("RGBA", {}))
    ],
    "GIF": [encoded(image("P"), "GIF")],
    "BMP": [encoded(image(), "BMP")],
    "TIFF": [encoded(image(), "TIFF", compression="tiff_lzw")],
}


@pytest.mark.parametrize(
    ("name", "count"), [("JPEG", 300), ("PNG", 300), ("WEBP", 300), ("GIF", 60), ("BMP", 60), ("TIFF", 60)]
)
def test_three_hundred_corruptions_are_judged_alike(name: str, count: int) -> None:
    chance = random.Random(name)
    found: Counter[str] = Counter()
    for number in range(count):
        data = KINDS[name][number % len(KINDS[name])]
        damaged = DAMAGES[number // len(KINDS[name]) % len(DAMAGES)](data, chance)
        found.update(fault.rule for fault in assert_alike(damaged).faults)
    assert sum(found.values()) > count * 0.4  # or nothing was compared


@pytest.mark.parametrize("name", KINDS)
def test_whole_images_are_judged_alike_and_left_out_of_the_statistics(name: str) -> None:
    for data in KINDS[name]:
        assert not assert_alike(data).faults
    assert is_left_out(KINDS[name][0])


# ---- a single colour ----


def _flat(*colour: int) -> NDArray[np.uint8]:
    return np.broadcast_to(np.array(colour, np.uint8), (96, 128, len(colour))).copy()


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (7, 100, 201), (255, 0, 0), (0, 0, 3)])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_single_colour_is_seen_either_way(name: str, colour: tuple[int, ...]) -> None:
    full = assert_alike(encoded(_flat(*colour), name, **({"lossless": True} if name == "WEBP" else {})))
    assert [fault.rule for fault in full.faults] == ["image-constant"]


@pytest.mark.parametrize("quality", [30, 75, 95, 100])
def test_a_jpeg_with_one_odd_block_is_not_called_constant(quality: int) -> None:
    picture = _flat(90, 90, 90)
    picture[40:48, 64:72] = (93, 80, 99)
    assert not assert_alike(encoded(picture, quality=quality)).faults


@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "BMP"])
def test_of_an_image_with_a_constant_channel_the_extremes_are_known(name: str, channel: int) -> None:
    """Whether a channel is constant over the set must be known exactly."""
    picture = photo()
    picture[..., channel] = 0
    exact: dict[str, dict[str, Any]] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    full, sampled = facts_of(encoded(picture, name, **exact.get(name, {})))
    assert full.sums is not None
    assert sampled.sums is not None
    if full.sums.minimum[channel] == full.sums.maximum[channel]:
        assert sampled.sums.minimum.tolist() == full.sums.minimum.tolist()
        assert sampled.sums.maximum.tolist() == full.sums.maximum.tolist()
    assert name == "JPEG" or full.sums.minimum[channel] == full.sums.maximum[channel]


def _reddish(seed: int) -> bytes:
    """A JPEG with a red channel of 0 everywhere and two that vary: its components are colours, not brightness."""
    picture = photo(96, 128, seed)
    picture[..., 0] = 0
    return encoded(picture, quality=100, subsampling=0, keep_rgb=True)


def _write_set(path: Path, images: list[bytes]) -> Path:
    with lmdb.open(str(path), map_size=1 << 27) as environment, environment.begin(write=True) as writing:
        for index, data in enumerate(images):
            writing.put(b"%04d" % index, data)
    return path


def test_a_channel_that_is_constant_over_the_set_is_found_without_sums(tmp_path: Path, crew: Crew) -> None:
    images = [_reddish(seed) for seed in range(40)]
    report = check(_write_set(tmp_path / "constant", images), crew=crew, statistics="sampled").reports[0]
    assert [found.rule for found in report.findings] == ["value-constant"]
    assert report.findings[0].data["constant"] == [0]
    for place in (0, 17, 39):  # wherever the one stands that has all colours
        others = [*images[:place], encoded(photo(seed=50)), *images[place:]]
        report = check(_write_set(tmp_path / f"varied-{place}", others), crew=crew, statistics="sampled").reports[0]
        assert [found.rule for found in report.findings] == []


def test_the_order_of_the_images_does_not_change_their_statistics(
    tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether brightness is enough for an image depends on those before it; what is summed up does not."""
    monkeypatch.undo()  # the workers choose one in 32
    images = [_reddish(seed) if seed % 3 else encoded(photo(seed=seed)) for seed in range(100)]
    ways = (images, images[::-1])
    reports = [
        check(_write_set(tmp_path / str(number), way), crew=crew, statistics="sampled").reports[0]
        for number, way in enumerate(ways)
    ]
    assert reports[0].statistics["channels_of"] == reports[1].statistics["channels_of"]
    assert reports[0].statistics["channels_of"]["samples"] == sum(not is_left_out(data) for data in images)
    assert reports[0].statistics["channels"] == reports[1].statistics["channels"]


def _png(rows: NDArray[np.uint8], colour: int, filters: list[int]) -> bytes:
    """A PNG of ``(height, width, samples)`` whose rows have the filters given, in turn."""
    height, width, samples = rows.shape
    before = np.zeros((width + 1) * samples, np.int64)
    lines = []
    for number, row in enumerate(rows.reshape(height, -1)):
        line = np.concatenate([np.zeros(samples, np.int64), row.astype(np.int64)])
        left, up, corner = line[:-samples], before[samples:], before[:-samples]
        estimate = left + up - corner
        distances = np.abs(np.stack([estimate - left, estimate - up, estimate - corner]))
        paeth = np.choose(distances.argmin(axis=0), [left, up, corner])
        kind = filters[number % len(filters)]
        guess = (0 * left, left, up, (left + up) // 2, paeth)[kind]
        lines.append(bytes([kind]) + ((line[samples:] - guess) % 256).astype(np.uint8).tobytes())
        before = line
    parts = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)))
    return b"".join(parts)


@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [4, 3, 2, 1, 0], [1, 3]])
@pytest.mark.parametrize(("colour", "value"), [(0, (77,)), (2, (200, 3, 91)), (6, (5, 130, 255, 255)), (4, (9, 128))])
def test_a_single_colour_is_seen_through_every_filter(filters: list[int], colour: int, value: tuple[int, ...]) -> None:
    flat = _flat(*value)[:20, :30]
    assert [fault.rule for fault in assert_alike(_png(flat, colour, filters)).faults] == ["image-constant"]
    dotted = flat.copy()
    dotted[13, 17] ^= 1
    assert not assert_alike(_png(dotted, colour, filters)).faults
    assert is_left_out(_png(dotted, colour, filters))


def test_a_palette_of_one_colour_is_seen() -> None:
    picture = Image.fromarray(photo(channels=1) % 4, "P")
    picture.putpalette([5, 6, 7] * 4)
    assert [fault.rule for fault in assert_alike(encoded(picture, "PNG")).faults] == ["image-constant"]


# ---- which images are summed up ----


def test_sums_are_of_the_images_that_their_bytes_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "ONE_IN", 4)
    images = [encoded(photo(64, 64, seed)) for seed in range(60)]
    chosen = [index for index, data in enumerate(images) if not is_left_out(data)]
    assert 5 <= len(chosen) <= 28
    assert chosen == [index for index, data in enumerate(images) if not is_left_out(data)]
    for index in chosen:
        full, sampled = facts_of(images[index])
        assert full.sums is not None
        assert sampled.sums is not None
        assert sampled.sums.count == full.sums.count
        assert sampled.sums.total == pytest.approx(full.sums.total, rel=0.02)  # of one row in four
        assert sampled.sums.squares == pytest.approx(full.sums.squares, rel=0.04)


@pytest.mark.parametrize("height", [1, 3, 4, 97, 375])
def test_of_a_chosen_image_one_row_in_four_is_summed_up(height: int) -> None:
    picture = photo(height, 40)
    picture[..., 2] = 9
    padded = np.ascontiguousarray(np.dstack([picture, np.zeros_like(picture[..., :1])]))
    sums = pixels.sampled_sums_of_buffer(padded, "RGBX", 3)
    exact = picture.reshape(-1, 3).astype(np.float64)  # a channel with one value has all rows looked at
    assert sums.total.tolist() == exact.sum(axis=0).tolist()
    assert sums.minimum[2] == sums.maximum[2] == 9
    grey = np.ascontiguousarray(picture[..., :1])
    sums = pixels.sampled_sums_of_buffer(grey, "L", 1)
    rows = grey[::4][: height // 4] if height >= 4 else grey
    assert sums.count == grey.size
    assert sums.total[0] / sums.count == pytest.approx(rows.mean())
    assert sums.squares[0] / sums.count == pytest.approx((rows.astype(np.float64) ** 2).mean())
    assert (sums.minimum[0], sums.maximum[0]) == (rows.min(), rows.max())


def test_a_scan_says_of_how_many_images_its_statistics_are(tmp_path: Path, crew: Crew) -> None:
    with lmdb.open(str(tmp_path / "set"), map_size=1 << 26) as environment, environment.begin(write=True) as writing:
        for index in range(80):
            data = encoded(photo(64, 64, index))
            writing.put(b"%04d" % index, data[:-400] if index == 37 else data)
    full = check(tmp_path / "set", crew=crew).reports[0]
    sampled = check(tmp_path / "set", crew=crew, statistics="sampled").reports[0]
    assert [(found.rule, found.location.index) for found in full.findings] == [("image-truncated", 37)]
    assert sampled.findings == full.findings
    assert "channels_of" not in full.statistics
    part = sampled.statistics["channels_of"]
    assert part["decoded"] == 79
    assert 0 <= part["samples"] < 20
    lines = " ".join("\n".join(statistics_lines(sampled.statistics, Style())).split())
    assert f"of {part['samples']:,} of the 79 images, all of which were checked" in lines


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(UsageError, match="choose one of auto, full, sampled"):
        make_options(statistics="some")  # type: ignore[arg-type]


def test_small_sets_are_summed_up_in_full_unless_asked_otherwise() -> None:
    assert Options().settled(SMALL_SET_BYTES).statistics == "full"
    assert Options().settled(SMALL_SET_BYTES + 1).statistics == "sampled"
    assert Options(sample=0.1).settled(SMALL_SET_BYTES + 1).statistics == "full"
    assert Options(statistics="sampled").settled(1).statistics == "sampled"
    assert Options(statistics="full").settled(1 << 40).statistics == "full"
