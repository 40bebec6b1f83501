"""Arrays and tensors from the calls that would make them, once their sizes fit.

Sources: ``array_reduce`` and ``arraydescr_reduce`` of NumPy's C code, ``numpy/_core/numeric.py``, ``torch/_utils.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import dtype_of
from .inert import Bytes, Call, Global, kind_of
from .torch_file import TorchFile

MAX_AXES = 64
"""More than any library makes."""

_CORES = ("numpy.core", "numpy._core")
RECONSTRUCT = frozenset(Global(f"{core}.multiarray", "_reconstruct") for core in _CORES)
_SCALAR = frozenset(Global(f"{core}.multiarray", "scalar") for core in _CORES)
_FROM_BUFFER = frozenset(Global(f"{core}.numeric", "_frombuffer") for core in _CORES)
DTYPE = frozenset({Global("numpy", "dtype")})
_ENCODE = frozenset({Global("_codecs", "encode")})
_BYTEARRAY = frozenset(Global(module, "bytearray") for module in ("builtins", "__builtin__"))
_BYTES = frozenset(Global(module, "bytes") for module in ("builtins", "__builtin__"))
TENSOR = frozenset(Global("torch._utils", f"_rebuild_tensor{version}") for version in ("", "_v2", "_v3"))

_STORAGE_DTYPES = {
    "BoolStorage": "|b1",
    "ByteStorage": "|u1",
    "CharStorage": "|i1",
    "ComplexDoubleStorage": "<c16",
    "ComplexFloatStorage": "<c8",
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "ShortStorage": "<i2",
}
_DTYPES_OF_UNTYPED = {"uint16": "<u2", "uint32": "<u4", "uint64": "<u8"}


class BadArray(Exception):
    """Why an array can't be what it declares: its bytes do not fit its shape."""


def bytes_of(value: object) -> Bytes | None:
    """The bytes that a value is or stands for: protocols below 3 write them as text to be encoded."""
    if isinstance(value, (bytes, memoryview)):
        return value
    if not isinstance(value, Call):
        return None
    if value.is_of(_ENCODE) and value.positional[1:] in (("latin1",), ("latin-1",)):
        return _latin1(value.positional[0])
    if value.is_of(_BYTEARRAY) or value.is_of(_BYTES):
        if not value.positional:
            return b""
        if value.positional[1:] in (("latin1",), ("latin-1",)):
            return _latin1(value.positional[0])
        return bytes_of(value.positional[0]) if len(value.positional) == 1 else None
    return None


def _latin1(text: object) -> bytes | None:
    try:
        return text.encode("latin-1") if isinstance(text, str) else None
    except UnicodeEncodeError:
        return None


def array_of(call: Call) -> NDArray[Any] | None:
    """The array, tensor or scalar that a call would make; ``None`` if it makes something else.

    Arrays of Python objects are ``None`` too: what they hold stands in the call's state. The array is a view of the
    value's own bytes where those are at hand, and must not be written to.

    Raises
    ------
    BadArray
        When its bytes are not what its shape and type need.
    """
    if call.is_of(RECONSTRUCT):
        return _reconstructed(call)
    if call.is_of(_FROM_BUFFER):
        return _from_buffer(call)
    if call.is_of(_SCALAR):
        return _scalar(call)
    if call.is_of(TENSOR):
        return _tensor(call)
    return None


# ---- NumPy ----


def _reconstructed(call: Call) -> NDArray[Any] | None:
    """State: ``(version, shape, dtype, fortran, bytes or list)``, without the version in NumPy before 1.0."""
    state = call.state
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        return None
    shape, dtype, fortran, data = state[-4:]
    return _array(shape, dtype, "F" if fortran else "C", data)


def _from_buffer(call: Call) -> NDArray[Any] | None:
    if len(call.positional) != 4:
        return None
    data, dtype, shape, order = call.positional
    return _array(shape, dtype, "F" if order == "F" else "C", data)


def _scalar(call: Call) -> NDArray[Any] | None:
    return _array((), call.positional[0], "C", call.positional[1]) if len(call.positional) == 2 else None


