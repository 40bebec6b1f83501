"""A solver as Caffe reads it: every field with the default that Caffe gives it."""

from __future__ import annotations

from dataclasses import dataclass

from .learning_rate import Schedule
from .prototxt import Message

TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
"""Solver types by the number that the old enum gave them."""

OLD_TYPES = tuple(name.upper() for name in TYPES)

UNKNOWN_END = 100_000
"""Iterations over which a rate is judged where nothing says how long the run is."""


@dataclass(frozen=True, slots=True)
class Solver:
    """The fields that decide on a run, with Caffe's defaults; numbers are float32.

    ``message`` is the file itself, for its lines.
    """

    message: Message
    schedule: Schedule
    type: str
    momentum: float
    momentum2: float
    delta: float
    rms_decay: float
    weight_decay: float
    regularization_type: str
    clip_gradients: float
    iter_size: int
    average_loss: int
    max_iter: int
    test_iter: tuple[int, ...]
    test_interval: int

    @classmethod
    def of(cls, message: Message) -> Solver:
        """The solver that a prototxt describes; a value of a wrong type counts as absent."""
        schedule = Schedule(
            policy=message.string("lr_policy"),
            base_lr=message.real("base_lr"),
            gamma=message.real("gamma"),
            power=message.real("power"),
            stepsize=message.integer("stepsize"),
            stepvalues=tuple(message.integers("stepvalue")),
            max_iter=message.integer("max_iter"),
        )
        old_type = TYPES[OLD_TYPES.index(message.enum("solver_type", OLD_TYPES, "SGD"))]
        return cls(
            message=message,
            schedule=schedule,
            type=message.string("type", old_type),
            momentum=message.real("momentum"),
            momentum2=message.real("momentum2", 0.999),
            delta=message.real("delta", 1e-8),
            rms_decay=message.real("rms_decay", 0.99),
            weight_decay=message.real("weight_decay"),
            regularization_type=message.string("regularization_type", "L2"),
            clip_gradients=message.real("clip_gradients", -1),
            iter_size=message.integer("iter_size", 1),
            average_loss=message.integer("average_loss", 1),
            max_iter=schedule.max_iter,
            test_iter=tuple(message.integers("test_iter")),
            test_interval=message.integer("test_interval"),
        )

    def line(self, *names: str) -> int | None:
        """The line of the first of these fields that is there."""
        return next((entry.line for name in names if (entry := self.message.get(name)) is not None), None)

    @property
    def last_iteration(self) -> int:
        """The last iteration of the run; where ``max_iter`` does not say, far enough to see the first steps."""
        if self.max_iter > 0:
            return self.max_iter - 1
        schedule = self.schedule
        if schedule.policy == "multistep":
            return max([1, *schedule.step_iterations])
        if schedule.policy == "step":
            return max(1, 2 * schedule.stepsize)
        return 1 if schedule.policy == "poly" else UNKNOWN_END

    @property
    def nets(self) -> list[str]:
        """Net files that the solver names."""
        names = [name for field in ("net", "train_net", "test_net") for name in self.message.strings(field)]
        return list(dict.fromkeys(names))
