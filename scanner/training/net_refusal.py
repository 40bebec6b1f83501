"""What Caffe refuses when it sets a layer up: raised where it is met, and told as a finding."""

from __future__ import annotations

from collections.abc import Sequence

from ..finding import Finding
from .net_facts import Dim, Shape
from .net_rules import NetParameter, NetShape
from .net_spec import Layer
from .rules import FileRule


class Refusal(Exception):
    """Caffe stops here; nothing is known of the layer's tops."""

    def __init__(self, rule: type[FileRule], layer: Layer, message: str, line: int, remedy: str) -> None:
        super().__init__(message)
        self.finding: Finding = rule.finding(
            f"layer {layer.name}: {message}: Caffe stops", line, cause="aborted", remedy=remedy, layer=layer.name
        )


def bad_parameter(layer: Layer, message: str, line: int, remedy: str) -> Refusal:
    """A parameter outside what Caffe takes."""
    return Refusal(NetParameter, layer, message, line, remedy)


def bad_shape(layer: Layer, message: str, line: int, remedy: str) -> Refusal:
    """Shapes that do not fit."""
    return Refusal(NetShape, layer, message, line, remedy)


def spoken(shape: Shape) -> str:
    """``10x3x32x32``, with a question mark for what is not known."""
    if shape is None:
        return "an unknown shape"
    return "x".join("?" if dim is None else str(dim) for dim in shape) or "a single number"


def count(shape: Sequence[Dim]) -> Dim:
    """Elements; 0 as soon as one size is 0, unknown where one is not known."""
    total = 1
    unknown = False
    for dim in shape:
        if dim == 0:
            return 0
        if dim is None:
            unknown = True
        else:
            total *= dim
    return None if unknown else total


def axis_of(layer: Layer, shape: Sequence[Dim], axis: int, line: int) -> int:
    """An axis counted from the front; negative ones count from the end.

    Raises
    ------
    Refusal
        The blob has no such axis.
    """
    if -len(shape) <= axis < len(shape):
        return axis % len(shape)
    raise bad_shape(
        layer,
        f"axis {axis} is out of range for a blob of {len(shape)} axes ({spoken(tuple(shape))})",
        line,
        "axis: 1" if len(shape) > 1 else "axis: 0",
    )


def same(one: Dim, other: Dim) -> bool:
    """Whether two sizes may be equal."""
    return one is None or other is None or one == other


def alike(one: Shape, other: Shape) -> bool:
    """Whether two shapes may be equal."""
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
