"""The configuration in Python: what ``datascan check NAME`` does, as a call."""

from __future__ import annotations

from contextlib import ExitStack
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Unpack

from .api import OptionFields, check
from .cli import SETTINGS
from .cli.check import check as command
from .cli.settings import Configuration, configuration_of, defaults_for
from .cli.targets import Target, asked_for, targets_of
from .cli.variables import name_variables
from .config_file import find_config, read_config
from .crew import Crew
from .report import Report, SourceReport
from .supervisor import Limits


def load_configuration(
    config: str | PathLike[str] | None = None, start: str | PathLike[str] | None = None
) -> Configuration:
    """The configuration of a file, or of the nearest one from ``start`` (the working folder) upwards.

    Raises
    ------
    ConfigError
        It can't be used; the message begins with file and line.
    """
    if config is not None:
        return configuration_of(read_config(Path(fspath(config))))
    return configuration_of(find_config(None if start is None else Path(fspath(start))))


def check_configured(
    *sources: str | PathLike[str],
    config: str | PathLike[str] | Configuration | None = None,
    crew: Crew | None = None,
    **options: Unpack[OptionFields],
) -> Report:
    """Scan sources by their name or path in the configuration, each with its own options; all without a name.

    `check` itself reads no configuration: what a program asks for there is what it gets, wherever it is started.

    Parameters
    ----------
    sources
        Names or paths. A path that is not configured is scanned with the settings that hold for all.
    config
        The file, or what `load_configuration` gave; by default the nearest one from the working folder upwards.
    crew
        Workers to use instead of new ones.
    options
        See `Options`; they win over the environment, and that over the file.

    Raises
    ------
    ConfigError, UsageError
        A configuration that can't be used; no source named and none configured.
    """
    from .cli.check_run import option_fields  # loads numpy

    found = config if isinstance(config, Configuration) else load_configuration(config)
    reports: list[SourceReport] = []
    with ExitStack() as stack:
        targets = _targets(found, [fspath(source) for source in sources])
        run = targets[0].given
        workers = crew or stack.enter_context(Crew(run["jobs"], Limits(run["timeout"], run["max_memory"])))
        for target in targets:
            fields: Any = {**option_fields(target.given), **options}
            where = {name: target.given[name] for name in ("backend", "database", "layout", "data_root")}
            reports += check(target.path, crew=workers, executor=target.given["executor"], **where, **fields).reports
    return Report(tuple(reports))


def _targets(configuration: Configuration, sources: list[str]) -> list[Target]:
    name_variables(command)
    defaults = defaults_for("check", command, configuration.values)
    with command.make_context("check", [], default_map=defaults, **SETTINGS) as context:
        return targets_of(configuration, sources, context.params, asked_for(context))
