"""Training on the first batches of a source: does the loss stay finite when the weights follow it?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..options import PROBE_BATCH, Options
from ..sample import SampleBatch
from ..stamp import untouch
from ..summary.probe import Curve
from .fitting import Unfit
from .labels import targets_of
from .layers import Array
from .network import Network
from .prober import Prober

__all__ = ["Curve", "train"]


@dataclass(slots=True)
class _Waiting:
    """Prepared samples that do not fill a batch yet."""

    inputs: list[Array]
    targets: list[NDArray[Any]]
    count: int = 0


def train(batches: Iterator[SampleBatch], options: Options, caffe: bool, hdf5: bool) -> Curve:
    """Take steps of gradient descent on the first batches, in their order, as training without shuffling would.

    One network is trained: that of the first samples; samples of another shape are left out, and counted. Training
    ends with the first loss that is not finite: weights are NaN from there on.
    """
    probe = options.probe
    assert probe is not None
    curve = Curve(probe.rate)
    prober = Prober(options, caffe, hdf5)
    size = options.batch_size or PROBE_BATCH
    network: Network | None = None
    waiting = _Waiting([], [])
    for samples in batches:
        for block in prober.blocks(samples, []):
            labels, present = prober.labels_of(samples, block)
            try:
                fitted, model, task = prober.model_for(block, labels)
                prepared = prober.prepare(block, fitted)
            except Unfit:
                curve.left_out += len(block.rows)
                continue
            if not isinstance(model, Network):
                curve.reason = "a model of one's own is not trained"
                return curve
            network = network or model
            if model is not network:
                curve.left_out += len(block.rows)
                continue
            targets = targets_of(labels, present, task, options.ignore_labels)
            for start in range(0, len(block.rows), size):
                part = prepared.part(start, start + size)
                waiting.inputs.append(part.inputs)
                waiting.targets.append(targets.part(start, start + part.inputs.shape[-1]))
                waiting.count += part.inputs.shape[-1]
                while waiting.count >= size:
                    untouch()
                    _step(network, waiting, size, probe.rate, curve)
                    if len(curve.losses) >= probe.train_steps or not math.isfinite(curve.losses[-1]):
                        return curve
    if network is not None and waiting.count and not curve.losses:
        _step(network, waiting, waiting.count, probe.rate, curve)
    return curve


def _step(network: Network, waiting: _Waiting, size: int, rate: float, curve: Curve) -> None:
    """One step on the samples that have waited longest."""
    inputs = np.concatenate(waiting.inputs, axis=-1)
    targets = np.concatenate(waiting.targets)
    curve.losses.append(network.step(np.ascontiguousarray(inputs[..., :size]), targets[:size], rate))
    waiting.inputs, waiting.targets = [inputs[..., size:]], [targets[size:]]
    waiting.count -= size
