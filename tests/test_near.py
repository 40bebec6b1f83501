"""Near copies: pictures that look alike are found whatever their encoding and store, different ones never."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest
from benchmarks.pictures import Scenes
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from datascan.backends.errors import UsageError
from datascan.scanner import Report, check, compare, rebuild
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.layouts.datum_writer import encode_datum
from datascan.scanner.options import Options
from datascan.scanner.spill import Workspace
from datascan.scanner.summary.looks import BANDS, distances, rotated
from datascan.scanner.summary.near import NearSummary
from datascan.scanner.summary.near_pairs import MOST_BITS, NEIGHBOURS, Near, find_near

LIMIT = "datascan.scanner.spill.workspace.LIMIT_BYTES"
PICTURES = [Image.fromarray(picture) for picture in Scenes(5, side=700, canvases=2).sized(48, 150, 190, 20)]


def saved(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


ORIGINALS = [saved(picture, quality=90) for picture in PICTURES]
COPIES = {
    3: saved(PICTURES[3], quality=50),
    9: saved(PICTURES[9], "PNG"),
    14: saved(PICTURES[14].resize((95, 75)), quality=85),
    20: saved(ImageEnhance.Brightness(PICTURES[20]).enhance(1.15), "WEBP"),
    26: saved(ImageEnhance.Contrast(PICTURES[26].resize((400, 310))).enhance(0.85), "BMP"),
    31: saved(PICTURES[31].crop((2, 1, PICTURES[31].width - 1, PICTURES[31].height - 2)), quality=90),
}
"""By the number of the original."""


def write_lmdb(path: Path, values: Sequence[bytes]) -> Path:
    with lmdb.open(str(path), map_size=1 << 26) as env, env.begin(write=True) as txn:
        for number, value in enumerate(values):
            txn.put(f"{number:05}".encode(), value)
    return path


def near(report: Report, rule: str = "record-near-duplicate") -> dict[int | None, int]:
    return {one.location.index: one.data["first"] for one in report.reports[-1].findings if one.rule == rule}


def left_out(report: Report) -> list[str]:
    return [one.reason for one in report.reports[-1].coverage.not_run if "near" in one.rule]


def content(report: Report) -> list[dict[str, Any]]:
    return [{**one, "run": None} for one in json.loads(report.to_json())["reports"]]


def raw(side: int = 64) -> NDArray[np.uint8]:
    return np.stack([np.asarray(picture.resize((side, side))) for picture in PICTURES])


# ---- within a set ----


def test_copies_that_were_changed_are_found_and_nothing_else(tmp_path: Path, crew: Crew) -> None:
    values = [*ORIGINALS, *COPIES.values(), ORIGINALS[7]]
    path = write_lmdb(tmp_path / "set", values)
    report = check(path, crew=crew, near=True)
    assert near(report) == {48 + place: number for place, number in enumerate(COPIES)}
    assert [one.location.index for one in report if one.rule == "record-duplicate"] == [len(values) - 1]
    assert all(one.data["distance"] <= MOST_BITS for one in report if one.rule == "record-near-duplicate")
    assert left_out(report) == []
    assert near(check(path, crew=crew)) == {}


def test_the_report_is_the_same_on_disk_and_for_any_number_of_workers(
    tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lmdb(tmp_path / "set", [*COPIES.values(), *ORIGINALS * 3, *COPIES.values()])
    whole = content(check(path, crew=crew, near=True))
    assert "record-near-duplicate" in str(whole)
    assert content(check(path, jobs=1, near=True)) == whole
    monkeypatch.setattr(LIMIT, 400)
    assert content(check(path, crew=crew, near=True)) == whole


def test_what_is_beyond_the_findings_kept_is_counted(tmp_path: Path, crew: Crew) -> None:
    path = write_lmdb(tmp_path / "set", [*ORIGINALS, *COPIES.values()])
    report = check(path, crew=crew, near=True, max_findings=2)
    assert report.reports[0].rule_count("record-near-duplicate") == len(COPIES)
    assert set(near(report)) == {48, 49}


def test_pictures_that_tell_too_little_are_counted_and_not_compared(tmp_path: Path, crew: Crew) -> None:
    rng = np.random.default_rng(2)
    digits = np.zeros((40, 28, 28), np.uint8)
    for digit in digits:
        for top, left in rng.integers(4, 18, (3, 2)).tolist():
            digit[top : top + 7, left : left + 3] = 255
    y, x = np.mgrid[0:64, 0:64]
    soft = np.stack([(x * a + y * b).astype(np.uint8) for a, b in rng.uniform(0.2, 1.9, (40, 2))])
    for name, images, why in (("digits", digits, "40 with too little"), ("soft", soft, "40 with too little")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"], file["label"] = images[:, None], np.arange(40) % 4
        report = check(tmp_path / f"{name}.h5", crew=crew, near=True)
        assert near(report) == {}
        assert why in left_out(report)[0], name
    small = [saved(picture.resize((20, 30)), quality=95) for picture in PICTURES[:5]]
    broken = ORIGINALS[0][:2000]
    report = check(write_lmdb(tmp_path / "small", [*ORIGINALS, *small, broken]), crew=crew, near=True)
    assert near(report) == {}
    assert left_out(report) == ["images not looked at: 1 not whole, 5 smaller than 24 pixels a side"]


def test_noise_never_looks_alike(tmp_path: Path, crew: Crew) -> None:
    frames = np.random.default_rng(4).integers(0, 256, (600, 1, 32, 32), np.uint8)
    with h5py.File(tmp_path / "noise.h5", "w") as file:
        file["data"], file["label"] = frames, np.arange(600) % 7
    report = check(tmp_path / "noise.h5", crew=crew, near=True)
    assert (near(report), left_out(report)) == ({}, [])


def test_asked_for_by_name_without_the_option_it_says_what_to_do(tmp_path: Path, crew: Crew) -> None:
    path = write_lmdb(tmp_path / "set", ORIGINALS[:4])
    report = check(path, crew=crew, select=("record-near-duplicate",))
    assert report.exit_code == 3
    assert "--near" in report.reports[0].coverage.reasons[0]


def test_a_rebuild_drops_near_copies_where_they_are_named(tmp_path: Path, crew: Crew) -> None:
    path = write_lmdb(tmp_path / "set", [*ORIGINALS, *COPIES.values()])
    for drop, kept in (("record-near-duplicate", len(ORIGINALS)), ("record", len(ORIGINALS) + len(COPIES))):
        report = rebuild(path, tmp_path / drop, drop=drop, crew=crew)
        assert report.rebuild is not None
        assert report.rebuild.records["kept"] == kept


def test_shards_are_put_together_to_the_report_of_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_lmdb(tmp_path / "set", [*ORIGINALS, *COPIES.values()])
    parts = [str(tmp_path / f"part{number}") for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        assert main(["check", str(path), "--near", "--shard", f"{number}/2", "--partial", part, "--jobs", "1"]) == 0
    capsys.readouterr()
    assert main(["merge", *parts, "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["reports"][0]["findings"]
    copies = [one["data"]["first"] for one in found if one["rule"] == "record-near-duplicate"]
    assert copies == list(COPIES)


# ---- two sets ----


def test_raw_pixels_here_and_encoded_images_there(tmp_path: Path, crew: Crew) -> None:
    """The same pictures in Caffe's planes (blue first) and in rows of HDF5."""
    pixels = raw()
    planes = np.ascontiguousarray(pixels[:, :, :, ::-1].transpose(0, 3, 1, 2))
    datums = [
        encode_datum(dims=image.shape, data=image.tobytes(), label=number % 4, encoded=False)
        for number, image in enumerate(planes[:40])
    ]
    train = write_lmdb(tmp_path / "train", datums)
    encoded = write_lmdb(tmp_path / "encoded", [ORIGINALS[44], ORIGINALS[11], ORIGINALS[45], ORIGINALS[30]])
    report = compare(train, encoded, crew=crew, near=True)
    assert near(report, "set-near-leak") == {1: 11, 3: 30}
    assert near(compare(train, encoded, crew=crew), "set-near-leak") == {}
    changed = np.clip(planes[[41, 5, 42]].astype(np.int64) + 9, 0, 255).astype(np.uint8)
    with h5py.File(tmp_path / "val.h5", "w") as file:
        file["data"], file["label"] = np.concatenate([changed, planes[8:9], changed]), np.arange(7) % 4
    report = compare(train, tmp_path / "val.h5", crew=crew, near=True)
    assert near(report, "set-near-leak") == {1: 5, 5: 5}
    assert [one.location.index for one in report.reports[1].findings if one.rule == "set-leak"] == [3]
    back = compare(tmp_path / "val.h5", train, crew=crew, near=True)
    assert near(back, "set-near-leak") == {5: 1}
    (finding,) = (one for one in back.reports[1].findings if one.rule == "set-near-leak")
    assert finding.location.key == b"00005"


