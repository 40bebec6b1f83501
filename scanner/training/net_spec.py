"""A net as Caffe sees it: layers of both styles under one roof, and which of them a phase builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .prototxt import Message
from .schema import enum_numbers

Phase = Literal["TRAIN", "TEST"]
PHASES: tuple[Phase, ...] = ("TRAIN", "TEST")

MOST = 2**32 - 1
"""The largest number that a size in a net can have; a larger one is taken for it."""

V1_WORDS = {
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "TANH": "TanH",
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "IM2COL": "Im2col",
    "NONE": "",
}
"""Old layer types whose new name is not their words in capitals."""


def new_type(old: str) -> str:
    """The new name of an old layer type: ``InnerProduct`` of ``INNER_PRODUCT``."""
    return V1_WORDS[old] if old in V1_WORDS else "".join(word.capitalize() for word in old.split("_"))


@dataclass(frozen=True, slots=True)
class Multiplier:
    """The ``param`` of one weight blob: how its rate and decay are multiplied, and the name under which it is shared.

    The lines are those of the two numbers, or of what stands for them.
    """

    lr_mult: float
    decay_mult: float
    line: int
    lr_line: int
    decay_line: int
    name: str = ""
    lr_given: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; ``type`` is the new style's name for old layers too.

    ``old`` layers stand in ``layers { }``; Caffe turns them into new ones, and moves scale, mean file, crop and mirror
    of their data parameters to where it reads them.
    """

    name: str
    type: str
    message: Message
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    old: bool = False

    @property
    def line(self) -> int:
        """The line of its type; where it has none, of its brace."""
        return self.message.line_of("type")

    def param(self, name: str) -> Message:
        """One of its parameter messages; an empty one, at the layer's line, where it is absent."""
        found = self.message.message(name)
        return Message(self.message.line, self.message.column) if found is None else found

    def bottom_line(self, place: int) -> int:
        """The line of one bottom."""
        entries = self.message.all("bottom")
        return entries[place].line if place < len(entries) else self.line

    def top_line(self, place: int) -> int:
        """The line of one top."""
        entries = self.message.all("top")
        return entries[place].line if place < len(entries) else self.line

    @property
    def loss_weights(self) -> list[float]:
        """The weights given; none where there are none."""
        return self.message.reals("loss_weight")

    @property
    def multipliers(self) -> list[Multiplier]:
        """Its ``param`` messages, or what the old style has in their place."""
        if self.old:
            return self._old_multipliers()
        return [
            Multiplier(
                param.real("lr_mult", 1),
                param.real("decay_mult", 1),
                param.line,
                param.line_of("lr_mult"),
                param.line_of("decay_mult"),
                param.string("name"),
                "lr_mult" in param,
            )
            for param in self.message.messages("param")
        ]

    def _old_multipliers(self) -> list[Multiplier]:
        rates, decays = self.message.all("blobs_lr"), self.message.all("weight_decay")
        names = self.message.strings("param")
        found = []
        for place in range(max(len(rates), len(decays), len(names))):
            rate = rates[place] if place < len(rates) else None
            decay = decays[place] if place < len(decays) else None
            line = self.line if rate is None else rate.line
            found.append(
                Multiplier(
                    number_of(rate.scalar.real if rate and rate.scalar else None),
                    number_of(decay.scalar.real if decay and decay.scalar else None),
                    line,
                    line,
                    line if decay is None else decay.line,
                    names[place] if place < len(names) else "",
                    rate is not None,
                )
            )
        return found


def number_of(value: float | None) -> float:
    """A multiplier, 1 where none is given."""
    return 1.0 if value is None else value


def whole(message: Message, name: str, default: int = 0) -> int:
    """A whole number, kept within what a net can hold."""
    return max(-MOST, min(message.integer(name, default), MOST))


def wholes(message: Message, name: str) -> list[int]:
    """Whole numbers of a repeated field, kept within what a net can hold."""
    return [max(-MOST, min(number, MOST)) for number in message.integers(name)]


@dataclass(frozen=True, slots=True)
class State:
    """What decides which layers are built."""

    phase: Phase
    stages: frozenset[str] = frozenset()
    level: int = 0

    def meets(self, rule: Message) -> bool:
        """Whether one ``include`` or ``exclude`` holds here."""
        if "phase" in rule and rule.enum("phase", PHASES, "TRAIN") != self.phase:
            return False
        if "min_level" in rule and self.level < rule.integer("min_level"):
            return False
        if "max_level" in rule and self.level > rule.integer("max_level"):
            return False
        return self.stages.issuperset(rule.strings("stage")) and self.stages.isdisjoint(rule.strings("not_stage"))

    def builds(self, layer: Layer) -> bool:
        """Whether a layer is part of the net in this state."""
        includes, excludes = layer.message.messages("include"), layer.message.messages("exclude")
        if includes:
            return any(self.meets(rule) for rule in includes)
        return not any(self.meets(rule) for rule in excludes)


