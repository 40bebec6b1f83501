"""Arrays of samples on their way into a network: looked at in full, thinned out, preprocessed, samples last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rules.magnitude import largest_bound
from .fitting import Fit
from .layers import Array, as_stored
from .preprocessing import Constants

LARGE = {False: 1e15, True: 2048.0}
"""Magnitudes from which on one value can make a small network overflow, in single and (``True``) half precision."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """What a close look at one sample's values gave.

    ``finite`` and ``sound`` are as in `network.Seen`, for every preprocessed value and not only for those that the
    network gets. ``value`` is the one at ``place`` of the view, as stored, and ``prepared`` what preprocessing makes
    of it: the first that is not finite, else the largest.
    """

    finite: bool
    sound: bool
    place: tuple[int, ...]
    value: float
    prepared: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """Some samples: ``inputs`` is ``(..., n)``, ``suspects`` are by place among them."""

    inputs: Array
    suspects: dict[int, Suspect]


class Preparation:
    """Prepares the samples of one block. ``full`` and ``taken`` are the constants of the preprocessing."""

    def __init__(self, values: NDArray[Any], fitted: Fit, full: Constants, taken: Constants, half: bool) -> None:
        self._view = fitted.viewed(values)
        self._fitted, self._full, self._taken, self._half = fitted, full, taken, half
        self._large = LARGE[half]
        bounds = _bounds(values)
        with np.errstate(all="ignore"):
            reach = (bounds + np.abs(full.mean).max(initial=0)) * np.abs(full.factor).max(initial=0)
        self._suspect = ~(reach <= self._large)

    def __len__(self) -> int:
        return len(self._view)

    def part(self, start: int, stop: int) -> Prepared:
        """The samples from ``start`` up to ``stop``."""
        stop = min(stop, len(self._view))
        places = tuple(axis.places for axis in self._fitted.axes)
        picked = self._view[(slice(start, stop), *places)]
        axes = (*range(1, picked.ndim), 0)
        inputs = np.empty((*picked.shape[1:], stop - start), np.float32)
        with np.errstate(all="ignore"):
            inputs[...] = picked.transpose(axes)
            if self._taken.mean.any():
                inputs -= self._taken.mean[..., None]
            if (self._taken.factor != 1).any():
                inputs *= self._taken.factor[..., None]
        suspects = {}
        for place in np.flatnonzero(self._suspect[start:stop]).tolist():
            suspect = self._look(start + place, inputs[..., place])
            if suspect is not None:
                suspects[place] = suspect
        return Prepared(self._arranged(inputs), suspects)

    def _arranged(self, inputs: Array) -> Array:
        n = inputs.shape[-1]
        if self._fitted.kind == "lstm" and inputs.ndim == 4:  # an image's rows are the steps
            inputs = inputs.transpose(1, 0, 2, 3)
        return np.ascontiguousarray(inputs).reshape(*self._fitted.shape, n)

    def _look(self, sample: int, taken: Array) -> Suspect | None:
        """Look at every value of a sample; put those that matter into their cells of what is taken of it."""
        stored = self._view[sample][tuple(axis.inside for axis in self._fitted.axes)]
        values = as_stored(self._full.apply(stored), self._half)
        with np.errstate(all="ignore"):
            magnitudes = np.abs(values)
            large = ~(magnitudes <= self._large)
            if not large.any():
                return None
            places = np.argwhere(large)
            order = np.argsort(magnitudes[large], kind="stable")  # NaN last: what is written last stays
            cells = tuple(
                np.minimum(places[order, number] // axis.step, axis.count - 1)
                for number, axis in enumerate(self._fitted.axes)
            )
            taken[cells] = values[large][order]
            flat = values.reshape(-1)
            finite = bool(np.isfinite(flat).all())
            sound = finite and (self._half or bool(np.isfinite(np.dot(flat, flat))))
        first = places[0] if finite else np.argwhere(~np.isfinite(values))[0]
        if finite:
            first = np.unravel_index(int(magnitudes.argmax()), magnitudes.shape)
        inside = tuple(int(one) for one in first)
        place = tuple(one + axis.first for one, axis in zip(inside, self._fitted.axes, strict=True))
        return Suspect(finite, sound, place, float(stored[inside]), float(values[inside]))


def _bounds(values: NDArray[Any]) -> NDArray[np.float64]:
    """For each sample, a bound of its magnitudes."""
    if values.dtype.kind == "f":
        return largest_bound(values)
    if values.dtype.kind in "iu" and values.dtype.itemsize > 1:
        flat = values.reshape(len(values), -1)
        highest, lowest = flat.max(axis=1).astype(np.float64), flat.min(axis=1).astype(np.float64)
        bounds: NDArray[np.float64] = np.maximum(np.abs(highest), np.abs(lowest))
        return bounds
    return np.full(len(values), 255.0)
