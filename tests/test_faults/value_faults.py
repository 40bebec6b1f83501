"""Faults inside records: images, pickles and archives that sound stores hold."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from tests.test_faults.datums import Records, image_records, jpegs, key
from tests.test_faults.faults import Made, expanding_to_gibibyte, registry
from tests.test_faults.lmdb_faults import fill
from tests.test_images.pictures import encoded, flipped, photo, zeroed

VALUE_FAULTS, fault = registry()

COUNT, GUILTY = 40, 23


def with_image(folder: Path, image: bytes, side: int = 96) -> Made:
    """JPEGs, with another image in place of one of them."""
    images = jpegs(COUNT, side)
    images[GUILTY] = image
    return made(folder, image_records(images))


def made(folder: Path, records: Records) -> Made:
    fill(folder / "train_lmdb", records)
    return Made(folder / "train_lmdb", COUNT, COUNT, {"index": GUILTY, "key": key(GUILTY)})


def unseen(folder: Path, image: bytes) -> Made:
    fine = with_image(folder, image)
    return Made(fine.path, COUNT, COUNT)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


# ---- images ----


@fault(40, "a PNG that declares 100,000 x 100,000 pixels", {"image-too-large": 1, "record-shape-mismatch": 1})
def img_pixel_bomb(folder: Path) -> Made:
    return with_image(folder, png_header(100_000, 100_000))


@fault(40, "a progressive JPEG of 12,000 scans", {"image-too-large": 1, "record-shape-mismatch": 1}, "scans")
def img_scan_bomb(folder: Path) -> Made:
    image = encoded(photo(256, 256), progressive=True)
    last = image.rindex(b"\xff\xda")
    return with_image(folder, image[:last] + image[last:-2] * 12_000 + b"\xff\xd9")


@fault(40, "a PNG of 10 x 10 pixels whose data inflates to 64 MiB", {"image-corrupt": 1, "record-shape-mismatch": 1})
def img_inflating_png(folder: Path) -> Made:
    rows = zlib.compress(bytes(1 << 26))
    body = b"IDAT" + rows
    end = b"\0\0\0\0IEND\xaeB`\x82"
    data = struct.pack(">I", len(rows)) + body + struct.pack(">I", zlib.crc32(body))
    return with_image(folder, png_header(10, 10) + data + end)


@fault(41, "a sector of 512 bytes zeroed in a JPEG", "image-corrupt")
def img_jpeg_sector_zeroed(folder: Path) -> Made:
    image = encoded(photo(96, 96, seed=GUILTY), quality=95)
    return with_image(folder, zeroed(image, len(image) // 2))


@fault(41, "a JPEG cut in half", "image-truncated")
def img_jpeg_truncated(folder: Path) -> Made:
    image = encoded(photo(96, 96, seed=GUILTY), quality=95)
    return with_image(folder, image[: len(image) // 2])


@fault(41, "one byte of a PNG turned over", "image-corrupt", "checksum")
def img_png_flip(folder: Path) -> Made:
    image = encoded(photo(96, 96, seed=GUILTY), "PNG")
    return with_image(folder, flipped(image, len(image) // 2))


@fault(
    41,
    "one byte of a BMP's pixels turned over",
    unseen="a BMP has no checksum and is not packed: every byte is a valid pixel",
)
def img_bmp_flip(folder: Path) -> Made:
    image = encoded(photo(96, 96, seed=GUILTY), "BMP")
    return unseen(folder, flipped(image, len(image) // 2))


@fault(
    41,
    "one bit of a JPEG's picture data turned over, so that it can still be decoded",
    unseen="another valid code stands there: the picture differs a little, and a JPEG has no checksum",
)
def img_jpeg_bit(folder: Path) -> Made:
    import simplejpeg

    image = encoded(photo(96, 96, seed=GUILTY), quality=95)
    before = simplejpeg.decode_jpeg(image)
    for at in range(len(image) // 2, len(image)):
        for bit in range(8):
            other = image[:at] + bytes([image[at] ^ 1 << bit]) + image[at + 1 :]
            try:
                after = simplejpeg.decode_jpeg(other, strict=True)
            except ValueError:
                continue
            if (after != before).any() and b"\xff" not in other[at - 1 : at + 2]:
                return unseen(folder, other)
    raise AssertionError("every bit is seen")


@fault(42, "an EPS in place of a picture, for which Pillow would start Ghostscript", "image-undecodable", "EPS")
def img_eps_in_record(folder: Path) -> Made:
    program = b"(%s) (w) file closefile showpage\n" % os.fsencode(folder / "written_by_eps")
    return with_image(folder, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 96\n" + program)


# ---- pickles and archives ----


class Runs:
    """What pickle runs when it loads this."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def with_value(folder: Path, values: list[bytes], guilty: bytes) -> Made:
    values[GUILTY] = guilty
    return made(folder, {key(i): value for i, value in enumerate(values)})


def samples() -> list[dict[str, Any]]:
    rng = np.random.default_rng(2)
    return [{"image": rng.integers(0, 256, (3, 8, 8), np.uint8), "label": i * 7 % 5} for i in range(COUNT)]


@fault(
    43,
    "a pickle that runs `os.system` when it is loaded",
    "record-unsafe-pickle",
    "system",
    remark="the file that it would write is not there afterwards",
)
def pkl_os_system(folder: Path) -> Made:
    return with_value(
        folder, [pickle.dumps(value) for value in samples()], pickle.dumps(Runs(folder / "written_by_pickle"))
    )


@fault(43, "a pickle with a memo index of 2^31, for which `pickle` takes 32 GB", "record-undecodable")
def pkl_memo_bomb(folder: Path) -> Made:
    bomb = b"\x80\x04]r" + struct.pack("<I", 1 << 31) + b"h\x00."
    return with_value(folder, [pickle.dumps(value) for value in samples()], bomb)


@fault(44, "an npz of 1 MB whose array expands to 1 GiB", "record-undecodable")
def npz_bomb(folder: Path) -> Made:
    def saved(value: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        np.savez(out, **value)
        return out.getvalue()

    packed, _ = expanding_to_gibibyte(zlib.crc32)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("image.npy", packed)
    bomb = bytearray(out.getvalue())
    # Method, stored size and size stand in the entry's header and once more in the directory.
    for mark, method, sizes in ((b"PK\x03\x04", 8, 18), (b"PK\x01\x02", 10, 20)):
        at = bomb.index(mark)
        bomb[at + method : at + method + 2] = zipfile.ZIP_DEFLATED.to_bytes(2, "little")
        bomb[at + sizes : at + sizes + 8] = struct.pack("<II", len(packed), 1 << 30)
    return with_value(folder, [saved(value) for value in samples()], bytes(bomb))
