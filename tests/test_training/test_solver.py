"""Solvers judged: each rule at its own fixture, and clean twins that look guilty."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.finding import Finding, Severity
from datascan.scanner.training.prototxt import parse
from datascan.scanner.training.registry import FILE_RULES
from datascan.scanner.training.rules import CAUSES
from datascan.scanner.training.schema import fields_of
from datascan.scanner.training.solver import Solver
from datascan.scanner.training.solver_check import SOLVER_RULES, check_solver

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "training"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "caffe"
DAMAGED = sorted((FIXTURES / "damaged").glob("solver-*.prototxt"))

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

USUAL = {
    "net": '"train.prototxt"',
    "base_lr": "0.01",
    "lr_policy": '"fixed"',
    "momentum": "0.9",
    "weight_decay": "0.0005",
    "max_iter": "1000",
}


def judged(**fields: object) -> list[Finding]:
    """Findings of the usual solver with these fields instead; ``None`` takes one out."""
    given = {**USUAL, **fields}
    lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
    return check_solver(parse("\n".join(lines)))


def found(**fields: object) -> dict[str, Severity]:
    return {finding.rule: finding.severity for finding in judged(**fields)}


# ---- every rule ----


@pytest.mark.parametrize("path", DAMAGED, ids=lambda path: path.stem)
def test_a_damaged_solver_gives_its_rule(path: Path) -> None:
    findings = check_solver(parse(path.read_bytes()))
    beside = {"solver-rate-nan": ["solver-max-iter-invalid"]}.get(path.stem, [])
    assert [finding.rule for finding in findings] == [path.stem, *beside]
    rule = next(rule for rule in FILE_RULES if rule.name == path.stem)
    graded = {"solver-unused-field": WARNING, "solver-rate-growing": ERROR}
    assert findings[0].severity is graded.get(path.stem, rule.severity)
    assert findings[0].data["remedy"]


def test_every_rule_has_a_fixture() -> None:
    assert {path.stem for path in DAMAGED} == {rule.name for rule in SOLVER_RULES}


@pytest.mark.parametrize("path", sorted((FIXTURES / "clean").glob("*.prototxt")), ids=lambda path: path.stem)
def test_a_clean_solver_gives_nothing(path: Path) -> None:
    assert check_solver(parse(path.read_bytes())) == []


def test_the_usual_solver_is_clean() -> None:
    assert found() == {}


@pytest.mark.parametrize("rule", FILE_RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_page(rule: type) -> None:
    titles = re.findall(r"## (.+)", rule.__doc__ or "")
    assert titles == ["What it does", "Why is this bad?", "How to fix"]


def test_names_are_unique() -> None:
    assert max(Counter(rule.name for rule in FILE_RULES).values()) == 1


# ---- the rate ----


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"base_lr": "nan"}, {"solver-rate-nan": ERROR}),
        ({"base_lr": "inf"}, {"solver-rate-inf": ERROR}),
        ({"base_lr": "0"}, {"solver-rate-zero": ERROR}),
        ({"base_lr": None}, {"solver-rate-zero": ERROR}),
        ({"base_lr": "1e-50"}, {"solver-rate-zero": ERROR}),
        (
            {"lr_policy": '"poly"', "max_iter": None},
            {"solver-max-iter-invalid": WARNING, "solver-policy-idle": WARNING},
        ),
        (
            {"lr_policy": '"poly"', "power": 1, "max_iter": 0},
            {"solver-rate-nan": ERROR, "solver-max-iter-invalid": ERROR},
        ),
        ({"lr_policy": '"poly"', "power": -1}, {"solver-rate-growing": ERROR}),
        ({"lr_policy": '"poly"', "power": 1}, {"solver-rate-past-end": INFO}),
        ({"lr_policy": '"poly"', "power": 2}, {}),
        ({"lr_policy": '"step"', "gamma": "0.1", "stepsize": 400}, {}),
        ({"lr_policy": '"step"', "stepsize": 400}, {"solver-rate-zero": ERROR}),
        ({"lr_policy": '"step"', "gamma": 1, "stepsize": 400}, {}),
        ({"lr_policy": '"step"', "gamma": 2, "stepsize": 400}, {"solver-rate-growing": WARNING}),
        (
            {"lr_policy": '"step"', "gamma": "-0.1", "stepsize": 400},
            {"solver-policy-invalid": ERROR, "solver-rate-negative": ERROR},
        ),
        ({"lr_policy": '"step"', "gamma": "0.1", "stepsize": 0}, {"solver-policy-invalid": ERROR}),
        ({"lr_policy": '"exp"', "gamma": "0.999"}, {}),
        ({"lr_policy": '"exp"', "gamma": "0.5"}, {"solver-rate-zero": ERROR}),
        ({"lr_policy": '"exp"', "gamma": "0.9", "max_iter": 1500}, {"solver-rate-zero": WARNING}),
        (
            {"lr_policy": '"exp"', "gamma": "2"},
            {"solver-rate-inf": ERROR, "solver-rate-growing": ERROR, "solver-decay-diverging": ERROR},
        ),
        ({"lr_policy": '"inv"', "gamma": "0.0001", "power": "0.75"}, {}),
        ({"lr_policy": '"inv"'}, {"solver-policy-idle": WARNING}),
        ({"lr_policy": '"inv"', "gamma": "0.01", "power": -1}, {"solver-rate-growing": WARNING}),
        (
            {"lr_policy": '"inv"', "gamma": "-0.5", "power": "0.75"},
            {
                "solver-policy-invalid": ERROR,
                "solver-rate-inf": ERROR,
                "solver-rate-nan": ERROR,
                "solver-rate-growing": WARNING,
            },
        ),
        ({"lr_policy": '"multistep"', "gamma": "0.1", "stepvalue": "[300, 600]"}, {}),
        ({"lr_policy": '"multistep"', "gamma": "0.1"}, {"solver-policy-idle": WARNING}),
        ({"lr_policy": '"multistep"', "stepvalue": "[900]"}, {"solver-rate-zero": ERROR}),
        ({"lr_policy": '"sigmoid"', "gamma": "0.01", "stepsize": 500}, {"solver-rate-growing": INFO}),
        ({"lr_policy": '"sigmoid"', "stepsize": 500}, {"solver-policy-idle": WARNING}),
        ({"lr_policy": '"sigmoid"', "gamma": "1", "stepsize": 500}, {"solver-rate-zero": WARNING}),
        ({"lr_policy": '"sigmoid"', "gamma": "1", "stepsize": 900}, {"solver-rate-zero": ERROR}),
        (
            {"lr_policy": '"sigmoid"', "gamma": "0.01"},
            {"solver-policy-invalid": ERROR, "solver-rate-growing": INFO},
        ),
        ({"lr_policy": '"plateau"', "gamma": "0.1", "plateau_winsize": 10}, {"solver-unknown-field": WARNING}),
        ({"lr_policy": '"Fixed"'}, {"solver-policy-unknown": ERROR}),
        ({"lr_policy": None}, {"solver-policy-unknown": ERROR}),
    ],
)  # fmt: skip
def test_the_rate(fields: dict[str, object], wanted: dict[str, Severity]) -> None:
    assert found(**fields) == wanted


def test_the_rate_that_falls_to_zero_is_told_with_its_iteration() -> None:
    (finding,) = judged(lr_policy='"step"', stepsize=400)
    assert finding.data["iteration"] == 400
    assert finding.data["iterations"] == 600
    assert finding.data["cause"] == "learning-rate"
    assert finding.data["remedy"] == "gamma: 0.1"
    assert finding.location.line == 3, "the policy that lacks a gamma"


@pytest.mark.parametrize(
    ("kind", "rate", "high"),
    [('"SGD"', "4", False), ('"SGD"', "6", True), ('"Adam"', "0.1", False), ('"Adam"', "1", True),
     ('"AdaDelta"', "10", False), ('"AdaDelta"', "100", True)],
)  # fmt: skip
def test_how_high_a_rate_may_be_depends_on_the_type(kind: str, rate: str, high: bool) -> None:
    names = found(type=kind, base_lr=rate, weight_decay=None)
    assert ("solver-rate-high" in names) is high


# ---- the update ----


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"momentum": "1"}, {"solver-momentum-invalid": ERROR}),
        ({"momentum": "nan"}, {"solver-momentum-invalid": ERROR}),
        ({"momentum": "-0.5"}, {"solver-momentum-invalid": WARNING}),
        ({"momentum": "-1.5"}, {"solver-momentum-invalid": ERROR}),
        ({"momentum": "0.999"}, {}),
        ({"momentum": None}, {}),
        ({"type": '"Nesterov"', "momentum": "1.1"}, {"solver-momentum-invalid": ERROR}),
        ({"type": '"Adam"', "momentum": "1"}, {"solver-momentum-invalid": ERROR}),
        ({"type": '"Adam"', "momentum2": "1.5"}, {"solver-momentum2-invalid": ERROR}),
        ({"type": '"Adam"', "momentum2": "0"}, {}),
        ({"type": '"Adam"', "delta": "nan"}, {"solver-delta-invalid": ERROR}),
        ({"type": '"AdaDelta"', "momentum": "0.95", "delta": "0"}, {"solver-delta-invalid": ERROR}),
        ({"type": '"AdaDelta"', "momentum": "1.1"}, {"solver-momentum-invalid": ERROR}),
        ({"type": '"AdaGrad"', "momentum": None}, {}),
        ({"type": '"AdaGrad"'}, {"solver-momentum-invalid": ERROR}),
        ({"type": '"RMSProp"'}, {"solver-momentum-invalid": ERROR}),
        ({"type": '"RMSProp"', "momentum": "0", "rms_decay": "0.5"}, {}),
        ({"type": '"RMSProp"', "momentum": "0", "rms_decay": "-0.1"}, {"solver-rms-decay-invalid": ERROR}),
        ({"delta": "0"}, {"solver-unused-field": INFO}),
        ({"weight_decay": "nan"}, {"solver-decay-invalid": ERROR}),
        ({"weight_decay": "inf"}, {"solver-decay-invalid": ERROR}),
        ({"weight_decay": "0"}, {}),
        ({"weight_decay": "300"}, {"solver-decay-diverging": WARNING}),
        ({"weight_decay": "390"}, {"solver-decay-diverging": ERROR}),
        ({"weight_decay": "190"}, {}),
        ({"type": '"Nesterov"', "weight_decay": "140"}, {"solver-decay-diverging": ERROR}),
        ({"type": '"Nesterov"', "weight_decay": "130"}, {}),
        ({"type": '"Adam"', "weight_decay": "500"}, {}),
        ({"weight_decay": "500", "regularization_type": '"L1"'}, {}),
        ({"regularization_type": '"L3"'}, {"solver-regularization-unknown": ERROR}),
        ({"regularization_type": '"L3"', "weight_decay": "0"}, {}),
        ({"clip_gradients": "nan"}, {"solver-clip-invalid": ERROR}),
        ({"clip_gradients": "-1"}, {}),
        ({"clip_gradients": "35"}, {}),
    ],
)  # fmt: skip
def test_the_update(fields: dict[str, object], wanted: dict[str, Severity]) -> None:
    assert found(**fields) == wanted


def weights_after(rate: float, decay: float, momentum: float, nesterov: bool, steps: int = 3000) -> float:
    """A weight under decay alone, updated as Caffe's SGD and Nesterov do."""
    weight, history = 1.0, 0.0
    for _ in range(steps):
        before = history
        history = momentum * history + rate * decay * weight
        weight -= (1 + momentum) * history - momentum * before if nesterov else history
        if abs(weight) > 1e100:
            return abs(weight)
    return abs(weight)


