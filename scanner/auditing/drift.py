"""Drift: how far the figures of a set are from those of an earlier scan, where chance alone would not move them so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MANY_SIGMAS = 5.0
"""What differs by less than so many standard errors may do so by chance, night after night."""

DEVIATION = 0.25
"""A deviation that has changed by this share is drift as well."""

MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on a difference is drift.

    ``records`` is a share of their number, ``labels`` the share of records that would need another label (the total
    variation distance), ``values`` a number of standard deviations.
    """

    records: float = 0.10
    labels: float = 0.05
    values: float = 0.10


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that has drifted: its rule and a sentence."""

    rule: str
    message: str
    data: Mapping[str, Any]


def drifts(base: Mapping[str, Any], now: Mapping[str, Any], limits: Thresholds) -> Iterator[Drift]:
    """What has drifted between the figures of two scans (see `figures_of`)."""
    yield from _records(base, now, limits.records)
    yield from _labels(base.get("labels") or {}, now.get("labels") or {}, limits.labels)
    yield from _values(base, now, limits.values)


def _records(base: Mapping[str, Any], now: Mapping[str, Any], limit: float) -> Iterator[Drift]:
    before, after = base.get("records"), now.get("records")
    if not before or after is None or abs(after - before) < limit * before:
        return
    change = (after - before) / before
    message = f"{before:,} records have become {after:,} ({change:+.0%})"
    yield Drift("drift-records", message, {"was": before, "is": after})


def _labels(base: Mapping[str, int], now: Mapping[str, int], limit: float) -> Iterator[Drift]:
    before, after = sum(base.values()), sum(now.values())
    if not before or not after:
        return
    shares = {label: now.get(label, 0) / after - base.get(label, 0) / before for label in {**base, **now}}
    distance = total_variation(shares)
    if distance < max(limit, chance(base, now)):
        return
    moved = sorted(shares, key=lambda label: (-abs(shares[label]), label))[:MOST_TOLD]
    told = ", ".join(
        f"label {label} {base.get(label, 0) / before:.1%} -> {now.get(label, 0) / after:.1%}" for label in moved
    )
    yield Drift("drift-labels", f"{distance:.1%} of the labels have moved: {told}", {"distance": round(distance, 6)})


def total_variation(differences: Mapping[str, float]) -> float:
    """Half the sum of the absolute differences of two distributions: 0 are equal, 1 have nothing in common."""
    return sum(map(abs, differences.values())) / 2


def chance(base: Mapping[str, int], now: Mapping[str, int]) -> float:
    """A total variation that two samples of one distribution do not reach by chance: its mean and some deviations."""
    before, after = sum(base.values()), sum(now.values())
    shares = [(base.get(label, 0) + now.get(label, 0)) / (before + after) for label in {**base, **now}]
    variances = [share * (1 - share) for share in shares]
    mean = math.sqrt(2 / math.pi) * sum(map(math.sqrt, variances)) / 2
    deviation = math.sqrt(sum(variances)) / 2
    return math.sqrt(1 / before + 1 / after) * (mean + MANY_SIGMAS * deviation)


def _values(base: Mapping[str, Any], now: Mapping[str, Any], limit: float) -> Iterator[Drift]:
    before, after = base.get("channels") or [], now.get("channels") or []
    if len(before) != len(after):
        return
    told, worst = [], 0.0
    samples = min(base.get("samples") or 0, now.get("samples") or 0)
    error = MANY_SIGMAS * math.sqrt(2 / max(samples, 1))
    for channel, (was, is_) in enumerate(zip(before, after, strict=True)):
        if None in (was["mean"], is_["mean"], was["std"], is_["std"]) or not was["std"]:
            continue
        shift = (is_["mean"] - was["mean"]) / was["std"]
        spread = is_["std"] / was["std"] - 1
        if abs(shift) >= max(limit, error) or abs(spread) >= max(DEVIATION, error):
            told.append(
                f"channel {channel} mean {was['mean']:.5g} -> {is_['mean']:.5g}, deviation {was['std']:.5g} -> "
                f"{is_['std']:.5g}"
            )
            worst = max(worst, abs(shift), abs(spread))
    if told:
        more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        yield Drift("drift-values", "; ".join(told[:MOST_TOLD]) + more, {"largest": round(worst, 6)})


def figures_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What trends and drift go by, of a source's JSON report."""
    statistics = report["statistics"]
    channels_of = statistics.get("channels_of") or {}
    return {
        "records": report["source"]["records"],
        "bytes": report["source"]["bytes"],
        "seen": report["coverage"]["seen"],
        "counts": report["counts"],
        "labels": statistics.get("labels"),
        "channels": statistics.get("channels"),
        "samples": channels_of.get("samples", report["coverage"]["seen"]),
    }
