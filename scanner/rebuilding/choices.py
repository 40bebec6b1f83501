"""What a rebuild is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ...backends.errors import UsageError
from ..finding import Severity
from ..rules import select

Fix = Literal[
    "trailing-data", "end-marker", "orientation", "grey-to-colour", "colour-to-grey", "label-offset", "decode"
]
Kind = Literal["lmdb", "leveldb", "hdf5"]

LEVELS = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Choices:
    """Options of a rebuild, beside those of its scans; the defaults are those of ``datascan rebuild``.

    Attributes
    ----------
    drop
        Severities and rules or families: a record with a finding at or above the least severity, or of one of the
        rules, goes to the quarantine.
    drop_keys
        Records to drop, as `keys.Listed` reads them.
    to
        Kind of store of the target; the source's by default.
    fixes
        Changes by name that are made to records on the way.
    decode, dtype
        Datum to HDF5: decode encoded images; type of the numbers written.
    renumber, shuffle, split
        New numbers in the keys without holes; records in a random order of this seed; share of the records that stay
        in the target, the others go to ``validation``.
    rows_per_file
        HDF5: write a list of files of so many rows.
    """

    drop: tuple[str, ...] = ("error",)
    drop_keys: str | None = None
    to: Kind | None = None
    fixes: tuple[Fix, ...] = ()
    decode: bool = False
    dtype: Literal["float32", "stored"] = "float32"
    renumber: bool = False
    shuffle: int | None = None
    split: float | None = None
    validation: str | None = None
    rows_per_file: int | None = None
    map_file: str | None = None
    overwrite: bool = False
    dry_run: bool = False
    skip_list: str | None = None

    def check(self) -> None:
        """Refuse what makes no sense, alone or together.

        Raises
        ------
        UsageError
            With what to do instead.
        """
        self.dropped_rules()
        names = [name for name in get_args(Fix) if name != "decode"]
        unknown = sorted(set(self.fixes) - set(names))
        if unknown:
            raise UsageError(f"no fix {unknown[0]!r}; there are {', '.join(names)}")
        if {"grey-to-colour", "colour-to-grey"} <= set(self.fixes):
            raise UsageError("grey-to-colour and colour-to-grey were both given; choose one")
        if self.to is not None and self.to not in get_args(Kind):
            raise UsageError(f"no store {self.to!r}; there are {', '.join(get_args(Kind))}")
        if self.split is not None and not 0 < self.split < 1:
            raise UsageError(f"split is {self.split:g}; it is the share that stays in the target, between 0 and 1")
        if self.validation is not None and self.split is None:
            raise UsageError("a validation target was given without a split; say which share stays in the target")
        if self.rows_per_file is not None and self.rows_per_file < 1:
            raise UsageError(f"rows_per_file is {self.rows_per_file}; it must be at least 1")
        if self.dtype not in ("float32", "stored"):
            raise UsageError(f"dtype is {self.dtype!r}; choose float32 or stored")

    def dropped_rules(self) -> tuple[Severity | None, frozenset[str]]:
        """The least severity that drops a record (``None``: none does), and the rules that do by name.

        Raises
        ------
        UsageError
            A word that is neither.
        """
        levels = [Severity(word) for word in self.drop if word in LEVELS]
        names = [word for word in self.drop if word not in LEVELS and word != "never"]
        rules = frozenset(rule.name for rule in select(names)) if names else frozenset[str]()
        return (min(levels) if levels else None), rules

    @property
    def changes(self) -> tuple[Fix, ...]:
        """The fixes, and decoding as one of them."""
        return (*self.fixes, "decode") if self.decode else self.fixes

    @property
    def renames(self) -> bool:
        """Whether keys of records change."""
        return self.renumber or self.shuffle is not None


def words_of(text: str | Sequence[str]) -> tuple[str, ...]:
    """Words of a comma list, or of several."""
    parts = [text] if isinstance(text, str) else list(text)
    return tuple(dict.fromkeys(word.strip() for part in parts for word in part.split(",") if word.strip()))
