"""What a user's own model gives, whatever runs it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.errors import UsageError
from ..options import ProbeTask
from .canary import Model
from .layers import Array
from .losses import LOSSES
from .losses import LossName as LossKind
from .network import INPUT, LayerLine, Passed, Seen

SMALLEST_PROBABILITY = 1.1754944e-38


class UserModel(ABC):
    """A model from a file.

    Attributes
    ----------
    kind
        What it is, for the report.
    wanted
        The shape of one sample that it reads; ``None`` for sides of any length.
        ``None`` altogether where it takes samples of any shape, or says so when it gets them.
    parameters
        Number of its parameters.
    as_stored
        It reads arrays of samples as they are stored, whatever their axes mean.
    reads, reads_label
        Names of the arrays and labels that it is fed; ``None`` for whatever there is.
    loss
        What the labels are to a loss of its own; ``None`` where it has none.
    """

    kind: str
    wanted: tuple[int | None, ...] | None
    parameters: int = 0
    as_stored = False
    reads: str | None = None
    reads_label: str | None = None
    loss: LossKind | None = None

    @property
    def image_sides(self) -> tuple[int | None, int | None]:
        """Height and width of the images that it reads, ``None`` where it takes any."""
        if self.wanted is None:
            return None, None
        if len(self.wanted) == 3:
            last = self.wanted[2] in (1, 3, 4) and self.wanted[0] not in (1, 3, 4)
            return (self.wanted[0], self.wanted[1]) if last else (self.wanted[1], self.wanted[2])
        if len(self.wanted) == 2:
            return self.wanted[0], self.wanted[1]
        return None, None

    def fault(self) -> str | None:
        """Why every loss is spoilt by its weights alone, ``None`` if none is."""
        return None

    def notes(self) -> list[str]:
        """What else the report shall say of it."""
        return []

    @abstractmethod
    def network(self, shape: tuple[int, ...], task: ProbeTask) -> Model:
        """The model for samples of one shape, with its loss."""


class PlainModel(UserModel):
    """A model that gives outputs; its loss is put behind them."""

    @abstractmethod
    def run(self, samples: NDArray[np.float32]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """The output for samples ``(n, ...)``, and by name what can be seen on the way, samples first."""

    def network(self, shape: tuple[int, ...], task: ProbeTask) -> Model:
        """See `UserModel.network`."""
        return OwnNetwork(self, shape, task)


class OwnNetwork:
    """A user's model as the probe runs networks: `canary.Model`. A loss is put behind its output."""

    half = False

    def __init__(self, model: PlainModel, shape: tuple[int, ...], task: ProbeTask) -> None:
        self._model, self.shape, self._task = model, shape, task
        self.kind = model.kind
        with np.errstate(all="ignore"):
            outputs, watched = self._run(np.zeros((1, *shape), np.float32))
        self.outputs = int(outputs.shape[1])
        self._layers = [LayerLine(name, "", values.shape[1:], 0) for name, values in watched.items()]
        if task.loss == "softmax" and self.outputs < 2:
            raise UsageError(f"the {self.kind} has {self.outputs} output, which can't tell classes apart: give --loss")
        if task.loss != "softmax" and self.outputs != task.outputs:
            raise UsageError(f"the {self.kind} has {self.outputs} outputs, the labels have {task.outputs} values")

    @property
    def widest(self) -> int:
        """See `canary.Model`."""
        return max([math.prod(self.shape), self.outputs, *(math.prod(line.shape) for line in self._layers)])

    def summary(self) -> list[LayerLine]:
        """See `canary.Model`."""
        return [LayerLine("model", self.kind, (self.outputs,), self._model.parameters)]

    def forward(self, inputs: Array, targets: Array) -> Passed:
        """See `canary.Model`."""
        samples = np.ascontiguousarray(np.moveaxis(inputs, -1, 0))
        outputs, watched = self._run(samples)
        seen = [seen_in(INPUT, samples, squares=True)]
        seen += [seen_in(name, values) for name, values in watched.items()]
        seen.append(seen_in("output", outputs))
        with np.errstate(all="ignore"):
            losses = losses_behind(outputs, targets, self._task.loss)
        return Passed(losses, tuple(one for one in seen if not one.sound.all()))

    def _run(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
        try:
            outputs, watched = self._model.run(samples)
        except UsageError:
            raise
        except Exception as exc:  # whatever a runtime raises for a shape that does not fit
            reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
            raise UsageError(f"the {self.kind} can't run samples of {self.shape}: {reason}") from exc
        if np.ndim(outputs) == 0 or len(outputs) != len(samples):
            raise UsageError(f"the {self.kind} gives {np.shape(outputs)} for {len(samples)} samples")
        return outputs.reshape(len(samples), -1).astype(np.float32), watched


def losses_behind(outputs: NDArray[np.float32], targets: Array, loss: LossKind) -> Array:
    """The loss of each sample's outputs ``(n, k)``.

    Outputs that are probabilities already (none below 0, each sample's sum is 1) have the logarithm's loss.
    """
    if loss == "softmax" and bool(((outputs >= 0) | np.isnan(outputs)).all()):
        sums = outputs.sum(axis=1)
        if bool((np.isnan(sums) | (np.abs(sums - 1) < 1e-3)).all()):
            picked = outputs[np.arange(len(outputs)), targets]
            losses: Array = -np.log(np.maximum(picked, np.float32(SMALLEST_PROBABILITY)))
            return losses
    return LOSSES[loss][0](outputs.T, targets)


def seen_in(name: str, values: NDArray[Any], squares: bool = False) -> Seen:
    """Which samples are finite in an array that has them first."""
    if values.dtype.kind != "f":
        whole = np.ones(len(values), np.bool_)
        return Seen(name, whole, whole)
    flat = values.reshape(len(values), -1)
    finite = np.logical_and.reduce(np.isfinite(flat), axis=1)
    if not squares:
        return Seen(name, finite, finite)
    with np.errstate(all="ignore"):
        return Seen(name, finite, finite & np.isfinite(np.einsum("nf,nf->n", flat, flat)))
