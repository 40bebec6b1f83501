"""The rule about labels that contradict each other, or what the set says elsewhere."""

from __future__ import annotations

from ..finding import Severity
from .base import Rule


class LabelContradiction(Rule):
    """
    ## What it does
    Compares labels with what the set itself says of them elsewhere: the end of a DIGITS key, a step that is both
    terminal and cut off, distances to neighbours that are not sorted from the nearest on.

    ## Why is this bad?
    One of the two is wrong, and nobody notices: each of them is a valid value. The sample is learned with a wrong
    class, a return is computed beyond the end of its episode, a recall is measured against the wrong threshold.

    ## How to fix
    Find out which of the two is right where the set was made, and write the record again.
    """

    name = "label-contradiction"
    severity = Severity.WARNING
