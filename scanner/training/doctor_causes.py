"""The verdict on every cause of a NaN loss, ranked: solver, net, log and data joined."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from ..finding import Severity
from ..report import Cause, CauseVerdict
from .doctor_case import Case
from .doctor_gaps import GAPS
from .doctor_records import record_signs, remedy_of, suspects
from .doctor_signs import (
    CONFIRMED,
    LIKELY,
    POSSIBLE,
    Sign,
    Symptoms,
    belongs,
    file_findings,
    file_signs,
    log_sign,
    place,
    unique,
)
from .log_numbers import spelled
from .rules import CAUSES

MOST_EVIDENCE = 12
ORDER: Mapping[CauseVerdict, int] = {"confirmed": 0, "likely": 1, "possible": 2, "not-checked": 3, "ruled-out": 4}


def diagnose(case: Case) -> tuple[Cause, ...]:
    """Every cause with its verdict, the most likely first."""
    symptoms = Symptoms.of(case)
    signs = {cause: unique(SIGNS[cause](case, symptoms)) for cause in CAUSES}
    signs["gradient-explosion"] = unique(weigh_by_exclusion(case, symptoms, signs))
    drafts = [draft(cause, signs[cause], GAPS[cause](case, symptoms)) for cause in CAUSES]
    drafts.sort(key=lambda one: (ORDER[one[1].verdict], -one[0], CAUSES.index(one[1].cause)))
    if explained_otherwise(case, symptoms):
        drafts = behind_the_first(drafts)
    return tuple(
        Cause(one.cause, one.verdict, rank, one.summary, one.evidence, one.remedy)
        for rank, (_, one) in enumerate(drafts, 1)
    )


def behind_the_first(drafts: list[tuple[float, Cause]]) -> list[tuple[float, Cause]]:
    """That Caffe stopped is a consequence here: the most likely other cause comes before it."""
    others = [one for one in drafts if one[1].cause != "aborted"]
    if not others or not others[0][1].guilty:
        return drafts
    return [others[0], *(one for one in drafts if one is not others[0])]


def draft(cause: str, signs: list[Sign], gaps: list[str]) -> tuple[float, Cause]:
    """A cause without rank, and its weight."""
    weight = signs[0].weight if signs else 0.0
    verdict: CauseVerdict
    if weight >= POSSIBLE:
        verdict = "confirmed" if weight >= CONFIRMED else "likely" if weight >= LIKELY else "possible"
        remedy = next((one.remedy for one in signs if one.remedy is not None and one.weight >= POSSIBLE), None)
        return weight, Cause(cause, verdict, 0, signs[0].text, evidence_of(signs), remedy or REMEDIES.get(cause))
    if gaps:
        return weight, Cause(cause, "not-checked", 0, "; ".join(gaps[:3]), evidence_of(signs))
    return weight, Cause(cause, "ruled-out", 0, RULED_OUT[cause], evidence_of(signs))


def evidence_of(signs: list[Sign]) -> tuple[str, ...]:
    """The evidence, the weightiest first."""
    return tuple(one.evidence for one in signs[:MOST_EVIDENCE])


RULED_OUT = {
    "gradient-explosion": "the loss does not grow, and nothing in solver or net would make it",
    "learning-rate": "the rate of every iteration is finite and positive",
    "loss-function": "the losses are given what they are made for",
    "input-data": "every record that training reads was looked at: none is NaN, infinite or damaged",
    "pooling": "no pooling window is empty",
    "layer-parameters": "no layer makes NaN or infinity of finite values",
    "initial-weights": "the weights that the run began with are finite",
    "aborted": "nothing stops Caffe",
}

REMEDIES = {
    "gradient-explosion": "base_lr: a tenth of what it is, or clip_gradients: 10",
    "input-data": "scan the sources (datascan check), and rebuild them without the damaged records (datascan rebuild)",
    "initial-weights": "begin with weights that are finite (an earlier snapshot)",
}


# ---- what speaks for each cause ----


def explosion_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Gradients, and with them the loss, that grow until they overflow."""
    yield from file_signs(case, "gradient-explosion", symptoms, symptoms.grew)
    bad, run = symptoms.bad, symptoms.run
    rate = ""
    if bad is not None and bad.rate is not None:
        rate = f"; the rate was {spelled(bad.rate.value)}"
    if bad is not None and bad.growth == "explosion" and bad.blame not in ("rate", "weights", "solver", "weight"):
        before = ", ".join(spelled(point.value) for point in bad.before[-4:])
        text = f"the loss grew to {bad.ratio:.3g} times what it was ({before}) before it was "
        text += f"{spelled(bad.value)} at iteration {bad.iteration:,}{rate}"
        yield Sign(82, text, place(case.log_path, bad.line), rate_remedy(case))
    elif bad is not None and bad.blame == "update":
        yield Sign(
            80, f"{bad.why}: the update before was too large{rate}", place(case.log_path, bad.line), rate_remedy(case)
        )
    elif bad is not None and bad.blame == "unknown" and bad.iteration > symptoms.start:
        weight = 55 if bad.growth == "jump" else 45
        text = f"the loss is {spelled(bad.value)} at iteration {bad.iteration:,}, after updates{rate}"
        yield Sign(weight, text, place(case.log_path, bad.line), rate_remedy(case))
    for finding in (symptoms.exploded, symptoms.plateau):
        if finding is not None and finding.data.get("cause") == "gradient-explosion":
            yield log_sign(case, finding, 82 if finding.severity is Severity.ERROR else 62)
    if run is not None and bad is not None and run.clip_lines and run.norm.bad is None:
        yield Sign(0, "gradients were clipped", case.log_path or "")


