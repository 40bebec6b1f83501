"""What is remembered of a scan for the rules of the whole set and for the statistics; merges associatively."""

from __future__ import annotations

from .contents import ContentSummary
from .keys import KeySummary
from .kinds import KindSummary
from .labels import LabelSummary
from .probe import ProbeSummary
from .shapes import ShapeSummary
from .total import Summary
from .twins import TwinSummary
from .values import Moments, ValueSummary

__all__ = [
    "ContentSummary",
    "KeySummary",
    "KindSummary",
    "LabelSummary",
    "Moments",
    "ProbeSummary",
    "ShapeSummary",
    "Summary",
    "TwinSummary",
    "ValueSummary",
]
