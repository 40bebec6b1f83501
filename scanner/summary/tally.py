"""The figures of a comparison, as the JSON report has them."""

from __future__ import annotations

from typing import Any

from ..drift import drift_of
from .facets import Counted, Facets

LISTED = 1000
"""Most classes that are listed."""


def comparison_of(facets: Facets, name: str) -> dict[str, Any]:
    """Labels, shapes and values of both sets: counts as ``[first, second]``, and how far they lie apart."""
    found: dict[str, Any] = {"with": name}
    labels, shapes = facets.labels(), facets.shapes()
    if labels is not None:
        found["labels"] = _counted(labels)
    if shapes is not None:
        found["shapes"] = _counted(shapes)
    arrays = {
        array.name: [
            {
                "mean": list(map(_rounded, (one.first[0], one.second[0]))),
                "std": [_rounded(one.first[1]), _rounded(one.second[1])],
            }
            for one in array.channels[:LISTED]
        ]
        for array in facets.values()
    }
    if arrays:
        found["values"] = arrays
    return found


def _counted(cells: Counted) -> dict[str, Any]:
    drift = drift_of(cells.first, cells.second)
    counts = zip(cells.names[:LISTED], cells.first.tolist(), cells.second.tolist(), strict=False)
    listed = {name: [first, second] for name, first, second in counts}
    return {"counts": listed, "distinct": len(cells.names), **({} if drift is None else drift.to_dict())}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