def test_a_comparison_is_the_same_on_disk_and_for_any_number_of_workers(
    tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val = write_lmdb(tmp_path / "train", ORIGINALS), write_lmdb(tmp_path / "val", list(COPIES.values()) * 2)
    whole = content(compare(train, val, crew=crew, near=True))
    assert near(compare(train, val, jobs=1, near=True), "set-near-leak") == dict(enumerate(list(COPIES) * 2))
    monkeypatch.setattr(LIMIT, 400)
    assert content(compare(train, val, crew=crew, near=True)) == whole


def test_sets_without_pictures_say_why(tmp_path: Path, crew: Crew) -> None:
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["data"], file["label"] = np.random.default_rng(0).normal(0, 1, (50, 12)), np.arange(50) % 5
    report = compare(tmp_path / "rows.h5", tmp_path / "rows.h5", crew=crew, near=True)
    assert left_out(report) == ["no images in both sets"]
    with pytest.raises(UsageError):
        compare(tmp_path / "rows.h5", tmp_path / "rows.h5", crew=crew, near=True, select=("label",))


# ---- the search ----


def summary_of(looks: NDArray[np.uint64]) -> NearSummary:
    found = NearSummary(Options(near=True))
    places = np.arange(len(looks), dtype=np.uint64)
    found.tables.append(np.column_stack([places * np.uint64(7919), places, looks]))
    found.count = len(looks)
    return found


@pytest.mark.parametrize("limit", [None, 2000])
def test_every_pair_that_shares_a_band_is_found_with_its_distance(limit: int | None) -> None:
    rng = np.random.default_rng(6)
    looks = rng.integers(0, 1 << 64, (3000, 2), np.uint64)
    expected = []
    for place in range(0, 1500, 10):  # its copy stands 1500 further on, with up to 7 bits turned round
        flips = rng.choice(128, place // 10 % 8, replace=False)
        bits = np.unpackbits(looks[place].astype(">u8").view(np.uint8))
        bits[flips] ^= 1
        looks[place + 1500] = np.packbits(bits).view(">u8")
        expected.append(Near(place + 1500, place, len(flips)))
    found = find_near(summary_of(looks), Workspace(limit_bytes=limit), 1000)
    assert (found.pairs, found.count, found.crowded) == (expected, len(expected), False)


@pytest.mark.parametrize("spilled", [False, True])
def test_what_partitions_remembered_is_joined_at_its_places(spilled: bool) -> None:
    looks = np.random.default_rng(8).integers(0, 1 << 64, (30, 2), np.uint64)
    whole = NearSummary(Options(near=True))
    if spilled:
        whole.spill_to(Workspace(limit_bytes=200))
    for start, part in ((0, looks), (30, looks[20:]), (40, looks[:5])):
        later = summary_of(part)
        later.tables[0][:, 0] += np.uint64(start)  # other contents
        later.left_out = {"small": 2}
        whole.merge(later, start)
    expected = [Near(30 + n, 20 + n, 0) for n in range(10)] + [Near(40 + n, n, 0) for n in range(5)]
    assert find_near(whole, Workspace(), 100).pairs == expected
    assert (len(whole), whole.left_out) == (45, {"small": 6})


def test_many_alike_are_each_told_once_and_that_some_were_not_compared() -> None:
    looks = np.full((5 * NEIGHBOURS, 2), 0x123456789ABCDEF0, np.uint64)
    found = find_near(summary_of(looks), Workspace(limit_bytes=3000), 10)
    assert (found.count, found.crowded) == (5 * NEIGHBOURS - 1, True)
    assert found.pairs[:2] == [Near(1, 0, 0), Near(2, 0, 0)]


def test_turning_the_bits_brings_each_band_to_the_front_and_keeps_distances() -> None:
    looks = np.random.default_rng(1).integers(0, 1 << 64, (50, 2), np.uint64)
    whole = [(int(high) << 64) | int(low) for high, low in looks]
    for band in range(BANDS):
        turned = rotated(looks, band)
        assert [int(high) >> 48 for high in turned[:, 0]] == [one >> (112 - 16 * band) & 0xFFFF for one in whole]
        assert (distances(turned[1:], turned[:-1]) == distances(looks[1:], looks[:-1])).all()
    assert distances(looks[:1], looks[1:2])[0] == (whole[0] ^ whole[1]).bit_count()
