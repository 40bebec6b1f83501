"""Rules about what a network makes of the samples."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..finding import Finding, Location, Severity
from ..options import Options
from ..sample import ProbeFault
from ..summary import Summary
from ..summary.probe import ProbeSummary
from .base import Rule

NOT_PROBED = "no network was run: ask for it with --probe"


class ProbeRule(Rule):
    """A rule about records that went through a network."""

    @classmethod
    def wanted(cls, options: Options) -> bool:
        """See `Rule.wanted`. A family that was chosen is listed as not run where there is no network."""
        return options.probe is not None or bool(options.select)

    def not_run(self) -> str | None:
        """See `Rule.not_run`."""
        return NOT_PROBED if self.options.probe is None else None

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`. What is beyond ``--max-findings`` comes without its place, to be counted."""
        probe = summary.probe
        for position, key, fault in probe.faults:
            if fault.rule == self.name:
                location = Location(key, position, fault.dataset, fault.element)
                yield self.told(probe, position, fault, location)
        for _ in range(probe.omitted.get(self.name, 0)):
            yield self.finding("one more")

    def told(self, probe: ProbeSummary, position: int, fault: ProbeFault, location: Location) -> Finding:
        """The finding of one record."""
        return self.finding(fault.message, location)


class ProbeNonFinite(ProbeRule):
    """
    ## What it does
    Runs every sample through a small network (or your own model) and tests the input after preprocessing, the values
    of every layer before its non-linearity, and the loss. Names the record, the layer where it shows first, whether
    the input itself was finite, and the batch and iteration of training that meet the record. A finite input whose
    square overflows is named too: one step of gradient descent adds that square to what the first layer makes of the
    record.

    ## Why is this bad?
    One loss that is NaN or infinite makes the weights NaN, and the run is lost from that iteration on. A finite loss
    proves little: gates of an LSTM saturate and many MAX pooling layers drop NaN, so that the weights are spoilt
    while the loss looks healthy.

    ## How to fix
    Drop the record, or mask the value where the set is built. If the input was finite, the
    scale is to blame: look at the largest values, at the mean and scale that are applied, and at half precision.
    Where every loss is spoilt, repair what the finding names: the mean file, the weights or the net.
    """

    name = "probe-non-finite"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        task = self.options.probe.task if self.options.probe else None
        if task is not None and task.spoilt:
            yield self.finding(f"{task.spoilt}; training meets it in iteration 0", data={"iteration": 0})
        yield from super().finish(summary)
        yield from self._batches(summary.probe)
        yield from self._training(summary.probe)

    def _training(self, probe: ProbeSummary) -> Iterator[Finding]:
        """Training that left the finite, or is on its way."""
        curve = probe.curve
        if curve is None or not curve.losses:
            return
        step = curve.exploded
        data = {"step": step, "rate": curve.rate, "first": _number(curve.losses[0]), "last": _number(curve.losses[-1])}
        if step is not None:
            before = f" after {curve.losses[step - 1]:.6g} in the step before" if step else ""
            message = (
                f"training at a rate of {curve.rate:g} explodes: the loss of step {step} is {curve.losses[step]:g}"
            )
            yield self.finding(message + before, data=data)
        elif curve.growing:
            message = (
                f"training at a rate of {curve.rate:g} explodes: the loss grew from {curve.losses[0]:.6g} to "
                f"{curve.losses[-1]:.6g} in {len(curve.losses):,} steps"
            )
            yield self.finding(message, severity=Severity.WARNING, data=data)

    def told(self, probe: ProbeSummary, position: int, fault: ProbeFault, location: Location) -> Finding:
        """See `ProbeRule.told`."""
        batch, iteration = probe.batch_of(position), probe.iteration_of(position)
        bad_from = iteration + 1 if fault.after_step else iteration
        data = {
            "layer": fault.layer,
            "input_finite": fault.input_finite,
            "loss": _number(fault.loss),
            "batch": batch,
            "iteration": iteration,
            "loss_bad_from": bad_from,
        }
        return self.finding(
            f"{fault.message}; training meets it in {_where(probe, batch, iteration)}", location, None, data
        )

    def _batches(self, probe: ProbeSummary) -> Iterator[Finding]:
        """Batches whose losses are finite one by one, and not together."""
        named = {probe.batch_of(position) for position, _, fault in probe.faults if fault.rule == self.name}
        sums: dict[int, float] = {}
        first: dict[int, int] = {}
        for position, loss in probe.large:
            batch = probe.batch_of(position)
            sums[batch] = sums.get(batch, 0.0) + loss
            first.setdefault(batch, position)
        for batch, total in sums.items():
            if batch not in named and total > float(np.finfo(np.float32).max):
                iteration = probe.iteration_of(first[batch])
                message = f"each loss is finite, but not the sum of {_where(probe, batch, iteration)}"
                data = {"layer": "loss", "input_finite": True, "batch": batch, "iteration": iteration}
                yield self.finding(message, Location(index=first[batch]), data=data)


class ProbeFailed(ProbeRule):
    """
    ## What it does
    Names records that the network could not take: a label that is none of its outputs, a shape that does not fit the
    model, the crop or the mean file. Said once for the set where no record could be taken at all.

    ## Why is this bad?
    Training stops at such a record, or reads memory that is not its own: Caffe's SoftmaxWithLoss does not check a
    label against the number of outputs. And nothing is known of the loss of a record that was not probed.

    ## How to fix
    Correct the label, or the number of classes (`--num-classes`); resize or crop the images to one size; give the
    mean file that belongs to the set, and a model that reads samples of this shape.
    """

    name = "probe-failed"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        spoilt = self.options.probe is not None and self.options.probe.task and self.options.probe.task.spoilt
        if not summary.probe.samples and summary.samples and not spoilt and not summary.probe.counts:
            yield self.finding(f"none of {summary.samples:,} samples holds numbers or an image that a network can read")
        yield from super().finish(summary)


def _where(probe: ProbeSummary, batch: int, iteration: int) -> str:
    of_batch = f"batch {batch:,} of {probe.batch_size:,} records"
    return of_batch if batch == iteration else f"{of_batch}, iteration {iteration:,}"


def _number(loss: float | None) -> float | str | None:
    """A loss as JSON has it."""
    return loss if loss is None or math.isfinite(loss) else str(loss)
