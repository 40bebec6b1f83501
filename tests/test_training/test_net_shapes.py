"""Shapes of published architectures, written small, against the sizes that their papers and Caffe's logs give."""

from __future__ import annotations

import pytest

from datascan.scanner.finding import Severity
from datascan.scanner.training.net import DataFacts, SourceFacts, TopFacts, build, check_net, read_net
from datascan.scanner.training.net_facts import Shape
from datascan.scanner.training.net_graph import join
from datascan.scanner.training.net_spec import State
from datascan.scanner.training.prototxt import parse


def conv(name: str, bottom: str, outputs: int, kernel: int, rest: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param '
        f'{{ num_output: {outputs} kernel_size: {kernel} {rest} weight_filler {{ type: "xavier" }} }} }}\n'
    )


def pool(name: str, bottom: str, kernel: int, stride: int, rest: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}" pooling_param '
        f"{{ kernel_size: {kernel} stride: {stride} {rest} }} }}\n"
    )


def dense(name: str, bottom: str, outputs: int) -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" inner_product_param '
        f'{{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}\n'
    )


def other(name: str, kind: str, bottoms: str, rest: str = "", tops: str = "") -> str:
    wiring = [f'bottom: "{bottom}"' for bottom in bottoms.split()] + [f'top: "{top}"' for top in (tops or name).split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(wiring)} {rest} }}\n'


def images(*shape: int) -> str:
    dims = " ".join(f"dim: {dim}" for dim in shape)
    return f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}\n'


def shapes(text: str, facts: DataFacts | None = None) -> dict[str, Shape]:
    """The shape of every blob, by name, as the last layer leaves it."""
    assert [finding for finding in check_net(parse(text), facts) if finding.severity is Severity.ERROR] == []
    net = read_net(parse(text))
    graph = build(net, join(net, State("TRAIN")), facts or DataFacts())
    return {top.name: top.shape for node in graph.nodes for top in node.tops}


def test_lenet() -> None:
    found = shapes(
        images(64, 1, 28, 28)
        + conv("conv1", "data", 20, 5)
        + pool("pool1", "conv1", 2, 2)
        + conv("conv2", "pool1", 50, 5)
        + pool("pool2", "conv2", 2, 2)
        + dense("ip1", "pool2", 500)
        + dense("ip2", "ip1", 10)
    )
    assert found == {
        "data": (64, 1, 28, 28),
        "conv1": (64, 20, 24, 24),
        "pool1": (64, 20, 12, 12),
        "conv2": (64, 50, 8, 8),
        "pool2": (64, 50, 4, 4),
        "ip1": (64, 500),
        "ip2": (64, 10),
    }


