"""Rules that compare a scan with earlier ones. `datascan audit` keeps those, and does the comparing."""

from __future__ import annotations

from ..finding import Severity
from ..options import Options
from .base import Rule


class AuditRule(Rule):
    """A rule whose findings come from the history: a scan by itself has nothing to compare with."""

    @classmethod
    def wanted(cls, options: Options) -> bool:
        """See `Rule.wanted`."""
        return options.remember

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return None if self.options.remember else "it compares with an earlier scan: datascan audit keeps them"


class StoreBitRot(AuditRule):
    """
    ## What it does
    Compares the contents of each record with the hash that an earlier audit recorded, where nothing was written since:
    size and time of the last change of the files are the same, and so is what the store says of itself (LMDB's last
    transaction, LevelDB's files and manifest, HDF5's end of file). Names each record whose bytes differ all the same,
    and records that are gone or have appeared so. It runs in `datascan audit` alone.

    ## Why is this bad?
    Nobody wrote these bytes: a disk, a controller, a memory or a copy has changed them. Most of such changes are valid
    values, so that no other rule and no loader notices them, and where one bit is wrong more will follow.

    ## How to fix
    Restore the file from a good copy; the finding stays until the recorded contents are back, or the set is written
    anew. Check the disk (`smartctl`), the memory, and the file system's own checksums.
    """

    name = "store-bit-rot"
    severity = Severity.ERROR


class DriftRecords(AuditRule):
    """
    ## What it does
    Reports a number of records that differs by 10% or more (`--drift-records`) from that of the last audit: a set that
    grows a little every night does not drift. It runs in `datascan audit` alone.

    ## Why is this bad?
    A set that shrinks has lost a part of its sources; one that doubles over night was appended to twice. Epochs, and
    schedules that are counted in them, change with it.

    ## How to fix
    Find out what was added or left out. If it is meant, nothing is to be done: the next audits compare with this one.
    """

    name = "drift-records"
    severity = Severity.WARNING


class DriftLabels(AuditRule):
    """
    ## What it does
    Reports a distribution of labels that has moved: 5% or more of the records (`--drift-labels`) would need another
    label to have the distribution of the first audit, or of the one that reported drift last, and chance alone would
    not do it. Names the labels whose shares have moved most. It runs in `datascan audit` alone.

    ## Why is this bad?
    A model trained on the set learns the new frequencies as its prior, and figures of before and after can't be
    compared. Slow drift is the usual sign of a source that dries up, or of annotators who changed their habits.

    ## How to fix
    Look at where the records of the classes named come from. If it is meant, nothing is to be done: the next audits
    compare with this one.
    """

    name = "drift-labels"
    severity = Severity.WARNING


class DriftValues(AuditRule):
    """
    ## What it does
    Reports channels whose mean has moved by a tenth of a standard deviation or more (`--drift-values`), or whose
    deviation has changed by a quarter, since the first audit or the one that reported drift last, as far as chance
    would not do it. It runs in `datascan audit` alone.

    ## Why is this bad?
    The mean and scale that the training subtracts and divides by no longer fit. A changed decoder, colour order, unit
    or camera shows here first.

    ## How to fix
    Find out what changed in how the records are made. If it is meant, compute the mean file again; the next audits
    compare with this one.
    """

    name = "drift-values"
    severity = Severity.WARNING
