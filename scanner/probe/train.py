"""Training on the first batches of a source: does the loss stay finite when the weights follow it?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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

    def add(self, inputs: Array, targets: NDArray[Any]) -> None:
        """More samples."""
        self.inputs.append(inputs)
        self.targets.append(targets)
        self.count += inputs.shape[-1]

    def pop(self, size: int) -> tuple[Array, NDArray[Any]]:
        """Those that have waited longest."""
        inputs, targets = np.concatenate(self.inputs, axis=-1), np.concatenate(self.targets)
        self.inputs, self.targets = [inputs[..., size:]], [targets[size:]]
        self.count -= size
        return np.ascontiguousarray(inputs[..., :size]), targets[:size]


def train(passes: Callable[[], Iterator[SampleBatch]], options: Options, caffe: bool, hdf5: bool) -> Curve:
    """Take steps of gradient descent on the first batches, in their order, as training without shuffling would.

    ``passes`` gives the source's samples, once more for each call: where they end, training begins anew. One network
    is trained: that of the first samples; samples of another shape are left out, and counted. Training ends with the
    first loss that is not finite: weights are NaN from there on.
    """
    probe = options.probe
    assert probe is not None
    training = _Training(options, Prober(options, caffe, hdf5))
    while not training.over:
        taken = training.taken
        for samples in passes():
            training.take(samples)
            if training.over:
                break
        if training.taken == taken:  # nothing in the whole source that goes into the network
            break
    return training.curve


class _Training:
    """A network on its way through the samples. ``taken`` counts those that went in or wait for a batch."""

    def __init__(self, options: Options, prober: Prober) -> None:
        assert options.probe is not None
        self._options, self._probe, self._prober = options, options.probe, prober
        self._size = options.batch_size or PROBE_BATCH
        self._network: Network | None = None
        self._waiting = _Waiting([], [])
        self.curve = Curve(options.probe.rate)
        self.taken = 0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do."""
        losses = self.curve.losses
        ended = bool(losses) and not math.isfinite(losses[-1])
        return ended or len(losses) >= self._probe.train_steps or bool(self.curve.reason)

    def take(self, samples: SampleBatch) -> None:
        """Train on samples, as far as they fill batches."""
        for block in self._prober.blocks(samples, []):
            labels, present = self._prober.labels_of(samples, block)
            try:
                fitted, model, task = self._prober.model_for(block, labels)
                prepared = self._prober.prepare(block, fitted)
            except Unfit:
                self.curve.left_out += len(block.rows)
                continue
            if not isinstance(model, Network):
                self.curve.reason = "a model of one's own is not trained"
                return
            self._network = self._network or model
            if model is not self._network:
                self.curve.left_out += len(block.rows)
                continue
            targets = targets_of(labels, present, task, self._options.ignore_labels)
            for start in range(0, len(block.rows), self._size):
                part = prepared.part(start, start + self._size)
                stop = start + part.inputs.shape[-1]
                self._waiting.add(part.inputs, targets.part(start, stop))
                self.taken += stop - start
                while self._waiting.count >= self._size and not self.over:
                    untouch()
                    inputs, wanted = self._waiting.pop(self._size)
                    self.curve.losses.append(self._network.step(inputs, wanted, self._probe.rate))
                if self.over:
                    return
