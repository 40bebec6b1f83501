"""What losses and accuracies want of the shapes of their scores and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .net_facts import Dim, Shape
from .net_refusal import axis_of, bad_parameter, bad_shape, count, same, spoken
from .net_spec import Layer, whole

AXIS_PARAMS = {
    "SoftmaxWithLoss": "softmax_param",
    "InfogainLoss": "infogain_loss_param",
    "Accuracy": "accuracy_param",
}
"""Where a layer's class axis stands; others have it at 1."""


def class_axis(layer: Layer, scores: Sequence[Dim]) -> int:
    """The axis of the classes among the scores.

    Raises
    ------
    Refusal
        The scores have no such axis.
    """
    param = layer.param(AXIS_PARAMS.get(layer.type, ""))
    return axis_of(layer, scores, whole(param, "axis", 1), param.line_of("axis") if "axis" in param else layer.line)


def classes_of(layer: Layer, scores: Shape) -> int | None:
    """How many classes a loss sees; ``None`` where that is not known.

    Raises
    ------
    Refusal
        The scores have no class axis.
    """
    if scores is None:
        return None
    if layer.type in ("MultinomialLogisticLoss", "HingeLoss"):
        return count(scores[1:])
    return scores[class_axis(layer, scores)]


def same_batch(layer: Layer, bottoms: Sequence[Shape]) -> None:
    """Scores and labels must have one first size."""
    scores, labels = bottoms[0], bottoms[1]
    if scores == () or labels == ():
        raise bad_shape(layer, "one of its inputs is a single number", layer.line, "an input with a batch axis")
    if scores and labels and not same(scores[0], labels[0]):
        raise bad_shape(
            layer, f"{spoken(scores)} and {spoken(labels)} differ in the first size", layer.line, "one batch size"
        )


def one_label_each(layer: Layer, bottoms: Sequence[Shape]) -> None:
    """There must be one label for each prediction."""
    scores, labels = bottoms[0], bottoms[1]
    if scores is None:
        return
    axis = class_axis(layer, scores)
    wanted = count([*scores[:axis], *scores[axis + 1 :]])
    if labels is not None and not same(wanted, count(labels)):
        hint = "; is the label one-hot?" if labels == scores else ""
        raise bad_shape(
            layer,
            f"{spoken(scores)} has {wanted} predictions, but {spoken(labels)} holds {count(labels)} labels{hint}",
            layer.line,
            "one class number for each prediction",
        )


def scalar(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """The loss, and for some the softmax as a second top."""
    return [(), bottoms[0]][: len(layer.tops)]


def softmax_loss(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """SoftmaxWithLoss and InfogainLoss."""
    same_batch(layer, bottoms)
    one_label_each(layer, bottoms)
    return scalar(layer, bottoms)


def accuracy(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Accuracy, over all classes or class by class."""
    scores, labels = bottoms[0], bottoms[1]
    param = layer.param("accuracy_param")
    top_k = whole(param, "top_k", 1)
    total, each = count(scores or (None,)), count(labels or (None,))
    if total is not None and each and top_k > total // each:
        raise bad_parameter(
            layer,
            f"top_k {top_k} of {total // each} classes",
            param.line_of("top_k") if "top_k" in param else layer.line,
            f"top_k: {max(total // each, 1)}",
        )
    one_label_each(layer, bottoms)
    classes = None if scores is None else scores[class_axis(layer, scores)]
    shapes: list[Shape] = [(), (classes,)]
    return shapes[: len(layer.tops)]


def multinomial(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """MultinomialLogisticLoss wants one label a record."""
    same_batch(layer, bottoms)
    labels = bottoms[1]
    if labels is not None and any(dim not in (None, 1) for dim in labels[1:]):
        raise bad_shape(layer, f"labels of {spoken(labels)} are not one for each record", layer.line, "one label each")
    return scalar(layer, bottoms)


def cross_entropy(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """SigmoidCrossEntropyLoss wants a target for each score."""
    same_batch(layer, bottoms)
    have, want = (count(shape) if shape is not None else None for shape in bottoms[:2])
    if not same(have, want):
        raise bad_shape(
            layer,
            f"{spoken(bottoms[0])} scores and {spoken(bottoms[1])} targets: there must be one target for each score",
            layer.line,
            "SoftmaxWithLoss, if the targets are class numbers",
        )
    return scalar(layer, bottoms)


def euclidean(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """EuclideanLoss wants as many targets as outputs for each record."""
    same_batch(layer, bottoms)
    have, want = (count(shape[1:]) if shape is not None else None for shape in bottoms[:2])
    if not same(have, want):
        raise bad_shape(
            layer,
            f"{spoken(bottoms[0])} and {spoken(bottoms[1])}: {have} outputs for each record, but {want} targets",
            layer.line,
            f"num_output: {want}",
        )
    return scalar(layer, bottoms)


def contrastive(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """ContrastiveLoss wants two rows of features and whether they are alike."""
    same_batch(layer, bottoms)
    one, other, labels = (bottoms[place] for place in range(3))
    if one is not None and other is not None and len(one) > 1 and len(other) > 1 and not same(one[1], other[1]):
        raise bad_shape(layer, f"features of {spoken(one)} and {spoken(other)}", layer.line, "one num_output for both")
    for shape, start in ((one, 2), (other, 2), (labels, 1)):
        if shape is not None and any(dim not in (None, 1) for dim in shape[start:]):
            raise bad_shape(layer, f"an input of {spoken(shape)}", layer.line, "an InnerProduct layer before it")
    return scalar(layer, bottoms)


def hinge(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """HingeLoss wants one batch size."""
    same_batch(layer, bottoms)
    return scalar(layer, bottoms)


LOSS_SHAPES: Mapping[str, Callable[[Layer, Sequence[Shape]], Sequence[Shape]]] = {
    "Accuracy": accuracy,
    "ContrastiveLoss": contrastive,
    "EuclideanLoss": euclidean,
    "HingeLoss": hinge,
    "InfogainLoss": softmax_loss,
    "MultinomialLogisticLoss": multinomial,
    "SigmoidCrossEntropyLoss": cross_entropy,
    "SoftmaxWithLoss": softmax_loss,
}
