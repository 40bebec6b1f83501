"""The learning rate of a whole run, judged: rules and the judge that computes it."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from ..finding import Finding, Severity
from .learning_rate import FORK_POLICIES, PARAMETERS, POLICIES, Change, Schedule
from .rules import FileRule
from .solver import Solver

CAUSE = "learning-rate"

GREAT = 10.0
"""A rate at which, having grown a hundredfold, hardly any training survives."""

HIGH = {"AdaDelta": 50.0, "Adam": 0.5, "RMSProp": 0.5}
HIGH_ELSEWHERE = 5.0
"""Base rates above which a solver type is hardly ever used. AdaDelta's is a factor and normally 1; Adam and RMSProp
move each weight by about the rate itself."""


class SolverPolicyUnknown(FileRule):
    """
    ## What it does
    Checks that `lr_policy` is there and is one that Caffe has: fixed, step, exp, inv, multistep, poly, sigmoid
    (plateau in the SSD fork). Case matters.

    ## Why is this bad?
    Caffe starts, loads the data, and stops at the first update with "Unknown learning rate policy".

    ## How to fix
    Name a policy; `lr_policy: "fixed"` keeps the rate as it is.
    """

    name = "solver-policy-unknown"
    severity = Severity.ERROR


class SolverPolicyInvalid(FileRule):
    """
    ## What it does
    Checks the parameters that a policy divides by or raises to a power: `stepsize` above 0 for step and sigmoid,
    `gamma` not negative.

    ## Why is this bad?
    Caffe of 2018 and later stops at the first update with a failed check. Older versions and forks divide by zero
    (SIGFPE), change the sign of the rate with each step, or come to infinity and NaN.

    ## How to fix
    Give the parameter; for step, `gamma: 0.1` and a `stepsize` of about a third of `max_iter` are usual.
    """

    name = "solver-policy-invalid"
    severity = Severity.ERROR


class SolverPolicyIdle(FileRule):
    """
    ## What it does
    Looks for policies that never change the rate, because the parameter that they need is absent: poly and inv
    without `power`, inv and sigmoid without `gamma`, multistep without `stepvalue`, plateau without `plateau_winsize`.

    ## Why is this bad?
    An absent number is 0 for Caffe. The run works, with a constant rate that the policy's name does not promise.

    ## How to fix
    Give the parameter, or write `lr_policy: "fixed"` if a constant rate is meant.
    """

    name = "solver-policy-idle"
    severity = Severity.WARNING


class SolverRateNan(FileRule):
    """
    ## What it does
    Computes the learning rate of the whole run, as Caffe does, and looks for NaN.

    ## Why is this bad?
    The update at that iteration makes every weight NaN, and the loss from the next iteration on. The best known case
    is poly without `max_iter`: `caffe train` then runs no iteration at all, and stepping by hand divides by zero.

    ## How to fix
    Give the parameter that the finding names; for poly, `max_iter` is the number of iterations of the run.
    """

    name = "solver-rate-nan"
    severity = Severity.ERROR


class SolverRateInf(FileRule):
    """
    ## What it does
    Computes the learning rate of the whole run, as Caffe does in float32, and looks for infinities.

    ## Why is this bad?
    The update at that iteration makes weights infinite or NaN. Numbers beyond 3.4e38 are infinite in float32, also
    when they are written out (`1e39`).

    ## How to fix
    Use a `gamma` below 1, a `power` that is not negative, a `base_lr` that is a number.
    """

    name = "solver-rate-inf"
    severity = Severity.ERROR


class SolverRateZero(FileRule):
    """
    ## What it does
    Computes the learning rate of the whole run, as Caffe does, and looks for a rate of exactly 0: an error where it
    is so for more than half of the run, a warning otherwise.

    ## Why is this bad?
    Nothing is learned at a rate of 0, and the loss looks plausible all the while. An absent `base_lr` or `gamma` is 0.

    ## How to fix
    Give the parameter that is absent; let a falling rate fall more slowly.
    """

    name = "solver-rate-zero"
    severity = Severity.ERROR


class SolverRateNegative(FileRule):
    """
    ## What it does
    Computes the learning rate of the whole run, as Caffe does, and looks for negative rates.

    ## Why is this bad?
    The weights then climb the loss instead of descending it, until it overflows.

    ## How to fix
    Use a positive `base_lr` and a `gamma` that is not negative.
    """

    name = "solver-rate-negative"
    severity = Severity.ERROR


class SolverRateGrowing(FileRule):
    """
    ## What it does
    Computes the learning rate at the start and at the end of the run, and says so where it grows: an error where it
    grows beyond 10 and at least a hundredfold, a note for sigmoid, which rises to `base_lr` by design.

    ## Why is this bad?
    Rates are meant to fall. With `gamma` above 1 (written for a decay of 1/gamma) or a negative `power` the rate
    grows until the gradients explode.

    ## How to fix
    Use a `gamma` below 1 (for step, 0.1 is usual), a positive `power`; for sigmoid a rate that falls needs a
    negative gamma, which Caffe refuses since 2018.
    """

    name = "solver-rate-growing"
    severity = Severity.WARNING


class SolverRateHigh(FileRule):
    """
    ## What it does
    Looks for a rate that is far above what the solver type is used with: 5, for Adam and RMSProp 0.5, for AdaDelta 50.

    ## Why is this bad?
    Each step overshoots by more than the last, and the loss reaches its ceiling (87.3365 for softmax) or NaN within a
    few iterations. It may be right where the loss is scaled down accordingly.

    ## How to fix
    Divide `base_lr` by 10 until the loss falls from the first iterations on.
    """

    name = "solver-rate-high"
    severity = Severity.WARNING


class SolverRatePastEnd(FileRule):
    """
    ## What it does
    Computes what poly gives beyond `max_iter`, where training by `solver.step` may go.

    ## Why is this bad?
    `caffe train` ends at `max_iter`, and nothing happens. A loop of one's own that steps further has a negative base
    there: NaN with a fractional `power`, a negative rate with an odd one.

    ## How to fix
    Let `max_iter` be the number of iterations that are really run.
    """

    name = "solver-rate-past-end"
    severity = Severity.INFO


class SolverStepOrder(FileRule):
    """
    ## What it does
    Checks that the `stepvalue` lines of multistep rise.

    ## Why is this bad?
    Caffe waits for them in the order of the file: one that comes too late takes effect right after the one before it.

    ## How to fix
    Sort them.
    """

    name = "solver-step-order"
    severity = Severity.WARNING


class SolverStepUnreached(FileRule):
    """
    ## What it does
    Looks for a `stepvalue` at or beyond `max_iter`.

    ## Why is this bad?
    The run ends before the rate is lowered, most often because one of the two was changed without the other.

    ## How to fix
    Raise `max_iter` or lower the `stepvalue`.
    """

    name = "solver-step-unreached"
    severity = Severity.WARNING


RATE_RULES: tuple[type[FileRule], ...] = (
    SolverPolicyUnknown,
    SolverPolicyInvalid,
    SolverPolicyIdle,
    SolverRateNan,
    SolverRateInf,
    SolverRateZero,
    SolverRateNegative,
    SolverRateGrowing,
    SolverRateHigh,
    SolverRatePastEnd,
    SolverStepOrder,
    SolverStepUnreached,
)


def check_rate(solver: Solver) -> Iterator[Finding]:
    """Everything about the policy and the rate that it gives."""
    policy = solver.schedule.policy
    if policy not in (*POLICIES, *FORK_POLICIES):
        yield unknown_policy(solver)
        return
    yield from check_parameters(solver)
    yield from check_steps(solver)
    yield from check_kinds(solver)
    yield from check_size(solver)
    yield from check_past_end(solver)


def unknown_policy(solver: Solver) -> Finding:
    """The finding of a policy that is absent or that Caffe has not."""
    policy = solver.schedule.policy
    near = get_close_matches(policy.lower(), POLICIES, 1, 0.6)
    said = f'no learning rate policy is "{policy[:60]}"' if "lr_policy" in solver.message else "lr_policy is absent"
    return SolverPolicyUnknown.finding(
        f"{said}: Caffe stops at the first update",
        solver.line("lr_policy", "base_lr"),
        cause="aborted",
        remedy=f'lr_policy: "{near[0] if near else "fixed"}"',
        policy=policy[:60],
    )


def check_parameters(solver: Solver) -> Iterator[Finding]:
    """Parameters that the policy needs and lacks, or that Caffe refuses."""
    schedule = solver.schedule
    policy = schedule.policy
    third = max(solver.max_iter // 3, 1) if solver.max_iter > 0 else 10000
    if policy in ("step", "sigmoid") and schedule.stepsize <= 0:
        state = "is absent, so 0" if "stepsize" not in solver.message else f"is {schedule.stepsize}"
        older = "older versions divide by zero and die of SIGFPE" if policy == "step" else "older versions go on"
        yield SolverPolicyInvalid.finding(
            f"{policy} needs a stepsize above 0, and it {state}: Caffe stops at the first update ({older})",
            solver.line("stepsize", "lr_policy"),
            cause=CAUSE,
            remedy=f"stepsize: {third}",
            stepsize=schedule.stepsize,
        )
    if policy not in ("fixed", "poly") and schedule.gamma < 0:
        yield SolverPolicyInvalid.finding(
            f"gamma is negative: Caffe stops at the first update; in older versions {negative_gamma(solver)}",
            solver.line("gamma"),
            cause=CAUSE,
            remedy=f"gamma: {min(abs(schedule.gamma), 0.1):g}",
            gamma=schedule.gamma,
        )
    needed = {"inv": ("gamma", "power"), "poly": ("power",), "sigmoid": ("gamma",)}.get(policy, ())
    idle = [name for name in needed if getattr(schedule, name) == 0]
    usual = {"gamma": "gamma: 0.0001", "power": "power: 0.75" if policy == "inv" else "power: 1"}
    if policy == "multistep" and not schedule.stepvalues:
        idle, usual = ["stepvalue"], {"stepvalue": f"stepvalue: {third}"}
    if policy == "plateau" and not solver.message.all("plateau_winsize"):
        idle, usual = ["plateau_winsize"], {"plateau_winsize": "plateau_winsize: 10000"}
    if idle and schedule.base_lr != 0:
        absent = " and ".join(f"{name} is {'0' if name in solver.message else 'absent'}" for name in idle)
        constant = (
            "half of base_lr throughout" if policy == "sigmoid" and schedule.stepsize > 0 else "the same throughout"
        )
        yield SolverPolicyIdle.finding(
            f"{policy} does nothing: {absent}, and the rate is {constant}",
            solver.line(*idle, "lr_policy"),
            cause=None,
            remedy=", ".join(usual[name] for name in idle),
        )


def negative_gamma(solver: Solver) -> str:
    """What a negative gamma does where nothing refuses it."""
    if solver.schedule.alternates:
        return "the rate changes its sign with every step"
    for change in solver.schedule.changes(solver.last_iteration):
        if change.kind in ("inf", "nan", "negative"):
            return f"the rate is {shown(change)} at iteration {change.iteration}"
    return "the rate grows"


def check_steps(solver: Solver) -> Iterator[Finding]:
    """The step values of multistep against each other and the run's end."""
    if solver.schedule.policy != "multistep":
        return
    entries = [entry for entry in solver.message.all("stepvalue") if entry.scalar and entry.scalar.integer is not None]
    values = solver.schedule.stepvalues
    for entry, value, before in zip(entries[1:], values[1:], values, strict=False):
        if value < before:
            yield SolverStepOrder.finding(
                f"stepvalue {value} stands behind {before}: it takes effect only after it",
                entry.line,
                remedy="sort the stepvalue lines",
                stepvalue=value,
                before=before,
            )
            break
    late = [(entry, value) for entry, value in zip(entries, values, strict=True) if 0 < solver.max_iter <= value]
    if late:
        entry, value = late[0]
        yield SolverStepUnreached.finding(
            f"stepvalue {value} is never reached: the run ends before iteration {solver.max_iter}",
            entry.line,
            remedy=f"max_iter: {value + max(value // 2, 1)}",
            stepvalue=value,
            max_iter=solver.max_iter,
        )


