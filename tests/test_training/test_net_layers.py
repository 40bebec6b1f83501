"""Layers one by one: at which line what is said, how gravely, and of which cause; and their sound twins."""

from __future__ import annotations

import pytest
from tests.test_training.nets import DATA, FIXTURES, LOSS, SCORES, around, brief

from datascan.scanner.finding import Severity
from datascan.scanner.training.net import DataFacts, SourceFacts, TopFacts, check_net, data_sources, outputs, read_net
from datascan.scanner.training.prototxt import parse


def middle(kind: str, body: str, bottom: str = "scores") -> str:
    return f'layer {{ name: "middle" type: "{kind}" bottom: "{bottom}" top: "middle"\n  {body} }}'


RELU = 'layer { name: "relu" type: "ReLU" bottom: "scores" top: "positive" }\n'

SOUND = [
    middle("Log", "log_param { shift: 1 }", "positive").join([RELU, ""]),
    middle("Power", "power_param { power: 2 }"),
    middle("Power", "power_param { power: 3 }"),
    middle("Power", "power_param { power: 0.5 shift: 1 }", "positive").join([RELU, ""]),
    middle("Power", "power_param { power: -1 shift: 1e-6 }", "positive").join([RELU, ""]),
    middle("Power", "power_param { power: 0 }"),
    middle("Exp", "exp_param { scale: -1 }"),
    middle("Exp", "exp_param { base: 2 scale: 1.5 }"),
    middle("BatchNorm", "batch_norm_param { eps: 1e-9 }"),
    middle("BatchNorm", "param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 1 }"),
    middle("MVN", "mvn_param { eps: 0 normalize_variance: false }"),
    middle("Dropout", "dropout_param { dropout_ratio: 0 }"),
    middle("ELU", "elu_param { alpha: 0.5 }"),
    middle("Scale", 'scale_param { filler { type: "constant" value: 0.5 } }'),
    middle("PReLU", "param { lr_mult: 0.1 decay_mult: 0 }"),
]

BROKEN = [
    (middle("Log", "log_param { base: 1 }"), ("e", "net-parameter", 6), "aborted"),
    (middle("Exp", "exp_param { base: -2 }"), ("e", "net-parameter", 6), "aborted"),
    (middle("Exp", "exp_param { shift: 100 }"), ("e", "net-domain", 6), "layer-parameters"),
    (middle("Exp", "exp_param { scale: 20 }"), ("w", "net-domain", 6), "layer-parameters"),
    (middle("Power", "power_param { scale: 0 power: -1 }"), ("e", "net-domain", 6), "layer-parameters"),
    (middle("BatchNorm", "batch_norm_param { eps: 0 }"), ("w", "net-normalisation", 6), "layer-parameters"),
    (middle("BatchNorm", "param { }"), ("e", "net-multiplier", 6), "aborted"),
    (middle("MVN", "mvn_param { eps: 0 }"), ("e", "net-normalisation", 6), "layer-parameters"),
    (middle("Dropout", "dropout_param { dropout_ratio: 50 }"), ("e", "net-dropout", 6), "aborted"),
    (middle("Dropout", "dropout_param { dropout_ratio: nan }"), ("e", "net-dropout", 6), "aborted"),
    (middle("ELU", "elu_param { alpha: nan }"), ("e", "net-not-finite", 6), "layer-parameters"),
    (middle("ReLU", "param { lr_mult: 1 }"), ("e", "net-multiplier", 6), "aborted"),
    (middle("Scale", "scale_param { axis: 2 }"), ("e", "net-shape", 6), "aborted"),
    (middle("Scale", 'scale_param { filler { type: "constan" } }'), ("e", "net-filler", 6), "aborted"),
    (middle("PReLU", "param { lr_mult: -1 }"), ("w", "net-multiplier", 6), "gradient-explosion"),
    (middle("PReLU", "param { lr_mult: 1e6 }"), ("w", "net-multiplier", 6), "gradient-explosion"),
    (middle("PReLU", "param { decay_mult: inf }"), ("e", "net-multiplier", 6), "gradient-explosion"),
    (middle("LRN", "lrn_param { local_size: 3 }"), ("e", "net-shape", 5), "aborted"),
    (middle("Pooling", "pooling_param { kernel_size: 2 }"), ("e", "net-shape", 5), "aborted"),
    (middle("Tile", "tile_param { axis: 1 }"), ("e", "net-parameter", 6), "aborted"),
    (middle("Flatten", "loss_weight: -2"), ("w", "net-loss-weight", 6), "loss-function"),
]


@pytest.mark.parametrize("layer", SOUND)
def test_sound_layers_give_nothing(layer: str) -> None:
    assert [one for one in around(layer) if one.severity > Severity.INFO] == []


