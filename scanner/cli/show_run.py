"""What ``datascan show`` does: find the record, decode and check it alone, print or save it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...backends import open_store
from ...backends.base import Batch, RecordBatch, Store
from ...backends.columns import BytesColumn
from ...backends.errors import UsageError
from ..fields import fields_of
from ..finding import Finding
from ..layouts.base import Layout, RecordLayout, RowLayout
from ..layouts.choose import Choice, choose_layout
from ..options import Options
from ..render.json_ import portable_json
from ..render.record import RecordView, record_lines
from ..rules import instantiate, known_rules
from ..rules.base import Context
from ..sample import SampleBatch
from ..summary import Summary
from .lookup import Found, find_by_key, find_by_position, parse_key, table_of
from .outputs import refuse_sources
from .session import CannotWrite, Session
from .terminal import stdout_style, write_lines

ALONE = ("value", "label", "box")
"""Families whose whole-set findings that name a record hold for that record by itself."""


def run_show(session: Session, source: str, key: str, given: Mapping[str, Any]) -> None:
    """Show, and save where that is asked for."""
    options = Options()
    if given["save"] is not None:
        refuse_sources(given["save"], [source])
    with open_store(source, given["backend"], given["database"]) as store:
        choice = choose_layout(store, options, given["layout"])
        found = find(store, choice, key, given["dataset"])
        view = view_of(source, store, choice.layout, found, given["dataset"])
    if given["save"] is not None:
        save(view, given["save"])
    if given["output"] == "json":
        text = json.dumps(view.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        session.write(lambda stream: stream.write(portable_json(text, stream.encoding) + "\n"))
    else:
        lines = list(record_lines(view, stdout_style(given["color"])))
        session.write(lambda stream: write_lines(lines, stream))


def find(store: Store, choice: Choice, key: str, dataset: str | None) -> Found:
    """The record or row that is meant."""
    wanted = parse_key(key)
    if choice.tables is not None:
        row = int(key) if key.isascii() and key.isdigit() else wanted
        if not isinstance(row, int):
            raise UsageError(f"{key!r} is no row; rows of {store.path} are numbers, counted from 0")
        return find_by_position(store, row, [table_of(store, choice.tables, dataset)])
    if dataset is not None:
        raise UsageError(f"--dataset: {store.path} has keys and no datasets; leave it out")
    return find_by_position(store, wanted) if isinstance(wanted, int) else find_by_key(store, wanted)


def view_of(source: str, store: Store, layout: Layout, found: Found, dataset: str | None) -> RecordView:
    """The record, decoded and checked."""
    record = found.record
    samples = decode(layout, record)
    context = Context(Options(), layout.name, store.name, layout.traits)
    return RecordView(
        source=source,
        store=store.name,
        layout=layout.name,
        key=bytes(record.keys[0]) if isinstance(record, RecordBatch) else None,
        index=found.position,
        table=record.table.name,
        fields=tuple(fields_of(samples)),
        parts=parts_of(record, dataset),
        unreadable=unreadable_of(found),
        findings=tuple(findings_of(samples, context)),
    )


def unreadable_of(found: Found) -> dict[str, str]:
    """Columns that the row should have and that could not be read, with the reason."""
    record = found.record
    if isinstance(record, RecordBatch):
        return {}
    reasons = {damage.dataset: damage.reason for damage in found.damage}
    missing = [name for name in record.table.columns if name not in record.columns]
    return {name: reasons.get(name, "the store gives no data for this row") for name in missing}


def decode(layout: Layout, record: Batch) -> SampleBatch:
    """The record as a sample."""
    if isinstance(record, RecordBatch):
        assert isinstance(layout, RecordLayout)
        return layout.decode(record)
    assert isinstance(layout, RowLayout)
    return layout.decode(record)


def findings_of(samples: SampleBatch, context: Context) -> list[Finding]:
    """What the rules say of this record alone; what shows only beside others (duplicates, gaps) can't be said."""
    rules = [rule for rule in instantiate([rule.name for rule in known_rules()], context) if rule.not_run() is None]
    findings = [finding for rule in rules for finding in rule.check(samples)]
    summary = Summary(context.options)
    summary.add(samples)
    for rule in rules:
        if rule.family in ALONE:
            told = (one for one in rule.finish(summary) if isinstance(one, Finding))
            findings += [finding for finding in told if finding.location.index is not None]
    return findings


def parts_of(record: Batch, dataset: str | None) -> dict[str, bytes]:
    """The raw bytes: the value, or each column's row."""
    if isinstance(record, RecordBatch):
        return {"": bytes(record.values[0])}
    return {
        name: bytes(column[0]) if isinstance(column, BytesColumn) else column[0].tobytes()
        for name, column in record.columns.items()
        if dataset is None or name.strip("/") == dataset.strip("/")
    }


def save(view: RecordView, file: str) -> None:
    """Write the raw value to a new file.

    Raises
    ------
    UsageError
        The file is there already, or it is not clear which dataset's row is meant.
    CannotWrite
        It can't be made, or does not fit.
    """
    if len(view.parts) != 1:
        raise UsageError(f"--save takes one value; choose with --dataset from {', '.join(view.parts)}")
    (value,) = view.parts.values()
    try:
        with open(file, "xb") as stream:
            stream.write(value)
    except FileExistsError:
        raise UsageError(f"--save: {file} is there already; choose another name") from None
    except OSError as exc:
        raise CannotWrite(f"--save: can't write {file}: {exc.strerror}; choose another place") from exc
