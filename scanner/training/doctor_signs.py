"""What speaks for a cause, and how loudly: the log's symptoms, and findings of files held against them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..finding import Finding, Severity
from .doctor_case import Case
from .doctor_trace import began_at
from .log_facts import Failure, LogRun
from .log_judge import FirstBad, first_bad

CONFIRMED, LIKELY, POSSIBLE = 90, 60, 20
"""Least weights of the verdicts. What is seen at work in the log is confirmed; what is certain in a file, but was not
seen at work, is likely; what only may be is possible."""

BY_SEVERITY = {Severity.ERROR: 70, Severity.WARNING: 35, Severity.INFO: 10}
SEEN = 25
"""What a finding gains where the log shows just what it would do."""

UNSEEN = 30
"""What it loses where the log shows something that it can't explain."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that speaks for a cause. ``text`` is a sentence, ``place`` what it stands in (``train.log:112``)."""

    weight: float
    text: str
    place: str = ""
    remedy: str | None = None

    @property
    def evidence(self) -> str:
        """The sentence behind its place."""
        return f"{self.place}: {self.text}" if self.place else self.text


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What the log shows.

    Attributes
    ----------
    seen
        Whether there is a log of a run at all.
    bad
        The first loss that is not finite.
    exploded, plateau, frozen, negative
        Findings of the log about a loss that stays finite, or did before.
    """

    run: LogRun | None
    seen: bool
    bad: FirstBad | None
    failure: Failure | None
    exploded: Finding | None
    plateau: Finding | None
    frozen: Finding | None
    negative: Finding | None
    nowhere: Finding | None
    start: int

    @classmethod
    def of(cls, case: Case) -> Symptoms:
        """The symptoms of the run that is looked into."""
        run = case.run
        mine = [one for one in case.log_findings if run is not None and belongs(one, run)]

        def first(rule: str, *, caused: bool = False) -> Finding | None:
            found = (one for one in mine if one.rule == rule and (not caused or one.data.get("cause")))
            return next(found, None)

        return cls(
            run=run,
            seen=run is not None and (run.loss.count > 0 or run.failure is not None or run.started is not None),
            bad=first_bad(run) if run is not None else None,
            failure=run.failure if run is not None else None,
            exploded=first("log-loss-explodes"),
            plateau=first("log-loss-plateau", caused=True),
            frozen=first("log-loss-frozen") or first("log-loss-repeats"),
            negative=first("log-loss-negative"),
            nowhere=first("log-activation-non-finite"),
            start=began_at(run) if run is not None else 0,
        )

    @property
    def troubled(self) -> bool:
        """Whether the loss is not what it should be."""
        return any(one is not None for one in (self.bad, self.exploded, self.plateau, self.frozen, self.nowhere))

    @property
    def early(self) -> bool:
        """Whether the loss was bad before updates could have made it so."""
        return self.bad is not None and self.bad.iteration <= self.start + 1 and self.bad.growth != "explosion"

    @property
    def at_once(self) -> bool:
        """Whether it was bad before the first update."""
        return self.bad is not None and self.bad.iteration <= self.start

    @property
    def grew(self) -> bool:
        """Whether the loss ran away over several iterations."""
        grown = self.bad is not None and self.bad.growth == "explosion"
        return grown or self.exploded is not None or self.plateau is not None

    @property
    def window(self) -> tuple[int, int] | None:
        """The iterations among which something went wrong first."""
        iteration: int | None
        if self.bad is not None:
            risen = grown_from(self.bad)
            return (self.bad.earliest if risen is None else risen, self.bad.iteration)
        for finding in (self.nowhere, self.exploded, self.plateau):
            if finding is not None and isinstance(iteration := finding.data.get("iteration"), int):
                return iteration, iteration
        return None

    @property
    def last(self) -> int:
        """The last iteration that was printed."""
        return -1 if self.run is None or self.run.last_iteration is None else self.run.last_iteration


def grown_from(bad: FirstBad) -> int | None:
    """The first iteration of the growth before the first bad value."""
    if bad.growth not in ("explosion", "jump") or not bad.before:
        return None
    values = [abs(point.value) for point in bad.before]
    level = sorted(values)[0] if len(values) < 3 else sorted(values[: max(len(values) // 2, 1)])[0]
    risen = [point.iteration for point in bad.before if abs(point.value) >= 3 * max(level, 1e-6)]
    return risen[0] if risen else None


def belongs(finding: Finding, run: LogRun) -> bool:
    """Whether a finding of a log is about one of its runs."""
    line = finding.location.line
    return line is None or run.first_line <= line <= run.last_line


def place(path: str | None, line: int | None) -> str:
    """``train.log:112``."""
    return f"{path}:{line}" if path and line is not None else path or ""


def log_sign(case: Case, finding: Finding, weight: float, text: str | None = None) -> Sign:
    """What a finding of the log says."""
    remedy = finding.data.get("remedy")
    return Sign(
        weight, text or finding.message, place(case.log_path, finding.location.line), remedy if remedy else None
    )


def file_findings(case: Case, cause: str) -> Iterator[tuple[str, Finding]]:
    """Findings of solver and net that would bring a cause about, with the path of their file."""
    for document, findings in ((case.solver, case.solver_findings), (case.net, case.net_findings)):
        for finding in findings:
            if document is not None and finding.data.get("cause") == cause:
                yield document.path, finding


def file_signs(case: Case, cause: str, symptoms: Symptoms, matched: bool) -> Iterator[Sign]:
    """Findings of solver and net; ``matched``: the log shows what they would do."""
    for path, finding in file_findings(case, cause):
        weight: float = BY_SEVERITY[finding.severity]
        if matched:
            weight += SEEN
        elif symptoms.bad is not None or symptoms.exploded is not None:
            weight -= UNSEEN if finding.severity is not Severity.ERROR else 5
        elif symptoms.seen and not symptoms.troubled:
            weight -= 5
        yield Sign(weight, finding.message, place(path, finding.location.line), finding.data.get("remedy"))


def unique(signs: Iterable[Sign]) -> list[Sign]:
    """Signs by weight, each sentence once."""
    kept: dict[str, Sign] = {}
    for sign in sorted(signs, key=lambda one: -one.weight):
        kept.setdefault(sign.text, sign)
    return list(kept.values())
