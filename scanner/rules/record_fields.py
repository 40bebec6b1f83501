"""The rule about fields that records of a set usually have."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, Further, Location, Severity
from ..summary import Summary
from .base import Rule

FEW = 10
"""In smaller sets nobody can tell a field that is missing from one that some records have more."""


class RecordMissingField(Rule):
    """
    ## What it does
    In a set of dictionaries (pickle, msgpack, JSON) of which 95% or more have a field, names the records that lack it.

    ## Why is this bad?
    A loader that asks for the field raises `KeyError` in the middle of an epoch; one that asks with a default trains
    the record on that, silently. PyTorch's default collation takes the fields of a batch from its first record, so that
    the error blames another one.

    ## How to fix
    Write the record again with the field, or leave it out. If the field is optional and your loader knows it, ignore
    this rule.
    """

    name = "record-missing-field"
    severity = Severity.WARNING

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        lacking = summary.fields.lacking()
        if sum(log.count for log in summary.fields.kinds.values()) < FEW:
            return
        found = sorted((position, names) for names, log in lacking.items() for position in log.positions)
        for position, names in found:
            yield self.finding(self._said(names), Location(index=position), data={"fields": list(names)})
        for log in lacking.values():
            yield self.further(log.count - len(log.positions))

    @staticmethod
    def _said(names: tuple[str, ...]) -> str:
        shown = ", ".join(f"'{name}'" for name in names[:5]) + f" and {len(names) - 5} more" * (len(names) > 5)
        return f"has no {shown}, which 95% or more of the records have"
