"""A PyTorch data set without the records that a report names; any sequence of samples with keys will do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def bad_keys(report: str | Path, source: str | None = None) -> set[str]:
    """Keys of the errors in a JSON report (those that are no text as ``hex:...``)."""
    found: set[str] = set()
    for one in json.loads(Path(report).read_text(encoding="utf-8"))["reports"]:
        if source in (None, one["source"]["path"]):
            for finding in one["findings"]:
                at = finding["location"]
                if finding["severity"] == "error" and (at["key"] or at["key_hex"]):
                    found.add(at["key"] if at["key"] is not None else f"hex:{at['key_hex']}")
    return found


class WithoutBadRecords:
    """A map-style ``torch.utils.data.Dataset``: the samples of ``dataset`` whose key is not in the report.

    ``dataset`` needs ``__getitem__`` and ``__len__``, ``keys`` are its keys in order.
    """

    def __init__(self, dataset: Any, keys: Sequence[str], report: str | Path) -> None:
        bad = bad_keys(report)
        self.dataset = dataset
        self.rows = [row for row, key in enumerate(keys) if key not in bad]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.rows[index]]
