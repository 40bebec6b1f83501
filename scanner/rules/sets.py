"""Rules about two sets beside each other: ``datascan compare``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..drift import Drift, drift_of
from ..finding import Finding, Further, Location, Severity
from ..options import Options
from ..summary.copies import Copy
from ..summary.facets import Facets
from ..summary.pair import Pair
from ..summary.shapes import shape_text
from .base import Rule

LEAST_LABEL_DRIFT = 0.1
"""Share of the records that would have to change their class, beyond what chance explains."""

LEAST_SHAPE_DRIFT = 0.25
LEAST_EFFECT = 0.25
"""Difference of two means in standard deviations."""

LEAST_RATIO = 1.5
"""Ratio of two standard deviations."""

LEAST_CHANCE = 1e-4
"""A class is missed where the probability that any is absent by chance is below."""


class SetRule(Rule):
    """A rule that looks at two sets; a scan of one has nothing for it to do."""

    @classmethod
    def wanted(cls, options: Options) -> bool:
        """See `Rule.wanted`."""
        return False

    @classmethod
    def compared(cls, options: Options) -> bool:
        """Whether a comparison with these options runs the rule."""
        return True

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return "it looks at two sets: datascan compare"

    def compare(self, pair: Pair) -> Iterator[Finding | Further]:
        """Findings about the second set; a location's index is a position there, ``data["first"]`` one in the first."""
        raise NotImplementedError

    def unseen(self, pair: Pair) -> str | None:
        """What of the sets this rule could not judge."""
        return None

    def cannot(self, pair: Pair) -> str | None:
        """Why this rule has nothing to look at in these sets, ``None`` if it has."""
        return None


class LabelRule(SetRule):
    """A rule about the classes of two sets."""

    severity = Severity.WARNING

    def cannot(self, pair: Pair) -> str | None:
        """See `SetRule.cannot`."""
        return None if Facets(pair.first, pair.second).labels() else "one of the sets has no classes"


class SetLeak(SetRule):
    """
    ## What it does
    Compares the contents of two sets by a 128-bit hash and names each record of the second whose contents the first
    has as well. Contents are the payload without key and label: pixels or numbers as they are stored, or the bytes of
    an encoded image. So LMDB, LevelDB and HDF5 can be compared with each other, but a JPEG does not equal its
    decoded pixels, nor numbers those of another type. Rows of HDF5 count where equal rows can't be a coincidence
    (images, and byte strings of 16 bytes or more).

    ## Why is this bad?
    A record that is in the training set and in the validation set is answered by heart: the accuracy is too good, and
    the model that is chosen by it is the one that has learned most by heart.

    ## How to fix
    Take the records out of one of the sets (`datascan rebuild --drop-keys` takes a list) and split again so
    that equal contents stay on one side. Where one set is meant to hold the other (an old and a new version), ignore
    this rule.
    """

    name = "set-leak"
    severity = Severity.ERROR

    def compare(self, pair: Pair) -> Iterator[Finding | Further]:
        """See `SetRule.compare`."""
        shared = pair.shared()
        logs = (shared.same, shared.conflicting)
        copies = sorted((copy for log in logs for copy in log), key=lambda copy: copy.position)
        told = copies[: self.options.max_findings]
        for copy in told:
            yield self._leak(copy, pair)
        yield self.further(sum(log.count for log in logs) - len(told))

    def cannot(self, pair: Pair) -> str | None:
        """See `SetRule.cannot`."""
        empty = not len(pair.contents)
        return "no records whose equality would mean anything" if empty else None

    def _leak(self, copy: Copy, pair: Pair) -> Finding:
        labels = ""
        if None not in (copy.label, copy.first_label) and copy.label != copy.first_label:
            labels = f", with label {copy.first_label} there and {copy.label} here"
        data = {"first": copy.first, "label": copy.label, "first_label": copy.first_label}
        message = f"same contents as record {copy.first} of {pair.name}{labels}"
        return self.finding(message, Location(index=copy.position), data=data)


