"""How far two sets of numbers lie apart, and whether that is more than chance: for comparisons and histories."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt

import numpy as np
from numpy.typing import NDArray

SIGMAS = 5.0
"""What chance alone does once in millions of comparisons."""

LEAST_EXPECTED = 5.0
"""Cells of which fewer are expected are joined: the chi-square distribution does not hold for them."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Drift:
    """How the shares of some cells differ between two sets.

    Attributes
    ----------
    total_variation
        The share that would have to change its cell, 0 to 1; ``by_chance`` is what two samples of one population of
        these sizes show on average.
    jensen_shannon
        The divergence in bits, 0 to 1.
    stability
        The population stability index; half a record stands in for none.
    sigmas
        Of the chi-square test that both are samples of one population, as standard deviations.
    """

    total_variation: float
    by_chance: float
    jensen_shannon: float
    stability: float
    sigmas: float

    def beyond(self, least: float) -> bool:
        """Whether they differ by so much more than chance explains, and chance does not explain it."""
        return self.total_variation - self.by_chance >= least and self.sigmas >= SIGMAS

    def to_dict(self) -> dict[str, float]:
        """The figures of the JSON report."""
        return {
            "total_variation": _rounded(self.total_variation),
            "by_chance": _rounded(self.by_chance),
            "jensen_shannon": _rounded(self.jensen_shannon),
            "stability": _rounded(self.stability),
            "sigmas": _rounded(self.sigmas),
        }


def drift_of(first: Counts, second: Counts) -> Drift | None:
    """How the counts of the same cells differ; ``None`` where a set has none."""
    n, m = int(first.sum()), int(second.sum())
    if n == 0 or m == 0:
        return None
    p, q = first / n, second / m
    pooled = (first + second) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return Drift(
        float(np.abs(p - q).sum() / 2),
        float(spread.sum() * sqrt(2 / np.pi) / 2),
        (_divergence(p, (p + q) / 2) + _divergence(q, (p + q) / 2)) / 2,
        _stability(first, second),
        _sigmas(first, second),
    )


def _divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    there = p > 0
    return float((p[there] * np.log2(p[there] / q[there])).sum())


def _stability(first: Counts, second: Counts) -> float:
    p, q = (np.maximum(counts, 0.5) for counts in (first, second))
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def _sigmas(first: Counts, second: Counts) -> float:
    """The chi-square of a 2 by k table as standard deviations (Wilson and Hilferty, PNAS 17, 1931)."""
    n, m = int(first.sum()), int(second.sum())
    expected = (first + second) * (min(n, m) / (n + m))
    few = expected < LEAST_EXPECTED
    table = np.stack([np.append(counts[~few], counts[few].sum()) for counts in (first, second)]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    degrees = table.shape[1] - 1
    if degrees < 1:
        return 0.0
    share = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / (n + m)
    chi_square = float(((table - share) ** 2 / share).sum())
    variance = 2 / (9 * degrees)
    return float(((chi_square / degrees) ** (1 / 3) - (1 - variance)) / sqrt(variance))


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the values of some samples lie."""

    mean: float
    std: float
    samples: int
    low: float
    high: float

    @property
    def tails(self) -> float:
        """The most that the fourth moment can be beside the squared variance: no value lies further out than these."""
        furthest = max(self.high - self.mean, self.mean - self.low)
        return max((furthest / self.std) ** 2, 1.0)


@dataclass(frozen=True, slots=True)
class Shift:
    """How two distributions of values differ in place and width.

    ``effect`` is the difference of the means in standard deviations (of both together), ``ratio`` that of the
    standard deviations, 1 or more. ``sigmas`` and ``ratio_sigmas`` count the standard errors of each, as if a sample
    held a single value: the pixels of an image do not vary by themselves.
    """

    effect: float
    sigmas: float
    ratio: float
    ratio_sigmas: float

    def beyond(self, effect: float, ratio: float) -> bool:
        """Whether one of them is so large, and chance does not explain it."""
        moved = abs(self.effect) >= effect and self.sigmas >= SIGMAS
        return moved or (self.ratio >= ratio and self.ratio_sigmas >= SIGMAS)


def shift_of(first: Spread, second: Spread) -> Shift | None:
    """The shift between two sets of values; ``None`` without values. Of a constant's width nothing can be said."""
    n, m = first.samples, second.samples
    if n < 2 or m < 2 or not np.isfinite([first.mean, first.std, second.mean, second.std]).all():
        return None
    pooled = sqrt((first.std**2 * n + second.std**2 * m) / (n + m))
    if pooled == 0:  # another constant is as far away as can be
        apart = 0.0 if first.mean == second.mean else inf
        return Shift(apart, apart, 1.0, 0.0)
    effect = (second.mean - first.mean) / pooled
    sigmas = abs(effect) / sqrt(1 / n + 1 / m)
    low, high = sorted((first.std, second.std))
    if low == 0:
        return Shift(effect, sigmas, inf, 0.0)
    error = sqrt(first.tails / (4 * n) + second.tails / (4 * m))
    return Shift(effect, sigmas, high / low, log(high / low) / error)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
