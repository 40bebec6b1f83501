"""What reserved records are to say of the target: asked of the layout before anything is written; runs in a worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...backends.errors import StoreError
from ..layouts.base import RecordLayout
from ..layouts.kept import KeptKeys, Revision
from ..layouts.keys import RESERVED
from ..worker import SourceRef, open_source
from .routes import Positions
from .spill import PRINT, among, mapped
from .split import kept_of


def revise(source: SourceRef, layout: RecordLayout, prints: Path, dropped: Positions, renumber: bool) -> Revision:
    """The reserved records of the set without some positions.

    Raises
    ------
    UsageError
        They can't be made right.
    """
    kept = KeptKeys(kept_of(mapped(prints, PRINT), dropped)["key"].copy(), renumber)
    store, reserved = open_source(source), {}
    for key in sorted(RESERVED):
        try:
            found = store.find(key) if kept.places([key])[0] >= 0 else None
        except StoreError:  # damage on the way to it, though the scan came by
            continue
        if found is not None:
            reserved[key] = bytes(found[1])
    return layout.revised(reserved, kept)


def relist(layout: RecordLayout, prints: Path, positions: Positions) -> bytes:
    """The file beside the store, for a target with the records at some positions of the source."""
    table = mapped(prints, PRINT)
    return layout.relisted(KeptKeys(np.asarray(table[among(table["position"], positions)])["key"].copy()))
