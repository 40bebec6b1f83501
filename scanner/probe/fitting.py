"""How samples of any shape become the input of a small network.

Three views are told apart: an image ``(channels, height, width)``, a sequence ``(steps, values)`` and a vector
``(values,)``. What is larger than a small network is meant for is thinned out: every k-th pixel, step or value is taken
(`Grid`). That loses nothing the probe is after: values are looked at in full before (see `inputs`), and what is not
finite or large goes into the cell that it lies in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

View = Literal["image", "sequence", "vector"]

SIDE = {"conv": 16, "lstm": 32, "mlp": 16, "softmax": 16}
"""Most pixels of an image along each side, by network."""

STEPS, STEP_VALUES, VALUES = 64, 128, 1024
"""Most steps of a sequence, values of a step, and values of a vector."""

CHANNELS = 16


class Unfit(ValueError):
    """Samples of a shape that a network can't take; the message says why."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thinned axis: every ``step``-th place of the crop, which is from ``first`` up to ``stop``."""

    first: int
    stop: int
    step: int

    @property
    def places(self) -> slice:
        """The places that are taken: the middle one of each cell."""
        return slice(self.first + min(self.step // 2, (self.stop - self.first - 1) // 2), self.stop, self.step)

    @property
    def count(self) -> int:
        """How many places are taken."""
        return len(range(*self.places.indices(self.stop)))

    @property
    def inside(self) -> slice:
        """What the crop leaves."""
        return slice(self.first, self.stop)


@dataclass(frozen=True, slots=True)
class Fit:
    """How arrays of one shape go into one kind of network.

    Attributes
    ----------
    kind
        ``softmax``, ``mlp``, ``conv``, ``lstm``, or ``model`` for a user's own.
    view, seen_as
        What the array is taken for, and its shape as such.
    moved
        Where the last axis holds the channels, it is moved to the front.
    axes
        The places that are taken along each axis of ``seen_as``.
    shape
        What the network gets of one sample.
    """

    kind: str
    view: View
    seen_as: tuple[int, ...]
    moved: bool
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]

    @property
    def cropped(self) -> tuple[int, ...]:
        """The shape behind the crop."""
        return tuple(axis.stop - axis.first for axis in self.axes)

    @property
    def thinned(self) -> tuple[int, ...]:
        """The shape of what is taken."""
        return tuple(axis.count for axis in self.axes)

    def viewed(self, values: NDArray[Any]) -> NDArray[Any]:
        """``(n, *seen_as)`` of a block's values ``(n, ...)``, without a copy where that is possible."""
        if self.moved:
            values = values.reshape(len(values), *self.seen_as[1:], self.seen_as[0])
            return values.transpose(0, 3, 1, 2)
        return values.reshape(len(values), *self.seen_as)

    def element(self, place: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Coordinates in the stored array of shape ``shape`` of a place in ``seen_as``; ``None`` for a single value."""
        if not shape:
            return None
        if self.moved:
            place = (*place[1:], place[0])
        sides = (*self.seen_as[1:], self.seen_as[0]) if self.moved else self.seen_as
        flat = 0
        for side, one in zip(sides, place, strict=True):
            flat = flat * side + one
        found: list[int] = []
        for side in reversed(shape):
            flat, one = divmod(flat, side)
            found.append(one)
        return tuple(reversed(found))


def fit(shape: tuple[int, ...], axes: str, net: str, crop: int | None = None) -> Fit:
    """How arrays of a shape (one sample, its axes as `ArrayBlock.axes` names them) go into a network.

    Raises
    ------
    Unfit
        They can't.
    """
    view, seen_as, moved = _seen_as(shape, axes)
    kind = net if net != "auto" else {"image": "conv", "sequence": "lstm", "vector": "mlp"}[view]
    if kind == "conv" and view == "sequence":
        view, seen_as = "image", (1, *seen_as)
    if (kind == "conv" and view != "image") or (kind == "lstm" and view == "vector"):
        wanted = "images" if kind == "conv" else "sequences or images"
        raise Unfit(f"a {kind} network reads {wanted}; the samples are {_sides(shape)}")
    places = tuple(
        Axis(first, stop, math.ceil((stop - first) / most))
        for (first, stop), most in zip(_cropped(view, seen_as, crop), _most(kind, view), strict=True)
    )
    thinned = tuple(axis.count for axis in places)
    if kind == "conv" or (kind == "lstm" and view == "sequence"):
        return Fit(kind, view, seen_as, moved, places, thinned)
    if kind == "lstm":
        return Fit(kind, view, seen_as, moved, places, (thinned[1], thinned[0] * thinned[2]))
    return Fit(kind, view, seen_as, moved, places, (math.prod(thinned),))


def fit_model(
    shape: tuple[int, ...],
    axes: str,
    wanted: tuple[int | None, ...] | None,
    crop: int | None = None,
    as_stored: bool = False,
) -> Fit:
    """How arrays go into a user's own model, of which ``wanted`` is one sample's shape (``None``: any length).

    Without ``wanted`` it gets what there is, images with their channels first; ``as_stored``, without even that.

    Raises
    ------
    Unfit
        They don't.
    """
    view, seen_as, moved = _seen_as(shape, axes)
    if as_stored:
        view, seen_as, moved, crop = "vector", (math.prod(shape),), False, None
    places = tuple(Axis(first, stop, 1) for first, stop in _cropped(view, seen_as, crop))
    cropped = tuple(axis.count for axis in places)
    if wanted is None:
        return Fit("model", view, seen_as, moved, places, shape if view == "vector" else cropped)
    if as_stored and _matches(shape, wanted):
        return Fit("model", view, seen_as, moved, places, shape)
    if _matches(cropped, wanted):
        return Fit("model", view, seen_as, moved, places, cropped)
    last = (*cropped[1:], cropped[0])
    if moved and _matches(last, wanted):  # the model wants the channels last as well: left where they are
        return Fit("model", "sequence", shape, False, (*places[1:], places[0]), last)
    if view == "image" and cropped[0] == 1 and _matches(cropped[1:], wanted):
        return Fit("model", view, seen_as, moved, places, cropped[1:])
    if _matches((math.prod(cropped),), wanted):
        return Fit("model", view, seen_as, moved, places, (math.prod(cropped),))
    text = "x".join("?" if side is None else str(side) for side in wanted)
    raise Unfit(f"samples are {_sides(cropped)}{' after the crop' if crop else ''}, the model reads {text}")


def _seen_as(shape: tuple[int, ...], axes: str) -> tuple[View, tuple[int, ...], bool]:
    if math.prod(shape) == 0:
        raise Unfit(f"the samples hold no values ({_sides(shape)})")
    if axes == "CHW":
        return "image", shape, False
    if axes == "HWC":
        return "image", (shape[2], shape[0], shape[1]), True
    if axes == "HW":
        return "image", (1, *shape), False
    if len(shape) == 2:
        return "sequence", shape, False
    return "vector", (math.prod(shape),), False


def _cropped(view: View, seen_as: tuple[int, ...], crop: int | None) -> list[tuple[int, int]]:
    """The range that the crop leaves of each axis: Caffe's centre crop in the test phase."""
    if crop is None or view != "image":
        return [(0, side) for side in seen_as]
    if min(seen_as[1:]) < crop:
        raise Unfit(f"the crop of {crop} is larger than the image, {seen_as[2]}x{seen_as[1]}")
    starts = [(side - crop) // 2 for side in seen_as[1:]]
    return [(0, seen_as[0]), *((start, start + crop) for start in starts)]


def _most(kind: str, view: View) -> tuple[int, ...]:
    if view == "image":
        return (CHANNELS, SIDE[kind], SIDE[kind])
    if view == "sequence":
        return (STEPS, STEP_VALUES)
    return (VALUES,)


def _matches(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(w in (None, side) for side, w in zip(shape, wanted, strict=True))


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "single values"