class SetKeyConflict(SetRule):
    """
    ## What it does
    Names each record of the second set whose key the first set has with other contents, provided that keys name
    records: of the keys that both have, at least half have the same contents. (Sets that are merely numbered from 0
    share all keys and no contents, which says nothing.)

    ## Why is this bad?
    Two versions of a set that should agree do not: a record was written over, decoded or scaled in another way, or
    broken on its way. Results by the one can't be repeated with the other.

    ## How to fix
    Look at both records (`datascan show`) and find out which is right. If they were meant to change, ignore this rule.
    """

    name = "set-key-conflict"
    severity = Severity.WARNING

    def compare(self, pair: Pair) -> Iterator[Finding | Further]:
        """See `SetRule.compare`."""
        conflicts = pair.conflicts()
        if pair.equal_keys.agreeing < max(pair.equal_keys.differing, 1):
            return
        logs = (conflicts.same, conflicts.conflicting)
        copies = sorted((copy for log in logs for copy in log), key=lambda copy: copy.position)
        told = copies[: self.options.max_findings]
        for copy in told:
            message = f"record {copy.first} of {pair.name} has this key and other contents"
            yield self.finding(message, Location(index=copy.position), data={"first": copy.first})
        yield self.further(sum(log.count for log in logs) - len(told))


class SetLabelDrift(LabelRule):
    """
    ## What it does
    Compares the shares of the classes in two sets. Reports, once, where more than 10% of the records would have to
    change their class for the sets to agree (the total variation distance), beyond what samples of these sizes differ
    by chance, and where a chi-square test rules chance out (5 standard deviations).

    ## Why is this bad?
    The accuracy on a validation set of other classes is that of another task. Losses, thresholds and calibration that
    were chosen there do not hold.

    ## How to fix
    Split with stratification (`datascan rebuild --split`), or weight the classes when you measure. If the second set
    is balanced on purpose, ignore this rule.
    """

    name = "set-label-drift"
    severity = Severity.WARNING

    def compare(self, pair: Pair) -> Iterator[Finding | Further]:
        """See `SetRule.compare`."""
        facets = Facets(pair.first, pair.second)
        labels = facets.labels()
        drift = None if labels is None else drift_of(labels.first, labels.second)
        if labels is None or drift is None or not drift.beyond(LEAST_LABEL_DRIFT):
            return
        p, q = labels.first / labels.first.sum(), labels.second / labels.second.sum()
        most = int(np.abs(p - q).argmax())
        yield self.finding(
            f"{_share(drift)} of the labels would have to change to be spread as in {pair.name}; class "
            f"{labels.names[most]} is {p[most]:.1%} there and {q[most]:.1%} here",
            data=drift.to_dict(),
        )


class SetClassMissing(LabelRule):
    """
    ## What it does
    Names each class that one of the sets has and the other lacks, where that is no chance: were all records of both
    sets split at random into sets of these sizes, it would happen to any class less often than once in 10,000 times.

    ## Why is this bad?
    A class that training never saw can't be answered, and one that validation does not hold is never measured. Where
    label maps differ between the sets, whole classes change places.

    ## How to fix
    Compare the label maps of both sets, then bring the class in or split with stratification.
    """

    name = "set-class-missing"
    severity = Severity.WARNING

    def compare(self, pair: Pair) -> Iterator[Finding | Further]:
        """See `SetRule.compare`."""
        labels = Facets(pair.first, pair.second).labels()
        if labels is None:
            return
        sizes = labels.first, labels.second
        for there, here, where in ((sizes[0], sizes[1], "here"), (sizes[1], sizes[0], f"in {pair.name}")):
            share = int(there.sum()) / max(int(there.sum() + here.sum()), 1)
            for place in np.flatnonzero((here == 0) & (there > 0)).tolist():
                # what a random split does: each record of the class falls on the side that has them all
                if here.any() and len(here) * share ** int(there[place]) < LEAST_CHANCE:
                    other = pair.name if where == "here" else "this set"
                    yield self.finding(
                        f"class {labels.names[place]} does not occur {where}; {other} has {int(there[place]):,}",
                        data={"class": labels.names[place], "records": int(there[place])},
                    )


