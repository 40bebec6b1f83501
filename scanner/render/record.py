"""One record for people: what it is, what it decodes to, what is wrong with it, and its first bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..finding import Finding, Location
from ..printable import fill, key_text, pad, printable, width
from .findings import message_tail
from .numbers import counted, real
from .style import Style

DUMPED = 64
"""Bytes of the hexdump: enough for any image's signature and a Datum's first fields."""

LISTED = 10
"""Values of a label row, and boxes, that are written out."""


@dataclass(frozen=True, slots=True)
class RecordView:
    """One record, ready to be shown.

    Attributes
    ----------
    table
        HDF5: the name of the datasets that are read together; empty for a key-value store.
    fields
        What it decodes to; JSON values, each with its ``kind`` (``array``, ``image``, ``label``, ``text``,
        ``boxes``) and its ``name``.
    parts
        Raw bytes by dataset path; the one value of a key-value record has the empty name.
    unreadable
        Dataset paths that belong to the row and could not be read, with the reason.
    """

    source: str
    store: str
    layout: str
    key: bytes | None
    index: int | None
    table: str
    fields: tuple[Mapping[str, Any], ...]
    parts: Mapping[str, bytes]
    unreadable: Mapping[str, str]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record in JSON."""
        place = Location(key=self.key, index=self.index).to_dict()
        return {
            "source": {"path": self.source, "store": self.store, "layout": self.layout},
            "key": place["key"],
            "key_hex": place["key_hex"],
            "index": self.index,
            "table": self.table or None,
            "bytes": sum(map(len, self.parts.values())),
            "fields": [dict(field) for field in self.fields],
            "unreadable": dict(self.unreadable),
            "findings": [finding.to_dict() for finding in self.findings],
            "head_hex": {name: part[:DUMPED].hex() for name, part in self.parts.items()},
        }


def record_lines(view: RecordView, style: Style) -> Iterator[str]:
    """The record for the terminal."""
    yield style.paint(title(view), "name")
    rows = [("source", f"{printable(view.source)} · {view.store} · {printable(view.layout)}")]
    rows += [(part_name(name), f"{counted(len(part), 'byte')}") for name, part in view.parts.items()]
    rows += [(printable(name), f"can't be read: {printable(why)}") for name, why in view.unreadable.items()]
    rows += [(printable(str(field["name"])), field_text(field)) for field in view.fields]
    column = min(max(width(name) for name, _ in rows), 24)
    for name, text in rows:
        yield from row_lines(name, text, column, style)
    yield ""
    yield from finding_lines(view, style)
    for name, part in view.parts.items():
        yield ""
        of_all = f"all {len(part)} bytes" if len(part) <= DUMPED else f"first {DUMPED} of {len(part):,} bytes"
        yield style.paint(f"{of_all}{' of ' + printable(name) if name else ''}", "name")
        yield from dump_lines(part[:DUMPED])


def title(view: RecordView) -> str:
    """Key and position."""
    if view.key is None:
        return f"row {view.index} of {printable(view.table) or 'the datasets'}"
    position = "position not known" if view.index is None else f"#{view.index}"
    return f"{key_text(view.key)}  {position}"


def part_name(name: str) -> str:
    """The word before a part's size."""
    return f"{printable(name)} value" if name else "value"


def row_lines(name: str, text: str, column: int, style: Style) -> Iterator[str]:
    """A name and what belongs to it, filled."""
    for number, line in enumerate(fill(text, max(style.width - column - 4, 20)) or [""]):
        yield f"  {style.paint(pad('' if number else name, column), 'dim')}  {line}"


def field_text(field: Mapping[str, Any]) -> str:
    """A decoded field in words."""
    return {"array": array_text, "image": image_text, "label": label_text, "boxes": boxes_text}.get(
        field["kind"], plain_text
    )(field)


def array_text(field: Mapping[str, Any]) -> str:
    """Type, shape, range and what is not a number."""
    shape = "x".join(map(str, field["shape"])) or "scalar"
    order = " ".join(word for word in (field["axes"], field["colour"]) if word)
    parts = [f"{field['dtype']} {shape}" + (f" ({order})" if order else "")]
    parts += [f"{name} {real(field[name])}" for name in ("min", "max", "mean") if field[name] is not None]
    parts += [
        f"{field[name]:,} {name.upper() if name == 'nan' else 'infinite'}" for name in ("nan", "inf") if field[name]
    ]
    return ", ".join(parts)


def image_text(field: Mapping[str, Any]) -> str:
    """Format, size, channels, orientation."""
    if field["format"] is None:
        return "no image: the bytes are of no format that is known"
    known = field["width"] is not None and field["height"] is not None
    parts = [str(field["format"]), f"{field['width']}x{field['height']}" if known else "size unknown"]
    if field["channels"] is not None:
        parts.append(counted(field["channels"], "channel") + (f" ({field['mode']})" if field["mode"] else ""))
    if field["orientation"] != 1:
        parts.append(f"EXIF orientation {field['orientation']}")
    return ", ".join(parts)


def label_text(field: Mapping[str, Any]) -> str:
    """The label, or the first of a row of labels."""
    values = field["values"]
    shown = ", ".join(
        real(value) if isinstance(value, int | float) else printable(str(value)) for value in values[:LISTED]
    )
    return shown + (f", and {len(values) - LISTED:,} more" if len(values) > LISTED else "") or "missing"


def boxes_text(field: Mapping[str, Any]) -> str:
    """Label and corners of the first boxes."""
    boxes = field["boxes"]
    shown = "; ".join(
        f"{box['label']} ({', '.join(real(corner) for corner in box['corners'])})" for box in boxes[:LISTED]
    )
    return f"{counted(len(boxes), 'box', 'boxes')}: {shown}" + ("; ..." if len(boxes) > LISTED else "")


def plain_text(field: Mapping[str, Any]) -> str:
    """Anything else."""
    return printable(str(field["text"]))


def finding_lines(view: RecordView, style: Style) -> Iterator[str]:
    """What is wrong with this record, as far as it shows without the others."""
    if not view.findings:
        what = "what could be read of this record" if view.unreadable else "this record by itself"
        yield from fill(f"nothing found in {what} ('datascan check' also compares records)", style.width)
    for finding in view.findings:
        head = f"{finding.severity.value}  {printable(finding.rule)}  "
        element = "" if finding.location.element is None else f" at {list(finding.location.element)}"
        element = "" if element in finding.message else element
        message = printable(finding.message) + element + message_tail(finding)
        first, *others = fill(message, max(style.width - len(head), 24)) or [""]
        painted = style.paint(finding.severity.value, finding.severity.value)
        yield f"{painted}  {style.paint(printable(finding.rule), 'name')}  {first}"
        yield from (" " * len(head) + line for line in others)


def dump_lines(part: bytes) -> Iterator[str]:
    """Sixteen bytes a line: offset, hexadecimal, printable ASCII."""
    for start in range(0, len(part), 16):
        row = part[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"  {start:08x}  {row[:8].hex(' '):23}  {row[8:].hex(' '):23}  |{text}|"
