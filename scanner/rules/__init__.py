"""All rules, in the order of their pages and of findings at the same record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ...backends.errors import UsageError
from .base import Context, Rule
from .box import BoxInvalid
from .image import (
    ImageChannels,
    ImageConstant,
    ImageCorrupt,
    ImageOddity,
    ImageOrientation,
    ImageTooLarge,
    ImageTooSmall,
    ImageTrailingData,
    ImageTruncated,
    ImageUndecodable,
)
from .label import LabelMissing, LabelNan, LabelNegative, LabelNonInteger, LabelOneHot, LabelOutOfRange
from .label_set import LabelAbsentClass, LabelConstant, LabelImbalance, LabelOffset, LabelRareClass, LabelSorted
from .label_text import LabelText
from .probe import ProbeFailed, ProbeNonFinite
from .record import RecordEmpty, RecordMissingTwin, RecordSizeMismatch, RecordUndecodable, RecordUnsafePickle
from .record_set import RecordDuplicate, RecordKeyGap, RecordKeyOrder, RecordLabelConflict
from .record_shape import RecordMixedShapes, RecordShapeMismatch
from .store import (
    StoreCountMismatch,
    StoreDamaged,
    StoreEmpty,
    StoreExternalReference,
    StoreInUse,
    StoreReaderDied,
    StoreRule,
    StoreTruncated,
    StoreUnreadable,
)
from .value import ValueConstant, ValueExtreme, ValueInf, ValueNan, ValueUnscaled

__all__ = ["FAMILIES", "RULES", "Context", "Rule", "StoreRule", "instantiate", "rule_named", "select"]

RULES: tuple[type[Rule], ...] = (
    StoreUnreadable,
    StoreTruncated,
    StoreDamaged,
    StoreCountMismatch,
    StoreReaderDied,
    StoreEmpty,
    StoreInUse,
    StoreExternalReference,
    RecordUndecodable,
    RecordEmpty,
    RecordSizeMismatch,
    RecordShapeMismatch,
    RecordMixedShapes,
    RecordMissingTwin,
    RecordUnsafePickle,
    RecordKeyGap,
    RecordKeyOrder,
    RecordDuplicate,
    RecordLabelConflict,
    ImageUndecodable,
    ImageTruncated,
    ImageCorrupt,
    ImageTrailingData,
    ImageConstant,
    ImageOrientation,
    ImageOddity,
    ImageChannels,
    ImageTooSmall,
    ImageTooLarge,
    ValueNan,
    ValueInf,
    ValueExtreme,
    ValueConstant,
    ValueUnscaled,
    LabelMissing,
    LabelNan,
    LabelNonInteger,
    LabelNegative,
    LabelOutOfRange,
    LabelOneHot,
    LabelOffset,
    LabelAbsentClass,
    LabelRareClass,
    LabelImbalance,
    LabelConstant,
    LabelSorted,
    LabelText,
    BoxInvalid,
    ProbeNonFinite,
    ProbeFailed,
)

FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(rule.name.partition("-")[0] for rule in RULES))
"""The words before the first dash, in the order of the rules."""


def rule_named(name: str) -> type[Rule]:
    """The rule of that name.

    Raises
    ------
    UsageError
        There is none; the message names the nearest ones.
    """
    for rule in RULES:
        if rule.name == name:
            return rule
    raise _unknown(name, [rule.name for rule in RULES])


def select(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> list[type[Rule]]:
    """Rules by name or family, in the order of `RULES`; an empty ``select`` means all, ``ignore`` wins.

    Raises
    ------
    UsageError
        A name that is neither a rule nor a family.
    """
    wanted = _named(select) or [rule.name for rule in RULES]
    unwanted = _named(ignore)
    return [rule for rule in RULES if rule.name in wanted and rule.name not in unwanted]


def instantiate(names: Iterable[str], context: Context) -> list[Rule]:
    """The rules of these names, made for a scan."""
    return [rule_named(name)(context) for name in names]


def _named(names: Iterable[str]) -> list[str]:
    """The names of the rules that names and families stand for."""
    found: list[str] = []
    for name in names:
        members = [rule.name for rule in RULES if name in (rule.name, rule.name.partition("-")[0])]
        if not members:
            raise _unknown(name, [*(rule.name for rule in RULES), *FAMILIES])
        found += members
    return found


def _unknown(name: str, known: Sequence[str]) -> UsageError:
    near = get_close_matches(name, known, 3, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"families are {', '.join(FAMILIES)}"
    return UsageError(f"no rule or family {name!r}; {hint}")
