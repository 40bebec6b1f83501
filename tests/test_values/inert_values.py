"""What inert values stand for, in Python's own types, so that they can be compared with what was written."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datascan.scanner.values.call_arrays import array_of, bytes_of
from datascan.scanner.values.inert import Call, Dict, Set


def lively(value: object) -> Any:
    """Containers as Python has them, ``(name, arguments, state)`` for calls."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Dict):
        return {lively(key): lively(item) for key, item in zip(value[::2], value[1::2], strict=True)}
    if isinstance(value, Set):
        return frozenset(map(lively, value))
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(lively, value))
    if isinstance(value, Call):
        return _called(value)
    return value


def _called(call: Call) -> Any:
    array = array_of(call)
    if array is not None:
        return array
    data = bytes_of(call)
    if data is not None:
        return bytes(data)
    name = getattr(call.function, "name", None)
    arguments = lively(call.arguments)
    if name in ("set", "frozenset"):
        return frozenset(arguments[0])
    if name == "complex":
        return complex(*arguments)
    if name == "OrderedDict":
        pairs = arguments[0] if arguments else []
        return dict(pairs) | lively(call.entries)
    return (call.function, arguments, lively(call.state))


@contextmanager
def stand_ins(names: dict[str, dict[str, Any]]) -> Iterator[None]:
    """Modules of these names that hold these objects, so that pickles can be written of classes that are not here."""
    added = {}
    for module_name, attributes in names.items():
        module = types.ModuleType(module_name)
        for name, attribute in attributes.items():
            attribute.__module__, attribute.__qualname__, attribute.__name__ = module_name, name, name
            setattr(module, name, attribute)
        added[module_name] = module
    assert not added.keys() & sys.modules.keys()
    sys.modules.update(added)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]
