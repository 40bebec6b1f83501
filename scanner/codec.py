"""Values of a closed set of types as bytes and back, so that reading them can never run anything.

The bytes are a length, JSON, and the arrays of numbers behind it. What JSON does not know is written as
``{"~": [kind, ...]}``:

=============  =======================================================================
``float``      what JSON can't write: ``nan``, ``inf``, ``-inf``
``bytes``      base64
``tuple``      its elements
``set``        its elements, sorted
``dict``       pairs of key and value; also used where all keys are text
``lists``      a `defaultdict` of lists, as pairs
``counter``    a `Counter`, as pairs in their order
``array``      dtype, shape, and the offset of its contents
``scalar``     the same for a single number of numpy's
otherwise      the name of one of the codec's classes, and its attributes or enum value
=============  =======================================================================
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<I")
_NUMBERS = "biuf"
_TAG = "~"


class CodecError(ValueError):
    """Bytes that no codec of this version has written."""


class Codec:
    """Encodes plain values, numpy's numbers, and objects of some classes.

    Objects are made without calling their class: their attributes are set to what was written, nothing else.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self.classes = {cls.__name__: cls for cls in classes}

    def encode(self, value: Any) -> bytes:
        """The value as bytes.

        Raises
        ------
        TypeError
            It holds something of a type that is not in the set.
        """
        arrays = _Arrays()
        tree = self._tree(value, arrays)
        text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
        return b"".join([_LENGTH.pack(len(text)), text, *arrays.parts])

    def decode(self, data: bytes) -> Any:
        """The value of some bytes.

        Raises
        ------
        CodecError
            They are not what `encode` gives.
        """
        try:
            (length,) = _LENGTH.unpack_from(data)
            tree = json.loads(data[_LENGTH.size : _LENGTH.size + length])
            return self._value(tree, memoryview(data)[_LENGTH.size + length :])
        except (ValueError, TypeError, KeyError, AttributeError, struct.error, RecursionError) as exc:
            raise CodecError(f"not written by this version: {exc}") from exc

    # ---- encoding ----

    def _tree(self, value: Any, arrays: _Arrays) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {_TAG: ["float", repr(value)]}
        if type(value) is list:
            return [self._tree(part, arrays) for part in value]
        return {_TAG: self._tagged(value, arrays)}

    def _tagged(self, value: Any, arrays: _Arrays) -> list[Any]:
        if type(value) is bytes:
            return ["bytes", base64.b64encode(value).decode("ascii")]
        if isinstance(value, np.ndarray):
            return ["array", *arrays.add(value)]
        if isinstance(value, np.generic):
            return ["scalar", *arrays.add(np.asarray(value))]
        if type(value) is tuple:
            return ["tuple", *(self._tree(part, arrays) for part in value)]
        if type(value) in (set, frozenset):
            return ["set", *(self._tree(part, arrays) for part in sorted(value))]
        if (kind := _MAPPINGS.get(type(value))) is not None:
            return [kind, *([self._tree(key, arrays), self._tree(one, arrays)] for key, one in value.items())]
        name = type(value).__name__
        if self.classes.get(name) is not type(value):
            raise TypeError(f"can't write a {name}")
        if isinstance(value, Enum):
            return [name, value.value]
        return [name, {key: self._tree(getattr(value, key), arrays) for key in _attributes(value)}]

    # ---- decoding ----

    def _value(self, tree: Any, contents: memoryview) -> Any:
        if isinstance(tree, list):
            return [self._value(part, contents) for part in tree]
        if not isinstance(tree, dict):
            return tree
        kind, *rest = tree[_TAG]
        if kind in _LEAVES:
            return _LEAVES[kind](*rest)
        if kind in ("array", "scalar"):
            found = _array(contents, *rest)
            return found if kind == "array" else found[()]
        if kind in ("tuple", "set"):
            return (tuple if kind == "tuple" else set)(self._value(part, contents) for part in rest)
        if kind in _MADE:
            return _MADE[kind]({self._value(key, contents): self._value(one, contents) for key, one in rest})
        return self._object(self.classes[kind], rest[0], contents)

    def _object(self, cls: type, written: Any, contents: memoryview) -> Any:
        if issubclass(cls, Enum):
            return cls(written)
        made = cls.__new__(cls)
        for name, tree in written.items():
            if hasattr(cls, name) and not _is_slot(cls, name):
                raise CodecError(f"{cls.__name__} has no attribute {name}")
            object.__setattr__(made, name, self._value(tree, contents))
        if is_dataclass(cls) and set(written) != {one.name for one in fields(cls)}:
            raise CodecError(f"{cls.__name__} has other attributes")
        return made


_MAPPINGS: dict[type, str] = {dict: "dict", defaultdict: "lists", Counter: "counter"}

_MADE: dict[str, Callable[[dict[Any, Any]], dict[Any, Any]]] = {
    "dict": dict,
    "lists": lambda pairs: defaultdict(list, pairs),
    "counter": Counter,
}

_LEAVES: dict[str, Callable[[str], Any]] = {"float": float, "bytes": base64.b64decode}


class _Arrays:
    """Arrays on their way behind the JSON."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, array: NDArray[Any]) -> tuple[str, list[int], int]:
        """Dtype, shape and offset of an array, whose contents are added."""
        if array.dtype.kind not in _NUMBERS:
            raise TypeError(f"can't write an array of {array.dtype}")
        offset = self.size
        self.parts.append(array.tobytes())
        self.size += array.nbytes
        return array.dtype.str, list(array.shape), offset


def _array(contents: memoryview, dtype: str, shape: list[int], offset: int) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind not in _NUMBERS or offset < 0 or min(shape, default=0) < 0:
        raise CodecError(f"no array of {kind}")
    flat = np.frombuffer(contents, kind, math.prod(shape), offset) if math.prod(shape) else np.empty(0, kind)
    return flat.reshape(shape).copy()


def _attributes(value: Any) -> list[str]:
    return [one.name for one in fields(value)] if is_dataclass(value) else list(vars(value))


def _is_slot(cls: type, name: str) -> bool:
    """Whether a class attribute is the place of an instance's own, or its default."""
    return is_dataclass(cls) and any(one.name == name for one in fields(cls))
