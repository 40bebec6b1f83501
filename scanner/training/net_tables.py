"""Layer types: which there are, how many bottoms and tops each takes, how many weight blobs each has.

Source: the layers registered in BVLC Caffe (2020), their ``ExactNumBottomBlobs`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping

from .net_spec import Layer

Count = tuple[int, int | None]
"""From, to; ``None`` for any number."""

NEURONS = (
    *("AbsVal", "BNLL", "Clip", "Dropout", "ELU", "Exp", "Log", "Power"),
    *("PReLU", "ReLU", "Sigmoid", "Swish", "TanH", "Threshold"),
)
LOSSES = (
    "ContrastiveLoss",
    "EuclideanLoss",
    "HingeLoss",
    "InfogainLoss",
    "MultinomialLogisticLoss",
    "SigmoidCrossEntropyLoss",
    "SoftmaxWithLoss",
)
"""Layers whose first top counts into the loss by itself, with a weight of 1."""

CLASS_LOSSES = ("SoftmaxWithLoss", "InfogainLoss", "MultinomialLogisticLoss", "HingeLoss")
"""Losses whose second bottom is a class number."""

DATA_LAYERS = ("Data", "HDF5Data", "ImageData", "MemoryData", "WindowData", "DummyData", "Input")
FORK_DATA_LAYERS = ("AnnotatedData", "VideoData")

BOTTOMS: Mapping[str, Count] = {
    **dict.fromkeys(NEURONS, (1, 1)),
    **dict.fromkeys(LOSSES, (2, 2)),
    **dict.fromkeys(DATA_LAYERS, (0, 0)),
    "Accuracy": (2, 2),
    "ArgMax": (1, 1),
    "BatchNorm": (1, 1),
    "BatchReindex": (2, 2),
    "Bias": (1, 2),
    "Concat": (1, None),
    "ContrastiveLoss": (3, 3),
    "Convolution": (1, None),
    "Crop": (2, 2),
    "Deconvolution": (1, None),
    "Eltwise": (2, None),
    "Embed": (1, 1),
    "Filter": (2, None),
    "Flatten": (1, 1),
    "HDF5Output": (2, 2),
    "Im2col": (1, 1),
    "InfogainLoss": (2, 3),
    "InnerProduct": (1, 1),
    "LRN": (1, 1),
    "MVN": (1, 1),
    "Normalize": (1, 1),
    "Parameter": (0, 0),
    "Pooling": (1, 1),
    "Reduction": (1, 1),
    "Reshape": (1, 1),
    "SPP": (1, 1),
    "Scale": (1, 2),
    "Silence": (1, None),
    "Slice": (1, 1),
    "Softmax": (1, 1),
    "Split": (1, 1),
    "Tile": (1, 1),
}

TOPS: Mapping[str, Count] = {
    **dict.fromkeys(NEURONS, (1, 1)),
    **dict.fromkeys(LOSSES, (0, 1)),
    "Accuracy": (1, 2),
    "ArgMax": (1, 1),
    "BatchNorm": (1, 1),
    "BatchReindex": (1, 1),
    "Bias": (1, 1),
    "Concat": (1, 1),
    "Convolution": (1, None),
    "Crop": (1, 1),
    "Data": (1, 2),
    "Deconvolution": (1, None),
    "DummyData": (1, None),
    "Eltwise": (1, 1),
    "Embed": (1, 1),
    "Filter": (1, None),
    "Flatten": (1, 1),
    "HDF5Data": (1, None),
    "HDF5Output": (0, 0),
    "Im2col": (1, 1),
    "ImageData": (2, 2),
    "InfogainLoss": (0, 2),
    "InnerProduct": (1, 1),
    "Input": (1, None),
    "LRN": (1, 1),
    "MVN": (1, 1),
    "MemoryData": (2, 2),
    "Normalize": (1, 1),
    "Parameter": (1, 1),
    "Pooling": (1, 2),
    "Reduction": (1, 1),
    "Reshape": (1, 1),
    "SPP": (1, 1),
    "Scale": (1, 1),
    "Silence": (0, 0),
    "Slice": (1, None),
    "Softmax": (1, 1),
    "SoftmaxWithLoss": (0, 2),
    "Split": (1, None),
    "Tile": (1, 1),
    "WindowData": (2, 2),
}

OTHERS = ("LSTM", "LSTMUnit", "RNN", "Recurrent", "Python")
"""Layers of BVLC Caffe about whose wiring nothing is said."""

FORK_LAYERS = (
    *FORK_DATA_LAYERS,
    *("DetectionEvaluate", "DetectionOutput", "MultiBoxLoss", "Normalize", "Permute", "PriorBox", "SmoothL1Loss"),
)
"""Layers of the SSD fork."""

KNOWN = frozenset((*BOTTOMS, *OTHERS, *FORK_LAYERS))


def blob_count(layer: Layer) -> int | None:
    """Weight blobs that a layer has; ``None`` where that is not known."""
    match layer.type:
        case "Convolution" | "Deconvolution":
            return 1 + layer.param("convolution_param").boolean("bias_term", True)
        case "InnerProduct":
            return 1 + layer.param("inner_product_param").boolean("bias_term", True)
        case "Embed":
            return 1 + layer.param("embed_param").boolean("bias_term", True)
        case "BatchNorm":
            return 3
        case "PReLU" | "Parameter":
            return 1
        case "Bias":
            return int(len(layer.bottoms) == 1)
        case "Scale":
            return (len(layer.bottoms) == 1) + layer.param("scale_param").boolean("bias_term")
    return 0 if layer.type in BOTTOMS and layer.type not in FORK_LAYERS else None


def count_words(low: int, noun: str, high: int | None = -1) -> str:
    """``1 bottom``, ``2 tops``, ``1 to 2 tops``, ``at least 2 bottoms``."""
    if high is None:
        return f"at least {count_words(low, noun)}"
    if high in (-1, low):
        return f"{low or 'no'} {noun}{'s' * (low != 1)}"
    return f"{low} to {high} {noun}s"
