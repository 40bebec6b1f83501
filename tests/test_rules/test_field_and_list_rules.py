"""Rules about fields of dictionaries, lists of keys and texts: over whole sets, in parts, each with a clean twin."""

from __future__ import annotations

import numpy as np
import pytest

from datascan.scanner.finding import Finding
from datascan.scanner.layouts.base import Traits
from datascan.scanner.options import Options
from datascan.scanner.rules import Context
from datascan.scanner.rules.label_text import LabelText
from datascan.scanner.rules.record import RecordMissingTwin
from datascan.scanner.rules.record_fields import RecordMissingField
from datascan.scanner.sample import SampleBatch
from datascan.scanner.summary import Summary
from datascan.scanner.summary.lists import KeyList

from .samples import findings, records, run_rule

USUAL = ("image", "label", "width")


def with_fields(count: int, odd: dict[int, tuple[str, ...]]) -> SampleBatch:
    batch = records(count)
    for row in range(count):
        batch.fields.setdefault(odd.get(row, USUAL), []).append(row)
    return batch


def test_a_record_without_a_usual_field_is_named() -> None:
    (found,) = findings(RecordMissingField, with_fields(40, {17: ("image", "width")}))
    assert (found.location.index, found.message) == (17, "has no 'label', which 95% or more of the records have")


@pytest.mark.parametrize(
    ("count", "odd"),
    [
        (40, {}),
        (40, dict.fromkeys(range(0, 40, 4), ("image", "width"))),
        (40, {17: (*USUAL, "note")}),
        (6, {3: ("image",)}),
    ],
    ids=["all alike", "a field that a quarter lacks", "one field more", "hardly any records"],
)
def test_optional_fields_are_no_fault(count: int, odd: dict[int, tuple[str, ...]]) -> None:
    assert run_rule(RecordMissingField, with_fields(count, odd)) == []


def test_fields_are_compared_over_all_parts() -> None:
    whole, first, second = Summary(Options()), Summary(Options()), Summary(Options())
    whole.add(with_fields(60, {42: ("image",)}))
    first.add(with_fields(30, {}))
    second.add(with_fields(30, {12: ("image",)}))
    first.merge(second, 30)
    assert first.fields.lacking() == whole.fields.lacking()
    (log,) = first.fields.lacking().values()
    assert log.positions == [42]


def listed(keys: list[bytes]) -> SampleBatch:
    batch = records(len(keys), keys=keys)
    batch.key_rows = np.arange(len(keys), dtype=np.int64)
    return batch


def missing_of(keys: list[bytes], named: KeyList, cut: int = 0) -> list[tuple[int | None, str, str]]:
    total = Summary(Options())
    total.lists.lists.append(named)
    for start, part in ((0, keys[:cut]), (cut, keys[cut:])):
        summary = Summary(Options())
        summary.add(listed(part))
        total.merge(summary, start)
    rule = RecordMissingTwin(Context(Options(), "test", "lmdb", Traits()))
    return [(f.location.index, f.severity.value, f.message) for f in rule.finish(total) if isinstance(f, Finding)]


def test_what_a_list_names_must_be_there_and_the_other_way_round() -> None:
    keys = [b"%d" % number for number in range(30)]
    named = KeyList.of("__keys__", keys)
    for cut in (0, 7, 29):
        assert missing_of(keys, named, cut) == []
        lost = missing_of([*keys[:12], *keys[13:]], named, cut)
        assert lost == [(None, "error", "12 is missing, which __keys__ names")]
        (extra,) = missing_of([*keys[:5], b"stray", *keys[5:]], named, cut)
        assert extra == (5, "warning", "__keys__ does not name this record, so that loaders do not read it")


def test_characters_outside_of_the_charset_are_named() -> None:
    batch = records(3, texts=[b"abc", "a\u00e9\U0001f642".encode(), b"a\tb"])
    found = [f for f in findings(LabelText, batch, charset="abc") if "charset" in f.message]
    assert [(f.location.index, f.message) for f in found] == [
        (1, "characters outside of the charset: '\u00e9' (U+00E9), '\U0001f642' (U+1F642)")
    ]
    assert run_rule(LabelText, records(2, texts=[b"abc", b"cab"]), charset="abc") == []


def test_a_text_far_longer_than_all_others_is_named() -> None:
    texts = [b"word" * (1 + number % 4) for number in range(150)]
    texts[70] = b"x" * 200
    (found,) = findings(LabelText, records(150, texts=texts))
    assert (found.location.index, found.data) == (70, {"bytes": 200})
    texts[70] = b"x" * 40
    assert run_rule(LabelText, records(150, texts=texts)) == []
    assert run_rule(LabelText, records(50, texts=[b"x" * 200, *texts[1:50]])) == []