@given(st.floats(0.01, 6), st.sampled_from([0.0, 0.5, 0.9]), st.booleans())
def test_decay_diverges_just_where_a_weight_does(product: float, momentum: float, nesterov: bool) -> None:
    bound = 2 * (1 + momentum) / (1 + 2 * momentum * nesterov)
    if abs(product - bound) < 0.01 * bound:
        return
    names = found(
        type='"Nesterov"' if nesterov else '"SGD"', momentum=momentum, base_lr="0.01", weight_decay=product / 0.01
    )
    assert (names.get("solver-decay-diverging") is ERROR) is (
        weights_after(0.01, product / 0.01, momentum, nesterov) > 1
    )


# ---- the run ----


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"net": None}, {"solver-net-missing": ERROR}),
        ({"train_net": '"x"'}, {"solver-net-missing": ERROR}),
        ({"type": '"sgd"'}, {"solver-type-unknown": ERROR}),
        ({"solver_type": "SGD", "type": '"SGD"'}, {"solver-type-unknown": ERROR}),
        ({"solver_type": "ADAGRAD"}, {"solver-type-deprecated": INFO, "solver-momentum-invalid": ERROR}),
        ({"solver_type": 1}, {"solver-type-deprecated": INFO}),
        ({"max_iter": None}, {"solver-max-iter-invalid": WARNING}),
        ({"max_iter": 0}, {"solver-max-iter-invalid": ERROR}),
        ({"iter_size": -1}, {"solver-iter-size-invalid": ERROR}),
        ({"average_loss": -1}, {"solver-average-loss-invalid": ERROR}),
        ({"test_iter": 10, "test_interval": 100}, {}),
        ({"test_iter": "[10, 10]", "test_interval": 100}, {}),
        ({"test_interval": 100}, {"solver-test-invalid": WARNING}),
        ({"test_iter": 0, "test_interval": 100}, {"solver-test-invalid": WARNING}),
        ({"test_net": '"a"', "test_interval": 100}, {"solver-test-invalid": ERROR}),
        ({"net": None, "train_net": '"t"', "test_iter": 1, "test_interval": 1}, {"solver-test-invalid": ERROR}),
        ({"snapshot": 100, "snapshot_prefix": '"x"'}, {}),
        ({"gamma": "0.1"}, {"solver-unused-field": INFO}),
        ({"stepvalue": 5}, {"solver-unused-field": WARNING}),
    ],
)
def test_the_run(fields: dict[str, object], wanted: dict[str, Severity]) -> None:
    assert found(**fields) == wanted


