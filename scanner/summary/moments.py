"""Count, mean, variance, minimum and maximum, in a form that merges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Moments:
    """Moments of the finite values of each channel, ``(channels,)`` each.

    ``m2`` is the sum of squared deviations from the mean. Merging follows Chan, Golub and LeVeque, "Updating
    formulae and a pairwise algorithm for computing sample variances" (1979). Without values a channel's minimum is
    ``inf`` and its maximum ``-inf``.
    """

    count: NDArray[np.int64]
    mean: Floats
    m2: Floats
    minimum: Floats
    maximum: Floats

    @classmethod
    def empty(cls, channels: int) -> Moments:
        """Moments of nothing."""
        return cls(
            np.zeros(channels, np.int64),
            np.zeros(channels),
            np.zeros(channels),
            np.full(channels, np.inf),
            np.full(channels, -np.inf),
        )

    @classmethod
    def of_sums(
        cls, count: NDArray[np.int64] | int, total: Floats, squares: Floats, minimum: Floats, maximum: Floats
    ) -> Moments:
        """Moments from plain sums over ``count`` values a channel."""
        counts = np.broadcast_to(np.asarray(count, np.int64), total.shape).copy()
        mean = total / np.maximum(counts, 1)
        m2 = np.maximum(squares - total * mean, 0.0)
        return cls(counts, mean, m2, np.where(counts > 0, minimum, np.inf), np.where(counts > 0, maximum, -np.inf))

    @property
    def figures(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in the order of the constructor."""
        return self.count, self.mean, self.m2, self.minimum, self.maximum

    @property
    def std(self) -> Floats:
        """Standard deviation of each channel (of the values, not of a sample of them)."""
        return np.sqrt(self.m2 / np.maximum(self.count, 1))

    def merge(self, other: Moments) -> None:
        """Take in further values."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            delta = other.mean - self.mean
            self.m2 += other.m2 + delta * delta * (self.count * share)
            # a channel that had no values takes the other's mean to the last digit
            self.mean = np.where(self.count == 0, other.mean, self.mean + delta * share)
        self.count = count
        self.minimum = np.minimum(self.minimum, other.minimum)
        self.maximum = np.maximum(self.maximum, other.maximum)

    def pooled(self) -> Moments:
        """All channels as one."""
        result = Moments.empty(1)
        for channel in range(len(self.count)):
            result.merge(Moments(*(figure[channel : channel + 1] for figure in self.figures)))
        return result
