"""The learning rate against a computation of its own, printed values of Caffe, and a walk over every iteration."""

from __future__ import annotations

import itertools
import math
import re
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datascan.scanner.training.learning_rate import FAR, POLICIES, Schedule, kind_of
from datascan.scanner.training.prototxt import float32, parse
from datascan.scanner.training.solver import Solver

RUNS = Path(__file__).resolve().parents[3] / "shared" / "caffe" / "runs"


def f32(number: float) -> float:
    """Rounded to float32 without numpy."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def power(base: float, exponent: float) -> float:
    """C's pow: Python's raises where C gives infinity or NaN."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def reference(schedule: Schedule, iteration: int) -> float:
    """``GetLearningRate`` of Caffe, step for step."""
    base, gamma, exponent = schedule.base_lr, schedule.gamma, schedule.power
    if schedule.policy == "fixed":
        return base
    if schedule.policy == "step":
        return f32(base * power(gamma, iteration // schedule.stepsize))
    if schedule.policy == "exp":
        return f32(base * power(gamma, iteration))
    if schedule.policy == "multistep":
        step = 0
        for now in range(iteration + 1):
            if step < len(schedule.stepvalues) and now >= schedule.stepvalues[step]:
                step += 1
        return f32(base * power(gamma, step))
    if schedule.policy == "inv":
        return f32(base * f32(power(f32(1 + f32(gamma * f32(iteration))), -exponent)))
    if schedule.policy == "poly":
        share = f32(iteration / schedule.max_iter) if schedule.max_iter else (math.inf if iteration else math.nan)
        return f32(base * f32(power(f32(1 - share), exponent)))
    exponential = f32(-gamma * f32(iteration - schedule.stepsize))
    return f32(base * f32(1 / f32(1 + f32(math.exp(min(exponential, 200))))))


REALS = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.75, 0.9, 1.0, 2.0, 10.0, -1.0, -0.5]), st.floats(-3, 3)).map(
    float32
)
SCHEDULES = st.builds(
    Schedule,
    policy=st.sampled_from(POLICIES),
    base_lr=st.one_of(st.sampled_from([0.0, 0.01, 0.1, 1e38, -0.01]), st.floats(1e-6, 10)).map(float32),
    gamma=REALS,
    power=REALS,
    stepsize=st.integers(1, 50),
    stepvalues=st.lists(st.integers(0, 120), max_size=5).map(tuple),
    max_iter=st.integers(0, 150),
)


def same(found: float | None, wanted: float) -> bool:
    assert found is not None
    if math.isnan(wanted) or math.isinf(wanted):
        return str(found) == str(wanted) or (math.isnan(found) and math.isnan(wanted))
    return math.isclose(found, wanted, rel_tol=2e-6, abs_tol=1e-44)


@given(SCHEDULES, st.integers(0, 200))
@example(Schedule("poly", 1.0, power=0.5), 1)
def test_the_rate_is_that_of_a_computation_of_its_own(schedule: Schedule, iteration: int) -> None:
    assert same(schedule.rate(iteration), reference(schedule, iteration))


@given(SCHEDULES.filter(lambda schedule: not schedule.alternates), st.integers(0, 200))
def test_changes_are_those_of_a_walk_over_every_iteration(schedule: Schedule, last: int) -> None:
    kinds = [schedule.kind(iteration) for iteration in range(last + 1)]
    walked = [(0, kinds[0])]
    walked += [(now, after) for now, (before, after) in enumerate(itertools.pairwise(kinds), 1) if before != after]
    assert [(change.iteration, change.kind) for change in schedule.changes(last)] == walked


@given(SCHEDULES.filter(lambda schedule: schedule.alternates), st.integers(0, 200))
@example(Schedule("multistep", float32(0.01), gamma=-1.0, stepvalues=(0, 0)), 1)
def test_a_rate_that_changes_its_sign_is_told_at_its_first_step(schedule: Schedule, last: int) -> None:
    changes = list(schedule.changes(last))
    kinds = [schedule.kind(iteration) for iteration in range(last + 1)]
    other = next((now for now, kind in enumerate(kinds) if kind != kinds[0]), None)
    assert [change.iteration for change in changes[1:2]] == ([] if other is None else [other])


