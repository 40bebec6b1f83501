"""Losses: of each sample, and their gradients.

``outputs`` is ``(k, n)``. A gradient is that of the sum over the samples; what is asked of a batch divides by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from .layers import Array

LossName = Literal["softmax", "sigmoid", "squared"]


def softmax_loss(outputs: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax: ``(n,)`` for class labels ``(n,)``.

    Not clamped: Caffe takes no probability below 1.2e-38 for the logarithm, so that its loss ends at 87.3365.
    """
    shifted = outputs - outputs.max(axis=0)
    total = np.log(np.exp(shifted).sum(axis=0))
    losses: Array = total - shifted[labels, np.arange(len(labels))]
    return losses


def softmax_gradient(outputs: Array, labels: Array) -> Array:
    """Of the outputs, ``(k, n)``."""
    powers = np.exp(outputs - outputs.max(axis=0))
    powers /= powers.sum(axis=0)
    powers[labels, np.arange(len(labels))] -= 1
    gradient: Array = powers
    return gradient


def sigmoid_loss(outputs: Array, targets: Array) -> Array:
    """Cross-entropy of independent sigmoids, summed over a sample's outputs; targets ``(n, k)`` in 0..1."""
    zero = outputs.dtype.type(0)
    losses: Array = np.maximum(outputs, zero) - outputs * targets.T + np.log1p(np.exp(-np.abs(outputs)))
    summed: Array = losses.sum(axis=0)
    return summed


def sigmoid_gradient(outputs: Array, targets: Array) -> Array:
    """Of the outputs, ``(k, n)``."""
    half = outputs.dtype.type(0.5)
    gradient: Array = half * (1 + np.tanh(half * outputs)) - targets.T
    return gradient


def squared_loss(outputs: Array, targets: Array) -> Array:
    """Half the squared distance to targets ``(n, k)``, as Caffe's EuclideanLoss has it."""
    distance = outputs - targets.T
    losses: Array = outputs.dtype.type(0.5) * (distance * distance).sum(axis=0)
    return losses


def squared_gradient(outputs: Array, targets: Array) -> Array:
    """Of the outputs, ``(k, n)``."""
    gradient: Array = outputs - targets.T
    return gradient


LOSSES: dict[LossName, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "softmax": (softmax_loss, softmax_gradient),
    "sigmoid": (sigmoid_loss, sigmoid_gradient),
    "squared": (squared_loss, squared_gradient),
}
"""Loss and gradient by name."""