class SetShapeDrift(SetRule):
    """
    ## What it does
    Compares the shapes of the samples and the type of their numbers. Where 95% of each set have one shape, they must
    agree; otherwise channels, size (in steps of a factor of two in the number of pixels) and whether images are
    wide or tall are counted, and it is reported, once, where a quarter of the samples would have to change, beyond
    what chance explains.

    ## Why is this bad?
    What was learned at one scale or with one number of channels does not carry over, and a loader that resizes hides
    the difference: accuracy falls for no visible reason.

    ## How to fix
    Prepare both sets with the same code. Look at the shapes that the report lists for each.
    """

    name = "set-shape-drift"
    severity = Severity.WARNING

    def compare(self, pair: Pair) -> Iterator[Finding | Further]:
        """See `SetRule.compare`."""
        facets = Facets(pair.first, pair.second)
        types = facets.dtypes()
        if types is not None and types[0] != types[1]:
            yield self.finding(f"values are {types[1]} here and {types[0]} in {pair.name}")
        usual = facets.usual_shapes()
        if usual is not None and usual[0] != usual[1]:
            there, here = map(shape_text, usual)
            yield self.finding(f"samples are {here} here and {there} in {pair.name}")
            return
        shapes = facets.shapes()
        drift = None if shapes is None else drift_of(shapes.first, shapes.second)
        if shapes is None or drift is None or not drift.beyond(LEAST_SHAPE_DRIFT):
            return
        most = [shapes.names[int(counts.argmax())] for counts in (shapes.first, shapes.second)]
        said = f"mostly {most[0]} there and {most[1]} here" if most[0] != most[1] else f"mostly {most[0]} in both"
        yield self.finding(
            f"{_share(drift)} of the samples would have to change their shape to be as in {pair.name}: {said}",
            data=drift.to_dict(),
        )


class SetValueDrift(SetRule):
    """
    ## What it does
    Compares mean and standard deviation of each channel (or feature) in two sets. Reports, once for each array, where
    the means differ by a quarter of a standard deviation or more, or one standard deviation is 1.5 times the other,
    and where chance is ruled out (5 standard errors, counted as if each sample held a single value).

    ## Why is this bad?
    The sets were not prepared alike: one is scaled to 0..1 and the other not, channels are swapped (BGR against RGB),
    a mean was subtracted once. A network sees the second set as something that it was never shown.

    ## How to fix
    Prepare both sets with the same code, and subtract the mean of the training set from both.
    """

    name = "set-value-drift"
    severity = Severity.WARNING

    def compare(self, pair: Pair) -> Iterator[Finding | Further]:
        """See `SetRule.compare`."""
        for array in Facets(pair.first, pair.second).values():
            far = [channel for channel in array.channels if channel.shift.beyond(LEAST_EFFECT, LEAST_RATIO)]
            if not far:
                continue
            worst = max(far, key=lambda one: (min(abs(one.shift.effect), 1e9), one.shift.ratio))
            of = array.meaning if len(array.channels) > 1 else "values"
            place = f"{of} {worst.number}" if len(array.channels) > 1 else "the values"
            several = f"; {len(far)} of {len(array.channels)} {of}s differ" if len(far) > 1 else ""
            yield self.finding(
                f"{place}: mean {worst.second[0]:.4g} and deviation {worst.second[1]:.4g} here, "
                f"{worst.first[0]:.4g} and {worst.first[1]:.4g} in {pair.name}{several}",
                Location(dataset=self.context.dataset(array.name)),
                data={"channels": [one.number for one in far]},
            )


def _share(drift: Drift) -> str:
    return f"{drift.total_variation:.0%}"
