"""What became of a rebuild: what was kept, what was left out and why, and whether the copy is proven."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Proof:
    """What comparing the target with the source gave.

    ``compared`` fingerprints were looked at, ``differing`` of them are not what they should be; ``problems`` says what
    does not fit, empty where all does.
    """

    compared: int = 0
    differing: int = 0
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the target is what it should be."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The ``proof`` of the JSON report."""
        return {"compared": self.compared, "differing": self.differing, "problems": list(self.problems)}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The section ``rebuild`` of a report.

    Attributes
    ----------
    source, target, validation
        Paths as they were given; ``validation`` is ``None`` without a split.
    store, layout
        What the target is.
    written
        Whether it stands under its name now.
    records
        Counts: ``claimed`` by the source, ``kept``, ``validation`` (of the kept), ``quarantined``, ``unreadable``.
    dropped, fixed
        Records by rule and by fix. A record may count for several rules.
    quarantine, map, skip_list
        Paths of what was written beside the target.
    needed_bytes, free_bytes
        Space that the rebuild needs, estimated, and what there is.
    notes
        What else is to be known: what was copied unchecked, what an index may still list.
    """

    source: str
    target: str
    store: str
    layout: str
    records: Mapping[str, int | None]
    validation: str | None = None
    written: bool = False
    dry_run: bool = False
    proof: Proof | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)
    quarantine: str | None = None
    map: str | None = None
    skip_list: str | None = None
    needed_bytes: int | None = None
    free_bytes: int | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The ``rebuild`` of the JSON report."""
        return {
            "source": self.source,
            "target": self.target,
            "validation": self.validation,
            "store": self.store,
            "layout": self.layout,
            "written": self.written,
            "dry_run": self.dry_run,
            "records": dict(self.records),
            "dropped": dict(self.dropped),
            "fixed": dict(self.fixed),
            "quarantine": self.quarantine,
            "map": self.map,
            "skip_list": self.skip_list,
            "proof": None if self.proof is None else self.proof.to_dict(),
            "needed_bytes": self.needed_bytes,
            "free_bytes": self.free_bytes,
            "notes": list(self.notes),
        }
