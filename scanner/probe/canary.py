"""Canaries: samples with one NaN, one Inf and one 3e38, run through a model before it is trusted.

A model can hide what it is given: gates saturate, MAX pooling drops NaN in many libraries, a clamp makes a number of
anything. The report then says so.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .network import LayerLine, Passed

CANARIES = {"NaN": np.nan, "Inf": np.inf, "3e38": 3e38}


class Model(Protocol):
    """What runs samples: a `Network` of our own, or a user's model."""

    kind: str
    shape: tuple[int, ...]
    half: bool

    @property
    def outputs(self) -> int:
        """Number of outputs."""

    @property
    def widest(self) -> int:
        """Most values that one sample takes on the way."""

    def summary(self) -> list[LayerLine]:
        """One line for each layer."""

    def forward(self, inputs: NDArray[Any], targets: NDArray[Any], /) -> Passed:
        """Losses of samples ``(..., n)``, and where values were not finite."""


def masked_by(model: Model, targets: NDArray[Any]) -> list[str]:
    """The canaries that leave the model's loss finite; ``targets`` are those of one sample for each canary."""
    inputs = np.full((*model.shape, len(CANARIES)), 0.5, np.float32)
    flat = inputs.reshape(-1, len(CANARIES))
    middle = len(flat) // 2
    flat[middle] = list(CANARIES.values())
    losses = model.forward(inputs, targets).losses
    return [name for name, loss in zip(CANARIES, losses.tolist(), strict=True) if np.isfinite(loss)]
