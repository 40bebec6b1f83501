"""BasicSR's LMDBs for super-resolution: images under their file's stem, and ``meta_info.txt`` in the store's folder.

Source: ``make_lmdb_from_imgs`` of ``basicsr/utils/lmdb_util.py`` writes a line ``name.png (h,w,c) level`` an image;
``paired_paths_from_lmdb`` of ``basicsr/data/data_util.py`` takes the keys from there, up to the first point of a line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...backends.base import RecordBatch
from ..images import sniff_format
from ..options import Options
from ..sample import Fault, SampleBatch
from ..summary.lists import KeyList
from .base import Look, RecordLayout, Traits
from .images import EncodedImages
from .kept import KeptKeys
from .sidecars import read_sidecar

META_INFO = "meta_info.txt"
_LINE = re.compile(rb"([^.\s][^.]*)\.\S+ \((\d+),(\d+),(\d+)\) \d+\s*")

Sizes = dict[bytes, tuple[int, int, int]]


def parse_meta_info(text: bytes) -> tuple[Sizes, list[int]]:
    """Height, width and channels by key, and the numbers of lines that are no such entry."""
    sizes: Sizes = {}
    odd = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is not None:
            sizes[match[1]] = int(match[2]), int(match[3]), int(match[4])
        elif line.strip():
            odd.append(number)
    return sizes, odd


_read: dict[tuple[Path, int, int], tuple[Sizes, list[int]]] = {}
"""The file that was read last, by place, time and size: a worker reads it once, not for every partition."""


def _meta_info(folder: Path | None) -> tuple[Sizes, list[int]]:
    if folder is None:
        return {}, []
    try:
        status = os.stat(folder / META_INFO)
    except OSError:
        return {}, []
    state = (folder, status.st_mtime_ns, status.st_size)
    if state not in _read:
        _read.clear()
        _read[state] = parse_meta_info(read_sidecar(folder, META_INFO) or b"")
    return _read[state]


def meta_sizes(folder: Path) -> Sizes:
    """What ``meta_info.txt`` in a store's folder says; empty where there is none. Read in a worker."""
    return _meta_info(folder)[0]


class BasicSr(EncodedImages):
    """See `RecordLayout`. What the file says of each image is read again by each worker, and not sent to it."""

    name = "basicsr"
    title = "BasicSR: images by file stem, with meta_info.txt beside data.mdb"
    traits = Traits(key_numbers=False)
    changes = frozenset({"image"})
    listing = META_INFO

    def __init__(self, options: Options, folder: Path | None = None) -> None:
        super().__init__(options)
        self.folder = folder

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`."""
        return bool(_meta_info(look.path)[0])

    @classmethod
    def made_for(cls, options: Options, look: Look) -> RecordLayout:
        """See `RecordLayout.made_for`."""
        return cls(options, look.path)

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [sniff_format(value) is not None for value in sample.values]

    @property
    def sizes(self) -> Sizes:
        """What ``meta_info.txt`` says."""
        return _meta_info(self.folder)[0]

    def listed_keys(self) -> KeyList | None:
        """See `RecordLayout.listed_keys`."""
        return KeyList.of(META_INFO, list(self.sizes)) if self.sizes else None

    def relisted(self, kept: KeptKeys) -> bytes:
        """See `RecordLayout.relisted`: the lines as they are."""
        text = b"" if self.folder is None else read_sidecar(self.folder, META_INFO) or b""
        lines = [(match[1], line) for line in text.splitlines(keepends=True) if (match := _LINE.fullmatch(line))]
        places = kept.places([key for key, _ in lines]).tolist()
        return b"".join(line for (_, line), place in zip(lines, places, strict=True) if place >= 0)

    def opening_faults(self) -> Sequence[Fault]:
        """See `Layout.opening_faults`."""
        odd = _meta_info(self.folder)[1]
        if not self.sizes or not odd:
            return ()
        said = f"line {odd[0]} of {META_INFO} is not 'name.png (height,width,channels) level'"
        more = f", nor are {len(odd) - 1:,} others" if len(odd) > 1 else ""
        return (Fault(None, "record-undecodable", said + more, data={"lines": odd[:20]}),)

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        samples = super().decode(batch)
        samples.key_rows = samples.sample_rows
        for image in samples.images:
            facts, said = image.facts, self.sizes.get(bytes(batch.keys[image.row]))
            if said is None or facts.faults or facts.width is None or facts.height is None:
                continue
            if said[:2] != (facts.height, facts.width):
                actual = f"{facts.width}x{facts.height} (width x height)"
                message = f"the image is {actual}, {META_INFO} says {said[1]}x{said[0]}"
                samples.faults.append(Fault(image.row, "record-size-mismatch", message, severe=False))
        samples.faults.sort(key=lambda fault: fault.row or 0)
        return samples
