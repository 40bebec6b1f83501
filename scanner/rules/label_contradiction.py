"""The rule about labels that contradict each other, or what the set says elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, Further, Location, Severity
from ..printable import key_text
from ..summary import Summary
from .base import Rule


class LabelContradiction(Rule):
    """
    ## What it does
    Compares labels with what the set itself says of them elsewhere: the end of a DIGITS key, the directory in
    a key, a step that is both terminal and cut off, distances to neighbours that are not sorted from the nearest on.

    A directory (`00000012_n01440764/img_3.JPEG`, as Caffe's convert_imageset writes it, or the path alone) counts
    where directories are clearly classes: there are several, and 99 of 100 records have the label of most others in
    theirs.

    ## Why is this bad?
    One of the two is wrong, and nobody notices: each of them is a valid value. The sample is learned with a wrong
    class, a return is computed beyond the end of its episode, a recall is measured against the wrong threshold.

    ## How to fix
    Find out which of the two is right where the set was made, and write the record again.
    """

    name = "label-contradiction"
    severity = Severity.WARNING

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        odd, count = summary.folders.odd()
        for one in odd:
            folder = key_text(one.folder)
            yield self.finding(
                f"label {one.label}, but {one.records:,} of {one.total:,} records in {folder}/ have label {one.usual}",
                Location(index=one.position),
                data={"folder": folder, "label": one.label, "usual": one.usual},
            )
        yield self.further(count - len(odd))