def test_the_old_type_decides_where_the_new_one_is_absent() -> None:
    assert Solver.of(parse("solver_type: ADAM")).type == "Adam"
    assert Solver.of(parse("solver_type: 3")).type == "RMSProp"
    assert Solver.of(parse("")).type == "SGD"


def test_defaults_are_those_of_caffe() -> None:
    solver = Solver.of(parse(""))
    assert (solver.schedule.base_lr, solver.schedule.gamma, solver.momentum, solver.max_iter) == (0, 0, 0, 0)
    assert (round(solver.momentum2, 6), round(solver.rms_decay, 6), solver.regularization_type) == (0.999, 0.99, "L2")
    assert (solver.clip_gradients, solver.iter_size, solver.average_loss) == (-1, 1, 1)


def test_behind_a_syntax_error_nothing_is_missed() -> None:
    (finding,) = check_solver(parse('net: "x"\nbase_lr: 0.1 }\nlr_policy: "fixed"'))
    assert (finding.rule, finding.location.line, finding.data["column"]) == ("solver-syntax", 2, 14)


def test_findings_stand_in_the_order_of_their_lines() -> None:
    lines = [finding.location.line or 0 for finding in judged(base_lr="nan", momentum="2", iter_size=0, net=None)]
    assert lines == sorted(lines)
    assert len(lines) == 4