def shown(change: Change) -> str:
    """A rate as Caffe would print it."""
    return f"{change.rate:g}"


def check_kinds(solver: Solver) -> Iterator[Finding]:
    """Iterations of the run at which the rate is not a positive number; the first of each sort."""
    schedule, last = solver.schedule, solver.last_iteration
    changes = list(schedule.changes(last))
    told: set[str] = set()
    for change, following in zip(changes, [*changes[1:], None], strict=True):
        until = following.iteration if following else last + 1
        if change.kind in told or change.kind in ("positive", "unknown"):
            continue
        told.add(change.kind)
        if schedule.policy == "poly" and schedule.max_iter <= 0:
            told |= {"inf", "negative"}  # what follows the NaN has the same reason
        if change.kind == "zero":
            yield zero_rate(solver, change, until - change.iteration)
            continue
        rule = {"nan": SolverRateNan, "inf": SolverRateInf, "negative": SolverRateNegative}[change.kind]
        reason, line, remedy = blame(solver, change)
        yield rule.finding(
            f"the learning rate is {shown(change)} {when(change, schedule)}: {reason}",
            line,
            cause=CAUSE,
            remedy=remedy,
            iteration=change.iteration,
            rate=change.rate,
        )


def when(change: Change, schedule: Schedule) -> str:
    """``from the first iteration on`` or ``from iteration 12 on``."""
    if change.iteration == 0:
        return "from the first iteration on"
    return f"{'at' if schedule.alternates else 'from'} iteration {change.iteration}" + " on" * (not schedule.alternates)


