"""Which sources are meant, and with what options: what a path or a name stands for in the configuration."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ...backends.errors import UsageError
from .settings import Configuration, Source

FROM_OUTSIDE = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)
"""Where a value comes from that wins over the configuration file."""


@dataclass(frozen=True, slots=True)
class Target:
    """A source to look at. ``name`` is the one that it has in the configuration, if it stands there."""

    path: str
    given: Mapping[str, Any]
    name: str | None = None


def asked_for(context: click.Context) -> set[str]:
    """The parameters that were given on the command line or in the environment."""
    return {name for name in context.params if context.get_parameter_source(name) in FROM_OUTSIDE}


def targets_of(
    configuration: Configuration, sources: Sequence[str], given: Mapping[str, Any], asked: Collection[str]
) -> list[Target]:
    """The sources that were named, by path or by their name in the configuration; all of its sources if none was.

    Raises
    ------
    UsageError
        No source is named and none configured; a name that is also another path.
    """
    if not sources:
        if not configuration.sources:
            raise UsageError("no SOURCE given, and none is configured; to scan a data set: datascan check PATH")
        return [target_of(source, given, asked) for source in configuration.sources.values()]
    return list(_named(configuration, sources, given, asked))


def _named(
    configuration: Configuration, sources: Sequence[str], given: Mapping[str, Any], asked: Collection[str]
) -> Iterator[Target]:
    for text in sources:
        by_name, by_path = configuration.sources.get(text), configuration.source_at(text)
        if by_name is not None and by_name is not by_path and os.path.lexists(text):
            raise UsageError(
                f"{text!r} is the configured source {by_name.path} and also a path; write ./{text} for the path, or "
                f"{by_name.path} for the source"
            )
        source = by_path or by_name
        if source is None:
            yield Target(text, given)
        else:
            yield target_of(source, given, asked, None if by_path is None else text)


def target_of(source: Source, given: Mapping[str, Any], asked: Collection[str], path: str | None = None) -> Target:
    """A configured source: its own settings stand in for what was not asked for from outside."""
    own = {name: value for name, value in source.parsed().items() if name not in asked and name in given}
    return Target(path or source.path, {**given, **own, "expect": source.expectations}, source.name)
