"""Rules about pictures that look alike: within a set, and in two sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..finding import Finding, Further, Location, Severity
from ..options import Options
from ..summary import Summary
from ..summary.near import NearSummary
from ..summary.near_pairs import NEIGHBOURS, NearPairs
from ..summary.pair import Pair
from .base import Rule
from .sets import SetRule

NOT_ASKED = "what pictures look like was not kept: ask for it with --near"


class RecordNearDuplicate(Rule):
    """
    ## What it does
    With `--near`, compares what the pictures look like and names each that looks like an earlier one although its
    bytes differ: saved again as JPEG, resized, brightened, cut by a few percent. Of each picture 128 bits are kept,
    which say where it gets brighter to the right and downwards; up to 10 of them may differ (`distance`). Exact
    copies are `record-duplicate`. Images with a side below 24 pixels, with little detail, or mostly of one grey level
    (drawings, digits, pages) tell too little of themselves: they are counted as not looked at.

    ## Why is this bad?
    A near copy teaches the network nothing new and weighs as much as a new picture. If it ends up in a validation set
    that is split off later, it is answered by heart.

    ## How to fix
    Look at both (`datascan show`) and drop one of them. Frames of one film, or crops and changed copies made on
    purpose, look alike by nature: keep each family on one side of a split, and leave `--near` out.
    """

    name = "record-near-duplicate"
    severity = Severity.WARNING

    @classmethod
    def wanted(cls, options: Options) -> bool:
        """See `Rule.wanted`."""
        return options.near

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return None if self.options.near else NOT_ASKED

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        named = "row {} of all rows read" if self.context.store == "hdf5" else "record {}"
        return _told(self, summary.near_copies(), named.format)

    def overlooked(self, summary: Summary) -> str | None:
        """See `Rule.overlooked`."""
        return _unseen(summary.near_copies(), summary.near)


class SetNearLeak(SetRule):
    """
    ## What it does
    With `--near`, compares what the pictures of two sets look like and names each record of the second that looks
    like one of the first although its bytes differ: saved again as JPEG, resized, brightened, cut by a few percent,
    encoded there and raw pixels here. Of each picture 128 bits are kept; up to 10 of them may differ (`distance`).
    What both sets have byte for byte is `set-leak`. Images with a side below 24 pixels, with little detail, or mostly
    of one grey level (drawings, digits, pages) are counted as not looked at.

    ## Why is this bad?
    A picture that was in the training set is answered by heart in the validation set, whatever its file format or
    size: the accuracy is too good, and no comparison of bytes shows it.

    ## How to fix
    Look at both (`datascan show`) and take the record out of one of the sets (`datascan rebuild --drop-keys`). Split by
    film, patient or place instead of by picture, so that what looks alike stays on one side.
    """

    name = "set-near-leak"
    severity = Severity.WARNING

    @classmethod
    def compared(cls, options: Options) -> bool:
        """See `SetRule.compared`."""
        return options.near or "set-near-leak" in options.select

    def cannot(self, pair: Pair) -> str | None:
        """See `SetRule.cannot`."""
        if not self.options.near:
            return NOT_ASKED
        judged = len(pair.first.near) and len(pair.second.near)
        return None if judged else _unseen(NearPairs(0), pair.first.near, pair.second.near) or "no images in both sets"

    def compare(self, pair: Pair) -> Iterator[Finding | Further]:
        """See `SetRule.compare`."""
        return _told(self, pair.near(), lambda first: f"record {first} of {pair.name}")

    def unseen(self, pair: Pair) -> str | None:
        """See `SetRule.unseen`."""
        return _unseen(pair.near(), pair.first.near, pair.second.near)


def _told(rule: Rule, pairs: NearPairs, named: Callable[[int], str]) -> Iterator[Finding | Further]:
    """A finding for each pair, which names the record that it looks like; those beyond the limit are counted."""
    for one in pairs.pairs:
        message = f"looks like {named(one.first)}: {one.distance} of 128 bits differ"
        data = {"first": one.first, "distance": one.distance}
        yield rule.finding(message, Location(index=one.position), data=data)
    yield rule.further(pairs.count - len(pairs.pairs))


def _unseen(pairs: NearPairs, *sides: NearSummary) -> str | None:
    """What could not be judged, and where more pictures are alike than were compared."""
    counts: dict[str, int] = {}
    for side in sides:
        for why, count in side.left_out.items():
            counts[why] = counts.get(why, 0) + count
    said = [f"{count:,} {why}" for why, count in sorted(counts.items())]
    notes = [f"images not looked at: {', '.join(said)}"] if said else []
    if pairs.crowded:
        notes.append(f"so many are alike in part that each was compared with {NEIGHBOURS} of them: some may be missed")
    return "; ".join(notes) or None
