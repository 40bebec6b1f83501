"""The probe's part of a scan: what is settled from a source's first records, and training on its first batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..backends.base import Batch, Partition, RecordBatch, RowBatch
from .layouts.base import Layout, RecordLayout, RowLayout
from .options import Options, ProbeTask
from .plan import Plan
from .report import NotRun
from .rules.probe import ProbeNonFinite
from .sample import SampleBatch
from .stamp import decoding, reading, untouch
from .summary.probe import Curve
from .supervisor import WorkerDied
from .worker import SourceRef, open_source

Ask = Callable[..., Any]
"""Calls a function in a worker."""

FIRST_PARTITIONS, FIRST_RECORDS = 4, 64
"""Partitions that are asked for first samples, and records of a batch that are looked at for them."""


def settled_plan(ask: Ask, plan: Plan) -> Plan:
    """The plan with the probe's task settled: in a worker, since it takes reading records.

    Raises
    ------
    UsageError
        The network, the model or the preprocessing does not go with the source.
    """
    options = plan.context.options
    if options.probe is None:
        return plan
    probe, notes = options.probe, list[str]()
    try:
        options = ask(settle_source, plan.source, plan.choice.layout, options, plan.partitions[:FIRST_PARTITIONS])
    except WorkerDied as death:
        options = replace(options, probe=replace(probe, task=ProbeTask()))
        notes.append(f"the first records end the reader ({death.reason}): labels are taken for classes, ten or more")
    task = (options.probe or probe).task or ProbeTask()
    if not task.labelled and not task.spoilt:
        notes.append("no labels were found: losses are those of class 0, or of zeros as targets")
    own = probe.onnx or probe.torch or probe.caffe
    if own is not None and task.masked:
        hidden = ", ".join(task.masked)
        notes.append(
            f"the loss of {own} stays finite although one input is {hidden}: a finite loss proves nothing for these, "
            "and the verdict rests on the inputs and on what layers show"
        )
    return replace(
        plan,
        context=replace(plan.context, options=options),
        not_run=plan.not_run + tuple(NotRun(ProbeNonFinite.name, note) for note in notes),
    )


def trained(ask: Ask, plan: Plan) -> Curve | None:
    """The losses of training on the source's first batches, where that was asked for."""
    options = plan.context.options
    if options.probe is None or not options.probe.train_steps:
        return None
    try:
        curve: Curve = ask(train_source, plan.source, plan.choice.layout, options, plan.partitions)
    except WorkerDied as death:
        return Curve(options.probe.rate, reason=f"a record ends the reader: it {death.reason}")
    return curve


def settle_source(source: SourceRef, layout: Layout, options: Options, partitions: list[Partition]) -> Options:
    """The options with the probe's task settled. Runs in a worker."""
    from .probe.settle import settle  # a scan without a network need not load it

    first = decoded(source, layout, partitions, FIRST_RECORDS)
    return settle(first, options, layout.traits.caffe, isinstance(layout, RowLayout))


def train_source(source: SourceRef, layout: Layout, options: Options, partitions: list[Partition]) -> Curve:
    """The losses of training on the source's first batches. Runs in a worker."""
    from .probe.train import train

    return train(
        lambda: decoded(source, layout, partitions), options, layout.traits.caffe, isinstance(layout, RowLayout)
    )


def decoded(
    source: SourceRef, layout: Layout, partitions: list[Partition], most: int | None = None
) -> Iterator[SampleBatch]:
    """The samples of some partitions, in order; with ``most`` only so many of each batch."""
    store = open_source(source)
    for partition in partitions:
        reading(0, 0, 0)
        for part in store.read(partition):
            if isinstance(part, (RecordBatch, RowBatch)) and len(part):
                if most is not None:
                    part = part.take(slice(0, most))
                decoding(part.positions, int(part.positions[0]), int(part.positions[-1]) + 1, 0, 0)
                for piece in _pieces(layout, part):
                    samples = _decode(layout, piece)
                    untouch()
                    yield samples
                reading(int(part.positions[-1]) + 1, 0, 0)


def _pieces(layout: Layout, batch: Batch) -> Iterable[Batch]:
    if isinstance(layout, RecordLayout) and isinstance(batch, RecordBatch):
        return layout.pieces(batch)
    return (batch,)


def _decode(layout: Layout, batch: Batch) -> SampleBatch:
    if isinstance(layout, RecordLayout):
        assert isinstance(batch, RecordBatch)
        return layout.decode(batch)
    assert isinstance(layout, RowLayout)
    assert isinstance(batch, RowBatch)
    return layout.decode(batch)
