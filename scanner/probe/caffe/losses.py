"""Caffe's losses, of each sample by itself: what the layer would give for a batch of that sample alone.

With the usual normalisation the loss of a batch is their mean. Source: Caffe's ``loss_layer.cpp`` and the files of
the losses in ``src/caffe/layers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ....backends.errors import UsageError
from ...training.net_spec import Layer, whole
from ..layers import Array
from ..losses import LossName
from .normal import softmax_along
from .setting import Make, Run, Setting

SMALLEST = np.finfo(np.float32).tiny
"""Least probability of SoftmaxWithLoss: no sample's loss is above 87.3365."""

LEAST = np.float32(1e-20)
"""Least probability of the losses that take probabilities."""

NORMALISATIONS = ("FULL", "VALID", "BATCH_SIZE", "NONE")
Classes = NDArray[np.int64]


def normalisation(layer: Layer, default: str) -> str:
    """What a loss is divided by; ``normalize`` is the old way to say it."""
    param = layer.param("loss_param")
    if "normalization" not in param and "normalize" in param:
        return "VALID" if param.boolean("normalize") else "BATCH_SIZE"
    return param.enum("normalization", NORMALISATIONS, default)


def normed(losses: Array, counted: NDArray[np.bool_], how: str) -> Array:
    """The loss of each sample from those of its places, ``(n, places)``."""
    total: Array = np.where(counted, losses, np.float32(0)).sum(axis=1)
    if how == "VALID":
        total /= np.maximum(counted.sum(axis=1), 1).astype(np.float32)
    elif how == "FULL":
        total /= np.float32(losses.shape[1])
    return total


def places(scores: Array, labels: Array, axis: int) -> tuple[Array, Classes]:
    """Scores as ``(n, places, classes)`` and the class of each place."""
    moved = np.moveaxis(scores, axis, -1)
    n = len(scores)
    return moved.reshape(n, -1, moved.shape[-1]), np.nan_to_num(labels.reshape(n, -1)).astype(np.int64)


def picked(values: Array, classes: Classes) -> Array:
    """The value of each place's class; what is none of the classes was said before."""
    found: Array = np.take_along_axis(values, np.clip(classes, 0, values.shape[-1] - 1)[..., None], axis=-1)[..., 0]
    return found


def counted_places(layer: Layer, classes: Classes) -> NDArray[np.bool_]:
    """The places whose label is not the ignored one."""
    param = layer.param("loss_param")
    if "ignore_label" not in param:
        return np.ones(classes.shape, np.bool_)
    counted: NDArray[np.bool_] = classes != param.integer("ignore_label")
    return counted


def softmax_loss(setting: Setting) -> Run:
    """The logarithm of the probability, which is held above the smallest normal number."""
    layer = setting.layer
    axis, how = whole(layer.param("softmax_param"), "axis", 1), normalisation(layer, "VALID")

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        scores, classes = places(bottoms[0], bottoms[1], axis)
        losses = -np.log(np.maximum(picked(softmax_along(scores, -1), classes), SMALLEST))
        return [normed(losses, counted_places(layer, classes), how)]

    return run


def infogain_loss(matrix: Callable[[Layer], Array]) -> Make:
    """Logarithms of all probabilities, weighted by the label's row of a matrix from a file."""

    def make(setting: Setting) -> Run:
        layer = setting.layer
        if len(setting.bottoms) > 2:
            raise UsageError(f"layer {layer.name} takes its matrix from a blob; the probe reads it from a file alone")
        axis, how = whole(layer.param("infogain_loss_param"), "axis", 1), normalisation(layer, "VALID")
        weights = matrix(layer)
        classes_there = setting.bottoms[0][axis]
        if weights.size != classes_there**2:
            raise UsageError(
                f"layer {layer.name}: the matrix has {weights.size} numbers, {classes_there} classes want "
                f"{classes_there**2}: Caffe stops"
            )
        weights = weights.reshape(classes_there, classes_there)

        def run(bottoms: Sequence[Array]) -> Sequence[Array]:
            scores, classes = places(bottoms[0], bottoms[1], axis)
            logs = np.log(np.maximum(softmax_along(scores, -1), LEAST))
            rows = weights[np.clip(classes, 0, classes_there - 1)]
            return [normed(-(rows * logs).sum(axis=-1), counted_places(layer, classes), how)]

        return run

    return make


