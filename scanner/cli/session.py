"""What a run of the command line shares: debugging, and standard output whose reader may go away."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from ...backends.errors import DatascanError

if TYPE_CHECKING:  # loaded only where there is a file to read
    from .settings import Configuration


class CannotWrite(DatascanError):
    """An output that could not be written after all; nobody must take the silence for a clean report."""


@dataclass(slots=True)
class Session:
    """One run.

    ``debug`` asks for tracebacks of our own bugs. ``config`` is the configuration file that was named: by default the
    nearest one is looked for, from the working folder upwards.
    """

    debug: bool = False
    config: str | None = None
    _configuration: Configuration | None = None

    @property
    def configuration(self) -> Configuration:
        """What the configuration file says, read when it is first asked for.

        Raises
        ------
        ConfigError
            It can't be used.
        """
        if self._configuration is None:
            from ..config_file import find_config
            from .settings import configuration_of

            self._configuration = configuration_of(find_config(given=self.config))
        return self._configuration

    def write(self, render: Callable[[TextIO], object]) -> None:
        """Let ``render`` write to standard output; where the reader has gone, the rest is dropped quietly.

        Raises
        ------
        CannotWrite
            Standard output takes no more (a full disk).
        """
        try:
            render(sys.stdout)
            sys.stdout.flush()
        except OSError as exc:
            _output_failed(exc)

    def finish(self) -> None:
        """Flush what is left, so that the interpreter has nothing to complain of when it ends."""
        try:
            sys.stdout.flush()
        except OSError:
            drop_stdout()


def _output_failed(exc: OSError) -> None:
    drop_stdout()
    if exc.errno not in (errno.EPIPE, errno.ESHUTDOWN):
        raise CannotWrite(f"can't write to standard output: {exc.strerror}; the report is not complete") from exc


def drop_stdout() -> None:
    """Point standard output at nothing: a buffer that can't be flushed would be tried again at exit."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
    except (OSError, io.UnsupportedOperation):
        return