@dataclass(frozen=True, slots=True)
class Net:
    """A net file: its layers in order, those of `Net.ignored` left out.

    Attributes
    ----------
    ignored
        New-style layers that Caffe drops because old ones stand in the file.
    ancient
        The file has layers of Caffe's first style, about which nothing is said.
    stage_names
        Stages that decide on some layers.
    conditional
        Whether stages or levels, which only a solver can give, decide on some layers.
    """

    message: Message
    layers: tuple[Layer, ...]
    ignored: tuple[Layer, ...] = ()
    ancient: bool = False
    stage_names: tuple[str, ...] = ()
    conditional: bool = False

    def states(self) -> list[State]:
        """The states in which the file makes a net: both phases, bare and with each stage that it mentions.

        A state in which nothing enters the net is left out, where there is another: a net whose data layers are of
        the TRAIN phase alone is not meant to be tested.
        """
        given = self.message.message("state") or Message()
        base, level = frozenset(given.strings("stage")), given.integer("level")
        sets = [base, *(base | {stage} for stage in self.stage_names[:8] if stage not in base)]
        states = [State(phase, stages, level) for phase in PHASES for stages in sets]
        entered = [state for state in states if any(not layer.bottoms for layer in self.built(state))]
        return entered or states

    def built(self, state: State) -> list[Layer]:
        """The layers of a state."""
        return [layer for layer in self.layers if state.builds(layer)]


def rules_of(layer: Layer) -> Sequence[Message]:
    """Its ``include`` and ``exclude`` messages."""
    return [*layer.message.messages("include"), *layer.message.messages("exclude")]


def read_net(message: Message) -> Net:
    """The net that a prototxt describes; a value of a wrong type counts as absent."""
    new = [read_layer(layer, old=False) for layer in message.messages("layer")]
    old = [read_layer(layer, old=True) for layer in message.messages("layers")]
    ancient = any("layer" in layer.message for layer in old)
    layers, ignored = (old, new) if old else (new, [])
    entrance = read_inputs(message)
    if entrance is not None:
        layers = [entrance, *layers]
    rules = [rule for layer in layers for rule in rules_of(layer)]
    stages = [name for rule in rules for name in (*rule.strings("stage"), *rule.strings("not_stage"))]
    levels = any("min_level" in rule or "max_level" in rule for rule in rules)
    conditional = levels or bool(stages)
    return Net(message, tuple(layers), tuple(ignored), ancient, tuple(dict.fromkeys(stages)), conditional)


def read_layer(message: Message, old: bool) -> Layer:
    """One layer of either style."""
    kind = new_type(message.enum("type", _old_types(), "NONE")) if old else message.string("type")
    return Layer(
        message.string("name"), kind, message, tuple(message.strings("bottom")), tuple(message.strings("top")), old
    )


def _old_types() -> list[str]:
    """Old layer types by number."""
    numbers = enum_numbers("LayerType")
    words = [""] * (max(numbers.values()) + 1)
    for word, number in numbers.items():
        words[number] = word
    return words


def read_inputs(message: Message) -> Layer | None:
    """The layer that Caffe makes of ``input`` with ``input_shape`` or ``input_dim``; ``None`` where there is none."""
    names = message.strings("input")
    if not names or not ("input_shape" in message or "input_dim" in message):
        return None
    entry = message.first("input")
    assert entry is not None
    return Layer("input", "Input", Message(entry.line, entry.column), (), tuple(names))


def input_shapes(net: Net, layer: Layer) -> list[tuple[int, ...]]:
    """The shapes that an ``Input`` layer, or the fields in its place, gives its tops; those given, in order."""
    if "type" in layer.message:
        return [dims_of(shape) for shape in layer.param("input_param").messages("shape")]
    shapes = net.message.messages("input_shape")
    if shapes:
        return [dims_of(shape) for shape in shapes]
    dims = wholes(net.message, "input_dim")
    return [tuple(dims[start : start + 4]) for start in range(0, len(dims), 4)]


def dims_of(shape: Message) -> tuple[int, ...]:
    """The dimensions of a ``BlobShape``."""
    return tuple(wholes(shape, "dim"))
