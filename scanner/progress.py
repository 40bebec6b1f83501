"""Progress of a scan: what the scan tells, and a bar on standard error for people who wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the scan of one source has come.

    ``bytes_done`` and ``bytes_total`` are the partitions' estimates (`Partition.size_bytes`), so they are good for
    a share and a rate and for nothing else; ``source`` is the path as it was given.
    """

    records: int
    bytes_done: int
    bytes_total: int
    source: str