def blame(solver: Solver, change: Change) -> tuple[str, int | None, str]:
    """Which parameter makes the rate so, its line, and what to put there."""
    schedule = solver.schedule
    for name, remedy in (("base_lr", "base_lr: 0.01"), ("gamma", "gamma: 0.1"), ("power", "power: 1")):
        value = getattr(schedule, name)
        read = name == "base_lr" or name in PARAMETERS[schedule.policy]
        if read and not abs(value) < float("inf"):  # false for NaN too
            entry = solver.message.scalar(name)
            written = f"{name} is {entry}" if entry else f"{name} is {value:g}"
            wide = " (beyond float32)" if entry and entry.integer is None and "n" not in entry.text.lower() else ""
            return f"{written}{wide}", solver.line(name), remedy
    if schedule.policy == "poly" and schedule.max_iter <= 0:
        state = "absent" if "max_iter" not in solver.message else f"{schedule.max_iter}"
        return (
            f"poly divides by max_iter, which is {state}; caffe train then runs no iteration, "
            f"solver.step(n) makes the loss NaN",
            solver.line("max_iter", "lr_policy"),
            "max_iter: 10000",
        )
    if schedule.base_lr < 0 and change.iteration == 0:
        return "base_lr is negative", solver.line("base_lr"), f"base_lr: {-schedule.base_lr:g}"
    if schedule.gamma < 0:
        return "gamma is negative", solver.line("gamma"), "gamma: 0.1"
    if schedule.base_lr == 0:
        return "base_lr is 0, and gamma overflows", solver.line("base_lr", "gamma"), "base_lr: 0.01"
    if schedule.power < 0:
        return "power is negative, and the rate grows", solver.line("power"), f"power: {-schedule.power:g}"
    if schedule.gamma > 1:
        remedy = f"gamma: {1 / schedule.gamma:.6g}"
        return "gamma is above 1, and the rate grows", solver.line("gamma"), remedy
    return "the parameters give nothing better", solver.line("lr_policy"), 'lr_policy: "fixed"'


