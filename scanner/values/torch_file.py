"""Tensor storages as ``torch.save`` writes them outside of its zip format: inside of every pickled tensor.

Source: ``torch/serialization.py``, ``_legacy_save``: a magic number, a protocol number, facts of the writer, the
object and the list of its storages' keys, each as a pickle of its own; then for each key the number of elements
(int64) and the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct

from .inert import Global, PersistentId, Pickle, Unreadable

_MAGIC = 0x1950A86A20F9469CFC6C
_PICKLES = 5
_COUNT = Struct("<q")

ITEM_BYTES = {
    "BFloat16Storage": 2,
    "BoolStorage": 1,
    "ByteStorage": 1,
    "CharStorage": 1,
    "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8,
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "IntStorage": 4,
    "LongStorage": 8,
    "ShortStorage": 2,
    "UntypedStorage": 1,
}


@dataclass(slots=True)
class TorchFile:
    """One storage.

    Attributes
    ----------
    storage
        Name of its class (``FloatStorage``), ``None`` if there is an ``error``.
    data
        Its bytes.
    unsafe
        See `Pickle`; also set where the bytes are no such file, for then nobody knows what loading them does.
    """

    storage: str | None = None
    data: memoryview = field(default_factory=lambda: memoryview(b""))
    unsafe: tuple[str, ...] = ()
    error: Unreadable | None = None


def read_torch_file(data: memoryview, read: Callable[[memoryview], Pickle]) -> TorchFile:
    """Read the file of one storage; ``read`` reads a pickle."""
    unsafe: list[str] = []
    roots: list[object] = []
    at = 0
    for _ in range(_PICKLES):
        pickle = read(data[at:])
        unsafe += pickle.unsafe
        if pickle.error is not None:
            return TorchFile(unsafe=tuple(unsafe), error=Unreadable(f"in the tensor's storage: {pickle.error.text}"))
        roots.append(pickle.root)
        at += pickle.size
        if roots[0] != _MAGIC:
            return TorchFile(
                unsafe=(*unsafe, "a tensor's storage in an unknown format"),
                error=Unreadable("a tensor's storage does not begin as torch.save writes it"),
            )
    try:
        storage, payload = _payload(roots[3], data[at:])
    except Unreadable as error:
        return TorchFile(unsafe=tuple(unsafe), error=error)
    return TorchFile(storage, payload, tuple(unsafe))


def _payload(root: object, rest: memoryview) -> tuple[str, memoryview]:
    """The class of the storage that is the object, and its bytes."""
    identifier = root.identifier if isinstance(root, PersistentId) else None
    kind = identifier[1] if isinstance(identifier, tuple) and len(identifier) >= 5 else None
    if not isinstance(kind, Global) or kind.name not in ITEM_BYTES:
        raise Unreadable("a tensor's storage is of no known class")
    if len(rest) < _COUNT.size:
        raise Unreadable(f"a tensor's storage is cut short: {len(rest)} of 8 bytes of its size are there")
    needed = int(_COUNT.unpack_from(rest)[0]) * ITEM_BYTES[kind.name]
    found = len(rest) - _COUNT.size
    if not 0 <= needed <= found:
        raise Unreadable(f"a tensor's storage is cut short: {found:,} of {needed:,} bytes are there")
    return kind.name, rest[_COUNT.size : _COUNT.size + needed]