def _array(shape: object, dtype: object, order: str, data: object) -> NDArray[Any] | None:
    found = _dtype(dtype)
    if found is None or found.hasobject:
        return None
    sides = sides_of(shape)
    raw = bytes_of(data)
    if raw is None:
        raise BadArray(f"its data is {kind_of(data)}, not bytes")
    needed = math.prod(sides) * found.itemsize
    if len(raw) != needed:
        declared = f"{found} {'x'.join(map(str, sides)) or 'scalar'}"
        raise BadArray(f"holds {len(raw):,} of {needed:,} bytes ({declared})")
    if not found.itemsize:
        return None
    return np.frombuffer(raw, found).reshape(sides, order="F" if order == "F" else "C")


def _dtype(call: object) -> np.dtype[Any] | None:
    """The data type that a call would make; of a structured one only the size is kept."""
    if not isinstance(call, Call) or not call.is_of(DTYPE) or not call.positional:
        return None
    found = dtype_of(call.positional[0])
    state = call.state
    if found is None or not isinstance(state, tuple) or len(state) < 2:
        return found
    return found.newbyteorder(state[1]) if state[1] in ("<", ">") else found


def sides_of(shape: object) -> tuple[int, ...]:
    """The sizes of the axes; raises `BadArray` if a shape is none."""
    sides = (shape,) if type(shape) is int else shape
    if isinstance(sides, Call):  # torch.Size
        sides = sides.positional[0] if sides.positional else ()
    if not isinstance(sides, (tuple, list)) or len(sides) > MAX_AXES:
        raise BadArray(f"its shape is {kind_of(shape)}")
    checked = tuple(side for side in sides if type(side) is int and 0 <= side < 1 << 63)
    if len(checked) != len(sides):
        raise BadArray("its shape holds what is no size")
    return checked


# ---- PyTorch ----


def _tensor(call: Call) -> NDArray[Any] | None:
    """Arguments: ``(storage, offset, size, stride, ...)``; the third version names the type after three more."""
    arguments = call.positional
    if len(arguments) < 4 or not isinstance(arguments[0], Call) or not isinstance(arguments[0].content, TorchFile):
        return None
    file = arguments[0].content
    if file.error is not None:
        raise BadArray(file.error.text)
    values = _elements(file, arguments[6] if len(arguments) > 6 else None)
    if values is None:
        return None
    offset, size, stride = arguments[1], sides_of(arguments[2]), sides_of(arguments[3])
    if type(offset) is not int or offset < 0:
        raise BadArray("its offset in the storage is no number of elements")
    if len(size) != len(stride):
        raise BadArray(f"has {len(size)} sizes and {len(stride)} strides")
    if 0 in size:
        return np.empty(size, values.dtype)
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if last >= len(values):
        raise BadArray(f"reaches element {last:,} of a storage of {len(values):,} ({_declared(values, size)})")
    return _strided(values[offset:], size, stride)


def _elements(file: TorchFile, dtype: object) -> NDArray[Any] | None:
    """The storage's elements; ``None`` for types that NumPy does not have."""
    if file.storage == "BFloat16Storage":
        # The upper halves of float32 numbers.
        return (np.frombuffer(file.data, "<u2").astype(np.uint32) << 16).view(np.float32)
    code = _STORAGE_DTYPES.get(file.storage or "")
    if code is None and isinstance(dtype, Global):
        code = _DTYPES_OF_UNTYPED.get(dtype.name)
    if code is None or len(file.data) % np.dtype(code).itemsize:
        return None
    return np.frombuffer(file.data, code)


def _strided(values: NDArray[Any], size: Sequence[int], stride: Sequence[int]) -> NDArray[Any]:
    """The tensor's elements. An expanded one (a stride of 0) repeats them: they are looked at once."""
    count = math.prod(size)
    if count > len(values):
        return values
    if tuple(stride) == tuple(math.prod(size[axis + 1 :]) for axis in range(len(size))):
        return values[:count].reshape(size)
    steps = [step * values.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(values, tuple(size), steps, writeable=False)


def _declared(values: NDArray[Any], size: Sequence[int]) -> str:
    return f"{values.dtype} {'x'.join(map(str, size)) or 'scalar'}"
