"""The terminal that text goes to: its width, whether it shows colours."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import TextIO

from ..printable import encodable
from ..render.style import Style

NARROWEST, WIDEST = 60, 120
"""Columns of a text report: a narrower one can't be set, a wider one can't be read."""


def stdout_style(color: str, quiet: bool = False) -> Style:
    """The style of text for standard output; ``color`` is the value of ``--color``."""
    return Style(terminal_width(), colour_wanted(color, sys.stdout.isatty()), quiet)


def terminal_width() -> int:
    """Columns of the terminal, or of COLUMNS, or 80; within what can be set and read."""
    return max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))


def colour_wanted(choice: str, is_terminal: bool) -> bool:
    """Whether to colour: the option, then FORCE_COLOR, then NO_COLOR, then whether a terminal listens."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return is_terminal


def write_lines(lines: Iterable[str], stream: TextIO) -> None:
    """Write lines as the stream can take them."""
    stream.write(encodable("".join(line.rstrip() + "\n" for line in lines), stream.encoding))
