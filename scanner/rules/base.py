"""What every rule is: a name, a severity, documentation and two hooks."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..finding import Finding, Further, Location, Severity
from ..finding_batch import FindingBatch, one_by_one
from ..layouts.base import Traits
from ..options import Options
from ..sample import Fault, Rows, SampleBatch
from ..summary import Summary


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may know of the scan besides the samples."""

    options: Options
    layout: str
    store: str
    traits: Traits

    def dataset(self, name: str) -> str | None:
        """What findings say of an array: HDF5's path, or the place within a serialised value (``['features']``).

        ``None`` for the one payload of a key-value record, which is what ``data`` means there.
        """
        return None if name == "data" and self.store != "hdf5" else name


class Rule(ABC):
    """One thing looked for. The docstring is the rule's page (``datascan rules NAME``).

    A rule holds no state of the data: what must be remembered over the whole set is in the `Summary`, which
    merges, so that partitions can be scanned anywhere.
    """

    name: ClassVar[str]
    severity: ClassVar[Severity]
    blames_record: ClassVar[bool] = True
    """Whether a finding at a record means that the record is at fault: then a rebuild may leave it out."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.options = context.options

    @property
    def family(self) -> str:
        """The word before the first dash."""
        return self.name.partition("-")[0]

    @classmethod
    def wanted(cls, options: Options) -> bool:
        """Whether a scan with these options runs the rule, where nobody has named it."""
        return True

    def not_run(self) -> str | None:
        """Why this rule can't run in this scan (an option that it needs is missing), ``None`` if it can."""
        return None

    def left_out(self) -> str | None:
        """What this rule can't look at although it runs, and why: listed with the rules that were not run."""
        return None

    def overlooked(self, summary: Summary) -> str | None:
        """What this rule could not judge of the set, as it shows at the end: listed like `left_out`."""
        return None

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """Findings of one batch, in row order. By default: the decoder's faults that carry this rule's name."""
        return one_by_one(self._faults(samples))

    def sift(self, samples: SampleBatch) -> Iterator[Finding | FindingBatch]:
        """What `check` finds; a rule that may find fault with every record gives batches, so that few need be made."""
        yield from self._faults(samples) if type(self).check is Rule.check else self.check(samples)

    def _faults(self, samples: SampleBatch) -> Iterator[Finding | FindingBatch]:
        """The decoder's faults that carry this rule's name."""
        faults = samples.faults_of(self.name)
        rows = [fault.row for fault in faults if fault.row is not None]
        if len(rows) < len(faults):  # of the set as a whole
            yield from (self._fault(samples, fault) for fault in faults)
        elif rows:
            yield self.batch(
                samples,
                np.array(rows, np.int64),
                lambda number: self._fault(samples, faults[number]),
                (None, self._warning),
                np.array([not fault.severe for fault in faults], np.int8),
            )

    @property
    def _warning(self) -> Severity:
        """The severity of what is less than the rule is made for."""
        return min(self.severity, Severity.WARNING)

    def _fault(self, samples: SampleBatch, fault: Fault) -> Finding:
        location = (
            Location(dataset=fault.dataset, element=fault.element, offset=fault.offset)
            if fault.row is None
            else samples.location(fault.row, dataset=fault.dataset, element=fault.element, offset=fault.offset)
        )
        return self.finding(fault.message, location, None if fault.severe else self._warning, fault.data)

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """Findings of the set as a whole, from what all partitions gave together.

        Those beyond ``--max-findings`` may come as one `Further`, so that they need not be made.

        Locations carry the absolute position as ``index``; the key is looked up afterwards where it is ``None``.
        """
        yield from ()

    def finding(
        self,
        message: str,
        location: Location | None = None,
        severity: Severity | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Finding:
        """A finding of this rule; the user's ``--severity`` wins over both severities."""
        return Finding(self.name, self._chosen(severity), message, location or Location(), data or {})

    def further(self, count: int, severity: Severity | None = None) -> Further:
        """So many more findings that are only counted."""
        return Further(self.name, self._chosen(severity), count)

    def batch(
        self,
        samples: SampleBatch,
        rows: Rows,
        make: Callable[[int], Finding],
        severities: tuple[Severity | None, ...] = (None,),
        graded: NDArray[np.integer] | None = None,
    ) -> FindingBatch:
        """Findings in some rows, which ``make`` makes by their number; ``graded`` says which severity each has."""
        chosen = tuple(map(self._chosen, severities))
        grades = np.zeros(len(rows), np.int8) if graded is None else graded
        return FindingBatch(self.name, samples.batch.positions[rows], chosen, grades, make)

    def _chosen(self, severity: Severity | None) -> Severity:
        return self.options.severities.get(self.name, severity or self.severity)
