"""What a configuration file may say, checked as the command line is: its keys are the options of the commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ...backends.errors import UsageError
from ..config_file import ConfigFile
from ..expectations import Expectations, make_expectations
from .check import check
from .probe_params import OPTIONS as PROBE_OPTIONS
from .probe_params import field_of

if TYPE_CHECKING:
    from ..toml_lines import Keys

OF_A_RUN = ("write_baseline", "reason", "resume", "shard", "partial", "debug", "help")
"""Options that belong to one run, and have no place in a file."""

OF_ALL = (
    "baseline",
    "jobs",
    "executor",
    "timeout",
    "max_memory",
    "work_dir",
    "cache_dir",
    "outputs",
    "quiet",
    "no_progress",
    "color",
)
"""Options of ``datascan check`` that are about the run as a whole and not about a source."""

PATHS = (
    "history",
    "baseline",
    "data_root",
    "work_dir",
    "cache_dir",
    "mean_file",
    "prototxt",
    "onnx",
    "torch",
    "caffe",
    "weights",
)
"""Options whose value is a path: it counts from the file's folder."""

EXPECTATIONS = ("records", "min-records", "max-records", "shape", "dtype", "value-range", "layout", "store")


@dataclass(frozen=True, slots=True)
class Value:
    """A setting as a command's parameter takes it, and where it comes from."""

    value: Any
    origin: str


Values = dict[str, Value]
"""By the name of the parameter."""


@dataclass(frozen=True, slots=True)
class Source:
    """A configured source: its settings win over those of the file as a whole."""

    name: str
    path: str
    origin: str
    values: Values = field(default_factory=dict)
    expect: Values = field(default_factory=dict)
    audit: bool = True

    @property
    def expectations(self) -> Expectations:
        """What is expected of it."""
        return make_expectations({name: value.value for name, value in self.expect.items()})

    def parsed(self) -> dict[str, Any]:
        """Its settings as ``datascan check`` has them when its options are understood."""
        known = {option.name: option for option in (*SCAN.values(), *NETWORK.values())}
        return {
            name: understood(known[name], one.value) if name in known else one.value
            for name, one in self.values.items()
        }


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says. Without a file there are no settings and no sources."""

    file: ConfigFile | None = None
    values: Values = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)

    def source_at(self, path: str) -> Source | None:
        """The source that a path is, by whatever name it goes in the file system."""
        real = os.path.realpath(path)
        return next((source for source in self.sources.values() if os.path.realpath(source.path) == real), None)


def configuration_of(file: ConfigFile | None) -> Configuration:
    """The settings of a file, all of them checked.

    Raises
    ------
    ConfigError
        An unknown key, a value of the wrong type, or one that makes no sense; with its line.
    """
    return Configuration() if file is None else _Reader(file).configuration()


# ---- keys and options ----


def key_of(option: click.Option) -> str:
    """The key of an option: its long name."""
    return max(option.opts, key=len).removeprefix("--")


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that a file may hold, by key."""
    found = (one for one in command.params if isinstance(one, click.Option) and one.name not in OF_A_RUN)
    return {key_of(option): option for option in found}


_PROBE = {field_of(names) for names, _ in PROBE_OPTIONS}
SCAN = {key: option for key, option in options_of(check).items() if option.name not in (*_PROBE, *OF_ALL, "probe")}
"""Options of a scan: for all sources, or in the table of one."""

RUN = {key: option for key, option in options_of(check).items() if option.name in OF_ALL}
NETWORK = {key: option for key, option in options_of(check).items() if option.name in _PROBE}


