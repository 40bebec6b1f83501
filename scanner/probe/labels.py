"""Labels as a network's targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..options import LossName, ProbeTask
from ..sample import LabelBlock

GUESSES = (10, 100, 1000, 10_000, 100_000)
"""Numbers of classes that are taken where nobody says how many there are."""


UNLABELLED = -1
"""What every label of a set is that has none."""


def choose_task(labels: LabelBlock | None, loss: LossName, outputs: int | None, num_classes: int | None) -> ProbeTask:
    """The task that some labels ask for."""
    given = outputs or num_classes
    if labels is None or not len(labels.rows):
        return ProbeTask(
            loss if loss != "auto" else "softmax", given or GUESSES[0], given is not None, labels is not None
        )
    values = labels.values
    with np.errstate(all="ignore"):
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
        if values.ndim == 2:
            known = _loss_of_rows(values, finite) if loss == "auto" else loss
            return ProbeTask(known, values.shape[1], known == "softmax", True)
        whole = not finite.size or bool((finite == np.floor(finite)).all())
        if loss == "squared" or (loss == "auto" and not whole):
            return ProbeTask("squared", 1, False, True)
        if loss == "sigmoid":
            return ProbeTask("sigmoid", 1, False, True)
        largest = float(finite.max(initial=0))
        unlabelled = bool(finite.size) and bool((finite == UNLABELLED).all())
    guess = next((number for number in GUESSES if number > largest), GUESSES[-1])
    return ProbeTask("softmax", given or guess, given is not None, not unlabelled)


def _loss_of_rows(values: NDArray[Any], finite: NDArray[Any]) -> Literal["softmax", "sigmoid", "squared"]:
    """Rows of one 1 are classes, of several labels of 0 and 1; what else is a number to be met."""
    if finite.size and bool(((finite == 0) | (finite == 1)).all()):
        sums = np.nansum(values.astype(np.float64), axis=1)
        return "softmax" if values.shape[1] > 1 and bool((sums == 1).all()) else "sigmoid"
    return "squared"


def adapted(task: ProbeTask, labels: NDArray[Any] | None) -> ProbeTask:
    """The task for labels of another width than those that it was chosen for."""
    width = 1 if labels is None or labels.ndim == 1 else labels.shape[1]
    if labels is None or width == task.outputs or (task.loss == "softmax" and labels.ndim == 1):
        return task
    return replace(task, outputs=width)


@dataclass(slots=True)
class Targets:
    """Targets of some rows: ``values`` ``(n,)`` for classes, else ``(n, outputs)`` float32.

    ``complaints`` say by place what is wrong with a label, ``spoilt`` are the places whose label is not finite, and
    ``skipped`` those that training ignores.
    """

    values: NDArray[Any]
    complaints: dict[int, str]
    spoilt: NDArray[np.bool_]
    skipped: NDArray[np.bool_]

    def part(self, start: int, stop: int) -> NDArray[Any]:
        """The targets of some places."""
        return self.values[start:stop]


def targets_of(
    labels: NDArray[Any] | None, present: NDArray[np.bool_], task: ProbeTask, ignored: tuple[int, ...]
) -> Targets:
    """Targets from labels ``(n,)`` or ``(n, k)``; rows that are not ``present`` have none and count as 0."""
    n = len(present)
    nobody = np.zeros(n, np.bool_)
    if labels is None:
        return Targets(blank_targets(task, n), {}, nobody, nobody)
    labels = np.where(present.reshape(-1, *[1] * (labels.ndim - 1)), labels, labels.dtype.type(0))
    if task.loss != "softmax":
        return _numbers(labels)
    if labels.ndim == 2:
        return _one_hot(labels)
    return _classes(labels, present, task, ignored)


def _numbers(labels: NDArray[Any]) -> Targets:
    with np.errstate(all="ignore"):
        numbers = labels.reshape(len(labels), -1).astype(np.float32)
    finite = np.logical_and.reduce(np.isfinite(numbers), axis=1)
    return Targets(numbers, {}, ~finite, np.zeros(len(numbers), np.bool_))


def _one_hot(labels: NDArray[Any]) -> Targets:
    with np.errstate(all="ignore"):
        numbers = labels.astype(np.float64)
    finite = np.logical_and.reduce(np.isfinite(numbers), axis=1)
    spoilt = ~finite
    classes = np.where(spoilt, 0, np.nan_to_num(numbers).argmax(axis=1))
    return Targets(classes, {}, spoilt, np.zeros(len(labels), np.bool_))


def _classes(labels: NDArray[Any], present: NDArray[np.bool_], task: ProbeTask, ignored: tuple[int, ...]) -> Targets:
    with np.errstate(all="ignore"):
        numbers = labels.astype(np.float64)
        spoilt = ~np.isfinite(numbers)
        whole = np.trunc(np.where(spoilt, 0, numbers))  # readers cut 2.7 to 2
    skipped = np.isin(whole, ignored) & present & ~spoilt
    beyond = (whole < 0) | (whole >= task.outputs if task.known else whole >= 2.0**53)
    if not task.labelled:
        skipped |= (whole == UNLABELLED) & ~spoilt
    complaints = {
        place: f"label {labels[place]} is none of the network's {task.outputs:,} outputs"
        for place in np.flatnonzero(beyond & ~skipped).tolist()
    }
    classes = np.where(beyond | skipped, 0, whole).astype(np.int64) % task.outputs
    return Targets(classes, complaints, spoilt, skipped)


def blank_targets(task: ProbeTask, n: int) -> NDArray[Any]:
    """Class 0, or zeros, for each of n samples."""
    return np.zeros(n, np.int64) if task.loss == "softmax" else np.zeros((n, task.outputs), np.float32)
