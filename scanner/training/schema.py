"""What Caffe knows of a message: fields, types, enums; and what its parser would refuse in one that was read.

Caffe parses with protobuf's C++ text format, which refuses a whole file for one unknown field, one value of a wrong
type or one field given twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Literal

from .prototxt import Field, Message, Scalar, parse
from .schema_tables import ENUMS, FORKS, MESSAGES

RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}

ComplaintKind = Literal["unknown-field", "fork-field", "wrong-type", "repeated-field"]


@dataclass(frozen=True, slots=True)
class FieldType:
    """``name`` is a scalar type, a message, an enum, or ``any`` for what is not looked into."""

    name: str
    repeated: bool = False
    fork: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something for which Caffe refuses the file.

    ``near`` is the name that was meant, where the one given is a slip of one or two letters from it; ``meant`` the
    value that was meant, as text, where it can be told from the one given.
    """

    kind: ComplaintKind
    text: str
    line: int
    remedy: str
    entry: Field
    near: str | None = None
    meant: str | None = None


@cache
def enum_numbers(name: str) -> Mapping[str, int]:
    """The words of an enum and their numbers."""
    numbers = {}
    for place, entry in enumerate(ENUMS[name].split()):
        word, _, number = entry.partition("=")
        numbers[word] = int(number) if number else place
    return numbers


@cache
def fields_of(message_type: str) -> Mapping[str, FieldType]:
    """The fields of a message that Caffe or its SSD fork knows."""
    fields = {name: FieldType("any", True, True) for name in FORKS.get(message_type, "").split()}
    for group in MESSAGES[message_type].split(";"):
        type_name, *names = group.split()
        fields |= {name: FieldType(type_name.rstrip("*"), type_name.endswith("*")) for name in names}
    return fields


def check_message(message: Message, message_type: str) -> Iterator[Complaint]:
    """What Caffe's parser would refuse, in the order of the file."""
    known = fields_of(message_type)
    seen: dict[str, int] = {}
    for entry in message:
        field_type = known.get(entry.name)
        if field_type is None:
            yield unknown_field(entry, message_type)
            continue
        if field_type.fork:
            yield Complaint(
                "fork-field",
                f"{entry.name} is known to Caffe's SSD fork alone; BVLC Caffe refuses the file",
                entry.line,
                f"take {entry.name} out, or train with the fork",
                entry,
            )
        if entry.name in seen and not field_type.repeated:
            yield Complaint(
                "repeated-field",
                f"{entry.name} is given again after line {seen[entry.name]}, but may stand only once",
                entry.line,
                f"keep one of the lines {seen[entry.name]} and {entry.line}",
                entry,
            )
        seen.setdefault(entry.name, entry.line)
        yield from check_value(entry, field_type)


def check_value(entry: Field, field_type: FieldType) -> Iterator[Complaint]:
    """What is wrong with one field's value."""
    if field_type.name == "any":
        return
    if field_type.name in MESSAGES:
        if isinstance(entry.value, Message):
            yield from check_message(entry.value, field_type.name)
        else:
            yield wrong_type(entry, "a message in braces", f"{entry.name} {{ ... }}", None)
        return
    if isinstance(entry.value, Message):
        yield wrong_type(entry, f"one value ({field_type.name})", f"{entry.name}: ...", None)
        return
    problem = scalar_problem(entry.value, field_type.name)
    if problem is not None:
        wanted, meant, fallback = problem
        yield wrong_type(entry, wanted, f"{entry.name}: {shortened(meant or fallback)}", meant)


def scalar_problem(value: Scalar, type_name: str) -> tuple[str, str | None, str] | None:
    """What was wanted in a value's place, what was meant if that can be told, and what else could stand there.

    ``None`` where the value will do.
    """
    if type_name == "string":
        return None if value.kind == "string" else ("a string in quotes", f'"{value.text}"', "")
    if type_name == "bool":
        truth = "true" if value.text.lower() in ("true", "yes", "on", "t") else "false"
        return ("true or false", truth, "") if value.boolean is None else None
    if type_name == "float":
        undotted = value.integer is not None and value.text.lstrip("-").startswith("0") and value.text.strip("-") != "0"
        if value.double is None or undotted:
            return "a decimal number", number_in(value.text), "0.01"
        return None
    if type_name in RANGES:
        low, high = RANGES[type_name]
        minus = low == 0 and value.text.startswith("-")  # the parser takes no sign there, not even for -0
        if value.integer is not None and low <= value.integer <= high and not minus:
            return None
        if value.integer is None:
            return "a whole number without point, exponent or quotes", whole_in(value.text), "1"
        return f"a whole number from {low} to {high}", None, str(min(max(value.integer, low), high))
    numbers = enum_numbers(type_name)
    if value.text in numbers and value.kind == "word":
        return None
    if value.kind == "number" and value.integer in numbers.values():
        return None
    near = get_close_matches(value.text.upper(), numbers, 1, 0)[0]
    return f"{spoken_choice(list(numbers))} without quotes", nearest(value.text, numbers), near


