"""Numbers for people: counts with their noun, sizes, durations, rates, shares."""

from __future__ import annotations

import math

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 record``, ``1,200 records``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(size_bytes: float) -> str:
    """``196.6 kB``: decimal units, four figures at most."""
    for unit in UNITS:
        shown = f"{size_bytes:.0f}" if unit == "B" else f"{size_bytes:.1f}"
        if float(shown) < 1000 or unit == UNITS[-1]:
            break
        size_bytes /= 1000
    return f"{shown} {unit}"


def duration(seconds: float) -> str:
    """``0.05 s``, ``12.3 s``, ``1 min 05 s``, ``2 h 03 min``."""
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def real(value: float) -> str:
    """Five significant figures; whole numbers without a point."""
    if not math.isfinite(value):
        return str(value)
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e15 else f"{value:.5g}"


def share(part: int, whole: int) -> str:
    """``20.0%``; a part that is there never shows as 0.0%, one that is missing never as 100.0%."""
    if not whole:
        return "-"
    if 0 < part < whole * 0.0005:
        return "<0.1%"
    if whole * 0.9995 < part < whole:
        return ">99.9%"
    return f"{part / whole:.1%}"