def zero_rate(solver: Solver, change: Change, iterations: int) -> Finding:
    """The finding of a rate of 0 that lasts for some iterations."""
    schedule = solver.schedule
    run = solver.last_iteration + 1
    if schedule.base_lr == 0:
        state = "0" if "base_lr" in solver.message else "absent, so 0"
        reason, line, remedy = f"base_lr is {state}", solver.line("base_lr", "lr_policy"), "base_lr: 0.01"
    elif schedule.gamma == 0 and schedule.policy in ("step", "exp", "multistep"):
        state = "0" if "gamma" in solver.message else "absent, so 0"
        reason, line, remedy = f"gamma is {state}", solver.line("gamma", "lr_policy"), "gamma: 0.1"
    elif schedule.policy == "sigmoid":
        remedy = f"gamma: {10 / max(schedule.stepsize, 1):g}"
        reason, line = "gamma and stepsize make its exponential overflow", solver.line("gamma", "stepsize")
    else:
        reason, line, remedy = "it fell below the smallest number", solver.line("gamma", "lr_policy"), "gamma: 0.9999"
    most = 2 * iterations > run
    span = f", for {iterations:,} of {run:,} iterations" if iterations < run and solver.max_iter > 0 else ""
    return SolverRateZero.finding(
        f"the learning rate is 0 {when(change, schedule)}{span}, and nothing is learned: {reason}",
        line,
        cause=CAUSE,
        remedy=remedy,
        severity=None if most or schedule.gamma == 0 else Severity.WARNING,
        iteration=change.iteration,
        iterations=iterations if solver.max_iter > 0 else None,
        rate=0.0,
    )


