"""All rules about files, in the order of their pages: each family's module lists its own.

To add a family: a tuple of `rules.FileRule` classes in its module, and a line in `FILE_RULES`.
"""

from __future__ import annotations

from .rules import FileRule

FILE_RULES: tuple[type[FileRule], ...] = ()
