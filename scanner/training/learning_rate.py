"""The learning rate of any iteration, as Caffe computes it, and the iterations at which it turns bad.

Source: Caffe's ``solvers/sgd_solver.cpp``, ``GetLearningRate``. Parameters and rate are float32. ``pow`` of a float
and an iteration number is computed in double; ``pow`` of two floats (inv, poly) and ``exp`` (sigmoid) in float.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")
FORK_POLICIES = ("plateau",)
"""Policies of the SSD fork; the steps of ``plateau`` depend on the losses."""

PARAMETERS = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power", "max_iter"),
    "sigmoid": ("gamma", "stepsize"),
    "plateau": ("gamma", "plateau_winsize"),
}
"""What each policy reads besides ``base_lr``."""

FAR = 10**9
"""Iterations that nobody reaches; nothing is computed beyond."""

RateKind = Literal["positive", "zero", "negative", "inf", "nan", "unknown"]


@dataclass(frozen=True, slots=True)
class Change:
    """From ``iteration`` on the rate is of another kind."""

    iteration: int
    kind: RateKind
    rate: float


@dataclass(frozen=True)
class Schedule:
    """A policy with its parameters, as the solver gives them: absent ones are 0, as in Caffe."""

    policy: str
    base_lr: float = 0.0
    gamma: float = 0.0
    power: float = 0.0
    stepsize: int = 0
    stepvalues: tuple[int, ...] = ()
    max_iter: int = 0

    def rate(self, iteration: int) -> float | None:
        """The rate applied at an iteration; ``None`` where Caffe has none.

        It has none for an unknown policy, and with a step size of 0 (a division of integers by zero). The checks
        of newer versions (``gamma`` at least 0, ``stepsize`` above 0) are not applied: older ones compute.
        ``plateau`` is taken before its first step.
        """
        with np.errstate(all="ignore"):
            rate = self._rate(iteration)
        return None if rate is None else float(np.float32(rate))

    def _rate(self, iteration: int) -> np.float32 | None:
        one, base, gamma, power = (np.float32(number) for number in (1, self.base_lr, self.gamma, self.power))
        now = np.float32(iteration)
        match self.policy:
            case "fixed" | "plateau":
                return base
            case "step":
                return None if self.stepsize == 0 else self._stepped(int(iteration / self.stepsize))
            case "exp":
                return self._stepped(iteration)
            case "multistep":
                return self._stepped(self.steps_passed(iteration))
            case "inv":
                return base * power32(one + gamma * now, -power)
            case "poly":
                return base * power32(one - now / np.float32(self.max_iter), power)
            case "sigmoid":
                return np.float32(base * (one / (one + np.exp(-gamma * (now - np.float32(self.stepsize))))))
        return None

    def _stepped(self, steps: int) -> np.float32:
        """``base_lr * gamma ^ steps`` in double, rounded to float32 at the end."""
        return np.float32(self.base_lr * power64(self.gamma, steps))

    @cached_property
    def step_iterations(self) -> list[int]:
        """When each ``stepvalue`` of multistep takes effect: one an iteration at most, in the order of the file."""
        taken: list[int] = []
        for value in self.stepvalues:
            taken.append(max(value, taken[-1] + 1 if taken else 0))
        return taken

    def steps_passed(self, iteration: int) -> int:
        """Steps of multistep that were taken at or before an iteration."""
        return bisect_right(self.step_iterations, iteration)

    @property
    def alternates(self) -> bool:
        """Whether the rate changes its sign with every step."""
        return self.gamma < 0 and self.policy in ("step", "exp", "multistep")

    def first_step(self) -> int | None:
        """The iteration of the first step of step, exp and multistep after iteration 0."""
        if self.policy == "multistep":
            return next((taken for taken in self.step_iterations if taken > 0), None)
        return {"step": self.stepsize, "exp": 1}.get(self.policy) or None

    def kind(self, iteration: int) -> RateKind:
        """What sort of number the rate is."""
        return kind_of(self.rate(iteration))

    def milestones(self, last: int) -> list[int]:
        """Iterations up to ``last`` between which the rate changes evenly or not at all."""
        marks = {0, 1, last}
        if self.policy == "multistep" and self.stepvalues:
            marks |= {
                mark for taken in (self.step_iterations[0], self.step_iterations[-1]) for mark in (taken - 1, taken)
            }
        if self.policy in ("step", "sigmoid") and self.stepsize > 0:
            marks |= {self.stepsize - 1, self.stepsize, 2 * self.stepsize}
        if self.policy == "inv" and self.gamma < 0:
            root = min(-1 / self.gamma, FAR)
            marks |= {math.floor(root), math.ceil(root), math.ceil(root) + 1}
        if self.policy == "poly":
            marks |= {self.max_iter - 1, self.max_iter, self.max_iter + 1}
        return sorted(mark for mark in marks if 0 <= mark <= last)

    def changes(self, last: int) -> Iterator[Change]:
        """Where the rate is of another kind than one iteration before, from 0 to ``last``; the first is at 0.

        Between milestones the kinds follow each other in one order, so bisection finds where each begins. With a
        negative ``gamma`` the rate of step and exp changes its sign with each step: only the first of those is told.
        """
        last = min(last, FAR)
        yield Change(0, self.kind(0), self._shown(0))
        if self.alternates:
            step = self.first_step()
            if step is not None and 0 < step <= last and self.kind(step) != self.kind(0):
                yield Change(step, self.kind(step), self._shown(step))
            return
        here = 0
        for mark in self.milestones(last)[1:]:
            while self.kind(mark) != self.kind(here):
                before, after = here, mark
                while after - before > 1:
                    middle = (before + after) // 2
                    if self.kind(middle) == self.kind(here):
                        before = middle
                    else:
                        after = middle
                here = after
                yield Change(here, self.kind(here), self._shown(here))
            here = mark

    def _shown(self, iteration: int) -> float:
        rate = self.rate(iteration)
        return math.nan if rate is None else rate


def power64(base: float, exponent: float) -> float:
    """C's ``pow`` in double. Python's raises where C gives infinity or NaN; numpy's takes a root for 0.5."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        if base != 0:
            return math.nan
        return -math.inf if math.copysign(1, base) < 0 and exponent % 2 == 1 else math.inf


def power32(base: np.float32, exponent: np.float32) -> np.float32:
    """C's ``pow`` of floats."""
    return np.float32(power64(float(base), float(exponent)))


def kind_of(rate: float | None) -> RateKind:
    """What sort of number a rate is; an infinite one is ``inf`` whatever its sign."""
    if rate is None:
        return "unknown"
    if math.isnan(rate):
        return "nan"
    if math.isinf(rate):
        return "inf"
    return "positive" if rate > 0 else "negative" if rate < 0 else "zero"