def extremes(solver: Solver) -> tuple[float, float, int] | None:
    """The rate at the start, the greatest of the run and its iteration; ``None`` where they are no numbers."""
    schedule, last = solver.schedule, solver.last_iteration
    marks = schedule.milestones(last)
    marks += [change.iteration - 1 for change in schedule.changes(last) if change.iteration > 0]
    rates = [(rate, mark) for mark in marks if (rate := schedule.rate(mark)) is not None and abs(rate) < float("inf")]
    start = schedule.rate(0)
    if not rates or start is None or not 0 < start < float("inf"):
        return None
    greatest, mark = max(rates, key=lambda pair: (pair[0], -pair[1]))
    return start, greatest, mark


def check_size(solver: Solver) -> Iterator[Finding]:
    """Rates that grow, or are far too high from the start."""
    found = extremes(solver)
    if found is None:
        return
    start, greatest, mark = found
    schedule = solver.schedule
    limit = HIGH.get(solver.type, HIGH_ELSEWHERE)
    if greatest > 1.001 * start and not schedule.alternates:
        severity = Severity.ERROR if greatest >= GREAT and greatest >= 100 * start else Severity.WARNING
        rising = schedule.policy == "sigmoid"
        names = ("power",) if schedule.power < 0 and schedule.policy in ("poly", "inv") else ("gamma",)
        yield SolverRateGrowing.finding(
            f"the learning rate grows from {start:g} to {greatest:g} at iteration {mark}"
            + (": sigmoid rises to base_lr with a positive gamma" if rising else ""),
            solver.line(*names, "lr_policy"),
            cause=None if rising else CAUSE,
            remedy=growth_remedy(schedule),
            severity=Severity.INFO if rising and greatest <= limit else severity,
            iteration=mark,
            start=start,
            greatest=greatest,
        )
    if start > limit:
        yield SolverRateHigh.finding(
            f"a base rate of {start:g} is far above what {solver.type[:20]} is used with",
            solver.line("base_lr"),
            cause="gradient-explosion",
            remedy="base_lr: 0.01" if limit == HIGH_ELSEWHERE else "base_lr: 0.001" if limit < 1 else "base_lr: 1",
            rate=start,
        )


def growth_remedy(schedule: Schedule) -> str:
    """What to put so that the rate falls."""
    if schedule.policy == "sigmoid":
        return 'lr_policy: "poly"'
    if schedule.policy in ("poly", "inv") and schedule.power < 0:
        return f"power: {-schedule.power:g}"
    if schedule.gamma < 0:
        return f"gamma: {-schedule.gamma:g}"
    return f"gamma: {1 / schedule.gamma:.6g}"


def check_past_end(solver: Solver) -> Iterator[Finding]:
    """What poly gives to those who step beyond its end."""
    schedule = solver.schedule
    if schedule.policy != "poly" or schedule.max_iter <= 0 or not schedule.power > 0 or not schedule.base_lr > 0:
        return
    past = schedule.max_iter + 1
    rate = schedule.rate(past)
    if rate is not None and not rate >= 0:
        yield SolverRatePastEnd.finding(
            f"beyond max_iter {schedule.max_iter} the learning rate is {rate:g}, should solver.step go so far",
            solver.line("max_iter"),
            cause=CAUSE,
            remedy=f"max_iter: {schedule.max_iter}, and no iteration more",
            iteration=past,
            rate=rate,
        )