def rate_remedy(case: Case) -> str | None:
    """A base rate to try."""
    settings = case.settings
    if settings is None or not math.isfinite(settings.schedule.base_lr) or settings.schedule.base_lr <= 0:
        return None
    lower = settings.schedule.base_lr / 10
    return f"base_lr: {lower:g}" + ("" if settings.clip_gradients > 0 else ", or clip_gradients: 10")


def weigh_by_exclusion(case: Case, symptoms: Symptoms, signs: Mapping[str, list[Sign]]) -> list[Sign]:
    """Explosion gains where nothing else is left that could explain a bad loss, and the data were looked at."""
    mine = signs["gradient-explosion"]
    if not mine or (symptoms.bad is None and symptoms.exploded is None and symptoms.plateau is None):
        return mine
    others = [one.weight for cause, found in signs.items() if cause != "gradient-explosion" for one in found]
    trained = [one for one in case.scanned if one.trains]
    looked_at = bool(trained) and all(one.looked_at for one in trained) and not case.missing
    best = max(others, default=0)
    gain = (10.0 if best < POSSIBLE else 0.0) + (20.0 if best < LIKELY and looked_at and mine[0].weight < 80 else 0.0)
    if not looked_at:
        gain = 0
    top = mine[0]
    return [Sign(top.weight + gain, top.text, top.place, top.remedy), *mine[1:]]


def rate_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """A rate that is NaN, infinite, negative, zero or growing; or no iteration at all."""
    run, bad = symptoms.run, symptoms.bad
    if symptoms.failure is not None and symptoms.failure.signal == "SIGFPE":
        for path, finding in file_findings(case, "learning-rate"):
            if "stepsize" in finding.message:
                text = f"{finding.message}; the program died of SIGFPE, an integer division by zero"
                yield Sign(105, text, place(path, finding.location.line), finding.data.get("remedy"))
    for finding in case.log_findings:
        if run is None or not belongs(finding, run):
            continue
        if finding.rule == "log-rate-non-finite":
            before = bad is not None and finding.data["iteration"] < bad.iteration
            yield log_sign(case, finding, 97 if before else 85)
        elif finding.rule == "log-rate-negative":
            yield log_sign(case, finding, 94)
        elif finding.rule == "log-rate-zero":
            yield log_sign(case, finding, 40)
        elif finding.rule == "log-no-iterations":
            poly = run.policy == "poly" or (case.settings is not None and case.settings.schedule.policy == "poly")
            none = case.settings is not None and case.settings.max_iter <= 0
            yield log_sign(case, finding, 92 if poly and none else 45)
        elif finding.rule == "log-loss-explodes" and finding.data.get("rate_grew"):
            yield log_sign(case, finding, 84)
        elif finding.rule == "log-loss-explodes" and finding.data.get("cause") == "learning-rate":
            yield log_sign(case, finding, 82)
    if bad is not None and bad.blame == "solver":
        yield Sign(95, bad.why, place(case.log_path, bad.line), "iter_size: 1")
    yield from file_signs(case, "learning-rate", symptoms, matched=rate_matches(case, symptoms))


