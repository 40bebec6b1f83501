"""What a layer is made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...training.net_spec import Layer
from ..layers import Array, Shape

Run = Callable[[Sequence[Array]], Sequence[Array]]
"""Computes a layer's tops from its bottoms, samples first."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A layer in its net.

    Attributes
    ----------
    bottoms, tops
        Shapes with the net's batch size as the first side.
    blobs
        The weights, in Caffe's order and shapes.
    training
        Whether the phase is TRAIN.
    """

    layer: Layer
    bottoms: tuple[Shape, ...]
    tops: tuple[Shape, ...]
    blobs: tuple[Array, ...]
    training: bool


Make = Callable[[Setting], Run]


def each(function: Callable[[Array], Array]) -> Run:
    """A layer that makes each top from one bottom."""
    return lambda bottoms: [function(values) for values in bottoms]
