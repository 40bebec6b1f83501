"""Caffe2's TensorProtos records: an image or an array, then its label and whatever else a net takes.

Source: ``caffe2/proto/caffe2.proto`` (TensorProtos: protos 1; TensorProto: dims 1, data_type 2, float_data 3,
int32_data 4, byte_data 5, string_data 6, name 7, device_detail 8, double_data 9, int64_data 10, segment 11,
raw_data 13) and ``caffe2/python/examples/lmdb_create_example.py``: an image and its label are the first two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch
from ..images import inspect_image
from ..sample import ArrayBlock, Fault, ImageFacts, ImageSample, LabelBlock, SampleBatch
from ..stamp import touch
from .base import RecordLayout, Traits
from .datum import unreadable
from .hdf5_rows import guess_axes
from .keys import reserved_rows
from .stacking import as_floats
from .wire import BYTES, FIXED32, VARINT, WireError, as_int32, fields, read_varint

_DIMS, _TYPE, _FLOATS, _INTS, _BYTES, _STRINGS, _DOUBLES, _LONGS, _RAW = 1, 2, 3, 4, 5, 6, 9, 10, 13
_BESIDE = frozenset((7, 8, 11, 12))
"""Fields that say nothing of the values."""

_STORED_IN = dict.fromkeys((2, 5, 6, 7, 8, 9, 12), _INTS)
_STORED_IN |= {1: _FLOATS, 3: _BYTES, 4: _STRINGS, 10: _LONGS, 13: _DOUBLES}
"""The field that holds the values of each data type: FLOAT, INT32, BYTE, STRING, BOOL, (U)INT8, (U)INT16, INT64 ..."""

_STRING_TYPE = 4


@dataclass(slots=True)
class Tensor:
    """One TensorProto: its dimensions, its type, and where its values are in the record."""

    dims: list[int] = field(default_factory=list)
    data_type: int | None = None
    parts: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Field number, wire type, start and stop, in order."""

    @property
    def size(self) -> int:
        """Values that the dimensions promise."""
        return math.prod(self.dims)

    @property
    def size_text(self) -> str:
        """The dimensions, for messages."""
        return "x".join(map(str, self.dims)) or "no dimensions"


def parse_protos(value: memoryview) -> list[Tensor]:
    """The tensors of a record.

    Raises
    ------
    WireError
        The bytes are no protobuf message.
    """
    found = []
    for number, wire_type, _, _, start, stop in fields(value):
        if number == 1 and wire_type == BYTES:
            found.append(_tensor(value, start, stop))
    return found


def _tensor(value: memoryview, start: int, stop: int) -> Tensor:
    tensor = Tensor()
    for number, wire_type, content, at, begin, end in fields(value, start, stop):
        if number == _DIMS and wire_type == VARINT:
            tensor.dims.append(_signed(content))
        elif number == _DIMS and wire_type == BYTES:
            tensor.dims += map(_signed, _varints(value, begin, end))
        elif number == _TYPE and wire_type == VARINT:
            tensor.data_type = content
        elif number in _BESIDE:
            continue
        elif wire_type == FIXED32:
            tensor.parts.append((number, wire_type, begin - 1 if content > 1 else begin, end))
        else:
            tensor.parts.append((number, wire_type, at if wire_type == VARINT else begin, end))
    return tensor


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _varints(value: memoryview, at: int, stop: int) -> list[int]:
    found = []
    while at < stop:
        number, at = read_varint(value, at, stop)
        found.append(number)
    return found


def is_protos(value: memoryview) -> bool:
    """Whether a value is a TensorProtos beyond doubt: two tensors or more, each with a type and values of it only."""
    try:
        if any(number != 1 or wire_type != BYTES for number, wire_type, *_ in fields(value)):
            return False
        tensors = parse_protos(value)
    except WireError:
        return False
    return len(tensors) >= 2 and all(map(_is_strict, tensors))


def _is_strict(tensor: Tensor) -> bool:
    if tensor.data_type not in _STORED_IN or not tensor.parts or min(tensor.dims, default=0) < 0:
        return False
    wanted = _STORED_IN[tensor.data_type]
    return all(number in (wanted, _RAW) for number, *_ in tensor.parts)