@pytest.mark.parametrize(("layer", "expected", "cause"), BROKEN)
def test_broken_layers(layer: str, expected: tuple[str, str, int], cause: str) -> None:
    [finding] = [one for one in around(layer) if one.severity > Severity.INFO]
    assert brief([finding]) == [expected]
    assert finding.data["cause"] == cause
    assert finding.data["remedy"]
    assert finding.data["layer"] == "middle"


POOL = """layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
  pooling_param { pool: METHOD kernel_size: 2 stride: 4 PAD } }
"""


def pooled(method: str, size: int | None, pad: str = "", tail: str = "") -> list[tuple[str, str, int | None]]:
    facts = DataFacts() if size is None else DataFacts.of_shapes({"data": (3, size, 10)})
    text = DATA + POOL.replace("METHOD", method).replace("PAD", pad) + tail + SCORES.replace("BOTTOM", "pool")
    return brief(check_net(parse(text + LOSS.replace("BOTTOM", "scores")), facts))


@pytest.mark.parametrize("size", range(6, 20))
def test_pooling_is_judged_by_where_its_last_window_begins(size: int) -> None:
    edge, beyond = size % 4 == 0, size % 4 == 3
    error, warning = [("e", "net-pooling", 4)], [("w", "net-pooling", 4)]
    assert pooled("AVE", size) == (error if edge else warning if beyond else [])
    assert pooled("MAX", size) == (error if edge or beyond else [])
    assert pooled("AVE", size, "pad: 1") == pooled("MAX", size, "round_mode: FLOOR") == []


def test_pooling_of_an_unknown_size_says_when_it_would_be_bad() -> None:
    assert pooled("AVE", None) == pooled("MAX", None) == [("w", "net-pooling", 4)]
    assert pooled("AVE", None, "pad: 1") == []
    strange = 'layer { name: "p" type: "Python" bottom: "data" top: "q" }\n' + POOL.replace('"data"', '"q"')
    text = DATA + strange.replace("METHOD", "MAX").replace("PAD", "")
    [finding] = check_net(parse(text), DataFacts.of_shapes({"data": (3, 8, 8)}))
    assert finding.severity is Severity.WARNING
    assert "if its input's side is a multiple of 4 or 3 above one" in finding.message


def test_stochastic_pooling_depends_on_the_solver() -> None:
    text = DATA + POOL.replace("METHOD", "STOCHASTIC").replace("PAD", "")
    found = {mode: brief(check_net(parse(text), DataFacts(solver_mode=mode))) for mode in ("CPU", "GPU", None)}
    assert found == {"CPU": [("e", "net-parameter", 4)], "GPU": [], None: [("w", "net-parameter", 4)]}


def test_a_relu_behind_an_empty_max_window_is_said_to_hide_it() -> None:
    pool = POOL.replace("METHOD", "MAX").replace("PAD", "")
    relu = 'layer { name: "relu" type: "ReLU" bottom: "pool" top: "pool" }\n'
    facts = DataFacts.of_shapes({"data": (3, 8, 8)})
    open_, hidden = (check_net(parse(DATA + pool + tail), facts)[0].message for tail in ("", relu))
    assert "then to NaN" in open_
    assert "hides" in hidden


def labels(*values: float, ignored: str = "") -> list[tuple[str, str, int | None]]:
    known = TopFacts((), min(values), max(values), True, frozenset(values))
    facts = DataFacts({"data": SourceFacts({"label": known})})
    loss = LOSS.replace("BOTTOM", "scores").replace("top:", f"loss_param {{ {ignored} }} top:")
    return brief(check_net(parse(DATA + SCORES.replace("BOTTOM", "data") + loss), facts))


def test_labels_are_held_against_the_outputs() -> None:
    assert labels(0, 9) == []
    assert labels(0, 10) == [("e", "net-label-range", 4)]
    assert labels(-1, 3) == [("e", "net-label-range", 5)]
    assert labels(-1, 3, ignored="ignore_label: -1") == []
    assert labels(0, 9, 255, ignored="ignore_label: 255") == []
    assert labels(0, 11, 255, ignored="ignore_label: 255") == [("e", "net-label-range", 4)]


def test_the_number_of_classes_is_held_against_the_outputs() -> None:
    text = DATA + SCORES.replace("BOTTOM", "data") + LOSS.replace("BOTTOM", "scores")
    found = {count: brief(check_net(parse(text), DataFacts(num_classes=count))) for count in (9, 10, 11)}
    assert found == {9: [("i", "net-label-range", 4)], 10: [], 11: [("e", "net-label-range", 4)]}


@pytest.mark.parametrize(("size", "grave"), [(7, True), (6, True), (8, False)])
def test_a_kernel_that_leaves_no_output_is_found_where_it_stands(size: int, grave: bool) -> None:
    facts = DataFacts.of_shapes({"data": (3, size, size)})
    for param in ("Pooling", "Convolution"):
        body = (
            "pooling_param { kernel_size: 8 }"
            if param == "Pooling"
            else ('convolution_param { num_output: 2 kernel_size: 8 weight_filler { type: "msra" } }')
        )
        findings = check_net(parse(DATA + middle(param, body, "data")), facts)
        assert [one for one in brief(findings) if one[1] == "net-shape"] == [("e", "net-shape", 4)] * grave