def test_alexnet() -> None:
    found = shapes(
        images(256, 3, 227, 227)
        + conv("conv1", "data", 96, 11, "stride: 4")
        + other("norm1", "LRN", "conv1", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
        + pool("pool1", "norm1", 3, 2)
        + conv("conv2", "pool1", 256, 5, "pad: 2 group: 2")
        + pool("pool2", "conv2", 3, 2)
        + conv("conv3", "pool2", 384, 3, "pad: 1")
        + conv("conv4", "conv3", 384, 3, "pad: 1 group: 2")
        + conv("conv5", "conv4", 256, 3, "pad: 1 group: 2")
        + pool("pool5", "conv5", 3, 2)
        + dense("fc6", "pool5", 4096)
    )
    sides = {name: shape[2] for name, shape in found.items() if shape is not None and len(shape) == 4}
    assert sides == {
        "data": 227,
        "conv1": 55,
        "norm1": 55,
        "pool1": 27,
        "conv2": 27,
        "pool2": 13,
        "conv3": 13,
        "conv4": 13,
        "conv5": 13,
        "pool5": 6,
    }
    assert found["fc6"] == (256, 4096)


def test_vgg() -> None:
    text, bottom = images(10, 3, 224, 224), "data"
    for block, outputs in enumerate((64, 128, 256, 512, 512), 1):
        text += conv(f"conv{block}", bottom, outputs, 3, "pad: 1") + pool(f"pool{block}", f"conv{block}", 2, 2)
        bottom = f"pool{block}"
    found = shapes(text)
    assert [found[f"pool{block}"] for block in range(1, 6)] == [
        (10, 64, 112, 112),
        (10, 128, 56, 56),
        (10, 256, 28, 28),
        (10, 512, 14, 14),
        (10, 512, 7, 7),
    ]


def test_googlenet() -> None:
    found = shapes(
        images(32, 3, 224, 224)
        + conv("conv1", "data", 64, 7, "pad: 3 stride: 2")
        + pool("pool1", "conv1", 3, 2)
        + conv("conv2", "pool1", 192, 3, "pad: 1")
        + pool("pool2", "conv2", 3, 2)
        + conv("one", "pool2", 64, 1)
        + conv("three", "pool2", 128, 3, "pad: 1")
        + conv("five", "pool2", 32, 5, "pad: 2")
        + pool("around", "pool2", 3, 1, "pad: 1")
        + conv("projected", "around", 32, 1)
        + other("inception", "Concat", "one three five projected")
        + pool("pool3", "inception", 3, 2)
        + other("ave", "Pooling", "pool3", "pooling_param { pool: AVE global_pooling: true }")
    )
    assert found["conv1"] == (32, 64, 112, 112)
    assert found["pool1"] == (32, 64, 56, 56)
    assert found["pool2"] == (32, 192, 28, 28)
    assert found["inception"] == (32, 256, 28, 28)
    assert found["pool3"] == (32, 256, 14, 14)
    assert found["ave"] == (32, 256, 1, 1)


def test_resnet() -> None:
    found = shapes(
        images(8, 3, 224, 224)
        + conv("conv1", "data", 64, 7, "pad: 3 stride: 2")
        + pool("pool1", "conv1", 3, 2)
        + other("bn", "BatchNorm", "pool1", tops="pool1")
        + other("scale", "Scale", "pool1", "scale_param { bias_term: true }", tops="pool1")
        + conv("left", "pool1", 256, 1)
        + conv("right", "pool1", 256, 1)
        + other("sum", "Eltwise", "left right")
        + conv("down", "sum", 512, 1, "stride: 2")
    )
    assert found["pool1"] == (8, 64, 56, 56)
    assert found["sum"] == (8, 256, 56, 56)
    assert found["down"] == (8, 512, 28, 28)


def test_a_fully_convolutional_net() -> None:
    found = shapes(
        images(1, 3, 500, 500)
        + conv("conv1", "data", 8, 3, "pad: 100")
        + pool("pool1", "conv1", 2, 2)
        + conv("score", "pool1", 21, 1)
        + other(
            "up",
            "Deconvolution",
            "score",
            "param { lr_mult: 0 } convolution_param { num_output: 21 bias_term: false kernel_size: 4 stride: 2 "
            'weight_filler { type: "bilinear" } }',
        )
        + other("crop", "Crop", "up data", "crop_param { axis: 2 offset: 100 }")
    )
    assert found["conv1"] == (1, 8, 698, 698)
    assert found["pool1"] == (1, 8, 349, 349)
    assert found["up"] == (1, 21, 700, 700)
    assert found["crop"] == (1, 21, 500, 500)


def test_layers_that_only_move_numbers() -> None:
    found = shapes(
        images(4, 6, 5, 10)
        + other("flat", "Flatten", "data")
        + other("shaped", "Reshape", "data", "reshape_param { shape { dim: 0 dim: -1 dim: 25 } }")
        + other("cut", "Slice", "data", "slice_param { axis: 1 slice_point: 1 slice_point: 3 }", tops="a b c")
        + other("equal", "Slice", "data", "slice_param { axis: 3 }", tops="left right")
        + other("stacked", "Concat", "data data", "concat_param { axis: 0 }")
        + other("tiled", "Tile", "data", "tile_param { axis: 2 tiles: 3 }")
        + other("summed", "Reduction", "data", "reduction_param { axis: 2 }")
        + other("best", "ArgMax", "data", "argmax_param { axis: 1 top_k: 2 }")
        + other("vectors", "Embed", "data", "embed_param { num_output: 7 input_dim: 9 }")
    )
    assert found["flat"] == (4, 300)
    assert found["shaped"] == (4, 12, 25)
    assert [found[name] for name in "abc"] == [(4, 1, 5, 10), (4, 2, 5, 10), (4, 3, 5, 10)]
    assert found["left"] == found["right"] == (4, 6, 5, 5)
    assert found["stacked"] == (8, 6, 5, 10)
    assert found["tiled"] == (4, 6, 15, 10)
    assert found["summed"] == (4, 6)
    assert found["best"] == (4, 2, 5, 10)
    assert found["vectors"] == (4, 6, 5, 10, 7)


def test_convolutions_of_one_and_three_dimensions() -> None:
    line = other("line", "Convolution", "data", "convolution_param { num_output: 5 kernel_size: 3 stride: 2 }")
    assert shapes(images(2, 4, 11) + line)["line"] == (2, 5, 5)
    block = other(
        "block",
        "Convolution",
        "data",
        "convolution_param { num_output: 5 kernel_size: 3 kernel_size: 1 kernel_size: 5 }",
    )
    assert shapes(images(2, 4, 11, 12, 13) + block)["block"] == (2, 5, 9, 12, 9)


def test_data_layers_give_what_is_known() -> None:
    lmdb = (
        'layer { name: "data" type: "Data" top: "data" top: "label" CROP '
        'data_param { source: "set" batch_size: 32 backend: LMDB } }\n'
    )
    assert shapes(lmdb.replace("CROP", "")) == {"data": (32, None, None, None), "label": (32,)}
    cropped = lmdb.replace("CROP", "transform_param { crop_size: 28 }")
    assert shapes(cropped)["data"] == (32, None, 28, 28)
    known = DataFacts.of_shapes({"set": (3, 40, 50)})
    assert shapes(lmdb.replace("CROP", ""), known)["data"] == (32, 3, 40, 50)
    assert shapes(cropped, known)["data"] == (32, 3, 28, 28)
    logged = DataFacts(tops={"data": (32, 3, 24, 24)})
    assert shapes(lmdb.replace("CROP", ""), logged)["data"] == (32, 3, 24, 24)
    rows = DataFacts({"list.txt": SourceFacts({"x": TopFacts((5, 7)), "y": TopFacts(())})})
    hdf5 = 'layer { name: "d" type: "HDF5Data" top: "x" top: "y" hdf5_data_param { source: "list.txt" batch_size: 9 } }'
    assert shapes(hdf5, rows) == {"x": (9, 5, 7), "y": (9,)}
    assert shapes(hdf5) == {"x": None, "y": None}


def test_old_inputs_and_old_layers() -> None:
    old = 'input: "a" input: "b" ' + "input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4 " * 2
    assert shapes(old + other("sum", "Eltwise", "a b"))["sum"] == (1, 2, 3, 4)
    text = (
        'input: "data" input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }\n'
        'layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2 '
        'convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }\n'
        'layers { name: "prob" type: SOFTMAX bottom: "conv" top: "prob" }\n'
    )
    assert shapes(text) == {"data": (1, 3, 9, 9), "conv": (1, 4, 7, 7), "prob": (1, 4, 7, 7)}


@pytest.mark.parametrize("kind", ["Python", "ROIPooling", "LSTM"])
def test_behind_an_unknown_layer_nothing_is_concluded(kind: str) -> None:
    text = images(1, 3, 8, 8) + other("strange", kind, "data") + pool("pool", "strange", 20, 1) + dense("ip", "pool", 5)
    found = shapes(text)
    assert found["strange"] is None
    assert found["pool"] == (None, None, None, None)
    assert found["ip"] == (None, 5)