class Caffe2Protos(RecordLayout):
    """See `RecordLayout`. Keys are numbers without padding, so that their order is not that of the numbers."""

    name = "caffe2-tensor-protos"
    title = "Caffe2 TensorProtos: an image or array, its label, and more tensors"
    traits = Traits(key_numbers=False, labelled=True)

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [is_protos(value) for value in sample.values]

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        decoding = _Decoding(SampleBatch(batch, np.flatnonzero(~reserved_rows(batch.keys))), batch)
        for row in decoding.samples.sample_rows.tolist():
            touch(row)
            value = batch.values[row]
            if not len(value):
                decoding.fail(row, "record-empty", "the value has 0 bytes")
                continue
            try:
                tensors = parse_protos(value)
            except WireError as error:
                decoding.samples.faults.append(unreadable(row, "TensorProtos", error))
                continue
            self._add(decoding, row, value, tensors)
        return decoding.finish()

    def _add(self, decoding: _Decoding, row: int, value: memoryview, tensors: list[Tensor]) -> None:
        if not tensors:
            decoding.fail(row, "record-empty", "the record holds no tensors")
            return
        if len(tensors) < 2 or not tensors[1].parts:
            decoding.unlabelled.append(row)
        for number, tensor in enumerate(tensors):
            if number == 0 or tensor.parts:
                self._add_tensor(decoding, row, number, value, tensor)

    def _add_tensor(self, decoding: _Decoding, row: int, number: int, value: memoryview, tensor: Tensor) -> None:
        name = "data" if number == 0 else "label" if number == 1 else f"protos[{number}]"
        if not tensor.parts:
            decoding.fail(row, "record-empty", "the first tensor holds no values")
            return
        if tensor.data_type == _STRING_TYPE:
            strings = [value[start:stop] for field_number, _, start, stop in tensor.parts if field_number == _STRINGS]
            for string in strings[:1] if number == 0 else ():
                decoding.add_image(row, inspect_image(string, self.options) if len(string) else None)
            return
        try:
            numbers = values_of(value, tensor)
        except WireError as error:
            decoding.samples.faults.append(unreadable(row, "TensorProto", error))
            return
        if numbers is None:
            decoding.fail(row, "record-undecodable", f"{name} has the data type {tensor.data_type}, which is not known")
            return
        if len(numbers) != tensor.size:
            message = f"{name} holds {len(numbers):,} values, its dimensions are {tensor.size_text}"
            decoding.fail(row, "record-size-mismatch", message)
            return
        if not len(numbers):
            if number == 1:
                decoding.unlabelled.append(row)
            return
        if number == 1 and len(numbers) == 1:
            decoding.labels.append((row, numbers[0]))
        else:
            decoding.arrays.setdefault((name, numbers.dtype.str, tuple(tensor.dims)), []).append((row, numbers))


@dataclass(slots=True)
class _Decoding:
    """A batch on its way to samples."""

    samples: SampleBatch
    batch: RecordBatch
    labels: list[tuple[int, np.generic]] = field(default_factory=list)
    unlabelled: list[int] = field(default_factory=list)
    arrays: dict[tuple[str, str, tuple[int, ...]], list[tuple[int, NDArray[np.generic]]]] = field(default_factory=dict)

    def fail(self, row: int, rule: str, message: str) -> None:
        self.samples.faults.append(Fault(row, rule, message))

    def add_image(self, row: int, facts: ImageFacts | None) -> None:
        if facts is None:
            self.fail(row, "record-empty", "the image has 0 bytes")
            return
        self.samples.images.append(ImageSample(row, facts))
        self.samples.faults += [replace(fault, row=row) for fault in facts.faults]

    def finish(self) -> SampleBatch:
        samples = self.samples
        for (name, _, dims), members in self.arrays.items():
            rows = np.array([row for row, _ in members], np.int64)
            stacked = np.stack([numbers for _, numbers in members]).reshape(len(members), *dims)
            samples.arrays.append(ArrayBlock(name, rows, stacked, guess_axes(stacked.shape, stacked.dtype)))
        samples.arrays.sort(key=lambda block: int(block.rows[0]))
        samples.faults.sort(key=lambda fault: fault.row or 0)
        arrays = {int(row) for block in samples.arrays if block.name == "label" for row in block.rows}
        if self.labels or not arrays:
            rows = np.array([row for row, _ in self.labels], np.int64)
            values = np.array([number for _, number in self.labels]) if self.labels else np.empty(0, np.int64)
            missing = np.array(sorted(set(self.unlabelled)), np.int64)
            samples.labels.append(LabelBlock("label", rows, values, missing))
        return samples


def values_of(value: memoryview, tensor: Tensor) -> NDArray[np.generic] | None:
    """The numbers of a tensor, flat; ``None`` for a type that is none.

    Raises
    ------
    WireError
        A part is no list of such numbers.
    """
    wanted = _STORED_IN.get(1 if tensor.data_type is None else tensor.data_type)
    if wanted is None:
        return None
    parts = [_part(value, tensor.data_type or 1, *part) for part in tensor.parts if part[0] == wanted]
    if not parts:
        return np.empty(0, np.float32)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _part(value: memoryview, data_type: int, number: int, wire_type: int, start: int, stop: int) -> NDArray[np.generic]:
    packed = np.frombuffer(value, np.uint8)[start:stop]
    if number == _BYTES:
        return packed
    if number in (_FLOATS, _DOUBLES):
        width = 4 if number == _FLOATS else 8
        if wire_type == FIXED32 and (stop - start) % 5 == 0:
            tagged: NDArray[np.generic] = as_floats(packed[np.newaxis], 5)[0]
            return tagged
        if (stop - start) % width:
            raise WireError(f"packed numbers of {stop - start} bytes, which is no multiple of {width}", start)
        floats: NDArray[np.generic] = packed.view("<f4" if width == 4 else "<f8").copy()
        return floats
    if wire_type == VARINT:
        _, at = read_varint(value, start, stop)  # the tag
        numbers = [read_varint(value, at, stop)[0]]
    else:
        numbers = _varints(value, start, stop)
    convert: Callable[[int], int] = as_int32 if number == _INTS else _signed
    found = np.array([convert(one) for one in numbers], np.int64)
    halves: NDArray[np.generic] = found.astype(np.uint16).view(np.float16)
    return halves if data_type == 12 else found
