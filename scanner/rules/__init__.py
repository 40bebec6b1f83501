"""All rules, in the order of their pages and of findings at the same record."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ...backends.errors import UsageError
from ...backends.plugins import Registry
from ..finding import Severity
from .audit import DriftLabels, DriftRecords, DriftValues, StoreBitRot
from .base import Context, Rule
from .box import BoxInvalid
from .expect import ExpectDtype, ExpectLayout, ExpectRecords, ExpectShape, ExpectStore, ExpectValueRange
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
from .label_contradiction import LabelContradiction
from .label_set import LabelAbsentClass, LabelConstant, LabelImbalance, LabelOffset, LabelRareClass, LabelSorted
from .label_text import LabelText
from .near import RecordNearDuplicate, SetNearLeak
from .probe import ProbeFailed, ProbeNonFinite
from .record import RecordEmpty, RecordMissingTwin, RecordSizeMismatch, RecordUndecodable, RecordUnsafePickle
from .record_fields import RecordMissingField
from .record_set import RecordDuplicate, RecordKeyGap, RecordKeyOrder, RecordLabelConflict
from .record_shape import RecordMixedShapes, RecordShapeMismatch
from .sets import (
    SetClassMissing,
    SetKeyConflict,
    SetLabelDrift,
    SetLeak,
    SetRule,
    SetShapeDrift,
    SetValueDrift,
)
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

__all__ = [
    "FAMILIES",
    "HEADINGS",
    "RULES",
    "RULE_PLUGINS",
    "Context",
    "Rule",
    "SetRule",
    "StoreRule",
    "broken_rule",
    "instantiate",
    "known_rules",
    "rule_named",
    "select",
]

RULES: tuple[type[Rule], ...] = (
    StoreUnreadable,
    StoreTruncated,
    StoreDamaged,
    StoreCountMismatch,
    StoreReaderDied,
    StoreEmpty,
    StoreInUse,
    StoreExternalReference,
    StoreBitRot,
    RecordUndecodable,
    RecordEmpty,
    RecordSizeMismatch,
    RecordShapeMismatch,
    RecordMixedShapes,
    RecordMissingTwin,
    RecordMissingField,
    RecordUnsafePickle,
    RecordKeyGap,
    RecordKeyOrder,
    RecordDuplicate,
    RecordLabelConflict,
    RecordNearDuplicate,
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
    LabelContradiction,
    BoxInvalid,
    ProbeNonFinite,
    ProbeFailed,
    ExpectStore,
    ExpectLayout,
    ExpectRecords,
    ExpectShape,
    ExpectDtype,
    ExpectValueRange,
    SetLeak,
    SetNearLeak,
    SetKeyConflict,
    SetLabelDrift,
    SetClassMissing,
    SetShapeDrift,
    SetValueDrift,
    DriftRecords,
    DriftLabels,
    DriftValues,
)

FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(rule.name.partition("-")[0] for rule in RULES))
"""The words before the first dash, in the order of the rules."""

HEADINGS = ("What it does", "Why is this bad?", "How to fix")
"""Sections of a rule's page, its docstring."""


def _checked(name: str, loaded: object) -> type[Rule]:
    """Whether a plug-in's object is a rule with a page."""
    if not isinstance(loaded, type) or not issubclass(loaded, Rule):
        raise TypeError(f"{loaded!r} is no subclass of Rule")
    if getattr(loaded, "name", None) != name:
        raise ValueError(f"the rule calls itself {getattr(loaded, 'name', None)!r}")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name):
        raise ValueError("a rule's name is its family, a dash and the fault, in lower case")
    if not isinstance(getattr(loaded, "severity", None), Severity):
        raise TypeError("severity is no Severity")
    page = re.findall(r"^## (.*)$", inspect.cleandoc(loaded.__doc__ or ""), re.MULTILINE)
    if tuple(page) != HEADINGS:
        raise ValueError(f"its docstring is its page, and needs the sections {', '.join(HEADINGS)}")
    return loaded


RULE_PLUGINS: Registry[type[Rule]] = Registry("rules", {rule.name: rule for rule in RULES}, _checked)
"""All rules by name: our own, and behind them those of plug-ins."""


def known_rules() -> tuple[type[Rule], ...]:
    """`RULES`, and behind them those of plug-ins by name."""
    return (*RULES, *RULE_PLUGINS.foreign.values())


def rule_named(name: str) -> type[Rule]:
    """The rule of that name.

    Raises
    ------
    UsageError
        There is none; the message names the nearest ones.
    """
    if name in RULE_PLUGINS:
        return RULE_PLUGINS[name]
    raise _unknown(name, list(RULE_PLUGINS))


def select(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> list[type[Rule]]:
    """Rules by name or family, in the order of `known_rules`; an empty ``select`` means all, ``ignore`` wins.

    Raises
    ------
    UsageError
        A name that is neither a rule nor a family.
    """
    wanted = _named(select) or list(RULE_PLUGINS)
    unwanted = _named(ignore, or_broken=True)
    return [rule for rule in known_rules() if rule.name in wanted and rule.name not in unwanted]


def instantiate(names: Iterable[str], context: Context) -> list[Rule]:
    """The rules of these names, made for a scan."""
    return [rule_named(name)(context) for name in names]


def broken_rule(name: str) -> str | None:
    """What is wrong with the plug-in whose rule or family this name is, ``None`` where there is none such."""
    for plugin, why in RULE_PLUGINS.broken.items():
        if name in (plugin.name, plugin.name.partition("-")[0]):
            return f"rule {plugin.name} of {plugin.package} can't be used: {why}"
    return None


def _named(names: Iterable[str], or_broken: bool = False) -> list[str]:
    """The names of the rules that names and families stand for; those of broken plug-ins may be ignored."""
    found: list[str] = []
    for name in names:
        members = [rule for rule in RULE_PLUGINS if name in (rule, rule.partition("-")[0])]
        if not members and (why := broken_rule(name)) is not None:
            if not or_broken:
                raise UsageError(why)
        elif not members:
            raise _unknown(name, [*RULE_PLUGINS, *FAMILIES])
        found += members
    return found


def _unknown(name: str, known: Sequence[str]) -> UsageError:
    near = get_close_matches(name, known, 3, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"families are {', '.join(FAMILIES)}"
    return UsageError(f"no rule or family {name!r}; {hint}")
