"""Tables of what is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

T = TypeVar("T")


class Places(Mapping[str, T], Generic[T]):
    """Objects by name; each one's module is imported when it is asked for, and its name alone loads nothing.

    Parameters
    ----------
    package
        What the modules are in.
    places
        Name to module and attribute.
    """

    def __init__(self, package: str, places: Mapping[str, tuple[str, str]]) -> None:
        self._package = package
        self._places = places
        self._loaded: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            module, attribute = self._places[name]
            self._loaded[name] = getattr(import_module(f".{module}", self._package), attribute)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
