"""A user's own Caffe net as a model of the probe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....backends.errors import StoreError, UsageError
from ...options import ProbeOptions, ProbeTask
from ...training.binaryproto import StoredBlob, UnreadBlob, read_blob
from ...training.doctor_weights import layer_weights
from ...training.net_graph import Node
from ...training.net_refusal import Refusal
from ...training.net_shapes import shapes_of
from ...training.net_spec import Layer
from ..engine import UserModel, losses_behind, seen_in
from ..fitting import Unfit
from ..layers import Array, Shape, as_stored
from ..network import INPUT, LayerLine, Passed
from .blobs import blobs_for
from .losses import infogain_loss
from .net import LAYERS, CaffeNet, find_file, read_caffe_net
from .setting import Run, Setting


class CaffeModel(UserModel):
    """A net in prototxt with the weights of a ``.caffemodel``, or fresh ones where there are none.

    Raises
    ------
    UsageError
        The net or the weights can't be used.
    """

    kind = "caffe net"

    def __init__(self, probe: ProbeOptions) -> None:
        assert probe.caffe is not None
        self._probe = probe
        self.net = read_caffe_net(probe.caffe, "TEST" if probe.phase == "test" else "TRAIN")
        self._stored: dict[str, list[StoredBlob]] = {}
        if probe.weights is not None:
            try:
                self._stored = layer_weights(Path(probe.weights))
            except StoreError as exc:
                raise UsageError(str(exc)) from exc
            if not any(node.layer.name in self._stored for node in self.net.nodes):
                raise UsageError(f"{probe.weights} has weights for no layer of {probe.caffe}: layers are found by name")
        self.wanted = self.net.sides
        self.as_stored = self.net.hdf5
        self.loss = self.net.loss
        if self.net.hdf5:
            self.reads = self.net.data.name
            self.reads_label = None if self.net.label is None else self.net.label.name

    def fault(self) -> str | None:
        """See `UserModel.fault`."""
        for node in self.net.nodes:
            for number, blob in enumerate(self._stored.get(node.layer.name, ())):
                bad = int(blob.values.size - np.count_nonzero(np.isfinite(blob.values)))
                if bad:
                    return (
                        f"the weights {self._probe.weights} hold {bad:,} values that are not finite in layer "
                        f"{node.layer.name} (array {number}, of {blob.values.size:,}): every loss is spoilt"
                    )
        return None

    def notes(self) -> list[str]:
        """See `UserModel.notes`."""
        missing = [
            node.layer.name
            for node in self.net.nodes
            if self._stored and node.layer.name not in self._stored and _weighs(node.layer)
        ]
        if not missing:
            return []
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        return [f"{self._probe.weights} has no weights for {shown}: they are drawn as the net's fillers say"]

    def network(self, shape: Shape, task: ProbeTask) -> CaffeNetwork:
        """See `UserModel.network`."""
        return CaffeNetwork(self.net, self._stored, shape, task, self._probe)


def _weighs(layer: Layer) -> bool:
    """Whether a layer has weights; Scale and Bias of two bottoms have none."""
    weighted = ("BatchNorm", "Convolution", "Deconvolution", "Embed", "InnerProduct", "PReLU")
    return layer.type in weighted or (layer.type in ("Bias", "Scale") and len(layer.bottoms) == 1)


class CaffeNetwork:
    """The net for samples of one shape: `canary.Model`. Losses are those of the net, where it has any.

    Raises
    ------
    Unfit
        The samples or labels do not fit the net.
    UsageError
        The weights do not.
    """

    kind = CaffeModel.kind

    def __init__(
        self,
        net: CaffeNet,
        stored: dict[str, list[StoredBlob]],
        shape: Shape,
        task: ProbeTask,
        probe: ProbeOptions,
    ) -> None:
        self.shape, self.half = shape, probe.dtype == "float16"
        self._net, self._task, self._probe = net, task, probe
        self._shapes: dict[int, Shape] = {id(net.data): (net.batch, *shape)}
        if net.label is not None:
            self._shapes[id(net.label)] = _label_shape(net, task)
        self._lines: list[LayerLine] = []
        shared: dict[str, Array] = {}
        self._runs = [(node, self._made(node, stored, shared)) for node in net.nodes]
        self._last_use = {id(blob): number for number, node in enumerate(net.nodes) for blob in node.bottoms}
        self._last_use[id(net.output)] = len(net.nodes)
        self._last_use |= {id(blob): len(net.nodes) for blob, _ in net.losses}
        output = self._shapes[id(net.output)]
        classes = task.loss == "softmax" and net.loss is not None
        self.outputs = (output[1] if len(output) > 1 else 1) if classes else math.prod(output[1:])
        if net.loss is None and task.loss != "softmax" and self.outputs != task.outputs:
            raise UsageError(f"the {self.kind} has {self.outputs} outputs, the labels have {task.outputs} values")

    @property
    def widest(self) -> int:
        """See `canary.Model`."""
        return max([math.prod(self.shape), *(math.prod(line.shape) for line in self._lines)])

    def summary(self) -> list[LayerLine]:
        """See `canary.Model`."""
        return self._lines

    def forward(self, inputs: Array, targets: Array) -> Passed:
        """See `canary.Model`."""
        samples = as_stored(np.ascontiguousarray(np.moveaxis(inputs, -1, 0)), self.half)
        seen = [seen_in(INPUT, samples, squares=True)]
        blobs: dict[int, Array] = {id(self._net.data): samples}
        if self._net.label is not None:
            blobs[id(self._net.label)] = targets.astype(np.float32)
        with np.errstate(all="ignore"):
            for number, (node, run) in enumerate(self._runs):
                tops = run([blobs[id(blob)] for blob in node.bottoms])
                for blob, values in zip(node.tops, tops, strict=False):
                    blobs[id(blob)] = as_stored(np.asarray(values, np.float32), self.half)
                    seen.append(seen_in(node.layer.name, blobs[id(blob)]))
                for blob in node.bottoms:
                    if self._last_use[id(blob)] == number:
                        blobs.pop(id(blob), None)
            losses = self._loss(blobs, targets)
        return Passed(losses, tuple(one for one in seen if not one.sound.all()))

    def _loss(self, blobs: dict[int, Array], targets: Array) -> Array:
        if not self._net.losses:
            outputs = blobs[id(self._net.output)]
            return losses_behind(outputs.reshape(len(outputs), -1), targets, self._task.loss)
        total: Any = np.float32(0)
        for blob, weight in self._net.losses:
            values = blobs[id(blob)]
            total = total + np.float32(weight) * values.reshape(len(values), -1).sum(axis=1)
        losses: Array = as_stored(np.asarray(total, np.float32), self.half)
        return losses

    def _made(self, node: Node, stored: dict[str, list[StoredBlob]], shared: dict[str, Array]) -> Run:
        """A layer, ready to run; its tops' shapes are noted."""
        layer = node.layer
        bottoms = tuple(self._shapes[id(blob)] for blob in node.bottoms)
        try:
            found = shapes_of(layer, bottoms)
        except Refusal as refusal:
            raise Unfit(refusal.finding.message) from refusal
        tops: list[Shape] = []
        for blob, top in zip(node.tops, found, strict=True):
            assert top is not None
            shape = tuple(side for side in top if side is not None)
            if blob.consumers and (not shape or shape[0] != self._net.batch):
                raise UsageError(
                    f"{self._net.path}, line {layer.line}: layer {layer.name} mixes the samples of a batch "
                    f"of {self._net.batch} ({'x'.join(map(str, shape)) or 'one number'}): the loss "
                    "can't be told record by record"
                )
            self._shapes[id(blob)] = shape
            tops.append(shape)
        blobs = tuple(as_stored(one, self.half) for one in blobs_for(layer, bottoms, stored))
        blobs = _shared(layer, blobs, shared)
        parameters = sum(one.size for one in blobs)
        self._lines.append(LayerLine(layer.name, layer.type.lower(), tops[0][1:] if tops else (), parameters))
        setting = Setting(layer, bottoms, tuple(tops), blobs, self._probe.phase != "test")
        if layer.type == "InfogainLoss":
            return infogain_loss(self._matrix)(setting)
        return LAYERS[layer.type](setting)

    def _matrix(self, layer: Layer) -> Array:
        name = layer.param("infogain_loss_param").string("source")
        path = find_file(name, self._net.path, self._probe.data_root)
        blob = read_blob(path)
        if isinstance(blob, UnreadBlob):
            raise UsageError(f"layer {layer.name}: the matrix {path} can't be read: {blob.reason}")
        return blob.values


def _shared(layer: Layer, blobs: Sequence[Array], shared: dict[str, Array]) -> tuple[Array, ...]:
    """The weights, those of a name that an earlier layer has given being that layer's."""
    names = [one.name for one in layer.multipliers]
    names += [""] * (len(blobs) - len(names))
    return tuple(
        shared.setdefault(name, blob).reshape(blob.shape) if name and shared.get(name, blob).size == blob.size else blob
        for name, blob in zip(names, blobs, strict=False)
    )


def _label_shape(net: CaffeNet, task: ProbeTask) -> Shape:
    if task.loss == "softmax":
        return (net.batch,)
    return (net.batch, task.outputs)
