"""Fixes that lose nothing: the fault is gone, the pixels are what they were."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.test_images.pictures import encoded, photo
from tests.test_layouts.messages import Datum
from tests.test_rebuild.stores import Records, datum, pictures, read, write
from tests.test_rebuild.test_records import facts

from datascan.backends.errors import UsageError
from datascan.scanner import check, rebuild
from datascan.scanner.crew import Crew

PHOTO = encoded(photo(40, 24, seed=77), quality=90)


def wrap(image: bytes, **fields: Any) -> bytes:
    return bytes(Datum(data=image, label=1, encoded=True, **fields).SerializeToString())


def pixels(image: bytes) -> Any:
    with Image.open(BytesIO(image)) as opened:
        return np.asarray(opened.convert("RGB"))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(40, 24, seed=78), quality=90, exif=exif)


def mended(records: Records, fixes: str, tmp_path: Path, crew: Crew) -> tuple[Records, dict[str, int]]:
    """The records after a rebuild, and what was fixed."""
    path = write("lmdb", tmp_path / "source", records)
    report = rebuild(path, tmp_path / "target", fixes=fixes, drop="image", crew=crew)
    facts(report)
    assert report.rebuild is not None
    return read("lmdb", tmp_path / "target"), dict(report.rebuild.fixed)


def test_trailing_bytes_and_missing_ends(tmp_path: Path, crew: Crew) -> None:
    records = pictures(20)
    records |= {b"tail": wrap(PHOTO + b"<!-- from the web -->"), b"endless": wrap(PHOTO[:-2])}
    records |= {b"lost": wrap(PHOTO[: len(PHOTO) // 2])}
    made, fixed = mended(records, "trailing-data,end-marker", tmp_path, crew)
    assert fixed == {"end-marker": 1, "trailing-data": 1}
    assert Datum.FromString(made[b"tail"]).data == PHOTO
    assert Datum.FromString(made[b"endless"]).data == PHOTO
    assert b"lost" not in made, "no end marker brings the missing rows back"
    assert {key: made[key] for key in pictures(20)} == pictures(20)
    assert not {"image-truncated", "image-trailing-data"} & {one.rule for one in check(tmp_path / "target", crew=crew)}


def test_an_image_is_turned_as_it_asks(tmp_path: Path, crew: Crew) -> None:
    image = turned()
    records = {**pictures(20), b"turned": wrap(image, channels=3, height=40, width=24)}
    made, fixed = mended(records, "orientation", tmp_path, crew)
    assert fixed == {"orientation": 1}
    message = Datum.FromString(made[b"turned"])
    assert np.array_equal(pixels(message.data), np.rot90(pixels(image), -1))
    assert (message.channels, message.height, message.width) == (3, *pixels(message.data).shape[:2])


@pytest.mark.parametrize("raw", [True, False])
def test_grey_becomes_colour_and_colour_grey(raw: bool, tmp_path: Path, crew: Crew) -> None:
    grey = np.random.default_rng(3).integers(0, 256, (16, 16), np.uint8)
    if raw:
        records = {b"%08d" % i: datum(i, side=16) for i in range(20)}
        records[b"grey"] = Datum(channels=1, height=16, width=16, data=grey.tobytes(), label=2).SerializeToString()
    else:
        stream = BytesIO()
        Image.fromarray(grey).save(stream, "PNG")
        records = {**pictures(20), b"grey": wrap(stream.getvalue())}
    made, fixed = mended(records, "grey-to-colour", tmp_path, crew)
    assert fixed == {"grey-to-colour": 1}
    message = Datum.FromString(made[b"grey"])
    if raw:
        assert message.channels == 3
        assert np.array_equal(np.frombuffer(message.data, np.uint8).reshape(3, 16, 16), np.stack([grey] * 3))
    else:
        assert np.array_equal(pixels(message.data), np.stack([grey] * 3, axis=2))
    other = tmp_path / "other"
    other.mkdir()
    made, fixed = mended(records, "colour-to-grey", other, crew)
    assert fixed == {"colour-to-grey": 20}
    assert made[b"grey"] == records[b"grey"]


def test_labels_from_1_begin_at_0(tmp_path: Path, crew: Crew) -> None:
    records = {b"%08d" % i: datum(i, label=i % 4 + 1) for i in range(40)}
    made, fixed = mended(records, "label-offset", tmp_path, crew)
    assert fixed == {"label-offset": 40}
    assert made == {b"%08d" % i: datum(i, label=i % 4) for i in range(40)}


def test_a_layout_says_what_it_can_not_change(tmp_path: Path, crew: Crew) -> None:
    buffer = BytesIO()
    np.save(buffer, np.arange(12.0))
    path = write("lmdb", tmp_path / "source", {b"%04d" % i: buffer.getvalue() for i in range(20)})
    with pytest.raises(UsageError, match="--fix orientation: layout npy has no images that could be turned"):
        rebuild(path, tmp_path / "target", fixes="orientation", crew=crew)
    with pytest.raises(UsageError, match="no fix 'polish'"):
        rebuild(path, tmp_path / "target", fixes="polish", crew=crew)
