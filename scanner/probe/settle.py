"""What is settled before a source is probed: the task, from its first labels, and the network, from its first samples.

Runs in a worker, since it reads records. Everything else is then the same for all workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...backends.errors import UsageError
from ..options import Options, ProbeOptions, ProbeTask
from ..sample import SampleBatch
from .canary import CANARIES, Model, masked_by
from .fitting import Unfit
from .inputs import Preparation
from .labels import blank_targets, choose_task
from .preprocessing import Preprocessing
from .prober import Prober

TAME = 16
"""Of the first samples, how many a user's model must give a loss that is not finite to be at fault itself."""

LOOKED_AT = 4
"""Batches that are looked at for one that has samples."""


def settle(batches: Iterator[SampleBatch], options: Options, caffe: bool, hdf5: bool) -> Options:
    """The options with the task settled.

    Raises
    ------
    UsageError
        The mean file, the model or the network does not go with the source.
    """
    probe = options.probe
    assert probe is not None
    prober = Prober(options, caffe, hdf5)  # a model that can't be used is a usage error whatever the samples
    user = prober.own
    spoilt = Preprocessing(probe).wrong() or (user.fault() if user is not None else None) or ""
    notes = (*probe.notes, *(user.notes() if user is not None else ()))
    loss = probe.loss if user is None or user.loss is None else user.loss
    if user is not None and user.loss is not None and probe.loss != "auto":
        raise UsageError("--loss was given, but the net has a loss of its own")
    task: ProbeTask | None = None
    reasons: list[str] = []
    for _, samples in zip(range(LOOKED_AT), batches, strict=False):
        if task is None or not task.labelled:
            labels_there = prober.label_block(samples)
            task = choose_task(labels_there, loss, probe.outputs, options.num_classes)
            options = replace(options, probe=replace(probe, task=replace(task, spoilt=spoilt, notes=notes)))
            prober = Prober(options, caffe, hdf5)
        for block in prober.blocks(samples, []):
            labels, _ = prober.labels_of(samples, block)
            try:
                fitted, model, own = prober.model_for(block, labels)
                prepared = prober.prepare(block, fitted)
            except Unfit as exc:
                reasons.append(str(exc))  # said of each record, if others fit
                continue
            lines = tuple((line.name, line.kind, line.shape, line.parameters) for line in model.summary())
            known = replace(
                own,
                network=prober.describe(fitted),
                layers=lines,
                masked=() if spoilt else _masked(model, own),
                spoilt=spoilt or (_spoilt_by_itself(model, own, prepared) if user else ""),
                notes=notes,
            )
            return replace(options, probe=replace(probe, task=known))
    if reasons and (probe != ProbeOptions() or options.crop is not None):
        raise UsageError(f"the probe can't run: {reasons[0]}")
    if task is None:
        task = choose_task(None, loss, probe.outputs, options.num_classes)
        options = replace(options, probe=replace(probe, task=replace(task, spoilt=spoilt, notes=notes)))
    return options


def _masked(model: Model, task: ProbeTask) -> tuple[str, ...]:
    return tuple(masked_by(model, blank_targets(task, len(CANARIES))))


def _spoilt_by_itself(model: Model, task: ProbeTask, prepared: Preparation) -> str:
    """What to say of a model that gives no sample a finite loss, however tame: the fault is its own, not the data's."""
    part = prepared.part(0, TAME)
    plain = np.full((*model.shape, 1), 0.5, np.float32)
    for inputs in (plain, part.inputs):
        passed = model.forward(inputs, blank_targets(task, inputs.shape[-1]))
        if np.isfinite(passed.losses).any():
            return ""
    first = next((seen.layer for seen in passed.seen if not seen.finite.any()), "its loss")
    return f"the {model.kind} by itself gives no finite loss, for no sample: it shows first in {first}"
