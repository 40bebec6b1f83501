"""The run that a solver asks for, judged: net, type, iterations, tests, snapshots, fields that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from ..finding import Finding, Severity
from .learning_rate import PARAMETERS
from .rules import FileRule
from .solver import OLD_TYPES, TYPES, Solver

NET_FIELDS = ("net", "net_param", "train_net", "train_net_param")

TYPE_PARAMETERS = {
    "momentum2": ("Adam",),
    "rms_decay": ("RMSProp",),
    "delta": ("AdaGrad", "RMSProp", "AdaDelta", "Adam"),
}
"""Fields that only some solver types read."""


class SolverNetMissing(FileRule):
    """
    ## What it does
    Checks that a solver names one training net: `net`, `train_net`, or one of them written out.

    ## Why is this bad?
    Caffe stops at the start: it wants exactly one.

    ## How to fix
    `net: "train_val.prototxt"`.
    """

    name = "solver-net-missing"
    severity = Severity.ERROR


class SolverTypeUnknown(FileRule):
    """
    ## What it does
    Checks that `type` is a solver type of Caffe: SGD, Nesterov, AdaGrad, RMSProp, AdaDelta or Adam, in just this case,
    and that it is not given together with the old `solver_type`.

    ## Why is this bad?
    Caffe stops at the start with "Unknown solver type".

    ## How to fix
    Write the type as Caffe spells it (the finding names the nearest one).
    """

    name = "solver-type-unknown"
    severity = Severity.ERROR


class SolverTypeDeprecated(FileRule):
    """
    ## What it does
    Notes the old field `solver_type`.

    ## Why is this bad?
    Nothing bad: Caffe translates it when it reads the file, and says so in the log.

    ## How to fix
    Write `type: "Adam"` for `solver_type: ADAM`, and the like.
    """

    name = "solver-type-deprecated"
    severity = Severity.INFO


class SolverMaxIterInvalid(FileRule):
    """
    ## What it does
    Checks that `max_iter` is there and above 0: a warning where it is absent, an error where it is 0 or negative.

    ## Why is this bad?
    `caffe train` runs `max_iter` iterations: none. It prints one loss, says "Optimization Done." and ends with
    success. Only programs that call `solver.step` with a number of their own do without it.

    ## How to fix
    `max_iter: 10000`, the number of iterations of the run.
    """

    name = "solver-max-iter-invalid"
    severity = Severity.ERROR


class SolverIterSizeInvalid(FileRule):
    """
    ## What it does
    Checks that `iter_size` is at least 1.

    ## Why is this bad?
    Caffe sums the loss over `iter_size` batches and divides by it: with 0 the loss is 0/0 at the first iteration, and
    the gradients are scaled by 1/0.

    ## How to fix
    `iter_size: 1`, or take the line out.
    """

    name = "solver-iter-size-invalid"
    severity = Severity.ERROR


class SolverAverageLossInvalid(FileRule):
    """
    ## What it does
    Checks that `average_loss` is at least 1.

    ## Why is this bad?
    Caffe stops at the start: "average_loss should be non-negative" (it wants at least 1).

    ## How to fix
    `average_loss: 1`, or take the line out.
    """

    name = "solver-average-loss-invalid"
    severity = Severity.ERROR


class SolverTestInvalid(FileRule):
    """
    ## What it does
    Checks the test nets: as many `test_iter` as there are test nets, all of them above 0, and a `test_interval`.

    ## Why is this bad?
    Caffe stops at the start where the numbers don't match or `test_interval` is absent. A `test_iter` of 0 divides the
    test scores by 0. A `test_interval` without any `test_iter` tests nothing.

    ## How to fix
    One `test_iter: N` for each test net, N times the batch size being the size of the test set; `test_interval: 500`.
    """

    name = "solver-test-invalid"
    severity = Severity.ERROR


class SolverSnapshotPrefix(FileRule):
    """
    ## What it does
    Looks for a `snapshot` interval without a `snapshot_prefix`.

    ## Why is this bad?
    Caffe 1.0 and older stop at the start; newer versions write the snapshots beside the solver file.

    ## How to fix
    `snapshot_prefix: "snapshots/net"`, in a folder that exists.
    """

    name = "solver-snapshot-prefix"
    severity = Severity.WARNING


class SolverUnusedField(FileRule):
    """
    ## What it does
    Looks for fields that this policy or solver type does not read, such as `stepvalue` with the policy step.

    ## Why is this bad?
    Whoever wrote them meant them to do something. A `stepvalue` without the policy multistep is most often a policy
    that was forgotten, and a warning; the others are notes.

    ## How to fix
    Take the field out, or name the policy or type that reads it.
    """

    name = "solver-unused-field"
    severity = Severity.INFO


RUN_RULES: tuple[type[FileRule], ...] = (
    SolverNetMissing,
    SolverTypeUnknown,
    SolverTypeDeprecated,
    SolverMaxIterInvalid,
    SolverIterSizeInvalid,
    SolverAverageLossInvalid,
    SolverTestInvalid,
    SolverSnapshotPrefix,
    SolverUnusedField,
)


def check_run(solver: Solver) -> Iterator[Finding]:
    """Everything that is neither the rate nor the update."""
    yield from check_net_fields(solver)
    yield from check_type(solver)
    yield from check_iterations(solver)
    yield from check_tests(solver)
    yield from check_snapshots(solver)
    yield from check_unused(solver)


def check_net_fields(solver: Solver) -> Iterator[Finding]:
    """One training net, no more."""
    given = [entry for name in NET_FIELDS for entry in solver.message.all(name)]
    names = sorted({entry.name for entry in given})
    if not given:
        yield SolverNetMissing.finding(
            "no training net is named: Caffe stops at the start", cause="aborted", remedy='net: "train_val.prototxt"'
        )
    elif len(names) > 1:
        yield SolverNetMissing.finding(
            f"{' and '.join(names)} are both given, and Caffe wants exactly one training net: it stops at the start",
            max(entry.line for entry in given),
            cause="aborted",
            remedy=f"take {names[1]} out",
        )


def check_type(solver: Solver) -> Iterator[Finding]:
    """A type that Caffe has, by its new name."""
    message = solver.message
    if "solver_type" in message and "type" in message:
        yield SolverTypeUnknown.finding(
            "type and solver_type are both given: Caffe stops at the start",
            solver.line("solver_type"),
            cause="aborted",
            remedy="take solver_type out",
        )
    elif "solver_type" in message:
        word = message.enum("solver_type", OLD_TYPES, "SGD")
        yield SolverTypeDeprecated.finding(
            f"solver_type: {word} is the old way to write it",
            solver.line("solver_type"),
            remedy=f'type: "{solver.type}"',
        )
    if solver.type not in TYPES:
        folded = {name.lower(): name for name in TYPES}
        near = get_close_matches(solver.type.lower(), folded, 1, 0.5)
        yield SolverTypeUnknown.finding(
            f'no solver type is "{solver.type[:60]}": Caffe stops at the start',
            solver.line("type"),
            cause="aborted",
            remedy=f'type: "{folded[near[0]] if near else "SGD"}"',
        )


def check_iterations(solver: Solver) -> Iterator[Finding]:
    """Iterations, batches of each, and losses that are averaged."""
    if solver.max_iter <= 0:
        absent = "max_iter" not in solver.message
        state = "absent" if absent else str(solver.max_iter)
        yield SolverMaxIterInvalid.finding(
            f"max_iter is {state}: caffe train runs no iteration and ends with success",
            solver.line("max_iter", "lr_policy"),
            cause="learning-rate" if solver.schedule.policy == "poly" else None,
            remedy="max_iter: 10000",
            severity=Severity.WARNING if absent else None,
            max_iter=solver.max_iter,
        )
    if solver.iter_size < 1:
        effect = "the loss is 0/0 at the first iteration" if solver.iter_size == 0 else "no batch is ever read"
        yield SolverIterSizeInvalid.finding(
            f"iter_size is {solver.iter_size}: {effect}",
            solver.line("iter_size"),
            cause="gradient-explosion",
            remedy="iter_size: 1",
            iter_size=solver.iter_size,
        )
    if solver.average_loss < 1:
        yield SolverAverageLossInvalid.finding(
            f"average_loss is {solver.average_loss}: Caffe stops at the start",
            solver.line("average_loss"),
            cause="aborted",
            remedy="average_loss: 1",
            average_loss=solver.average_loss,
        )


def check_tests(solver: Solver) -> Iterator[Finding]:
    """Test nets, their iterations and their interval."""
    message = solver.message
    nets = len(message.all("test_net")) + len(message.all("test_net_param"))
    generic = "net" in message or "net_param" in message
    given = len(message.all("test_iter"))
    if given < nets or (given > nets and not generic):
        yield SolverTestInvalid.finding(
            f"{given} test_iter for {nets} test nets: Caffe stops at the start",
            solver.line("test_iter", "test_net", "test_net_param"),
            cause="aborted",
            remedy="one test_iter: 100 for each test net",
        )
    elif given and solver.test_interval <= 0:
        state = "absent" if "test_interval" not in message else str(solver.test_interval)
        yield SolverTestInvalid.finding(
            f"there is a test_iter, and test_interval is {state}: Caffe stops at the start",
            solver.line("test_interval", "test_iter"),
            cause="aborted",
            remedy="test_interval: 500",
        )
    elif not given and solver.test_interval > 0:
        yield SolverTestInvalid.finding(
            "there is a test_interval and no test_iter: nothing is ever tested",
            solver.line("test_interval"),
            remedy="test_iter: 100",
            severity=Severity.WARNING,
        )
    if any(count <= 0 for count in solver.test_iter):
        yield SolverTestInvalid.finding(
            f"test_iter is {min(solver.test_iter)}: the test scores are divided by it",
            solver.line("test_iter"),
            remedy="test_iter: 100",
            severity=Severity.WARNING,
        )


def check_snapshots(solver: Solver) -> Iterator[Finding]:
    """Snapshots that have nowhere to go."""
    if solver.message.integer("snapshot") > 0 and not solver.message.string("snapshot_prefix"):
        yield SolverSnapshotPrefix.finding(
            "snapshot without snapshot_prefix: Caffe 1.0 stops at the start, newer versions write beside the solver",
            solver.line("snapshot"),
            remedy='snapshot_prefix: "snapshots/net"',
        )


def check_unused(solver: Solver) -> Iterator[Finding]:
    """Fields that the policy and the type do not read."""
    policy = solver.schedule.policy
    read = PARAMETERS.get(policy)
    for name in ("gamma", "power", "stepsize", "stepvalue", "plateau_winsize"):
        if read is not None and name in solver.message and name not in read:
            reader = {"stepvalue": "multistep", "stepsize": "step"}.get(name)
            yield SolverUnusedField.finding(
                f"{name} is not read by the policy {policy}",
                solver.line(name),
                remedy=f'lr_policy: "{reader}", or take {name} out' if reader else f"take {name} out",
                severity=Severity.WARNING if name == "stepvalue" else None,
            )
    for name, types in TYPE_PARAMETERS.items():
        if name in solver.message and solver.type in TYPES and solver.type not in types:
            yield SolverUnusedField.finding(
                f"{name} is not read by the solver type {solver.type}", solver.line(name), remedy=f"take {name} out"
            )
