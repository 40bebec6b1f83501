"""Which records go where: small and picklable, one for each partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .choices import Fix

Positions = NDArray[np.int64]
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Route:
    """Where the records of a partition go. Positions count from its start and are ascending.

    Attributes
    ----------
    dropped
        Records that go to the quarantine.
    deadly
        Records that end whoever reads them: they are passed over.
    fixes
        Records that a fix is made to; one that can't be fixed and is in ``unless_fixed`` is dropped.
    sides, numbers
        By position: the set that a record goes to (0 the target, 1 the validation part), and its number there.
        ``None``: the target, in the order of the source.
    decimals
        By position: the plain number that is a record's new key, -1 where it keeps its own; ``None``: keys that get new
        numbers get those of their places.
    careful
        Read records one by one, so that a stamp says which one ended the reader.
    """

    dropped: Positions = field(default_factory=_NONE.copy)
    deadly: Positions = field(default_factory=_NONE.copy)
    unless_fixed: Positions = field(default_factory=_NONE.copy)
    fixes: Mapping[Fix, Positions] = field(default_factory=dict)
    sides: NDArray[np.uint8] | None = None
    numbers: Positions | None = None
    decimals: Positions | None = None
    careful: bool = False