def multinomial_loss(setting: Setting) -> Run:
    """The logarithm of what is taken for a probability."""

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        scores, classes = places(bottoms[0].reshape(len(bottoms[0]), -1), bottoms[1], 1)
        return [-np.log(np.maximum(picked(scores, classes)[:, 0], LEAST))]

    return run


def hinge_loss(setting: Setting) -> Run:
    """Distances from a margin of 1 on the right side; a comparison with NaN gives 0."""
    squared = setting.layer.param("hinge_loss_param").enum("norm", ("", "L1", "L2"), "L1") == "L2"

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        scores = bottoms[0].reshape(len(bottoms[0]), -1).copy()
        classes = np.clip(np.nan_to_num(bottoms[1].reshape(-1)).astype(np.int64), 0, scores.shape[1] - 1)
        rows = np.arange(len(scores))
        scores[rows, classes] *= -1
        margins = 1 + scores
        margins = np.where(margins > 0, margins, np.float32(0))
        return [(margins * margins if squared else margins).sum(axis=1)]

    return run


def sigmoid_loss(setting: Setting) -> Run:
    """Cross-entropy of independent sigmoids."""
    layer, how = setting.layer, normalisation(setting.layer, "BATCH_SIZE")
    param = layer.param("loss_param")

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        x, t = (values.reshape(len(values), -1) for values in bottoms[:2])
        right = (x >= 0).astype(np.float32)
        losses = -(x * (t - right)) + np.log(1 + np.exp(x - 2 * x * right))
        counted = np.ones(x.shape, np.bool_)
        if "ignore_label" in param:
            counted = np.trunc(t) != param.integer("ignore_label")
        return [normed(losses, counted, how)]

    return run


def euclidean_loss(setting: Setting) -> Run:
    """Half the squared distance."""

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        one, other = (values.reshape(len(values), -1) for values in bottoms)
        distance = one - other
        return [np.einsum("nf,nf->n", distance, distance) / np.float32(2)]

    return run


def contrastive_loss(setting: Setting) -> Run:
    """Pairs that are alike shall be near, others at least a margin apart."""
    param = setting.layer.param("contrastive_loss_param")
    margin, legacy = np.float32(param.real("margin", 1)), param.boolean("legacy_version")

    def run(bottoms: Sequence[Array]) -> Sequence[Array]:
        one, other = (values.reshape(len(values), -1) for values in bottoms[:2])
        squares = np.square(one - other).sum(axis=1)
        short = np.maximum(margin - (squares if legacy else np.sqrt(squares)), np.float32(0))
        alike = np.nan_to_num(bottoms[2].reshape(-1)).astype(np.int64) != 0
        return [np.where(alike, squares, short if legacy else short * short) / np.float32(2)]

    return run


LOSS_LAYERS: Mapping[str, Make] = {
    "ContrastiveLoss": contrastive_loss,
    "EuclideanLoss": euclidean_loss,
    "HingeLoss": hinge_loss,
    "MultinomialLogisticLoss": multinomial_loss,
    "SigmoidCrossEntropyLoss": sigmoid_loss,
    "SoftmaxWithLoss": softmax_loss,
}
"""All but InfogainLoss, which reads a file."""

KINDS: Mapping[str, LossName] = {
    "ContrastiveLoss": "squared",
    "EuclideanLoss": "squared",
    "SigmoidCrossEntropyLoss": "sigmoid",
}
"""What the labels of a loss are to the probe: numbers, several labels of 0 and 1; classes of all others."""