def as_meant(message: Message, complaints: Iterable[Complaint]) -> Message:
    """The message with slips mended, as far as they can be told: what is judged then is what was meant."""
    mended = {id(complaint.entry): complaint for complaint in complaints if complaint.near or complaint.meant}
    return _mend(message, mended) if mended else message


def _mend(message: Message, mended: Mapping[int, Complaint]) -> Message:
    result = Message(message.line, message.column, fault=message.fault)
    for entry in message:
        complaint = mended.get(id(entry))
        if isinstance(entry.value, Message):
            entry = replace(entry, value=_mend(entry.value, mended))
        if complaint is not None and complaint.near:
            entry = replace(entry, name=complaint.near)
        elif complaint is not None and (read := parse(f"v: {complaint.meant}").scalar("v")) is not None:
            entry = replace(entry, value=replace(read, line=entry.value.line, column=entry.value.column))
        result.add(entry)
    return result


def number_in(text: str) -> str | None:
    """A decimal number that was put in quotes or written with a leading zero."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return None


def whole_in(text: str) -> str | None:
    """The whole number that a float or a quoted number stands for."""
    try:
        number = float(text)
        return str(int(number)) if abs(number) < 2**31 else None
    except (ValueError, OverflowError):
        return None


def spoken_choice(words: list[str]) -> str:
    """``CPU or GPU``; of many words the first few."""
    if len(words) > 8:
        return f"{', '.join(words[:6])} or one of {len(words) - 6} more"
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def wrong_type(entry: Field, wanted: str, remedy: str, meant: str | None) -> Complaint:
    """The complaint of a value of another type."""
    value = entry.value
    found = "a message" if isinstance(value, Message) else shortened(str(value))
    return Complaint("wrong-type", f"{entry.name} wants {wanted}, not {found}", value.line, remedy, entry, meant=meant)


def unknown_field(entry: Field, message_type: str) -> Complaint:
    """The complaint of a field that neither Caffe nor its SSD fork knows."""
    known = fields_of(message_type)
    near = nearest(entry.name, known)
    suggestions = [near] if near else get_close_matches(entry.name, known, 1, 0.7)
    text = f"{shortened(entry.name)} is no field of Caffe's {message_type}"
    if suggestions:
        text += f"; the nearest is {suggestions[0]}"
    remedy = f"write {near}" if near else f"take {shortened(entry.name)} out, or train with the fork that knows it"
    return Complaint("unknown-field", text, entry.line, remedy, entry, near)


def shortened(text: str) -> str:
    """A name or value of bounded length."""
    return text if len(text) <= 60 else text[:59] + "…"


def nearest(name: str, known: Mapping[str, object]) -> str | None:
    """The known name of which this one is a slip: other case or underscores, a letter too many, too few, swapped.

    Short names must differ in one letter at most: ``bn_param`` of a fork is no slip of ``lrn_param``.
    """
    if len(name) > 60:
        return None
    plain = name.lower().replace("_", "")
    for other in known:
        if other.lower().replace("_", "") == plain:
            return other
    distances = {other: distance(stem(name), stem(other)) for other in known}
    best = min(distances, key=lambda other: distances[other], default=None)
    if best is None:
        return None
    length = min(len(stem(name)), len(stem(best)))
    allowed = 0 if length < 4 else 1 if length < 8 else 2
    return best if distances[best] <= allowed else None


def stem(name: str) -> str:
    """The part of a name that tells it from others; ``_param`` may be misspelt itself."""
    return re.sub(r"_par\w{1,3}$", "", name.lower())


def distance(one: str, other: str) -> int:
    """Letters to add, drop, change or swap with their neighbour to make one word of the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, char in enumerate(one, 1):
        older, before, row = before, row, [place]
        for column, wanted in enumerate(other, 1):
            cost = min(before[column] + 1, row[column - 1] + 1, before[column - 1] + (char != wanted))
            if place > 1 and column > 1 and char == other[column - 2] and one[place - 2] == wanted:
                cost = min(cost, older[column - 2] + 1)
            row.append(cost)
    return row[-1]
