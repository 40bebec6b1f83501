"""What a scan tells that the one before it did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..finding import Finding
from ..fingerprint import identity, loose

EVENTS = ("drift-records", "drift-labels", "drift-values")
"""Rules whose findings are about what happened since, and are over with the night."""


@dataclass(frozen=True, slots=True)
class News:
    """Findings that are new, those that are gone, and how many are as they were."""

    new: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    known: int = 0


NO_NEWS = News()


def news_of(before: Sequence[Finding], now: Sequence[Finding], partly: bool = False) -> News:
    """What has changed between two lists of findings; of a part of a set it can't be told what is gone.

    Findings that are alike to the last word are the same; then those about the set as a whole of which only figures
    have moved.
    """
    lasting = [finding for finding in before if finding.rule not in EVENTS]
    old = [identity(finding.to_dict()) for finding in lasting]
    fresh = [identity(finding.to_dict()) for finding in now]
    left = Counter(old)
    unmatched = []
    for number, found in enumerate(fresh):
        if left[found]:
            left[found] -= 1
        else:
            unmatched.append(number)
    similar: Counter[Any] = Counter()
    for found, count in left.items():
        similar[loose(found)] += count
    new = []
    for number in unmatched:
        key = loose(fresh[number])
        if similar[key]:
            similar[key] -= 1
        else:
            new.append(now[number])
    gone = []
    for finding, found in zip(reversed(lasting), reversed(old), strict=True):
        if left[found] and similar[loose(found)]:
            left[found] -= 1
            similar[loose(found)] -= 1
            gone.append(finding)
    return News(tuple(new), () if partly else tuple(reversed(gone)), len(now) - len(new))
