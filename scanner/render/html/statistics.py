"""The statistics of a source as charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...report import SourceReport
from ..numbers import counted
from ..statistics import counts_of
from .bars import histogram
from .curve import curve
from .density import channel_colours, density
from .ranges import Range, ranges
from .scatter import sizes
from .svg import Figure

CHANNELS = 16


def figures(report: SourceReport) -> Iterator[Figure]:
    """The charts that there is something for, in the order of the page."""
    statistics = report.statistics
    yield from label_figures(statistics)
    yield from size_figures(statistics)
    yield from channel_figures(report)
    for title, name in (("Image formats", "formats"), ("What values look like", "value_kinds")):
        if counts := counts_of(statistics.get(name)):
            yield histogram(title, counts, ("kind", "kinds"))
    yield from probe_figures(statistics.get("probe"))


def label_figures(statistics: Mapping[str, Any]) -> Iterator[Figure]:
    """Labels, and labels of boxes."""
    distinct = statistics.get("labels_distinct")
    for title, name in (("Labels", "labels"), ("Labels of boxes", "box_labels")):
        if counts := counts_of(statistics.get(name)):
            note = ""
            if name == "labels" and isinstance(distinct, int):
                note = f"The first {len(counts):,} of {distinct:,} labels."
            yield histogram(title, counts, ("label", "labels"), note)


def size_figures(statistics: Mapping[str, Any]) -> Iterator[Figure]:
    """Sizes of images where there are several, else shapes."""
    counts = counts_of(statistics.get("shapes"))
    if not counts:
        return
    left = statistics.get("shapes_left_out")
    note = f"{counted(left, 'record')} of other shapes." if isinstance(left, int) and left else ""
    found: dict[tuple[int, int], int] = {}
    for shape, count in counts.items():
        parts = shape.split("x")
        if len(parts) == 3 and all(part.isdecimal() for part in parts):
            size = int(parts[2]), int(parts[1])
            found[size] = found.get(size, 0) + count
    if len(found) > 2 and sum(found.values()) == sum(counts.values()):
        yield sizes("Image sizes", found, note)
    else:
        yield histogram("Shapes", counts, ("shape", "shapes"), note)


def channel_figures(report: SourceReport) -> Iterator[Figure]:
    """Distributions of values where records were read again for them, and the figures of all records."""
    statistics = report.statistics
    if report.distributions is not None and report.distributions.channels:
        yield density("Values by channel", report.distributions)
    part = counts_of(statistics.get("channels_of"))
    note = ""
    if {"samples", "decoded"} <= part.keys():
        note = f"Of {part['samples']:,} of the {part['decoded']:,} images; all were checked."
    arrays = statistics.get("arrays")
    named = arrays if isinstance(arrays, Mapping) and arrays else {"": statistics.get("channels")}
    for name, entries in list(named.items())[:CHANNELS]:
        if isinstance(entries, Sequence) and not isinstance(entries, str) and entries:
            title = f"Range of {name}" if name else "Range of each channel"
            order = report.distributions.order if report.distributions is not None else ""
            yield ranges(title, channel_ranges(entries, order), note)


def channel_ranges(entries: Sequence[Any], order: str) -> list[Range]:
    """The figures of the first channels; ``order`` are their colours, where they are known."""
    colours = channel_colours(order, len(entries))
    found = []
    for number, entry in enumerate(entries[:CHANNELS]):
        if isinstance(entry, Mapping):
            name = str(entry.get("name", f"channel {number}" if len(entries) > 1 else "all"))
            mean, std, low, high = (figure(entry.get(key)) for key in ("mean", "std", "min", "max"))
            found.append(Range(name, mean, std, low, high, colours[number] if colours else ""))
    return found


def figure(value: object) -> float | None:
    """A number, if it is one."""
    return float(value) if isinstance(value, int | float) else None


def probe_figures(probe: object) -> Iterator[Figure]:
    """The losses of training."""
    training = probe.get("training") if isinstance(probe, Mapping) else None
    losses = training.get("losses") if isinstance(training, Mapping) else None
    if not isinstance(training, Mapping) or not isinstance(losses, Sequence) or not losses:
        return
    points = [(float(step), loss_of(loss)) for step, loss in enumerate(losses)]
    bad = next(((step, str(losses[int(step)])) for step, loss in points if not -1e308 < loss < 1e308), None)
    yield curve(f"Loss of the probe's training at a rate of {training.get('rate')}", points, bad=bad, axis="step")


def loss_of(loss: object) -> float:
    """A loss as a number; words such as ``NaN`` and ``Inf`` are no finite ones."""
    try:
        return float(loss) if isinstance(loss, int | float | str) else float("nan")
    except ValueError:
        return float("nan")