NAMES = sorted(fields_of("SolverParameter"))
NUMBERS = ["0", "-1", "1", "nan", "inf", "-inf", "1e39", "0.5", "1e-46", "9999999", "2147483648"]
WORDS = ["fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid", "Adam", "RMSProp"]
ODD = [*NUMBERS, *(f'"{word}"' for word in WORDS), "GPU", "{ a: 1 }", "[1, 2]", "true"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(ODD)), max_size=12))
def test_no_solver_is_too_odd(fields: list[tuple[str, str]]) -> None:
    for finding in check_solver(parse("\n".join(f"{name}: {value}" for name, value in fields))):
        assert finding.data.get("cause") in (None, *CAUSES)
        json.dumps(finding.to_dict(), allow_nan=False)


# ---- real runs ----


@pytest.mark.skipif(not SHARED.is_dir(), reason="the neighbouring data is not here")
def test_solvers_of_clean_runs_give_no_error() -> None:
    rows = json.loads((SHARED / "runs.json").read_text(encoding="utf-8"))
    clean = [row["run"] for row in rows if row["kind"] in ("clean", "masked", "warning")]
    assert len(clean) > 40
    for run in clean:
        findings = check_solver(parse((SHARED / "runs" / f"{run}.solver.prototxt").read_bytes()))
        assert [finding for finding in findings if finding.severity is ERROR] == [], run