class _Reader:
    """Reads one file."""

    def __init__(self, file: ConfigFile) -> None:
        self.file = file

    def configuration(self) -> Configuration:
        values: Values = {}
        sources: dict[str, Source] = {}
        for key, value in self.file.table.items():
            if key == "sources":
                for name, table in self.table(value, (key,)).items():
                    sources[name] = self.source(name, self.table(table, (key, name)))
            elif key == "probe":
                values |= self.probe(value, (key,))
            elif key in TABLES:
                values |= self.options(self.table(value, (key,)), (key,), TABLES[key]())
            elif key in SCAN or key in RUN:
                values |= self.options({key: value}, (), {**SCAN, **RUN})
            else:
                raise self.file.unknown((key,), [*SCAN, *RUN, "probe", "sources", *TABLES])
        return Configuration(self.file, values, sources)

    def table(self, value: Any, keys: Keys) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            name = ".".join((*self.file.prefix, *keys))
            raise self.file.error(keys, f"{keys[-1]} must be a table: [{name}]")
        return value

    def source(self, name: str, table: Mapping[str, Any]) -> Source:
        keys = ("sources", name)
        rest = {key: value for key, value in table.items() if key not in ("path", "probe", "expect", "audit")}
        for key in rest:
            if key not in SCAN:
                raise self.file.unknown((*keys, key), ["path", "expect", "probe", "audit", *SCAN])
        path = table.get("path")
        if not isinstance(path, str) or not path or "\0" in path:
            raise self.file.error((*keys, "path"), f'source {name!r} needs a path: path = "..."')
        values = self.options(rest, keys, SCAN)
        if "probe" in table:
            values |= self.probe(table["probe"], (*keys, "probe"))
        audited = table.get("audit", True)
        if not isinstance(audited, bool):
            raise self.file.error((*keys, "audit"), f"audit must be true or false, not {_told(audited)}")
        expect = self.expect(self.table(table.get("expect", {}), (*keys, "expect")), (*keys, "expect"))
        return Source(name, self.file.resolve(path), self.file.where(*keys), values, expect, audited)

    def probe(self, value: Any, keys: Keys) -> Values:
        if isinstance(value, bool):
            return {"probe": Value(value, self.file.where(*keys))}
        table = dict(self.table(value, keys))
        run = table.pop("run", True)
        if not isinstance(run, bool):
            raise self.file.error((*keys, "run"), f"run must be true or false, not {_told(run)}")
        return {**self.options(table, keys, NETWORK), "probe": Value(run, self.file.where(*keys))}

    def expect(self, table: Mapping[str, Any], keys: Keys) -> Values:
        found: Values = {}
        for key, value in table.items():
            here = (*keys, key)
            if key not in EXPECTATIONS:
                raise self.file.unknown(here, list(EXPECTATIONS))
            if not _fits_expectation(key, value):
                raise self.file.error(here, f"{key} must be {_EXPECTED[key]}, not {_told(value)}")
            self._checked(here, partial(_expectation, key, value))
            found[key.replace("-", "_")] = Value(value, self.file.where(*here))
        self._checked(keys, lambda: make_expectations({name: value.value for name, value in found.items()}))
        return found

    def options(self, table: Mapping[str, Any], keys: Keys, known: Mapping[str, click.Option]) -> Values:
        found: Values = {}
        for key, value in table.items():
            here = (*keys, key)
            if key not in known:
                raise self.file.unknown(here, list(known))
            option = known[key]
            converted = self.convert(option, value, here)
            self._checked(here, partial(check_value, option, converted))
            assert option.name is not None
            found[option.name] = Value(converted, self.file.where(*here))
        return found

    def convert(self, option: click.Option, value: Any, keys: Keys) -> Any:
        """A value of TOML as the option takes it."""
        if option.name == "severities":
            return [f"{rule}={level}" for rule, level in self.table(value, keys).items()]
        if option.multiple:
            values = value if isinstance(value, list) else [value]
            return [self.convert_one(option, one, keys, "a list of ") for one in values]
        return self.convert_one(option, value, keys)

    def convert_one(self, option: click.Option, value: Any, keys: Keys, listed: str = "") -> Any:
        """One value, not a list."""
        numbers = option.name in ("mean_values", "std")
        if not (_is_number(value) if numbers else _fits(option, value)):
            wanted = "a number" if numbers else _wanted(option)
            raise self.file.error(
                keys, f"{keys[-1]} must be {wanted if not listed else listed + wanted[2:] + 's'}, not {_told(value)}"
            )
        if numbers:
            return str(value)
        if option.name in PATHS:
            return self.file.resolve(value)
        if option.name == "outputs":
            kind, equals, file = value.partition("=")
            return f"{kind}={self.file.resolve(file)}" if equals and file else value
        return value

    def _checked(self, keys: Keys, ask: Callable[[], object]) -> None:
        try:
            ask()
        except click.BadParameter as exc:
            raise self.file.error(keys, f"{keys[-1]}: {exc.message}") from exc
        except UsageError as exc:
            raise self.file.error(keys, f"{keys[-1]}: {str(exc).removeprefix(f'--{keys[-1]}: ')}") from exc


