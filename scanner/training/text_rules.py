"""What Caffe's parser refuses in a solver or a net: rules, and the judge that finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from ..finding import Finding, Severity
from .prototxt import Message
from .rules import FileRule
from .schema import Complaint, check_message

Kind = Literal["solver", "net"]

MESSAGE_TYPES = {"solver": "SolverParameter", "net": "NetParameter"}


class SolverSyntax(FileRule):
    """
    ## What it does
    Checks that a solver is text that protobuf can read.

    ## Why is this bad?
    Caffe ends with "Failed to parse SolverParameter file" before the first iteration. Nothing behind the error is
    judged.

    ## How to fix
    Look at the line and column given: a missing colon, quote or brace is most often just before it.
    """

    name = "solver-syntax"
    severity = Severity.ERROR


class SolverUnknownField(FileRule):
    """
    ## What it does
    Checks that every field of a solver is one that Caffe knows.

    ## Why is this bad?
    Caffe refuses the whole file for one unknown field: 'Message type "caffe.SolverParameter" has no field named'. A
    field that only a fork knows is a warning.

    ## How to fix
    Write the field as Caffe spells it (the finding names the nearest one), or take it out.
    """

    name = "solver-unknown-field"
    severity = Severity.ERROR


class SolverWrongType(FileRule):
    """
    ## What it does
    Checks that the fields of a solver have values of their types: whole numbers, decimal numbers, quoted strings,
    words without quotes.

    ## Why is this bad?
    Caffe refuses the whole file: `max_iter: 1e5` is no whole number for it, `lr_policy: fixed` no string.

    ## How to fix
    Write the value in the form that the finding names.
    """

    name = "solver-wrong-type"
    severity = Severity.ERROR


class SolverRepeatedField(FileRule):
    """
    ## What it does
    Checks that a solver gives no field twice that may stand only once.

    ## Why is this bad?
    Caffe refuses the whole file: "Non-repeated field is specified multiple times".

    ## How to fix
    Keep the line that is meant.
    """

    name = "solver-repeated-field"
    severity = Severity.ERROR


class NetSyntax(FileRule):
    """
    ## What it does
    Checks that a net is text that protobuf can read.

    ## Why is this bad?
    Caffe ends with "Failed to parse NetParameter file" before the first iteration. Nothing behind the error is judged.

    ## How to fix
    Look at the line and column given: a missing colon, quote or brace is most often just before it.
    """

    name = "net-syntax"
    severity = Severity.ERROR


class NetUnknownField(FileRule):
    """
    ## What it does
    Checks that every field of a net is one that Caffe knows.

    ## Why is this bad?
    Caffe refuses the whole file for one unknown field. A name that is a slip of a known one is an error; any other
    may belong to a fork with layers of its own and is a warning.

    ## How to fix
    Write the field as Caffe spells it (the finding names the nearest one), or train with the fork that knows it.
    """

    name = "net-unknown-field"
    severity = Severity.ERROR


class NetWrongType(FileRule):
    """
    ## What it does
    Checks that the fields of a net have values of their types: whole numbers, decimal numbers, quoted strings, words
    without quotes.

    ## Why is this bad?
    Caffe refuses the whole file: `type: Pooling` is no string for it, `batch_size: "64"` no number.

    ## How to fix
    Write the value in the form that the finding names.
    """

    name = "net-wrong-type"
    severity = Severity.ERROR


class NetRepeatedField(FileRule):
    """
    ## What it does
    Checks that a net gives no field twice that may stand only once.

    ## Why is this bad?
    Caffe refuses the whole file: "Non-repeated field is specified multiple times".

    ## How to fix
    Keep the line that is meant.
    """

    name = "net-repeated-field"
    severity = Severity.ERROR


SOLVER_TEXT_RULES: tuple[type[FileRule], ...] = (
    SolverSyntax,
    SolverUnknownField,
    SolverWrongType,
    SolverRepeatedField,
)
NET_TEXT_RULES: tuple[type[FileRule], ...] = (NetSyntax, NetUnknownField, NetWrongType, NetRepeatedField)


def check_text(message: Message, kind: Kind) -> Iterator[Finding]:
    """What Caffe's parser would refuse: the syntax error, then fields and values in the order of the file."""
    syntax, unknown, wrong_type, repeated = SOLVER_TEXT_RULES if kind == "solver" else NET_TEXT_RULES
    if message.fault is not None:
        fault = message.fault
        yield syntax.finding(
            f"column {fault.column}: {fault.reason}",
            fault.line,
            cause="aborted",
            remedy=f"correct line {fault.line} at column {fault.column}",
            column=fault.column,
        )
    by_kind = {
        "unknown-field": unknown,
        "fork-field": unknown,
        "wrong-type": wrong_type,
        "repeated-field": repeated,
    }
    complaints = list(check_message(message, MESSAGE_TYPES[kind]))
    counts = Counter(complaint.text for complaint in complaints if foreign(complaint, kind))
    for complaint in complaints:
        count = counts.pop(complaint.text, 0) if foreign(complaint, kind) else 1
        if count == 0:
            continue  # a fork's layers use the same field again and again: it is said at the first
        yield by_kind[complaint.kind].finding(
            complaint.text + (f" (in {count} places)" if count > 1 else ""),
            complaint.line,
            cause="aborted",
            remedy=complaint.remedy,
            severity=Severity.WARNING if foreign(complaint, kind) else None,
            nearest=complaint.near,
            count=count if count > 1 else None,
        )


def foreign(complaint: Complaint, kind: Kind) -> bool:
    """Whether a fork of Caffe may know the field: then it is a warning."""
    unheard_of = complaint.kind == "unknown-field" and kind == "net" and complaint.near is None
    return unheard_of or complaint.kind == "fork-field"