# Lines as Caffe prints them.
LOGS = {
    'base_lr: 0.01 lr_policy: "poly" power: 0.9 max_iter: 20': """
        Iteration 9, lr = 0.00583884
        Iteration 19, lr = 0.000674642
        Iteration 20, lr = 0
        Iteration 21, lr = -nan
    """,
    'base_lr: 0.01 lr_policy: "inv" gamma: -0.5 power: 0.75 max_iter: 6': """
        Iteration 0, lr = 0.01
        Iteration 1, lr = 0.0168179
        Iteration 2, lr = inf
        Iteration 3, lr = -nan
    """,
    'base_lr: 0.01 lr_policy: "sigmoid" gamma: 0.5 stepsize: 10 max_iter: 24': """
        Iteration 0, lr = 6.69285e-05
        Iteration 10, lr = 0.005
        Iteration 23, lr = 0.00998499
    """,
    'base_lr: 0.01 lr_policy: "step" gamma: 10 stepsize: 5 max_iter: 24': """
        Iteration 4, lr = 0.01
        Iteration 5, lr = 0.1
        Iteration 23, lr = 100
    """,
    'base_lr: 0.01 lr_policy: "multistep" gamma: 0.1 stepvalue: 8 stepvalue: 4 stepvalue: 20 max_iter: 24': """
        Iteration 7, lr = 0.01
        Iteration 8, lr = 0.001
        Iteration 9, lr = 0.0001
        Iteration 20, lr = 1e-05
    """,
    'base_lr: 0 lr_policy: "exp" gamma: 10 max_iter: 60': """
        Iteration 39, lr = 0
    """,
}


def as_printed(rate: float) -> str:
    """Six digits as C++ prints them; the sign of a NaN means nothing."""
    return f"{rate:g}"


def disagreements(solver: Solver, log: str) -> list[str]:
    wrong = []
    for iteration, printed in re.findall(r"Iteration (\d+), lr = (\S+)", log):
        rate = solver.schedule.rate(int(iteration))
        if rate is None or as_printed(rate) != printed.replace("-nan", "nan"):
            wrong.append(f"{iteration}: {printed}, computed {rate}")
    return wrong


@pytest.mark.parametrize(("text", "log"), LOGS.items())
def test_the_rate_is_what_caffe_prints(text: str, log: str) -> None:
    assert "lr = " in log
    assert disagreements(Solver.of(parse(text)), log) == []


@pytest.mark.skipif(not RUNS.is_dir(), reason="the neighbouring data is not here")
def test_the_rate_is_what_caffe_printed_in_every_real_run() -> None:
    lines = 0
    for path in sorted(RUNS.glob("*.log")):
        solver = Solver.of(parse(path.with_suffix(".solver.prototxt").read_bytes()))
        if solver.schedule.policy == "plateau":
            continue  # its steps depend on the losses
        log = "\n".join(line for line in path.read_text("utf-8", "replace").splitlines() if "lr = " in line)
        lines += log.count("lr = ")
        assert disagreements(solver, log) == [], path.name
    assert lines > 2000


def test_where_caffe_has_no_rate_there_is_none() -> None:
    assert Schedule("cosine", 0.1).rate(0) is None
    assert Schedule("", 0.1).rate(0) is None
    assert Schedule("step", 0.1, gamma=0.1, stepsize=0).rate(5) is None
    assert kind_of(None) == "unknown"


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (Schedule("exp", float32(0.01), gamma=float32(1.001)), (93_329, "inf")),
        (Schedule("exp", float32(0.01), gamma=float32(0.999)), (98_671, "zero")),
        (Schedule("step", float32(0.01), gamma=float32(0.1), stepsize=1_000_000), (44_000_000, "zero")),
        (Schedule("sigmoid", float32(0.01), gamma=1.0, stepsize=1000), (912, "positive")),
    ],
    ids=["overflow", "underflow", "underflow by steps", "sigmoid"],
)
def test_far_changes_are_found_without_walking_there(schedule: Schedule, wanted: tuple[int, str]) -> None:
    change = list(schedule.changes(FAR))[1]
    assert change.kind == wanted[1]
    assert schedule.kind(change.iteration) == wanted[1]
    assert schedule.kind(change.iteration - 1) != wanted[1]
    assert math.isclose(change.iteration, wanted[0], rel_tol=0.01)


def test_a_schedule_of_very_many_steps_is_no_trouble() -> None:
    schedule = Schedule("multistep", float32(0.1), gamma=0.5, stepvalues=tuple(range(200_000)))
    assert [change.kind for change in schedule.changes(10**6)] == ["positive", "zero"]


def test_a_resume_beyond_the_end_is_told() -> None:
    odd = Schedule("poly", float32(0.01), power=1.0, max_iter=20)
    assert [(change.iteration, change.kind) for change in odd.changes(30)] == [
        (0, "positive"),
        (20, "zero"),
        (21, "negative"),
    ]
    fractional = Schedule("poly", float32(0.01), power=float32(0.9), max_iter=20)
    assert [change.kind for change in fractional.changes(30)] == ["positive", "zero", "nan"]