def understood(option: click.Option, value: Any) -> Any:
    """A value as the command gets it: converted and checked by the option's type and callback."""
    return option.process_value(click.Context(check), value)


def check_value(option: click.Option, value: Any) -> None:
    """Refuse what the command line would refuse."""
    found = understood(option, value)
    if option.name in ("select", "ignore", "severities"):
        from .names import names_of  # loads the rules

        for name in found:
            names_of(name)
    if option.name == "layout":
        from .names import check_layout

        check_layout(found)


# ---- types ----


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fits(option: click.Option, value: Any) -> bool:
    """Whether a value has the type that the option's has in TOML."""
    if option.is_flag:
        return isinstance(value, bool)
    if isinstance(option.type, click.types.IntParamType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(option.type, click.types.FloatParamType):
        return _is_number(value)
    return isinstance(value, str)


def _wanted(option: click.Option) -> str:
    if option.is_flag:
        return "true or false"
    if isinstance(option.type, click.types.IntParamType):
        return "a whole number"
    return "a number" if isinstance(option.type, click.types.FloatParamType) else "a text"


def _told(value: Any) -> str:
    """A value in an error."""
    kinds = {bool: "", str: "the text ", list: "the list ", dict: "a table"}
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return kinds.get(type(value), "") + ("" if isinstance(value, dict) else text)


_EXPECTED = {
    **dict.fromkeys(("records", "min-records", "max-records"), "a whole number"),
    **dict.fromkeys(("dtype", "layout", "store"), "a text"),
    "shape": 'a list of whole numbers and "*" for any',
    "value-range": "a list of two numbers",
}


def _fits_expectation(key: str, value: Any) -> bool:
    if key == "shape":
        return isinstance(value, list) and all(
            one == "*" or (isinstance(one, int) and one is not True) for one in value
        )
    if key == "value-range":
        return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    if _EXPECTED[key] == "a text":
        return isinstance(value, str)
    return isinstance(value, int) and not isinstance(value, bool)


def _expectation(key: str, value: Any) -> None:
    """Refuse what no source could meet."""
    make_expectations({key.replace("-", "_"): value})
    if key == "layout":
        from .names import check_layout

        check_layout(value)
    if key == "store":
        from ...backends import BACKENDS

        if value not in BACKENDS:
            raise UsageError(f"no store {value!r}; there are {', '.join(BACKENDS)}")
    if key == "dtype":
        import numpy as np

        try:
            np.dtype(value)
        except TypeError:
            raise UsageError(f"no dtype {value!r}; write uint8, float32, ...") from None


def _of_audit() -> Mapping[str, click.Option]:
    from .audit import OPTIONS

    return {key_of(option): option for option in OPTIONS}


TABLES: dict[str, Callable[[], Mapping[str, click.Option]]] = {"audit": _of_audit}
"""Tables of single commands: their options, loaded when they are asked for."""


OF_EVERY_COMMAND = ("jobs", "executor", "timeout", "max_memory", "work_dir", "no_progress", "color")
NOT_OF_PROBE = ("select", "ignore", "outputs")


def defaults_for(name: str, command: click.Command, values: Values) -> dict[str, Any]:
    """The settings for the options of a command, as `click.Context.default_map` takes them.

    ``check`` and ``audit`` take all; ``probe`` chooses its rules by itself; the others take what is about a run.
    """
    names = [option.name for option in command.params if option.name in values]
    if name == "probe":
        names = [one for one in names if one not in NOT_OF_PROBE]
    elif name not in ("check", "audit"):
        names = [one for one in names if one in OF_EVERY_COMMAND]
    return {one: values[one].value for one in names if one is not None}