def rate_matches(case: Case, symptoms: Symptoms) -> bool:
    """Whether the loss went bad right after the rate, as the solver computes it, did."""
    settings, bad = case.settings, symptoms.bad
    if settings is None or bad is None or bad.iteration < 1:
        return False
    rate = settings.schedule.rate(bad.iteration - 1)
    return rate is not None and not rate >= 0


def loss_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Losses that get what they are not made for."""
    run = symptoms.run
    negative = symptoms.negative
    matched = symptoms.early or negative is not None or symptoms.grew
    yield from file_signs(case, "loss-function", symptoms, matched)
    if negative is not None:
        yield log_sign(case, negative, 86)
    yield from layer_signs(case, symptoms, "loss-function")
    if symptoms.bad is not None and symptoms.bad.blame == "weight" and run is not None:
        yield Sign(96, symptoms.bad.why, place(case.log_path, symptoms.bad.line), "loss_weight: 1")


def layer_signs(case: Case, symptoms: Symptoms, cause: str) -> Iterator[Sign]:
    """What ``debug_info`` shows to be the first layer whose output is not finite."""
    for finding in case.log_findings:
        shown = finding.rule == "log-activation-non-finite" and finding.data.get("cause") == cause
        if shown and symptoms.run is not None and belongs(finding, symptoms.run):
            yield log_sign(case, finding, 91)


def data_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Records, means and labels."""
    frozen = symptoms.frozen is not None
    yield from record_signs(case, symptoms)
    yield from file_signs(case, "input-data", symptoms, symptoms.early or frozen)
    yield from layer_signs(case, symptoms, "input-data")
    for finding in case.log_findings:
        weak = finding.rule in ("log-loss-zero", "log-undecodable")
        if weak and symptoms.run is not None and belongs(finding, symptoms.run):
            yield log_sign(case, finding, 30)
    bad = symptoms.bad
    if symptoms.frozen is not None and symptoms.frozen.severity is Severity.WARNING and bad is None:
        text = f"{symptoms.frozen.message}: so it is where MAX pooling and ReLU hide NaN that the weights have"
        yield Sign(30, text, place(case.log_path, symptoms.frozen.location.line))
    if bad is not None and bad.blame in ("unknown", "forward") and bad.debug is None and not case.scanned:
        text = f"the loss is {spelled(bad.value)} at iteration {bad.iteration:,}"
        text += ": the data of that iteration may hold it"
        yield Sign(50 if bad.growth == "sudden" else 30, text, place(case.log_path, bad.line))


def pooling_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Windows that hold no input."""
    matched = symptoms.early or symptoms.nowhere is not None
    yield from file_signs(case, "pooling", symptoms, matched)
    yield from layer_signs(case, symptoms, "pooling")


def parameter_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Layers that make NaN of finite values."""
    yield from file_signs(case, "layer-parameters", symptoms, symptoms.early)
    yield from layer_signs(case, symptoms, "layer-parameters")
    bad = symptoms.bad
    if bad is not None and bad.blame == "weights" and not (bad_run_began_with_file(symptoms)):
        yield Sign(80, bad.why, place(case.log_path, bad.line))


