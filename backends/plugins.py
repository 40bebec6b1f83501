"""Plug-ins: backends, layouts, rules and renderers of other packages, found by their entry points.

The groups are ``datascan.backends``, ``datascan.layouts``, ``datascan.rules`` and ``datascan.renderers``. Nothing is
loaded because a data set asks for it: only what is installed in this Python's environment, or named by the user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any, Generic, TypeVar

from .errors import UsageError

T = TypeVar("T")

_METADATA = (".dist-info", ".egg-info")
"""What the folders beside packages are called that say what is in them; in an egg it is ``EGG-INFO`` alone."""

DISABLED = "DATASCAN_NO_PLUGINS"
"""An environment variable: where it is set to anything, no plug-in is looked for."""


_named: list[str] = []
"""Modules that `import_named` was asked for in this process."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point: its group's last word, its name, the object that it names and the package that it is from."""

    kind: str
    name: str
    target: str
    package: str


class Registry(Mapping[str, T], Generic[T]):
    """Objects of our own by name, and behind them those of plug-ins.

    Plug-ins are loaded when something is asked for that is not our own, and once in a process. ``check`` gives the
    object that an entry point's name stands for, or raises a `TypeError` or `ValueError` that says why it can't be one.
    """

    def __init__(self, kind: str, own: Mapping[str, T], check: Callable[[str, Any], T]) -> None:
        self.kind = kind
        self.own = own
        self._check = check
        self._loaded: dict[str, T] | None = None
        self._plugins: dict[Plugin, str] = {}

    def __getitem__(self, name: str) -> T:
        if name in self.own:
            return self.own[name]
        return self.foreign[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.foreign

    def __len__(self) -> int:
        return len(self.own) + len(self.foreign)

    @property
    def foreign(self) -> Mapping[str, T]:
        """What plug-ins add, by name."""
        if self._loaded is None:
            self._loaded = {}
            for plugin, load in _entry_points(self.kind):
                self._plugins[plugin] = self._take(plugin, load, self._loaded)
        return self._loaded

    def _take(self, plugin: Plugin, load: Callable[[], Any], loaded: dict[str, T]) -> str:
        """Load one plug-in; why that is not possible, empty if it is."""
        if plugin.name in self.own or plugin.name in loaded:
            return f"the name {plugin.name!r} is taken"
        try:
            loaded[plugin.name] = self._check(plugin.name, load())
        except (Exception, SystemExit) as exc:  # whatever a plug-in does when it is imported, it does not end a scan
            return said(exc)
        return ""

    @property
    def plugins(self) -> Mapping[Plugin, str]:
        """All plug-ins of this kind, each with why it can't be used, empty if it can."""
        assert self.foreign is not None
        return self._plugins

    @property
    def broken(self) -> Mapping[Plugin, str]:
        """Those that can't be used, with the reason."""
        return {plugin: why for plugin, why in self.plugins.items() if why}


def _entry_points(kind: str) -> list[tuple[Plugin, Callable[[], Any]]]:
    """The entry points of a group, in an order that does not depend on how they were installed."""
    if not _any_installed():
        return []
    from importlib.metadata import entry_points

    found = []
    for point in entry_points(group=f"datascan.{kind}"):
        package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
        found.append((Plugin(kind, point.name, point.value, package), point.load))
    return sorted(found, key=lambda pair: (pair[0].name, pair[0].package, pair[0].target))


def may_be_at_work() -> bool:
    """Whether code of other packages may run in this process: that of plug-ins, or what the user named."""
    return bool(_named) or _any_installed()


def _any_installed() -> bool:
    """Whether a package may have an entry point of ours, seen without `importlib.metadata`.

    To load that, and to let it take the lists of all packages apart for each group, takes a tenth of a small scan; that
    a plug-in is installed is the exception. What only it can look into is left to it: archives, other people's finders.
    """
    if os.environ.get(DISABLED):
        return False
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        return True
    return any(_has_plugins(os.path.abspath(folder)) for folder in sys.path)


@cache
def _has_plugins(folder: str) -> bool:
    """Whether a folder of `sys.path` may have a package with an entry point of ours."""
    try:
        names = os.listdir(folder)
    except NotADirectoryError:
        return True
    except OSError:
        return False
    for name in names:
        if name.lower().endswith(_METADATA) or name.lower() == "egg-info":
            with suppress(OSError), open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
                if b"[datascan." in file.read():
                    return True
    return False


def said(exc: BaseException) -> str:
    """An exception in one line."""
    return " ".join(f"{type(exc).__name__}: {exc}".split())


def import_named(module: str, attribute: str) -> Any:
    """An object by its module and name; the working folder is looked into last, behind all that is installed.

    Raises
    ------
    UsageError
        There is no such module or object, or importing it fails.
    """
    _named.append(module)
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as exc:
        raise UsageError(f"can't load {module}:{attribute}: {said(exc)}") from exc
    return found
