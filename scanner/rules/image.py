"""Rules for images: what decoding them found, and what only shows against the rest of the set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..finding import Finding, Further, Location, Severity
from ..finding_batch import FindingBatch, one_by_one
from ..sample import ArrayBlock, SampleBatch
from ..summary import Summary
from ..summary.positions import PositionLog
from .base import Rule
from .spots import Spots

MAJORITY = 0.95
"""Share of the set that makes one number of channels the rule and every other an exception."""

_MASK = re.compile("mask|segm|annotation", re.IGNORECASE)

_PIXELS = 1 << 16
"""Pixels of images that are looked at in full together."""

_NONE = np.zeros(0, np.bool_)

_CHANNEL_NAMES = {1: "grey", 2: "grey with alpha", 3: "colour", 4: "alpha or CMYK"}


class ImageUndecodable(Rule):
    """
    ## What it does
    Reports encoded images that give no pixels at all: another format (HTML, EPS, a Git LFS pointer), a damaged
    header, a file that ends before its first row.

    JPEG, PNG, WebP, GIF, BMP and TIFF are looked at. A valid JPEG of a kind that the usual decoders don't read
    (12 bits, lossless) is a warning.

    ## Why is this bad?
    PIL raises `UnidentifiedImageError`, and many loaders then take a random other sample without a word. OpenCV's
    `imread` and `imdecode` return an empty image. Caffe logs "Could not decode datum" and aborts, or ends with
    SIGABRT when the record is empty.

    ## How to fix
    Fetch the image again from where it came and write the set anew, or leave the record out.
    """

    name = "image-undecodable"
    severity = Severity.ERROR


class ImageTruncated(Rule):
    """
    ## What it does
    Reports images that end before their last row, or without the marker that ends them. The message says how much
    of the image decodes. An interrupted download or copy is the usual cause; a tail of zeros means that the space
    was reserved and never written.

    ## Why is this bad?
    OpenCV and Caffe fill the missing rows with grey and train on them without a word. PIL raises `OSError: image
    file is truncated` in the middle of an epoch, unless `LOAD_TRUNCATED_IMAGES` is set: then it is silent, too.
    `Image.verify()` does not see it.

    ## How to fix
    Fetch the image again, or leave the record out (`datascan rebuild`; where only the end marker is missing,
    `--fix end-marker` adds it).
    """

    name = "image-truncated"
    severity = Severity.ERROR


class ImageCorrupt(Rule):
    """
    ## What it does
    Reports images whose decoder warns about the image data, or that fail a checksum of their own: flipped bits,
    zeroed sectors, parts of another file.

    JPEG, WebP, BMP and most TIFF files hold no checksum: a flipped bit that decodes to other pixels can't be seen
    by any decoder. PNG has one for each chunk, and each is checked.

    ## Why is this bad?
    libjpeg warns and goes on, and PIL and OpenCV swallow the warning: the rest of the image is shifted, of wrong
    colour or noise, and is trained on.

    ## How to fix
    Fetch the image again, or leave the record out. If many records are affected, look at the
    disk and at the memory of the machine that wrote the set.
    """

    name = "image-corrupt"
    severity = Severity.ERROR


class ImageTrailingData(Rule):
    """
    ## What it does
    Reports bytes behind the end of an image that is itself whole. The further pictures of a multi-picture JPEG
    (phones write them) belong to it and are not reported.

    ## Why is this bad?
    Decoders stop at the end, so training is not harmed. But something wrote those bytes: two files run together,
    a converter that kept an old buffer, a motion photo whose video makes the set many times larger.

    ## How to fix
    Find out what the bytes are. If nothing needs them, cut them off: `datascan rebuild --fix
    trailing-data`.
    """

    name = "image-trailing-data"
    severity = Severity.WARNING


class ImageConstant(Rule):
    """
    ## What it does
    Reports images of a single colour, encoded or as uint8 and uint16 arrays. Arrays whose name says that they are
    masks or segmentations are left alone: all background is a valid answer.

    ## Why is this bad?
    A black or white image is most often a lost one: a "not available" placeholder, a failed crop, a buffer that
    was never filled. It carries a label all the same. Normalising it by its own standard deviation divides by zero
    and gives NaN.

    ## How to fix
    Look at the image (`datascan show`). Leave the record out if it is a placeholder; add an epsilon where images
    are normalised one by one.
    """

    name = "image-constant"
    severity = Severity.WARNING

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """Single-colour images, encoded ones and arrays, in row order."""
        found = [*super().check(samples), *one_by_one(self._arrays(samples))]
        yield from sorted(found, key=lambda finding: -1 if finding.location.index is None else finding.location.index)

    def sift(self, samples: SampleBatch) -> Iterator[Finding | FindingBatch]:
        """See `Rule.sift`."""
        return self.check(samples) if samples.faults_of(self.name) else self._arrays(samples)

    def _arrays(self, samples: SampleBatch) -> Iterator[FindingBatch]:
        spots = Spots([(block, _constant(block)) for block in samples.arrays if _is_judged(block)])
        if len(spots.rows):
            yield self.batch(samples, spots.rows, lambda number: self._said(samples, *spots[number]))

    def _said(self, samples: SampleBatch, block: ArrayBlock, place: int) -> Finding:
        colour = _first_pixel(block, place)
        text = "all zero" if not any(colour) else "a single colour: " + ", ".join(map(str, colour))
        location = samples.location(int(block.rows[place]), dataset=None if block.name == "data" else block.name)
        return self.finding(f"the image is {text}", location, data={"colour": colour})


class ImageOrientation(Rule):
    """
    ## What it does
    Reports images whose EXIF data asks for a rotation or a reflection.

    ## Why is this bad?
    Loaders differ: OpenCV's `imread` and `imdecode` turn the image by default, PIL's `Image.open` and torchvision
    don't, and with `IMREAD_UNCHANGED` (Caffe's encoded Datum) OpenCV doesn't either. Train with one and serve with
    the other, and part of the images lie on their side; boxes no longer fit.

    ## How to fix
    Turn the pixels when the set is built (`PIL.ImageOps.exif_transpose`) and drop the tag, or let `datascan rebuild
    --fix orientation` do it.
    """

    name = "image-orientation"
    severity = Severity.INFO


class ImageOddity(Rule):
    """
    ## What it does
    Reports what the decoder remarks on outside of the pixels: stray bytes in the header, a bad ICC or EXIF block,
    padding before the end marker. All pixels decode.

    ## Why is this bad?
    It is not, by itself. It tells of an unusual writer; a stricter loader may refuse the image.

    ## How to fix
    Nothing needs to be done. Writing the image anew gets rid of the remark.
    """

    name = "image-oddity"
    severity = Severity.INFO


class ImageChannels(Rule):
    """
    ## What it does
    Counts the channels of all images, encoded and raw. Where 95% or more have one number of channels, each of the
    others is reported (a grey image among colour ones, an alpha channel, CMYK); a set without such a majority is
    reported once. Palette images count as what they expand to.

    ## Why is this bad?
    Caffe aborts at the first record whose number of channels differs from that of the first record, unless
    `force_color` or `force_gray` is set: an error there. PIL keeps the image's own mode unless the loader calls
    `convert("RGB")`, and a batch of unequal shapes fails to stack; OpenCV's `imread` converts to three channels by
    default, and drops alpha.

    ## How to fix
    Convert when the set is built: `Image.convert("RGB")`, or `convert_imageset` without `--gray`; or afterwards with
    `datascan rebuild --fix grey-to-colour`. For Caffe, `force_color: true` in `transform_param` helps for encoded
    images.
    """

    name = "image-channels"
    severity = Severity.WARNING

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """The exceptions where there is a majority, else the mixture as a whole."""
        for dataset, logs in _channel_logs(summary):
            if len(logs) > 1:
                yield from self._mixed(dataset, logs)

    def _mixed(self, dataset: str | None, logs: Mapping[int, PositionLog]) -> Iterator[Finding | Further]:
        total = sum(log.count for log in logs.values())
        usual = max(sorted(logs), key=lambda channels: logs[channels].count)
        severity = Severity.ERROR if self.context.traits.caffe else Severity.WARNING
        if logs[usual].count < MAJORITY * total:
            counts = ", ".join(f"{logs[channels].count} with {channels}" for channels in sorted(logs))
            tally = {"channels": {str(channels): logs[channels].count for channels in sorted(logs)}}
            message = f"images of different numbers of channels: {counts}"
            yield self.finding(message, Location(dataset=dataset), severity, tally)
            return
        for channels in sorted(set(logs) - {usual}):
            log = logs[channels]
            message = f"{_channels_text(channels)} in a set of images with {usual}"
            data = {"channels": channels, "usual": usual}
            for position in log.positions:
                yield self.finding(message, Location(index=position, dataset=dataset), severity, data)
            # The positions beyond the first findings are not kept; they count all the same.
            yield self.further(log.count - len(log.positions), severity)


class ImageTooSmall(Rule):
    """
    ## What it does
    Reports images, encoded and raw, whose width or height is below the training crop (`--crop`, or the net's
    `crop_size`). Does not run where no crop is known.

    ## Why is this bad?
    Caffe aborts (`Check failed: height <= img_height`). torchvision's `RandomCrop` raises unless it pads; loaders
    that pad or enlarge train on borders or blur.

    ## How to fix
    Resize when the set is built (`convert_imageset --resize_height --resize_width`), crop less, or leave the
    records out.
    """

    name = "image-too-small"
    severity = Severity.ERROR

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return "no crop size given" if self.options.crop is None else None

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """See `Rule.check`."""
        return one_by_one(self.sift(samples))

    def sift(self, samples: SampleBatch) -> Iterator[FindingBatch]:
        """Encoded images and arrays that are smaller than the crop, in row order."""
        crop = self.options.crop
        if crop is None:
            return
        found: list[tuple[int, int, int, str | None]] = []
        for image in samples.images:
            width, height = image.facts.width, image.facts.height
            if width is not None and height is not None and min(width, height) < crop:
                found.append((image.row, width, height, image.dataset))
        for block in samples.arrays:
            if not {"H", "W"} <= set(block.axes):
                continue
            height, width = (block.shape[block.axes.index(axis)] for axis in "HW")
            if min(width, height) < crop:
                dataset = None if block.name == "data" else block.name
                found += [(row, width, height, dataset) for row in block.rows.tolist()]
        found.sort(key=itemgetter(0))
        rows = np.array([row for row, *_ in found], np.int64)
        yield self.batch(samples, rows, lambda number: self._small(samples, *found[number]))

    def _small(self, samples: SampleBatch, row: int, width: int, height: int, dataset: str | None) -> Finding:
        message = f"{width}x{height} is smaller than the crop of {self.options.crop}"
        data = {"width": width, "height": height, "crop": self.options.crop}
        return self.finding(message, samples.location(row, dataset=dataset), data=data)


class ImageTooLarge(Rule):
    """
    ## What it does
    Reports images that declare more pixels than the guard allows (`--max-pixels`), progressive JPEGs with so many
    scans and animations with so many frames that decoding would take minutes. They are not decoded, so nothing
    else is known of them.

    ## Why is this bad?
    A few kilobytes can ask for gigabytes. PIL warns above 89 million pixels and raises `DecompressionBombError`
    above twice that; OpenCV refuses above 2^30; other loaders run out of memory, and a worker is killed without
    naming the record.

    ## How to fix
    Shrink the image when the set is built. If such images are meant to be there, raise `--max-pixels`.
    """

    name = "image-too-large"
    severity = Severity.ERROR


IMAGE_RULES: tuple[type[Rule], ...] = (
    ImageUndecodable,
    ImageTruncated,
    ImageCorrupt,
    ImageTrailingData,
    ImageConstant,
    ImageOrientation,
    ImageOddity,
    ImageChannels,
    ImageTooSmall,
    ImageTooLarge,
)


def _channel_logs(summary: Summary) -> Iterator[tuple[str | None, Mapping[int, PositionLog]]]:
    """Records by number of channels: of the one image that each has, or of each image dataset by itself.

    A colour image and its grey mask stand in two datasets; they are no mixture.
    """
    tables = {name: table for name, table in summary.shapes.tables.items() if "C" in table.axes}
    if len(tables) < 2:
        yield None, {channels: log for channels, log in summary.shapes.channels.items() if log.count}
        return
    for name, table in tables.items():
        logs: dict[int, PositionLog] = {}
        for shape, log in table.shapes.items():
            if len(shape) == len(table.axes):
                merged = logs.setdefault(shape[table.axes.index("C")], PositionLog(log.cap))
                merged.count += log.count
                merged.positions = sorted([*merged.positions, *log.positions])[: log.cap]
        yield name, logs


def _channels_text(channels: int) -> str:
    name = _CHANNEL_NAMES.get(channels)
    count = "1 channel" if channels == 1 else f"{channels} channels"
    return f"{count} ({name})" if name else count


def _is_judged(block: ArrayBlock) -> bool:
    """Whether a single colour would be a fault: in a mask it is a valid answer."""
    return block.values.dtype in (np.uint8, np.uint16) and _is_picture(block) and not _MASK.search(block.name)


def _is_picture(block: ArrayBlock) -> bool:
    """Whether an array has a plane of more than one pixel: a 1x1 plane is a feature vector, not an image."""
    if not {"H", "W"} <= set(block.axes) or not len(block.rows):
        return False
    height, width = (block.shape[block.axes.index(axis)] for axis in "HW")
    return height * width > 1 and block.values.size > 0


def _constant(block: ArrayBlock) -> NDArray[np.intp]:
    """Which records hold one colour: every pixel equals the first.

    A few pixels on the diagonal settle it for most records, some more for almost all; only the others are read in full.
    """
    values, axis = block.values, block.channel_axis
    planes = values if axis is None else np.moveaxis(values, axis, -1)
    height, width = planes.shape[1:3]
    steps = np.arange(1, 8)
    places = np.flatnonzero(_equal_to_first(planes[:, steps * height // 8, steps * width // 8][:, None], planes))
    if len(places):
        few = planes[:, :: max(height // 8, 1), :: max(width // 8, 1)][places]
        places = places[_equal_to_first(few, planes[places, :1, :1])]
    together = max(_PIXELS // (height * width), 1)
    parts = [places[start : start + together] for start in range(0, len(places), together)]
    same = np.concatenate([_NONE, *(_equal_to_first(planes[part], planes[part, :1, :1]) for part in parts)])
    found: NDArray[np.intp] = places[same]
    return found


def _equal_to_first(pixels: NDArray[Any], planes: NDArray[Any]) -> NDArray[np.bool_]:
    first = planes[:, :1, :1]
    return np.asarray((pixels == first).reshape(len(pixels), -1).all(axis=1), np.bool_)


def _first_pixel(block: ArrayBlock, number: int) -> list[int]:
    values, axis = block.values[number : number + 1], block.channel_axis
    planes = values if axis is None else np.moveaxis(values, axis, -1)
    return [int(value) for value in np.atleast_1d(planes[0, 0, 0])]
