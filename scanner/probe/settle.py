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
from .labels import choose_task
from .preprocessing import Preprocessing
from .prober import Prober, label_block

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
    spoilt = Preprocessing(probe).wrong() or ""
    task: ProbeTask | None = None
    reasons: list[str] = []
    for _, samples in zip(range(LOOKED_AT), batches, strict=False):
        if task is None or not task.labelled:
            task = choose_task(label_block(samples), probe.loss, probe.outputs, options.num_classes)
            options = replace(options, probe=replace(probe, task=replace(task, spoilt=spoilt)))
        prober = Prober(options, caffe, hdf5)
        for block in prober.blocks(samples, []):
            labels, _ = prober.labels_of(samples, block)
            try:
                fitted, model, own = prober.model_for(block, labels)
                prober.prepare(block, fitted)
            except Unfit as exc:
                reasons.append(str(exc))  # said of each record, if others fit
                continue
            lines = tuple((line.name, line.kind, line.shape, line.parameters) for line in model.summary())
            known = replace(
                own, network=prober.describe(fitted), layers=lines, masked=_masked(model, own), spoilt=spoilt
            )
            return replace(options, probe=replace(probe, task=known))
    if reasons and (probe != ProbeOptions() or options.crop is not None):
        raise UsageError(f"the probe can't run: {reasons[0]}")
    if task is None:
        task = choose_task(None, probe.loss, probe.outputs, options.num_classes)
        options = replace(options, probe=replace(probe, task=replace(task, spoilt=spoilt)))
        Prober(options, caffe, hdf5)  # a model that can't be used is a usage error whatever the samples
    return options


def _masked(model: Model, task: ProbeTask) -> tuple[str, ...]:
    shape = (len(CANARIES),) if task.loss == "softmax" else (len(CANARIES), task.outputs)
    targets = np.zeros(shape, np.int64 if task.loss == "softmax" else np.float32)
    return tuple(masked_by(model, targets))