def test_a_summed_loss_is_told_with_its_factor() -> None:
    net = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 5 dim: 20 dim: 10 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 dim: 1 dim: 20 dim: 10 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "data" bottom: "label"
  loss_param { WHAT } }
"""
    found = {
        what: [one.message.split("by ")[-1] for one in check_net(parse(net.replace("WHAT", what)))]
        for what in ("", "normalize: true", "normalize: false", "normalization: NONE", "normalization: FULL")
    }
    assert found == {
        "": [],
        "normalize: true": [],
        "normalize: false": ["200"],
        "normalization: NONE": ["800"],
        "normalization: FULL": [],
    }


def test_stages_that_exclude_each_other_are_not_taken_together() -> None:
    data = DATA.replace("} }", '} exclude { stage: "STAGE" } }')
    both = data.replace("STAGE", "hdf5") + data.replace("STAGE", "lmdb")
    text = both + SCORES.replace("BOTTOM", "data") + LOSS.replace("BOTTOM", "scores")
    assert check_net(parse(text)) == []


def test_old_transformations_of_images_do_nothing_in_new_layers() -> None:
    text = """layer { name: "data" type: "ImageData" top: "data" top: "label"
  image_data_param { source: "list.txt" batch_size: 4 crop_size: 9 rand_skip: 3 } }
"""
    assert brief(check_net(parse(text))) == [("w", "net-ignored-field", 2)]


def test_sources_are_listed_with_what_a_scan_needs() -> None:
    text = (FIXTURES / "clean" / "both-phases.prototxt").read_text()
    train, test = data_sources(read_net(parse(text)))
    assert (train.source, train.kind, train.batch_size, train.crop, train.phases) == (
        "train_lmdb",
        "LMDB",
        16,
        28,
        ("TRAIN",),
    )
    assert (test.source, test.phases, test.line) == ("val_lmdb", ("TEST",), 18)
    assert (train.scale, train.tops) == (0.00390625, ("data", "label"))


def test_an_old_data_layers_transformations_are_listed_and_a_new_ones_are_not() -> None:
    param = 'data_param { source: "set" batch_size: 8 crop_size: 20 scale: 0.5 mean_file: "m" }'
    old = f'layers {{ name: "data" type: DATA top: "data" {param} }}'
    new = f'layer {{ name: "data" type: "Data" top: "data" {param} }}'
    [source] = data_sources(read_net(parse(old)))
    assert (source.kind, source.crop, source.scale, source.mean_file) == ("LEVELDB", 20, 0.5, "m")
    [source] = data_sources(read_net(parse(new)))
    assert (source.crop, source.scale, source.mean_file) == (None, 1, None)
    remedies = [one.data["remedy"] for one in check_net(parse(new)) if one.rule == "net-ignored-field"]
    assert remedies == [
        "transform_param { crop_size: 20 }",
        "transform_param { scale: 0.5 }",
        'transform_param { mean_file: "m" }',
    ]
    assert [one for one in check_net(parse(old)) if one.rule == "net-ignored-field"] == []


def test_outputs_follow_the_labels_to_their_data_layer() -> None:
    text = (
        DATA
        + SCORES.replace("BOTTOM", "data")
        + LOSS.replace("BOTTOM", "scores").replace("top:", "loss_param { ignore_label: 7 } top:")
    )
    [output] = outputs(read_net(parse(text)))
    assert (output.loss, output.classes, output.data_layer, output.label, output.ignored) == (
        "loss",
        10,
        "data",
        "label",
        7,
    )
    behind = 'layer { name: "own" type: "Python" bottom: "data" top: "own" }\n'
    [output] = outputs(
        read_net(parse(DATA + behind + SCORES.replace("BOTTOM", "own") + LOSS.replace("BOTTOM", "scores")))
    )
    assert output.classes == 10


def test_a_misspelt_field_is_said_once_and_judged_as_it_was_meant() -> None:
    slip = middle("Dropout", "dropout_param { dropout_ration: 1 }")
    assert brief(around(slip)) == [("e", "net-unknown-field", 6)]
    stride = POOL.replace("METHOD", "AVE").replace("PAD", "").replace("kernel_size", "kernel_sise")
    findings = check_net(parse(DATA + stride), DataFacts.of_shapes({"data": (3, 9, 9)}))
    assert brief(findings) == [("e", "net-unknown-field", 4)]


def test_behind_a_syntax_error_nothing_is_judged() -> None:
    findings = check_net(parse(DATA + 'layer { name: "x" type: "ReLU" bottom: "nothing" } }'))
    assert [finding.rule for finding in findings] == ["net-syntax"]