def bad_run_began_with_file(symptoms: Symptoms) -> bool:
    """Whether the run began with weights from a file."""
    run = symptoms.run
    return run is not None and (run.finetuned is not None or run.restored is not None)


def weight_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Weights that are not finite before the first update."""
    for one in case.weights:
        if one.bad is not None:
            text = f"the weights that the run began with are not finite: {one.bad}"
            yield Sign(97 if symptoms.early or symptoms.frozen else 80, text, one.path)
    bad = symptoms.bad
    if bad is not None and bad_run_began_with_file(symptoms) and bad.blame == "weights":
        yield Sign(75, bad.why, place(case.log_path, bad.line))
    yield from layer_signs(case, symptoms, "initial-weights")


def aborted_signs(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Caffe stopped by itself."""
    failure = symptoms.failure
    for finding in case.log_findings:
        if symptoms.run is None or not belongs(finding, symptoms.run) or finding.data.get("cause") != "aborted":
            continue
        weight = 93.0
        if failure is not None and not explained_otherwise(case, symptoms):
            weight = 120
        reason = str(finding.data.get("reason", ""))
        text = finding.message if reason in finding.message else f"{finding.message}: {reason}"
        yield log_sign(case, finding, weight, text)
    if failure is not None:
        for line, detail in failure.details[:4]:
            yield Sign(5, detail, place(case.log_path, line))
        yield from stopping_records(case, symptoms)
    elif not symptoms.seen:
        yield from records_to_come(case, symptoms)
    for path, finding in file_findings(case, "aborted"):
        weight = {Severity.ERROR: 70.0, Severity.WARNING: 35.0}.get(finding.severity, 10.0)
        if failure is None and symptoms.seen and symptoms.last >= 0:
            weight = min(weight, 25)  # this Caffe did not stop at it
        yield Sign(weight, finding.message, place(path, finding.location.line), finding.data.get("remedy"))


def explained_otherwise(case: Case, symptoms: Symptoms) -> bool:
    """Whether the program died of a cause that has a name of its own: NaN in the data, a division by zero."""
    failure = symptoms.failure
    if failure is None:
        return False
    if symptoms.bad is not None:
        return True
    if failure.signal == "SIGFPE":
        return any("stepsize" in one.message for _, one in file_findings(case, "learning-rate"))
    poison = [one for one in suspects(case, symptoms) if one.finding.rule in ("value-nan", "value-inf", "label-nan")]
    return failure.kind not in ("check", "fatal") and any(one.inside for one in poison)


def stopping_records(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Records at which Caffe stopped, as far as the data show them."""
    for one in suspects(case, symptoms)[:4]:
        taken = f"; iteration {one.reached:,} takes it first" if one.reached is not None else ""
        where = f"{one.name}, {one.finding.rule}"
        yield Sign(60 if one.inside else 30, f"{one.finding.message}{taken}", where, remedy_of(one))


STOPPERS = (
    "image-channels",
    "image-undecodable",
    "record-empty",
    "record-missing-twin",
    "record-shape-mismatch",
    "store-empty",
    "store-truncated",
    "store-unreadable",
)
"""Findings at which Caffe stops or crashes; it reads on over most others without a word."""


def records_to_come(case: Case, symptoms: Symptoms) -> Iterator[Sign]:
    """Records at which Caffe would stop, where no run tells whether it did."""
    for one in [one for one in suspects(case, symptoms) if one.finding.rule in STOPPERS][:4]:
        if one.finding.severity is Severity.ERROR:
            where = f"{one.name}, {one.finding.rule}"
            yield Sign(61, f"Caffe would stop at it: {one.finding.message}", where, remedy_of(one))


SIGNS: Mapping[str, Callable[[Case, Symptoms], Iterator[Sign]]] = {
    "gradient-explosion": explosion_signs,
    "learning-rate": rate_signs,
    "loss-function": loss_signs,
    "input-data": data_signs,
    "pooling": pooling_signs,
    "layer-parameters": parameter_signs,
    "initial-weights": weight_signs,
    "aborted": aborted_signs,
}
