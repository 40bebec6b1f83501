"""Pictures of what was found: the right record, the broken part of it; none where it can't be read again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest
from PIL import Image
from tests.cli_sources import write_lmdb
from tests.in_process import InProcess
from tests.test_layouts.messages import Datum

from datascan.scanner import Report, SourceReport, check
from datascan.scanner.exhibit import Dump, Exhibit, Picture, Plot
from datascan.scanner.gallery import with_exhibits
from datascan.scanner.gallery.choose import PER_REPORT, PER_RULE, Wanted
from datascan.scanner.gallery.gather import asked
from datascan.scanner.reader import Reader
from datascan.scanner.stamp import Mark
from datascan.scanner.supervisor import WorkerDied


def shown(*sources: Path, **options: Any) -> SourceReport:
    """The first source's report with its exhibits."""
    crew = InProcess()
    return with_exhibits(check(*sources, crew=crew, **options), crew).reports[0]


def of_rule(report: SourceReport, rule: str) -> list[Exhibit]:
    return [exhibit for number, exhibit in report.exhibits.items() if report.findings[number].rule == rule]


def photo(number: int, size: tuple[int, int] = (240, 160)) -> Image.Image:
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Encoded photographs; the lower part of number 5 is missing, number 9 is text."""
    path = tmp_path / "photos_lmdb"
    with lmdb.open(str(path), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
        for index in range(40):
            data = jpeg(photo(index))
            if index == 5:
                data = data[: len(data) // 2]
            if index == 9:
                data = b"<html>not found</html>" * 4
            txn.put(b"%08d" % index, Datum(data=data, encoded=True, label=index % 4).SerializeToString())
    return path


def test_a_truncated_image_is_shown_as_far_as_it_decodes(photos: Path) -> None:
    report = shown(photos)
    (exhibit,) = of_rule(report, "image-truncated")
    (picture,) = exhibit.shown
    assert isinstance(picture, Picture)
    assert picture.full == (240, 160)
    assert picture.broken_from is not None
    assert 0.2 < picture.broken_from < 0.8
    pixels = np.asarray(Image.open(BytesIO(picture.data)).convert("RGB"), np.int16)
    whole = np.asarray(photo(5).resize((picture.width, picture.height), Image.Resampling.BOX), np.int16)
    kept = int(picture.height * picture.broken_from) - 4
    assert np.abs(pixels[:kept] - whole[:kept]).mean() < 12  # the record itself, and no other
    assert np.abs(pixels[kept + 16 :] - whole[kept + 16 :]).mean() > 20
    assert exhibit.facts[0] == "label 1"


def test_what_is_no_image_is_shown_as_its_first_bytes(photos: Path) -> None:
    (exhibit,) = of_rule(shown(photos), "image-undecodable")
    (dump,) = exhibit.shown
    assert isinstance(dump, Dump)
    assert b"<html>" in dump.head
    assert dump.size > len(dump.head)


def test_values_that_are_not_finite_are_marked_where_they_are(tmp_path: Path) -> None:
    data = np.random.default_rng(1).normal(size=(30, 3, 16, 20)).astype(np.float32)
    data[7, 1, 2, 3] = np.nan
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["data"] = data
    (exhibit,) = of_rule(shown(tmp_path / "images.h5"), "value-nan")
    (picture,) = exhibit.shown
    assert isinstance(picture, Picture)
    assert picture.full == (20, 16)
    assert picture.spots == (((3 + 0.5) / 20, (2 + 0.5) / 16),)


def test_a_row_is_a_plot_with_its_bad_places(tmp_path: Path) -> None:
    data = np.random.default_rng(1).normal(size=(30, 1000)).astype(np.float32)
    data[7, 250] = np.inf
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["data"] = data
        file["label"] = np.arange(30) % 3
    (exhibit,) = of_rule(shown(tmp_path / "rows.h5"), "value-inf")
    (plot,) = exhibit.shown
    assert isinstance(plot, Plot)
    assert plot.length == 1000
    assert plot.bad == ((0.2505, "Inf"),)
    finite = data[7][np.isfinite(data[7])]
    assert min(low for low in plot.lows if low is not None) == pytest.approx(finite.min(), rel=1e-4)
    assert max(high for high in plot.highs if high is not None) == pytest.approx(finite.max(), rel=1e-4)


def test_raw_pixels_are_shown_in_their_colours(tmp_path: Path) -> None:
    path = tmp_path / "raw_lmdb"
    with lmdb.open(str(path), map_size=1 << 22, lock=False) as env, env.begin(write=True) as txn:
        for index in range(20):
            bgr = np.zeros((3, 12, 16), np.uint8)
            bgr[2] = 200  # red, where colours are stored as BGR
            bgr[:, index % 12, index % 16] = 9
            datum = Datum(channels=3, height=12, width=16, data=bgr.tobytes(), label=-7 if index == 3 else index % 2)
            txn.put(b"%08d" % index, datum.SerializeToString())
    (exhibit,) = of_rule(shown(path), "label-negative")
    (picture,) = exhibit.shown
    assert isinstance(picture, Picture)
    assert (picture.mime, picture.width, picture.height) == ("image/png", 16, 12)
    assert Image.open(BytesIO(picture.data)).getpixel((0, 0)) == (200, 0, 0)


def test_values_of_some_records_are_spread_over_equal_steps(tmp_path: Path) -> None:
    report = shown(write_lmdb(tmp_path / "set_lmdb"))
    assert report.distributions is not None
    assert report.distributions.records == 12
    assert report.distributions.order == "BGR"
    for channel in report.distributions.channels:
        assert (channel.low, channel.high, channel.outside) == (0, 256, 0)
        assert sum(channel.counts) == 12 * 16


def test_a_stray_value_does_not_hide_the_others(tmp_path: Path) -> None:
    data = np.random.default_rng(1).normal(size=(64, 50)).astype(np.float32)
    data[3, 3] = 1e30
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["data"] = data
    distributions = shown(tmp_path / "rows.h5").distributions
    assert distributions is not None
    (channel,) = distributions.channels
    assert channel.high < 10
    assert channel.outside == 1


def test_pictures_are_no_more_than_a_page_takes(tmp_path: Path) -> None:
    path = tmp_path / "many_lmdb"
    with lmdb.open(str(path), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
        for index in range(400):
            txn.put(b"%08d" % index, Datum(channels=1, height=2, width=2, data=b"abc", label=-2).SerializeToString())
    report = shown(path)
    by_rule = [len(of_rule(report, rule)) for rule in {finding.rule for finding in report.findings}]
    assert max(by_rule) == PER_RULE
    assert sum(by_rule) <= PER_REPORT


def test_a_source_that_is_gone_has_no_pictures(photos: Path) -> None:
    report = check(photos, crew=InProcess())
    shutil.rmtree(photos)
    (one,) = with_exhibits(report).reports
    assert one.findings
    assert one.exhibits == {}
    assert one.distributions is None


def test_a_record_that_ends_its_reader_costs_its_own_picture_alone(photos: Path) -> None:
    report = check(photos, crew=InProcess()).reports[0]
    assert isinstance(report.reader, Reader)
    finding = replace(report.findings[0])
    wanted = [Wanted(number, report.reader.spans[0][1], number, finding, None) for number in range(6)]

    def ask(function: Callable[..., Any], reader: Reader, some: Sequence[Wanted]) -> Any:
        if any(one.position == 3 for one in some):
            raise WorkerDied("was killed by SIGSEGV", Mark(1, 3, 3, 4, 0, 0))
        return function(reader, some)

    assert sorted(asked(ask, report.reader, wanted)) == [0, 1, 2, 4, 5]


def test_a_record_that_killed_its_reader_is_not_read_again(photos: Path) -> None:
    crew = InProcess()
    report = check(photos, crew=crew)
    (one,) = report.reports
    (cut,) = [finding for finding in one.findings if finding.rule == "image-truncated"]
    killed = replace(one, findings=(*one.findings, replace(cut, rule="store-reader-died")))
    shown_again = with_exhibits(Report([killed]), crew).reports[0]
    assert of_rule(shown_again, "image-truncated") == []
    assert of_rule(shown_again, "image-undecodable")


def test_an_interrupted_run_is_told_without_pictures(photos: Path) -> None:
    crew = InProcess()
    (one,) = check(photos, crew=crew).reports
    report = Report([replace(one, interrupted=True)])
    assert with_exhibits(report, crew) is report
