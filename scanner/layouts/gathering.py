"""What the serialised values of a batch hold, collected record by record and put into a `SampleBatch` as columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch
from ...backends.columns import BytesColumn
from ..images import inspect_image, sniff_format
from ..options import Options
from ..sample import ArrayBlock, Fault, ImageSample, LabelBlock, Rows, SampleBatch, Seen
from ..stamp import touch
from ..values.inert import LONG_BYTES, Bytes, Dict, plain
from ..values.structure import NAMED_ENTRIES, Contents, Trouble
from .hdf5_rows import array_block
from .stacking import blocks

CONTENT_BYTES = 256
"""Shorter values (numbers, a few coordinates) are equal without being copies of each other."""

_SMALLEST_IMAGE = 16
_RULES = {"size": "record-size-mismatch", "unsafe": "record-unsafe-pickle", "unreadable": "record-undecodable"}
_LABEL = re.compile(r"\['(label|labels|target|targets|class|class_id|cls|y)'\]")
_ELEMENT = re.compile(r"\[[0-9]\]")

_Group = tuple[str, str, tuple[int, ...]]


class Gathering:
    """Collects arrays, numbers, images, labels, contents and faults; `finish` puts them into a batch.

    Arrays are known by their path in the value (``['features']``), the value's own by ``data``. An element of a long
    list or of a collection (``[*]``) counts as an array of its own, so that a row can stand several times in a block.
    """

    def __init__(self, batch: RecordBatch, options: Options) -> None:
        self._batch = batch
        self._options = options
        self._base: int = batch.values.buffer.__array_interface__["data"][0]
        self._arrays: dict[_Group, list[tuple[int, NDArray[Any]]]] = {}
        self._numbers: dict[str, list[tuple[int, int | float]]] = {}
        self._strings: dict[str, list[tuple[int, Bytes]]] = {}
        self._contents: dict[int, tuple[int, int]] = {}
        self._fields: dict[tuple[str, ...], list[int]] = {}
        self.faults: list[Fault] = []

    def add(self, row: int, contents: Contents, root: object = None) -> None:
        """Take in what the value of a record holds; ``root`` is the value itself, for the names of its fields."""
        if isinstance(root, Dict) and 0 < len(root) <= 2 * NAMED_ENTRIES:
            names = {_name(key) for key in root[::2]}
            self._fields.setdefault(tuple(sorted(names)), []).append(row)
        for path, array in contents.arrays:
            self._arrays.setdefault((path, array.dtype.str, array.shape), []).append((row, array))
        for path, number in contents.numbers:
            self._numbers.setdefault(path, []).append((row, number))
        for path, string in contents.strings:
            self._strings.setdefault(path, []).append((row, string))
        for trouble in contents.troubles:
            self.trouble(row, trouble)
        self._contents[row] = self._content(row, contents)

    def trouble(self, row: int, trouble: Trouble) -> None:
        """Take in what is wrong with a part of a value."""
        reason = f"asks for {trouble.reason}" if trouble.kind == "unsafe" else trouble.reason
        self.fail(row, _RULES[trouble.kind], reason, path=trouble.path)

    def fail(
        self, row: int, rule: str, message: str, *, path: str = "", offset: int | None = None, severe: bool = True
    ) -> None:
        """Take in a fault."""
        self.faults.append(Fault(row, rule, message, path or None, offset=offset, severe=severe))

    def _content(self, row: int, contents: Contents) -> tuple[int, int]:
        """Start and length, in the batch's buffer, of what makes two records equal.

        It is the one array or byte string that the value holds, or else the whole value: of several ones nobody
        knows which matter.
        """
        values = self._batch.values
        whole = int(values.starts[row]), int(values.lengths[row])
        payloads: list[NDArray[Any]] = [array for _, array in contents.arrays]
        payloads += [np.frombuffer(string, np.uint8) for _, string in contents.strings if len(string) >= LONG_BYTES]
        if len(payloads) != 1 or payloads[0].nbytes < CONTENT_BYTES:
            return whole
        start = self._start(payloads[0])
        return whole if start is None else (start, payloads[0].nbytes)

    def _start(self, array: NDArray[Any]) -> int | None:
        """Where an array lies in the batch's buffer, ``None`` if it lies elsewhere or not in one piece."""
        if not array.flags.c_contiguous:
            return None
        start: int = array.__array_interface__["data"][0] - self._base
        return start if 0 <= start <= self._batch.values.buffer.nbytes - array.nbytes else None

    # ---- finishing ----

    def finish(self, samples: SampleBatch) -> None:
        """Put everything into the batch."""
        samples.fields = self._fields
        samples.images += self._images()
        samples.labels += self._labels(samples.images)
        samples.arrays += sorted([*self._blocks(), *self._number_blocks()], key=lambda block: int(block.rows[0]))
        samples.faults += sorted(self.faults, key=lambda fault: -1 if fault.row is None else fault.row)
        held = [(row, start, length) for row, (start, length) in self._contents.items() if length >= CONTENT_BYTES]
        rows, starts, lengths = np.array(sorted(held), np.int64).reshape(-1, 3).T
        samples.content_rows = rows
        samples.contents = BytesColumn(self._batch.values.buffer, starts, lengths)

    def _images(self) -> list[ImageSample]:
        """The byte strings under paths where most of them are images."""
        images = []
        for path, strings in self._strings.items():
            if not _are_images([string for _, string in strings]):
                continue
            seen = Seen()
            for row, string in strings:
                if not len(string):
                    self.fail(row, "record-empty", "the image has 0 bytes", path=path)
                    continue
                touch(row)
                facts = inspect_image(memoryview(string), self._options, seen)
                images.append(ImageSample(row, facts, path or None))
                self.faults += [replace(fault, row=row, dataset=path or None) for fault in facts.faults]
        return sorted(images, key=lambda image: image.row)

    def _labels(self, images: Sequence[ImageSample]) -> Iterator[LabelBlock]:
        """Numbers under a name that means a label, and the one integer beside an image in a tuple or list."""
        pictured = {image.row for image in images if image.dataset and _ELEMENT.fullmatch(image.dataset)}
        beside: dict[int, list[str]] = {}
        for path, numbers in self._numbers.items():
            if _ELEMENT.fullmatch(path):
                for row, number in numbers:
                    if row in pictured and type(number) is int:
                        beside.setdefault(row, []).append(path)
        for path, numbers in list(self._numbers.items()):
            if _LABEL.fullmatch(path):
                chosen = numbers
            elif _ELEMENT.fullmatch(path):
                chosen = [(row, number) for row, number in numbers if beside.get(row) == [path]]
            else:
                continue
            values = _as_array([number for _, number in chosen])
            if len(chosen) and values is not None:
                taken = {row for row, _ in chosen}
                self._numbers[path] = [(row, number) for row, number in numbers if row not in taken]
                yield LabelBlock(path, np.array([row for row, _ in chosen], np.int64), values)

    def _number_blocks(self) -> Iterator[ArrayBlock]:
        """Single floats. Integers are numbers and sizes of things, of which nothing can be said."""
        for path, numbers in self._numbers.items():
            floats = [(row, number) for row, number in numbers if type(number) is float]
            if floats:
                rows = np.array([row for row, _ in floats], np.int64)
                yield ArrayBlock(path or "data", rows, np.array([number for _, number in floats]))

    def _blocks(self) -> Iterator[ArrayBlock]:
        shapes = Counter(path for path, _ in {(path, shape) for path, _, shape in self._arrays})
        for (path, dtype, shape), members in self._arrays.items():
            rows = np.array([row for row, _ in members], np.int64)
            # Numbers of tokens, masks and neighbours, and lists of any length: no vectors of features.
            sequence = len(shape) == 1 and (np.dtype(dtype).kind in "iub" or shapes[path] > 1)
            for some, values in self._stacked(rows, [array for _, array in members], np.dtype(dtype), shape):
                block = array_block(path or "data", some, values)
                yield replace(block, axes="L") if sequence else block

    def _stacked(
        self, rows: Rows, arrays: list[NDArray[Any]], dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> Iterator[tuple[Rows, NDArray[Any]]]:
        """Equal-shaped arrays as one, without a copy where they lie in the batch at a constant distance."""
        starts = [self._start(array) for array in arrays]
        inside = [start for start in starts if start is not None]
        if len(inside) < len(starts):
            yield rows, arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)
            return
        for some, part in blocks(self._batch.values.buffer, rows, np.array(inside, np.int64), arrays[0].nbytes):
            values = part.view(dtype)
            yield some, (values if values.flags.aligned else values.copy()).reshape(len(some), *shape)


def _name(key: object) -> str:
    """A key of a dictionary as a field's name."""
    return plain(bytes(key).decode("latin-1") if isinstance(key, (bytes, memoryview)) else str(key), 64)


def _are_images(strings: Sequence[Bytes]) -> bool:
    """Whether at least half of some byte strings are images."""
    found = sum(len(string) >= _SMALLEST_IMAGE and sniff_format(string) is not None for string in strings)
    return found * 2 >= len(strings) > 0


def _as_array(numbers: Sequence[int | float]) -> NDArray[Any] | None:
    """The numbers as int64, or as float64 if an integer is beyond it; ``None`` if one is beyond that too."""
    exact = all(type(number) is int for number in numbers)
    for dtype in (np.int64, np.float64) if exact else (np.float64,):
        try:
            return np.array(numbers, dtype)
        except OverflowError:
            continue
    return None
