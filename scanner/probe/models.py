"""The networks of a probe: made when samples of a shape are first met, the same in every worker."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..options import ProbeOptions, ProbeTask
from .canary import Model
from .engine import UserModel
from .fitting import Fit, Unfit, fit, fit_model
from .network import build_network

MOST_NETWORKS = 32
"""Networks kept; a set of more shapes makes them again."""


class Models:
    """Networks of our own for samples of any shape, or the one model of the user.

    Raises
    ------
    UsageError
        The user's model can't be used.
    """

    def __init__(self, probe: ProbeOptions) -> None:
        self._probe = probe
        self._made: dict[tuple[Fit, str, int], Model] = {}
        self._own = _user_model(probe)

    @property
    def image_size(self) -> tuple[int | None, int | None] | None:
        """Height and width that the user's model reads; ``None`` where the networks are our own."""
        if self._own is None:
            return None
        return self._own.image_sides

    @property
    def own(self) -> UserModel | None:
        """The user's model."""
        return self._own

    def reads(self, name: str) -> bool:
        """Whether the network is fed the arrays of that name."""
        wanted = None if self._own is None else self._own.reads
        return wanted is None or name.strip("/") == wanted

    def reads_label(self, name: str) -> bool:
        """Whether the labels of that name are trained on."""
        wanted = None if self._own is None else self._own.reads_label
        return wanted is None or name.strip("/") == wanted

    def hold_labels(self, labels: NDArray[Any], task: ProbeTask) -> None:
        """Raise `Unfit` for labels that the user's model can't compare its outputs with."""
        if self._own is None or self._own.loss is None or task.loss != "softmax":
            return
        if labels.ndim == 2 and labels.shape[1] > 1:
            raise Unfit(f"labels are rows of {labels.shape[1]}; the net's loss takes one class number for each sample")

    def fit(self, shape: tuple[int, ...], axes: str, crop: int | None) -> Fit:
        """How arrays of a shape go into the network; raises `Unfit`."""
        if self._own is not None:
            return fit_model(shape, axes, self._own.wanted, crop, self._own.as_stored)
        return fit(shape, axes, self._probe.net, crop)

    def get(self, fitted: Fit, task: ProbeTask) -> Model:
        """The network for samples that fit so."""
        key = (fitted, task.loss, task.outputs)
        if key not in self._made:
            if len(self._made) >= MOST_NETWORKS:
                self._made.clear()
            self._made[key] = self._make(fitted, task)
        return self._made[key]

    def _make(self, fitted: Fit, task: ProbeTask) -> Model:
        if self._own is not None:
            return self._own.network(fitted.shape, task)
        units, half = self._probe.num_units, self._probe.dtype == "float16"
        return build_network(fitted.kind, fitted.shape, task.outputs, task.loss, units=units, half=half)

    def describe(self, fitted: Fit) -> str:
        """The network in words: its kind and what it reads of samples of which shape."""
        read = "x".join(map(str, fitted.shape))
        whole = "x".join(map(str, fitted.seen_as))
        kind = fitted.kind if self._own is None else self._own.kind
        return f"{kind} on {read}" + (f" of {whole}" if whole != read else "")


def _user_model(probe: ProbeOptions) -> UserModel | None:
    if probe.caffe is not None:
        from .caffe.model import CaffeModel

        return CaffeModel(probe)
    if probe.onnx is not None:
        from .onnx_model import OnnxModel

        return OnnxModel(probe.onnx)
    if probe.torch is not None:
        from .torch_model import TorchModel

        return TorchModel(probe.torch)
    return None
