"""Each label rule with its guilty set and with clean twins that look guilty."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.test_rules.samples import CAFFE, findings, records, rows, run_rule, severities, split, told

from datascan.backends.columns import BytesColumn
from datascan.scanner.finding import Finding, Severity
from datascan.scanner.layouts.base import Traits
from datascan.scanner.options import Options
from datascan.scanner.rules.base import Context, Rule
from datascan.scanner.rules.label import (
    LabelMissing,
    LabelNan,
    LabelNegative,
    LabelNonInteger,
    LabelOneHot,
    LabelOutOfRange,
)
from datascan.scanner.rules.label_set import (
    LabelAbsentClass,
    LabelConstant,
    LabelImbalance,
    LabelOffset,
    LabelRareClass,
    LabelSorted,
)
from datascan.scanner.rules.label_text import LabelText, suspicious_texts
from datascan.scanner.sample import Fault, SampleBatch
from datascan.scanner.summary import Summary

LABEL_RULES: list[type[Rule]] = [
    LabelMissing,
    LabelNan,
    LabelNonInteger,
    LabelNegative,
    LabelOutOfRange,
    LabelOneHot,
    LabelOffset,
    LabelAbsentClass,
    LabelRareClass,
    LabelImbalance,
    LabelConstant,
    LabelSorted,
    LabelText,
]


def classes(n: int = 60, k: int = 5, **changes: float) -> NDArray[Any]:
    """Labels 0..k-1 in turn; ``at37=5`` puts a 5 at record 37."""
    labels: NDArray[Any] = np.arange(n) % k
    if any(not float(value).is_integer() for value in changes.values()):
        labels = labels.astype(np.float32)
    for place, value in changes.items():
        labels[int(place.removeprefix("at"))] = value
    return labels


def labelled(labels: Any, **more: Any) -> SampleBatch:
    return records(len(labels), labels=labels, **more)


def one_hot(n: int = 60, k: int = 5) -> NDArray[np.float32]:
    return np.eye(k, dtype=np.float32)[np.arange(n) % k]


def multi_label(n: int = 60, k: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(7).integers(0, 2, (n, k)).astype(np.float32)


def changed(values: NDArray[Any], place: tuple[int, ...], value: float) -> NDArray[Any]:
    values = values.copy()
    values[place] = value
    return values


def everything(batches: SampleBatch | list[SampleBatch], **options: Any) -> dict[str, list[Any]]:
    """What all label rules find, by rule; rules that find nothing are left out."""
    found = {rule.name: run_rule(rule, batches, **options) for rule in LABEL_RULES}
    return {name: [(index, field) for index, _, field in entries] for name, entries in found.items() if entries}


# ---- what people train on happily ----

GOOD_SETS: dict[str, NDArray[Any]] = {
    "classes": classes(),
    "classes as floats": classes().astype(np.float32),
    "classes as half floats": classes().astype(np.float16),
    "classes of shape (n, 1)": classes()[:, None],
    "bytes up to 255": np.arange(2560, dtype=np.uint8),
    "boolean": np.arange(40) % 2 == 0,
    "uint64": classes().astype(np.uint64),
    "regression targets": np.random.default_rng(1).normal(size=200),
    "positive targets, all integers, hardly a value twice": np.random.default_rng(2).integers(0, 10**6, 200) * 1.0,
    "signed integer targets": np.random.default_rng(3).integers(-30, 30, 200),
    "targets with a fifth of integers": np.where(np.arange(100) % 5 == 0, 3.0, np.linspace(0, 9, 100)),
    "timestamps": np.arange(1_600_000_000, 1_600_020_000),
    "one-hot": one_hot(),
    "one-hot bytes": one_hot().astype(np.uint8),
    "one-hot booleans": one_hot() > 0,
    "multi-label": multi_label(),
    "multi-label with unknowns": np.random.default_rng(4).integers(-1, 2, (60, 5)).astype(np.float32),
    "vectors": np.random.default_rng(5).normal(size=(60, 3)),
    "points in pixels": np.random.default_rng(6).integers(0, 640, (60, 4)),
    "word counts, mostly 0": np.arange(4000).reshape(80, 50) % 41 // 39 * (np.arange(80)[:, None] % 3),
    "soft labels": np.random.default_rng(8).dirichlet(np.ones(4), 60),
    "classes of shape (n, 1, 1, 1)": classes().reshape(-1, 1, 1, 1),
    "ten records, each its own number": np.arange(1, 11),
    "one record": np.array([3]),
    "two records": np.array([1, 2]),
}


@pytest.mark.parametrize("labels", GOOD_SETS.values(), ids=GOOD_SETS.keys())
@pytest.mark.parametrize("traits", [Traits(labelled=True), CAFFE], ids=["plain", "caffe"])
def test_good_sets_give_nothing(labels: NDArray[Any], traits: Traits) -> None:
    assert everything(labelled(labels), traits=traits, batch_size=10) == {}


# ---- label-missing ----


def test_a_sample_without_a_label_among_others_is_an_error() -> None:
    found = findings(LabelMissing, records(6, labels=[0, 1, 0, 1], missing=[2, 5]))
    assert [finding.location.index for finding in found] == [2, 5]
    assert severities(found) == {Severity.ERROR}


def test_a_set_without_labels_is_said_once_as_a_warning() -> None:
    found = findings(LabelMissing, records(60, missing=range(60)), traits=CAFFE)
    assert [(finding.location.index, finding.severity) for finding in found] == [(None, Severity.WARNING)]
    assert "none of the 60 samples" in found[0].message
    assert "class 0" in found[0].message


def test_a_labelled_layout_without_any_label_is_said_once() -> None:
    assert run_rule(LabelMissing, records(5), traits=CAFFE) == [(None, "label-missing", None)]


def test_layouts_without_labels_need_none() -> None:
    assert run_rule(LabelMissing, records(5)) == []


def test_boxes_and_texts_are_labels_too() -> None:
    assert run_rule(LabelMissing, records(1, boxes=[(0, (0, 0, 1, 1), 3)]), traits=CAFFE) == []
    assert run_rule(LabelMissing, records(1, texts=[b"text"]), traits=CAFFE) == []


def test_what_the_layout_says_is_not_said_again() -> None:
    batch = records(3, faults=[Fault(None, "label-missing", "no dataset holds labels", severe=False)])
    found = findings(LabelMissing, batch, traits=CAFFE)
    assert [(finding.message, finding.severity) for finding in found] == [("no dataset holds labels", Severity.WARNING)]


def test_reserved_keys_need_no_label() -> None:
    batch = records(4, labels=[1, 0, 1], label_rows=[1, 2, 3], sample_rows=[1, 2, 3])
    assert run_rule(LabelMissing, batch, traits=CAFFE) == []


# ---- label-nan ----


@pytest.mark.parametrize(
    ("labels", "place", "field"),
    [
        (classes().astype(np.float32), (17,), None),
        (classes().astype(np.float32)[:, None], (17, 0), None),
        (np.random.default_rng(1).normal(size=60), (17,), None),
        (np.random.default_rng(1).normal(size=(60, 3)), (17, 2), (2,)),
        (multi_label(), (17, 3), (3,)),
        (np.random.default_rng(1).normal(size=(60, 3, 4)), (17, 2, 1), (2, 1)),
        (one_hot().astype(np.float16), (17, 0), (0,)),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_labels_that_are_not_finite(labels: NDArray[Any], place: tuple[int, ...], field: Any, value: float) -> None:
    dirty = changed(labels, place, value)
    assert everything(labelled(dirty)) == {"label-nan": [(17, field)]}
    assert run_rule(LabelNan, labelled(labels)) == []


def test_one_finding_a_record_with_the_first_element_and_the_count() -> None:
    labels = np.ones((3, 4))
    labels[1, 1], labels[1, 3] = np.inf, np.nan
    (found,) = findings(LabelNan, rows({"y": labels}, labels=["y"]))
    assert (found.location.index, found.location.element, found.location.dataset) == (1, (1,), "y")
    assert found.message == "2 of the label's 4 values are not finite; the first is infinite"


def test_positions_not_rows_are_named() -> None:
    labels = classes(6).astype(np.float32)
    labels[4] = np.nan
    assert run_rule(LabelNan, labelled(labels, positions=[10, 11, 12, 20, 21, 22])) == [(21, "label-nan", None)]


# ---- label-non-integer ----


def test_a_fraction_among_classes() -> None:
    (found,) = findings(LabelNonInteger, rows({"label": classes(at17=2.7)}, labels=["label"]))
    assert (found.location.index, found.location.dataset) == (17, "label")
    assert "2.7" in found.message
    assert found.message.endswith("to 2")


def test_a_fraction_is_the_only_thing_said() -> None:
    assert everything(labelled(classes(at17=2.7)), num_classes=5, traits=CAFFE) == {"label-non-integer": [(17, None)]}


def test_fractions_are_judged_by_the_whole_set() -> None:
    """The first batch alone would look like targets."""
    parts = split([labelled(np.array([0.5, 1.0])), labelled(classes(200).astype(np.float32))])
    assert run_rule(LabelNonInteger, parts) == [(0, "label-non-integer", None)]


# ---- label-negative ----


def test_a_negative_class() -> None:
    assert everything(labelled(classes(at37=-1)), traits=CAFFE, num_classes=5) == {"label-negative": [(37, None)]}


def test_the_ignore_label_is_no_fault() -> None:
    labels = classes(at37=-1, at3=255)
    assert everything(labelled(labels), num_classes=5, ignore_labels=(-1, 255)) == {}


def test_many_records_of_minus_one_are_errors_each() -> None:
    labels = np.where(np.arange(100) % 3 == 0, -1, classes(100))
    assert len(run_rule(LabelNegative, labelled(labels))) == 34


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_a_set_of_minus_one_is_unlabelled_and_said_once(dtype: type) -> None:
    found = findings(LabelNegative, labelled(np.full(60, -1, dtype)))
    assert [(finding.location.index, finding.severity) for finding in found] == [(None, Severity.WARNING)]
    assert everything(labelled(np.full(60, -1, dtype))) == {"label-negative": [(None, None)]}


def test_the_own_label_of_an_annotated_record_is_not_used() -> None:
    boxes = [(row, (0.1, 0.1, 0.5, 0.5), 1) for row in range(60)]
    assert everything(labelled(np.full(60, -1), boxes=boxes), traits=CAFFE) == {}


@pytest.mark.parametrize("labels", [np.where(np.arange(60) % 3, 1, -1), np.where(one_hot() == 1, 1, -1)])
def test_targets_of_a_margin_loss_are_said_once(labels: NDArray[Any]) -> None:
    found = findings(LabelNegative, labelled(labels))
    assert [(finding.location.index, finding.severity) for finding in found] == [(None, Severity.WARNING)]
    assert everything(labelled(labels)) == {"label-negative": [(None, None)]}


def test_a_stray_minus_one_in_a_multi_label_row() -> None:
    assert everything(labelled(changed(multi_label(), (17, 3), -1))) == {"label-negative": [(17, (3,))]}
    assert everything(labelled(changed(multi_label(), (17, 3), -1)), ignore_labels=(-1,)) == {}


# ---- label-out-of-range ----


def test_a_label_that_is_no_class() -> None:
    (found,) = findings(LabelOutOfRange, labelled(classes(at37=5)), num_classes=5)
    assert (found.location.index, found.severity) == (37, Severity.ERROR)
    assert found.message == "label 5 is not below the number of classes, 5"
    assert everything(labelled(classes(at37=5)), num_classes=5) == {"label-out-of-range": [(37, None)]}


def test_without_the_number_of_classes_the_rule_says_what_it_left_out() -> None:
    rule = LabelOutOfRange(Context(Options(), "caffe-datum", "lmdb", CAFFE))
    assert (rule.not_run(), rule.left_out()) == (None, "number of classes not given")
    assert LabelOutOfRange(Context(Options(num_classes=5), "", "", CAFFE)).left_out() is None
    assert run_rule(LabelOutOfRange, labelled(classes(at37=5))) == []


def test_caffe_can_not_hold_labels_beyond_float32() -> None:
    beyond = labelled(classes(at37=16_777_217))
    assert everything(beyond, traits=CAFFE) == {"label-out-of-range": [(37, None)]}
    assert run_rule(LabelOutOfRange, labelled(classes(at37=16_777_217)), traits=CAFFE, num_classes=5) == [
        (37, "label-out-of-range", None)
    ]
    assert run_rule(LabelOutOfRange, labelled(classes(at37=16_777_216)), traits=CAFFE) == []
    assert run_rule(LabelOutOfRange, labelled(classes(at37=16_777_217))) == []


@pytest.mark.parametrize("value", [255.0, 1.5, -0.25, -3.0])
@pytest.mark.parametrize("make", [multi_label, one_hot])
def test_a_value_outside_of_rows_of_zeros_and_ones(make: Any, value: float) -> None:
    dirty = changed(make(), (17, 3), value)
    assert everything(labelled(dirty)) == {"label-out-of-range": [(17, (3,))]}


def test_an_ignored_value_among_zeros_and_ones() -> None:
    assert everything(labelled(changed(multi_label(), (17, 3), 255)), ignore_labels=(255,)) == {}


def test_huge_values_are_shown_as_they_are() -> None:
    (found,) = findings(LabelOutOfRange, labelled(classes().astype(np.float64) * 1.0), num_classes=4)[:1]
    assert found.data == {"label": 4.0}
    labels = changed(classes().astype(np.float64), (37,), 1e30)
    (found,) = findings(LabelOutOfRange, labelled(labels), num_classes=5)
    assert found.data == {"label": 1e30}
    labels = changed(classes().astype(np.uint64), (37,), 2**64 - 1)
    (found,) = findings(LabelOutOfRange, labelled(labels), num_classes=5)
    assert found.data == {"label": 2**64 - 1}


def test_box_labels_have_classes_too() -> None:
    boxes = [(0, (0, 0, 1, 1), 1), (1, (0, 0, 1, 1), 20), (1, (0, 0, 1, 1), 21)]
    assert run_rule(LabelOutOfRange, records(2, boxes=boxes), num_classes=21) == [(1, "label-out-of-range", (1,))]
    assert run_rule(LabelOutOfRange, records(2, boxes=boxes), num_classes=22) == []


def test_findings_beyond_the_limit_are_still_counted() -> None:
    found = run_rule(LabelOutOfRange, labelled(classes(500)), num_classes=4, max_findings=10)
    assert len(found) == 100
    assert [index for index, _, _ in found[:11]] == [4, 9, 14, 19, 24, 29, 34, 39, 44, 49, None]


# ---- label-one-hot ----


@pytest.mark.parametrize(("value", "total"), [(0, "0"), (1, "2")])
def test_rows_that_do_not_sum_to_one(value: float, total: str) -> None:
    (found,) = findings(LabelOneHot, labelled(changed(one_hot(), (17, 2 if value == 0 else 4), value)))
    assert found.location.index == 17
    assert f"sums to {total}, not to 1" in found.message


def test_smoothed_rows_among_one_hot_rows_sum_to_one() -> None:
    labels = one_hot()
    labels[17] = [0.2, 0.2, 0.2, 0.2, 0.2004]
    assert everything(labelled(labels)) == {}
    labels[17] = [0.2, 0.2, 0.2, 0.2, 0.3]
    assert everything(labelled(labels)) == {"label-one-hot": [(17, None)]}


# ---- label-offset ----


def test_labels_that_start_at_one() -> None:
    (found,) = findings(LabelOffset, labelled(classes() + 1))
    assert found.message == "labels run from 1 to 5; losses count classes from 0"
    assert everything(labelled(classes() + 1)) == {"label-offset": [(None, None)]}


def test_labels_up_to_the_number_of_classes() -> None:
    found = everything(labelled(classes() + 1), num_classes=5)
    assert set(found) == {"label-offset", "label-out-of-range"}
    (said,) = findings(LabelOffset, labelled(classes() + 1), num_classes=5)
    assert "must run from 0 to 4" in said.message


def test_an_extra_class_makes_it_an_absent_one() -> None:
    assert everything(labelled(classes() + 1), num_classes=6) == {"label-absent-class": [(None, None)]}


# ---- label-absent-class ----


def test_absent_classes_are_listed() -> None:
    labels = np.array([0, 1, 3, 7, 8, 9, 10, 11, 12])[np.arange(90) % 9]
    (found,) = findings(LabelAbsentClass, labelled(labels))
    assert found.message.startswith("classes 2, 4..6 of 0..12 never occur;")
    assert found.data == {"absent": 4, "classes": [[2, 2], [4, 6]]}
    assert everything(labelled(labels)) == {"label-absent-class": [(None, None)]}


def test_classes_that_the_net_has_and_the_set_has_not() -> None:
    (found,) = findings(LabelAbsentClass, labelled(classes()), num_classes=6)
    assert found.message.startswith("class 5 of 0..5 never occurs;")
    assert run_rule(LabelAbsentClass, labelled(classes()), num_classes=5) == []


def test_an_absurd_label_is_one_line_with_its_record() -> None:
    (found,) = findings(LabelAbsentClass, labelled(classes(at37=1_000_000)))
    assert found.location.index == 37
    assert "999,995 of the classes 0..1000000 never occur" in found.message


def test_a_part_of_the_set_does_not_show_what_is_absent() -> None:
    for rule in (LabelAbsentClass, LabelRareClass):
        assert rule(Context(Options(limit=100), "", "", Traits())).not_run() is not None
        assert rule(Context(Options(), "", "", Traits())).not_run() is None


# ---- label-rare-class ----


def test_a_class_of_one_record_is_named_with_it() -> None:
    labels = classes(200)
    labels[77] = 5
    (found,) = findings(LabelRareClass, labelled(labels))
    assert (found.location.index, found.severity) == (77, Severity.WARNING)
    assert found.data == {"class": 5, "samples": 1, "median": 40.0}
    labels[78] = 5
    (found,) = findings(LabelRareClass, labelled(labels))
    assert found.location.index is None


def test_small_classes_in_small_sets_are_not_rare() -> None:
    assert everything(labelled(classes(at37=5))) == {}


# ---- label-imbalance ----


def imbalanced(large: int, small: int) -> NDArray[np.int64]:
    labels = np.concatenate([np.zeros(large, np.int64), np.ones(small, np.int64)])
    return np.random.default_rng(5).permutation(labels)


def test_one_class_outweighs_another() -> None:
    (found,) = findings(LabelImbalance, labelled(imbalanced(3030, 30)))
    assert found.data == {"largest": 0, "smallest": 1, "ratio": 101.0}
    assert run_rule(LabelImbalance, labelled(imbalanced(3000, 30))) == []
    assert run_rule(LabelImbalance, labelled(imbalanced(990, 9))) == []


def test_rare_classes_are_not_said_twice() -> None:
    labels = np.append(classes(2000), 5)
    assert everything(labelled(labels)) == {"label-rare-class": [(2000, None)]}


# ---- label-constant ----


@pytest.mark.parametrize(
    "labels", [np.zeros(60, np.int32), np.full(60, 0.5), one_hot()[np.zeros(60, int)], np.zeros((60, 5))]
)
def test_one_value_only(labels: NDArray[Any]) -> None:
    found = findings(LabelConstant, labelled(labels))
    assert [(finding.location.index, finding.severity) for finding in found] == [(None, Severity.WARNING)]
    assert everything(labelled(labels)) == {"label-constant": [(None, None)]}
    assert run_rule(LabelConstant, labelled(labels[:19])) == []


# ---- label-sorted ----


def test_batches_that_miss_classes() -> None:
    labels = np.repeat(np.arange(5), 12)
    (found,) = findings(LabelSorted, labelled(labels), batch_size=10)
    assert found.message == (
        "a batch of 10 holds 1.7 of the 5 classes on average, where that of a shuffled set holds 4.6"
    )
    assert everything(labelled(labels), batch_size=10) == {"label-sorted": [(None, None)]}


def test_runs_of_equal_labels() -> None:
    (found,) = findings(LabelSorted, labelled(np.repeat(np.arange(5), 12)))
    assert found.data["runs"] == 5
    assert found.data["shuffled"] == pytest.approx(49)


def test_two_sorted_classes() -> None:
    labels = np.repeat([0, 1], 1000)
    assert len(run_rule(LabelSorted, labelled(labels), batch_size=64)) == 1
    assert len(run_rule(LabelSorted, labelled(labels))) == 1


def test_alternating_within_a_batch_is_seen_by_the_batch_size_alone() -> None:
    labels = np.concatenate([np.tile([2 * i, 2 * i + 1], 20) for i in range(10)])
    assert run_rule(LabelSorted, labelled(labels)) == []
    assert len(run_rule(LabelSorted, labelled(labels), batch_size=20)) == 1


@pytest.mark.parametrize("batch_size", [None, 1, 2, 10, 32, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_shuffled_sets_are_not_sorted(batch_size: int | None, seed: int) -> None:
    random = np.random.default_rng(seed)
    for labels in (
        random.integers(0, 5, 60),
        random.permutation(np.repeat(np.arange(100), 3)),
        imbalanced(600, 6),
        random.permutation(np.repeat([0, 1], [37, 3])),
    ):
        assert run_rule(LabelSorted, labelled(labels), batch_size=batch_size) == []


def test_a_few_records_may_stand_together_by_chance() -> None:
    labels = np.zeros(40, np.int64)
    labels[10:13] = 1
    assert run_rule(LabelSorted, labelled(labels), batch_size=10) == []


def test_a_batch_of_the_whole_set_has_no_order() -> None:
    assert run_rule(LabelSorted, labelled(np.repeat(np.arange(5), 12)), batch_size=60) == []


# ---- label-text ----


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "the text is empty"),
        (b"caf\xe9", "the text is not UTF-8: byte 0xe9 at 3"),
        ("é".encode()[:1], "the text is not UTF-8: byte 0xc3 at 0"),
        (b"word\n", "the text holds the control character U+000A at 4 of 5"),
        (b"a\x00b", "the text holds the control character U+0000 at 1 of 3"),
        (b"\x7f", "the text holds the control character U+007F at 0 of 1"),
        ("né\x85".encode(), "the text holds the control character U+0085 at 2 of 3"),
    ],
)
def test_texts_at_fault(text: bytes, said: str) -> None:
    (found,) = findings(LabelText, records(3, texts=[b"fine", text, "schön".encode()]))
    assert (found.location.index, found.severity, found.message) == (1, Severity.WARNING, said)


def test_foreign_letters_are_fine() -> None:
    texts = ["Grüße", "中文字符", "العربية", "🙂", "a b", "naïve\u00a0x", "\u2028"]
    assert run_rule(LabelText, records(7, texts=[text.encode() for text in texts])) == []


def test_halves_of_a_letter_do_not_make_a_whole_one() -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert [index for index, _, _ in run_rule(LabelText, records(2, texts=[first, second]))] == [0, 1]


def test_bytes_between_the_texts_do_not_matter() -> None:
    buffer = np.frombuffer(b"\xff\x00one\xfftwo\x00", np.uint8)
    texts = BytesColumn(buffer, np.array([6, 2]), np.array([3, 3]))
    assert suspicious_texts(texts).tolist() == []


# ---- all of them ----


def test_two_columns_are_judged_apart() -> None:
    batch = rows({"/label": classes(at37=-1), "/angle": np.linspace(-1, 1, 60)}, labels=["/label", "/angle"])
    assert run_rule(LabelNegative, batch) == [(37, "label-negative", "/label")]


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_faults_of_the_layout_are_reported(rule: type[Rule]) -> None:
    batch = records(3, faults=[Fault(1, rule.name, "said by the layout"), Fault(2, "other-rule", "")])
    assert run_rule(rule, batch) == [(1, rule.name, None)]


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_pages_have_their_three_parts(rule: type[Rule]) -> None:
    page = rule.__doc__ or ""
    assert [page.count(f"## {title}\n") for title in ("What it does", "Why is this bad?", "How to fix")] == [1, 1, 1]


DIRTY: dict[str, NDArray[Any]] = {
    "scalars": np.concatenate([np.repeat(np.arange(1, 6), 50).astype(np.float64), [-1, 2.5, 77, 1e30, np.nan, 3, 3]]),
    "rows": np.concatenate([one_hot(200)[np.repeat(np.arange(5), 40)], np.diag([2, -1, 0.5, np.inf, 0])]),
}


@pytest.mark.parametrize("rule", LABEL_RULES)
@pytest.mark.parametrize("labels", DIRTY.values(), ids=DIRTY.keys())
@pytest.mark.parametrize("sizes", [(1, 1), (7, 30), (100, 100), (3, 1000)])
def test_the_cut_into_batches_and_partitions_does_not_matter(
    rule: type[Rule], labels: NDArray[Any], sizes: tuple[int, int]
) -> None:
    whole = findings(rule, labelled(labels), num_classes=7, batch_size=8)
    assert _in_partitions(rule, labels, *sizes) == [replace(f, location=replace(f.location, key=None)) for f in whole]


def _in_partitions(rule_class: type[Rule], labels: NDArray[Any], batch: int, partition: int) -> list[Finding]:
    """Findings of a scan in partitions of so many records, read in batches."""
    options = Options(num_classes=7, batch_size=8)
    rule = rule_class(Context(options, "test", "lmdb", Traits()))
    total, found = Summary(options), []
    for start in range(0, len(labels), partition):
        part, summary = labels[start : start + partition], Summary(options)
        for first in range(0, len(part), batch):
            piece = part[first : first + batch]
            samples = labelled(piece, positions=range(first, first + len(piece)))
            summary.add(samples)
            found += [finding.shifted(start) for finding in rule.check(samples)]
        total.merge(pickle.loads(pickle.dumps(summary)), start)
    found += told(rule.finish(total))
    return [replace(finding, location=replace(finding.location, key=None)) for finding in found]
