"""Rules about records among others: numbering, order, and equal contents."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, Further, Location, Severity
from ..options import Options
from ..summary import Summary
from ..summary.keys import Gap, NumberSeries
from .base import Rule

MANY_HOLES = 1000
"""More holes than this are no accidents: the set is a part of a larger one."""

FEW_HOLES = 10
MISSING_SHARE = 0.1
"""With more than a few holes and so many numbers missing, the set is a part of a larger one."""


class RecordKeyGap(Rule):
    """
    ## What it does
    Where keys are numbered (`00000006_cat.jpg`, `image-000000007`), looks for holes in the numbering and names the
    first missing number and how many there are. A set with so many holes that it must be a chosen part of a larger
    one is reported once.

    ## Why is this bad?
    A converter that can't read an image skips it but uses up its number: the hole is the only trace of it. The set
    is smaller than the list that it was made from, often by the samples of one folder or one class.

    ## How to fix
    Look up the number in the list file (Caffe's `convert_imageset` counts its lines from 0) and see why that file
    could not be read. If the records were left out on purpose, ignore this rule.
    """

    name = "record-key-gap"
    severity = Severity.WARNING
    blames_record = False

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        if not self.context.traits.key_numbers:
            return
        if len(summary.twins.kinds) > 1:  # a number that one kind has is no hole, but a missing twin
            yield from self._twin_gaps(summary)
            return
        for prefix, series in summary.keys.numberings().items():
            yield from self._gaps(prefix.decode(errors="backslashreplace"), series)

    def _gaps(self, prefix: str, series: NumberSeries) -> Iterator[Finding | Further]:
        width = series.widest
        if _chosen(series.holes, series.missing, series.distinct):
            yield self._once(prefix, width, series.gaps[0], series.missing, series.distinct)
            return
        yield from (self._gap(prefix, width, gap) for gap in series.gaps)
        yield self.further(series.holes - len(series.gaps))

    def _twin_gaps(self, summary: Summary) -> Iterator[Finding | Further]:
        facts = summary.twins.facts()
        width = max(kind.width for kind in summary.twins.kinds.values())
        if _chosen(facts.holes, facts.missing, facts.count):
            yield self._once("", width, facts.gaps[0], facts.missing, facts.count)
            return
        kept = facts.gaps[: self.options.most_told]
        yield from (self._gap("", width, gap) for gap in kept)
        yield self.further(facts.holes - len(kept))

    def _gap(self, prefix: str, width: int, gap: Gap) -> Finding:
        first = f"{prefix}{gap.first:0{width}}"
        last = f"{prefix}{gap.first + gap.missing - 1:0{width}}"
        said = f"number {first} is missing" if gap.missing == 1 else f"numbers {first} to {last} are missing"
        return self.finding(
            f"{said} before this record",
            Location(index=gap.position),
            data={"first": gap.first, "missing": gap.missing},
        )

    def _once(self, prefix: str, width: int, gap: Gap, missing: int, present: int) -> Finding:
        return self.finding(
            f"{missing:,} of {missing + present:,} numbers are missing, first {prefix}{gap.first:0{width}}: the set "
            "looks like a part of a larger one",
            data={"first": gap.first, "missing": missing, "present": present},
        )


def _chosen(holes: int, missing: int, present: int) -> bool:
    """Whether so much is missing that it was left out on purpose."""
    return holes > MANY_HOLES or (holes > FEW_HOLES and missing > MISSING_SHARE * (missing + present))


class RecordKeyOrder(Rule):
    """
    ## What it does
    Looks for keys that begin with numbers of different lengths (`0_`, `1_`, `10_`, `2_`), so that the order of the
    store is not the order of the numbers.

    ## Why is this bad?
    LMDB and LevelDB sort keys as bytes, and sequential readers such as Caffe's take that order. Lists that are meant
    to run in parallel (a second database with the labels, predictions written in list order) no longer fit, and a
    shuffle made when the set was written is partly undone.

    ## How to fix
    Write keys padded with zeros (`%08d`).
    """

    name = "record-key-order"
    severity = Severity.WARNING

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        leading = summary.keys.leading
        if self.context.traits.key_numbers and summary.keys.disordered:
            yield self.finding(
                f"numbers in keys have {leading.narrowest} to {leading.widest} digits, so they are not read in their "
                f"order: {leading.descents:,} of them come after a higher one",
                data={"descents": leading.descents},
            )


def _only_counted(options: Options) -> str | None:
    return "equal contents are only counted (--duplicates approximate)" if options.duplicates == "approximate" else None


class RecordDuplicate(Rule):
    """
    ## What it does
    Compares the contents of all samples by a 128-bit hash, without key and label, and names each record whose
    contents stood in the store before. Copies with another label are reported by `record-label-conflict`.

    ## Why is this bad?
    Copies weigh more in the loss than they should. If some of them end up in a validation set that is split off
    later, its accuracy is too good to be true.

    ## How to fix
    Drop the copies (`datascan rebuild --drop record-duplicate` keeps the first of each). Oversampling on purpose is
    better done by the sampler; if it is done here, ignore this rule.
    """

    name = "record-duplicate"
    severity = Severity.WARNING

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return _only_counted(self.options)

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        copies = summary.copies().same
        # an HDF5 row is counted within its table, and the two records may stand in different ones
        named = "row {} of all rows read" if self.context.store == "hdf5" else "record {}"
        for copy in copies:
            message = f"same contents as {named.format(copy.first)}"
            yield self.finding(message, Location(index=copy.position), data={"first": copy.first})
        yield self.further(copies.count - copies.kept)


class RecordLabelConflict(Rule):
    """
    ## What it does
    Names each record whose contents stood in the store before, with another label.

    ## Why is this bad?
    The same input with two answers can't be learned: the loss of such a pair has a floor above 0, and one of the
    labels is wrong. It often means that a folder was listed under two classes.

    ## How to fix
    Find out which label is right and drop the other record. Many conflicts between the same two classes mean that
    the list file has to be made again. If the samples really have several labels, use a multi-label loss.
    """

    name = "record-label-conflict"
    severity = Severity.WARNING

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return _only_counted(self.options)

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        copies = summary.copies().conflicting
        for copy in copies:
            yield self.finding(
                f"label {copy.label}, but the same contents have label {copy.first_label} in record {copy.first}",
                Location(index=copy.position),
                data={"first": copy.first, "label": copy.label, "first_label": copy.first_label},
            )
        yield self.further(copies.count - copies.kept)
