"""How a text report looks: width, colours, and how much is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..printable import fill

CODES = {
    "error": "1;31",
    "warning": "1;33",
    "info": "1;36",
    "pass": "1;32",
    "fail": "1;31",
    "incomplete": "1;33",
    "name": "1",
    "dim": "2",
    "bar": "34",
}
"""What is painted, to its SGR parameters."""


@dataclass(frozen=True, slots=True)
class Style:
    """Frozen: one style for a whole run.

    Attributes
    ----------
    width
        Columns of a line.
    colour
        Whether to write colour sequences.
    quiet
        Say nothing of sources that passed, and of the others only the verdict and the findings.
    places
        Findings shown for each rule; the rest is counted.
    """

    width: int = 80
    colour: bool = False
    quiet: bool = False
    places: int = 5

    def paint(self, text: str, what: str) -> str:
        """The text in the colour of what it is (`CODES`), as it stands where colours are off."""
        return f"\x1b[{CODES[what]}m{text}\x1b[0m" if self.colour and text else text

    def note(self, text: str) -> Iterator[str]:
        """A remark beneath a list, filled and dim."""
        return ("  " + self.paint(line, "dim") for line in fill(text, self.width - 2))


DEFAULT = Style()
"""80 columns, no colours."""
