"""One run of `benchmarks.probing`, in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from .probing import TORCH_THIN, timed

BATCH, SIDE, FILTERS, HIDDEN, CLASSES = 64, 16, 8, 16, 10


def main(way: str, warm: str, path: str) -> None:
    """Print what the run over the second set takes."""
    if way.startswith("torch"):
        figures = timed(lambda one: torch_losses(one, SIDE if way == TORCH_THIN else None), Path(warm), Path(path))
    else:
        figures = scanned(way, Path(warm), Path(path))
    print(json.dumps(figures))


def scanned(way: str, warm: Path, path: Path) -> dict[str, float]:
    """Our own scan, with one worker: ``check``, ``check --probe`` or ``probe``."""
    from datascan.scanner import check
    from datascan.scanner.cli.probe import DEFAULT_RULES
    from datascan.scanner.crew import Crew

    with Crew(1) as crew:
        if way == "probe":
            rules = tuple(DEFAULT_RULES.split(","))
            return timed(lambda one: check(one, crew=crew, probe=True, select=rules, statistics="sampled"), warm, path)
        return timed(lambda one: check(one, crew=crew, probe=way == "check --probe"), warm, path)


def torch_losses(path: Path, side: int | None) -> int:
    """How many records have a loss that is not finite, as one would ask it with PyTorch."""
    import torch

    torch.set_num_threads(1)
    rows = path.suffix == ".h5"
    if rows:
        first: Any = torch.nn.Linear(16, HIDDEN)
        head: Any = torch.nn.Linear(HIDDEN, CLASSES)
        network = torch.nn.Sequential(first, torch.nn.ReLU(), head)
    else:
        first = torch.nn.Conv2d(3, FILTERS, 5, stride=2, padding=2)
        head = torch.nn.LazyLinear(CLASSES)
        network = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.MaxPool2d(2, 2), torch.nn.Flatten(), head)
    data = torch_rows(path) if rows else torch_records(path, side)
    bad = 0
    with torch.no_grad():
        for inputs, labels in torch.utils.data.DataLoader(data, batch_size=BATCH):
            losses = torch.nn.functional.cross_entropy(network(inputs), labels.long(), reduction="none")
            bad += int((~torch.isfinite(losses)).sum())
    return bad


def torch_rows(path: Path) -> Any:
    """A dataset that reads row after row."""
    import h5py
    import torch

    file = h5py.File(path, "r")

    class Rows(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(file["label"])

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            return file["data"][index], file["label"][index]

    return Rows()


def torch_records(path: Path, side: int | None) -> Any:
    """A dataset that reads the records of an LMDB in order, images in so many pixels a side."""
    import lmdb
    import numpy as np
    import torch
    from PIL import Image

    from .datum import Datum

    class Records(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[tuple[Any, int]]:
            with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as transaction:
                for _, value in transaction.cursor():
                    datum = Datum.FromString(value)
                    if datum.encoded:
                        try:
                            picture = Image.open(BytesIO(datum.data)).convert("RGB")
                            picture = picture.resize((side, side) if side else (500, 375))
                        except OSError:
                            continue
                        pixels = np.asarray(picture).transpose(2, 0, 1)
                    elif len(datum.data) == datum.channels * datum.height * datum.width:
                        image = np.frombuffer(datum.data, np.uint8).reshape(datum.channels, datum.height, datum.width)
                        step = image.shape[1] // side if side else 1
                        pixels = image[:, ::step, ::step]
                    else:
                        continue
                    yield pixels.astype(np.float32), datum.label

    return Records()


if __name__ == "__main__":
    main(*sys.argv[1:])
