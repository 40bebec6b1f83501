"""What ``datascan config`` prints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from ..config_file import shown
from ..printable import fill, pad, printable, width
from ..render.json_ import portable_json
from ..render.style import Style
from .session import Session
from .settings import NETWORK, RUN, SCAN, TABLES, Configuration, Source, Values
from .terminal import stdout_style, write_lines
from .variables import PREFIX, variable_of

OTHER_VARIABLES = ("DATASCAN_CONFIG", "DATASCAN_DEBUG")


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting: its key, its value, and whence it is."""

    key: str
    value: Any
    origin: str

    def to_dict(self) -> dict[str, Any]:
        """The setting for machines."""
        return {"key": self.key, "value": self.value, "origin": self.origin}


def run_config(session: Session, as_json: bool, color: str) -> int:
    """Print the settings, or what keeps them from being read."""
    configuration = session.configuration
    strangers = list(unknown_variables(os.environ))
    if as_json:
        text = json.dumps(as_dict(configuration, strangers), indent=2, ensure_ascii=False, default=str)
        session.write(lambda stream: stream.write(portable_json(text, stream.encoding) + "\n"))
    else:
        lines = list(config_lines(configuration, strangers, stdout_style(color)))
        session.write(lambda stream: write_lines(lines, stream))
    return 0


def tables_of(configuration: Configuration) -> dict[str, list[Shown]]:
    """The settings that hold for all sources, by table."""
    probing = Shown("run", False, "default")
    if "probe" in configuration.values:
        probing = Shown("run", configuration.values["probe"].value, configuration.values["probe"].origin)
    return {
        "scan": settings_of({**SCAN, **RUN}, configuration.values),
        "probe": [probing, *settings_of(NETWORK, configuration.values)],
        **{name: settings_of(options(), configuration.values) for name, options in TABLES.items()},
    }


def settings_of(options: Mapping[str, click.Option], values: Values) -> list[Shown]:
    """What holds for some options: the environment, else the file, else the default."""
    found = []
    for key, option in options.items():
        assert option.name is not None
        variable = variable_of(option)
        if os.environ.get(variable):
            found.append(Shown(key, os.environ[variable], variable))
        elif option.name in values:
            found.append(Shown(key, plain(values[option.name].value), values[option.name].origin))
        else:
            found.append(Shown(key, plain(option.get_default(click.Context(click.Command("datascan")))), "default"))
    return found


def plain(value: Any) -> Any:
    """A value as JSON has it; nothing chosen is ``None``."""
    if isinstance(value, list | tuple):
        return list(value) or None
    return value if value is None or isinstance(value, bool | int | float | str) else None


def source_settings(source: Source) -> tuple[list[Shown], list[Shown]]:
    """The settings and expectations of a source."""
    names = {option.name: key for key, option in {**SCAN, **NETWORK}.items()}
    own = []
    for name, value in source.values.items():
        option = {**SCAN, **NETWORK}.get(names.get(name, ""))
        variable = None if option is None else variable_of(option)
        wins = variable is not None and os.environ.get(variable)
        own.append(
            Shown(names.get(name, name), os.environ[variable], variable)
            if wins and variable is not None
            else Shown(names.get(name, name), plain(value.value), value.origin)
        )
    expected = [Shown(name.replace("_", "-"), value.value, value.origin) for name, value in source.expect.items()]
    return own, expected


def unknown_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Variables that look as if they were meant for datascan and are not known, each with the nearest name."""
    from . import COMMANDS

    known = set(OTHER_VARIABLES)
    for name in COMMANDS:
        command = getattr(import_module(f".{name}", __package__), name)
        known |= {variable_of(option) for option in command.params if isinstance(option, click.Option)}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, 1, 0.8)
            yield name, near[0] if near else None


# ---- for people ----


def config_lines(
    configuration: Configuration, strangers: Iterable[tuple[str, str | None]], style: Style
) -> Iterator[str]:
    """All lines."""
    file = configuration.file
    yield f"{style.paint('file', 'dim')}  {'none found' if file is None else printable(shown(file.path))}"
    for name, settings in tables_of(configuration).items():
        yield from ("", style.paint(name, "name"))
        yield from setting_lines(settings, style)
    for source in configuration.sources.values():
        own, expected = source_settings(source)
        yield from ("", f"{style.paint(f'source {printable(source.name)}', 'name')}  {printable(source.path)}")
        yield from setting_lines(own, style)
        yield from setting_lines([Shown(f"expect {one.key}", one.value, one.origin) for one in expected], style)
        if not own and not expected:
            yield style.paint("  nothing of its own", "dim")
    for variable, near in strangers:
        hint = f"; did you mean {near}?" if near else ""
        yield from ("", style.paint(f"{printable(variable)} is set, and no option has that name{hint}", "warning"))


def setting_lines(settings: list[Shown], style: Style) -> Iterator[str]:
    """A line for each setting: key, value, origin."""
    keys = max((width(one.key) for one in settings), default=0)
    origins = max((width(one.origin) for one in settings), default=0)
    room = max(style.width - keys - origins - 6, 12)
    for one in settings:
        first, *others = fill(told(one.value), room) or [""]
        origin = style.paint(printable(one.origin), "dim" if one.origin == "default" else "info")
        yield f"  {pad(one.key, keys)}  {pad(first, room)}  {origin}"
        yield from (f"  {' ' * keys}  {line}" for line in others)


def told(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value))
    return printable(str(value))


def as_dict(configuration: Configuration, strangers: Iterable[tuple[str, str | None]]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "file": None if configuration.file is None else os.fspath(configuration.file.path),
        "settings": {name: [one.to_dict() for one in settings] for name, settings in tables_of(configuration).items()},
        "sources": [source_dict(source) for source in configuration.sources.values()],
        "unknown_variables": [{"name": name, "nearest": near} for name, near in strangers],
    }


def source_dict(source: Source) -> dict[str, Any]:
    """A source for machines."""
    own, expected = source_settings(source)
    return {
        "name": source.name,
        "path": source.path,
        "origin": source.origin,
        "settings": [one.to_dict() for one in own],
        "expect": [one.to_dict() for one in expected],
    }
