"""What the names of HDF5 datasets say: which holds samples, which their labels, and which of them belong together."""

from __future__ import annotations

import re
from dataclasses import dataclass

DATA_STEMS = frozenset({"data", "x", "image", "images", "img", "imgs", "feature", "features", "input", "inputs"})
LABEL_STEMS = frozenset({"label", "labels", "y", "target", "targets"})

_SPLIT = r"(?:training|train|testing|test|validation|valid|val|dev)"
_PREFIXED = re.compile(rf"({_SPLIT}(?:_set)?)[_-]?(.+)", re.IGNORECASE)
_SUFFIXED = re.compile(rf"(.+?)[_-]({_SPLIT})", re.IGNORECASE)
_LABEL = re.compile(r"(?:labels?|targets?)(?:[_\d.-].*)?|y(?:[_-]?\d+)?", re.IGNORECASE)
_SOME_LABEL = re.compile(r".+[_-](?:labels?|targets?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Name:
    """A dataset's path in parts: ``/a/train_set_x`` is group ``/a``, split ``train_set``, stem ``x``."""

    group: str
    split: str
    stem: str

    @property
    def is_data(self) -> bool:
        """Whether it is a usual name for samples."""
        return self.stem in DATA_STEMS

    @property
    def is_label(self) -> bool:
        """Whether it is a usual name for labels; ``label2`` and ``label.field`` are, too."""
        return self.stem in LABEL_STEMS or _LABEL.fullmatch(self.stem) is not None


def parse_name(path: str) -> Name:
    """Take a path apart; a split is one only where a usual name is left without it."""
    group, _, name = path.rpartition("/")
    whole = Name(group, "", name.lower())
    if whole.is_data or whole.is_label:
        return whole
    for pattern, split_at, stem_at in ((_PREFIXED, 1, 2), (_SUFFIXED, 2, 1)):
        match = pattern.fullmatch(name)
        if match:
            parts = Name(group, match[split_at].lower(), match[stem_at].lower())
            if parts.is_data or parts.is_label:
                return parts
    if _SOME_LABEL.fullmatch(name):  # fine_labels, class_label: asked last, since train_labels has a split
        return Name(group, "", "label")
    return whole
