"""Statistics of array values and pixels, per channel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..options import Options
from ..sample import ArrayBlock, ChannelSums, Hasher, ImageSample, SampleBatch
from .hashes import hasher_of
from .moments import Floats, Moments
from .places import is_beyond
from .sums import block_moments

__all__ = ["ArrayStats", "Moments", "ValueSummary"]

MAX_FEATURES = 4096
"""One-dimensional samples up to this length are looked at feature by feature."""

OTHERS = "(others)"
"""The name under which the arrays of further places are summed up: see `is_beyond`."""

LISTED = 16
"""Channels that the statistics list one by one; more are pooled."""

Meaning = Literal["channel", "feature", "all"]


@dataclass(frozen=True, slots=True, order=True)
class ArrayName:
    """What is summed up together: an array's name and number of channels; ``dataset`` or payload for images."""

    name: str
    channels: int
    encoded: bool = False

    @property
    def text(self) -> str:
        """The name in the statistics, where one array has several numbers of channels."""
        plural = "s" if self.channels != 1 else ""
        return f"{self.name}, {self.channels} channel{plural}{', encoded' if self.encoded else ''}"


@dataclass(slots=True)
class ArrayStats:
    """Moments of one array over the samples.

    ``meaning`` says what the channels are: channels of an image, features of a vector, or everything together.
    ``floating`` and ``image`` say whether some of the arrays hold floats, and whether they are pictures.
    ``left_out`` counts the samples that are not in the moments, to save time. ``extremes`` are the lowest and highest
    values of those among them that were looked at closely; ``varied`` says that there are others, and that no channel
    (alpha aside) is constant over the samples therefore.
    """

    meaning: Meaning
    moments: Moments
    samples: int = 0
    floating: bool = False
    image: bool = False
    left_out: int = 0
    varied: bool = False
    extremes: tuple[Floats, Floats] | None = None

    def lowest_and_highest(self) -> tuple[Floats, Floats]:
        """Extremes of each channel over all samples whose values are known."""
        return _wider((self.moments.minimum, self.moments.maximum), self.extremes)

    def pooled(self) -> ArrayStats:
        """The same without telling channels apart."""
        return replace(self, meaning="all", moments=self.moments.pooled(), image=False, extremes=None)

    def merge(self, later: ArrayStats) -> None:
        """Take in what follows."""
        self.moments.merge(later.moments)
        self.samples += later.samples
        self.floating |= later.floating
        self.image |= later.image
        self.left_out += later.left_out
        self.varied |= later.varied
        if later.extremes is not None:
            self.extremes = _wider(later.extremes, self.extremes)


def _wider(one: tuple[Floats, Floats], other: tuple[Floats, Floats] | None) -> tuple[Floats, Floats]:
    return one if other is None else (np.minimum(one[0], other[0]), np.maximum(one[1], other[1]))


class ValueSummary:
    """Moments of every array and of decoded images; the first one seen is the main one."""

    def __init__(self, options: Options) -> None:
        self.arrays: dict[ArrayName, ArrayStats] = {}

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        for block in samples.arrays:
            self._add_block(block, hasher_of(samples))
        self._add_images(samples.images)

    def _add_block(self, block: ArrayBlock, hasher: Hasher | None) -> None:
        axis, meaning = channels_of(block)
        floating = block.values.dtype.kind in "fc"
        bounds = np.zeros(len(block.rows)) if floating else None
        passed = None if hasher is None else hasher.follow(block.rows)
        moments = block_moments(block.values, axis, bounds, passed)
        if moments is None or len(block.rows) == 0:
            return
        block.magnitudes.bounds = bounds
        self._take(
            ArrayName(block.name, len(moments.count)),
            ArrayStats(meaning, moments, len(block.rows), floating, "H" in block.axes),
        )

    def _add_images(self, images: list[ImageSample]) -> None:
        found: dict[tuple[str, int], list[ChannelSums]] = {}
        for image in images:
            sums = image.facts.sums
            if sums is not None:
                found.setdefault((image.dataset or "data", len(sums.total)), []).append(sums)
        for (name, channels), group in found.items():
            stats = _stats_of([one for one in group if one.count], [one for one in group if not one.count])
            self._take(ArrayName(name, channels, encoded=True), stats)

    def _take(self, name: ArrayName, stats: ArrayStats) -> None:
        if is_beyond(name.name, name in self.arrays, len(self.arrays)):
            name, stats = ArrayName(OTHERS, 1, name.encoded), stats.pooled()
        if name in self.arrays:
            self.arrays[name].merge(stats)
        else:
            self.arrays[name] = stats

    def merge(self, later: ValueSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        for name, stats in later.arrays.items():
            self._take(name, stats)

    def statistics(self) -> dict[str, Any]:
        """``channels`` of the main array, and ``arrays`` where there are several.

        ``channels_of`` says of how many samples they are, where it is not of all that were decoded.
        """
        if not self.arrays:
            return {}
        first = next(iter(self.arrays)).name
        main = max((name for name in self.arrays if name.name == first), key=lambda name: self.arrays[name].samples)
        found: dict[str, Any] = {"channels": _listed(self.arrays[main])}
        if self.arrays[main].left_out:
            decoded = self.arrays[main].samples
            found["channels_of"] = {"samples": decoded - self.arrays[main].left_out, "decoded": decoded}
        if len(self.arrays) > 1:
            names = [name.name for name in self.arrays]
            found["arrays"] = {
                name.name if names.count(name.name) == 1 else name.text: _listed(stats)
                for name, stats in self.arrays.items()
            }
        return found


def _stats_of(counted: list[ChannelSums], left_out: list[ChannelSums]) -> ArrayStats:
    channels = len((counted or left_out)[0].total)
    moments = Moments.empty(channels)
    if counted:
        moments = Moments.of_sums(
            sum(one.count for one in counted),
            np.sum([one.total for one in counted], axis=0),
            np.sum([one.squares for one in counted], axis=0),
            np.min([one.minimum for one in counted], axis=0),
            np.max([one.maximum for one in counted], axis=0),
        )
    stats = ArrayStats("channel", moments, len(counted) + len(left_out), image=True, left_out=len(left_out))
    looked_at = [one for one in left_out if one.minimum[0] <= one.maximum[0]]
    stats.varied = len(looked_at) < len(left_out)
    for one in looked_at:
        stats.extremes = _wider((one.minimum, one.maximum), stats.extremes)
    return stats


def channels_of(block: ArrayBlock) -> tuple[int | None, Meaning]:
    """Axis of the block's values that holds channels or features, and which of them they are."""
    if block.channel_axis is not None:
        return block.channel_axis, "channel"
    if not block.axes and block.values.ndim == 2 and 1 < block.values.shape[1] <= MAX_FEATURES:
        return 1, "feature"
    return None, "channel" if "H" in block.axes else "all"


def _listed(stats: ArrayStats) -> list[dict[str, float | int | None]]:
    moments = stats.moments if len(stats.moments.count) <= LISTED else stats.moments.pooled()
    empty = moments.count == 0
    mean, std = (np.where(empty, np.nan, figure) for figure in (moments.mean, moments.std))
    figures = (mean, std, moments.minimum, moments.maximum)
    return [
        {
            "mean": rounded(average),
            "std": rounded(deviation),
            "min": rounded(low) if stats.floating else _whole(low),
            "max": rounded(high) if stats.floating else _whole(high),
        }
        for average, deviation, low, high in zip(*(figure.tolist() for figure in figures), strict=True)
    ]


def rounded(value: float) -> float | None:
    """Six significant digits; ``None`` where there is no finite number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _whole(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None
