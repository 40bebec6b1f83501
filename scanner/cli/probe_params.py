"""The options of a network: of ``datascan probe``, and of ``datascan check --probe``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def numbers(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[float, ...]:
    """Comma lists of numbers of a repeated option in one; ``nan`` is what a broken configuration may hold."""
    found = []
    for part in (part.strip() for value in values for part in value.split(",")):
        try:
            found.append(float(part))
        except ValueError:
            raise click.BadParameter(f"{part!r} is no number (104,117,123)", ctx, param) from None
    return tuple(found)


OUTPUTS = "net_outputs"
"""``outputs`` are the files that reports go to."""

OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--net",),
        {
            "type": click.Choice(["auto", "softmax", "mlp", "conv", "lstm"]),
            "default": "auto",
            "show_default": True,
            "help": "The network: conv for images, lstm for sequences, mlp for vectors; softmax is linear.",
        },
    ),
    (
        ("--loss",),
        {
            "type": click.Choice(["auto", "softmax", "sigmoid", "squared"]),
            "default": "auto",
            "show_default": True,
            "help": "softmax for classes, sigmoid for several labels of 0 and 1, squared for numbers.",
        },
    ),
    (
        ("--num-units",),
        {
            "metavar": "N",
            "type": click.IntRange(1),
            "help": "Hidden units of mlp and lstm: the size of an LSTM's output and state.  [default: 16]",
        },
    ),
    (
        ("--outputs", OUTPUTS),
        {
            "metavar": "N",
            "type": click.IntRange(1),
            "help": "Outputs of the network; labels must be below.  [default: --num-classes, or what labels suggest]",
        },
    ),
    (
        ("--dtype",),
        {
            "type": click.Choice(["float32", "float16"]),
            "default": "float32",
            "show_default": True,
            "help": "float16 shows what overflows in half precision.",
        },
    ),
    (
        ("--scale",),
        {
            "metavar": "X",
            "type": float,
            "default": 1.0,
            "show_default": True,
            "help": "Inputs are (value - mean) * scale / std.",
        },
    ),
    (
        ("--mean-value", "mean_values"),
        {
            "metavar": "X",
            "multiple": True,
            "callback": numbers,
            "help": "Mean to subtract: one number, or one for each channel (104,117,123).",
        },
    ),
    (
        ("--mean-file",),
        {"metavar": "FILE", "help": "Mean to subtract: a .binaryproto or .npy."},
    ),
    (
        ("--std",),
        {
            "metavar": "X",
            "multiple": True,
            "callback": numbers,
            "help": "Deviation to divide by: one number, or one for each channel.",
        },
    ),
    (
        ("--prototxt",),
        {
            "metavar": "FILE",
            "help": "Take preprocessing, crop, batch size and classes from the data layer of this net, where they are "
            "not given.",
        },
    ),
    (
        ("--iter-size",),
        {
            "metavar": "N",
            "type": click.IntRange(1),
            "default": 1,
            "show_default": True,
            "help": "Batches in an iteration of training (Caffe's iter_size).",
        },
    ),
    (
        ("--train-steps",),
        {
            "metavar": "N",
            "type": click.IntRange(0),
            "default": 0,
            "show_default": True,
            "help": "Train on the first N batches: does the loss stay finite?",
        },
    ),
    (
        ("--rate",),
        {
            "metavar": "X",
            "type": float,
            "default": 0.01,
            "show_default": True,
            "help": "Learning rate of --train-steps (plain gradient descent).",
        },
    ),
    (
        ("--onnx",),
        {"metavar": "FILE", "help": "Run this ONNX model instead (needs datascan[onnx])."},
    ),
    (
        ("--torch",),
        {
            "metavar": "FILE",
            "help": "Run this model, saved by torch.export, instead (needs datascan[torch]). Pickles are refused.",
        },
    ),
    (
        ("--caffe",),
        {
            "metavar": "FILE",
            "help": "Run this net (train_val.prototxt) instead, with the preprocessing of its data layer.",
        },
    ),
    (
        ("--weights",),
        {"metavar": "FILE", "help": "The .caffemodel for --caffe.  [default: drawn as the net's fillers say]"},
    ),
    (
        ("--phase",),
        {
            "type": click.Choice(["train", "test"]),
            "default": "train",
            "show_default": True,
            "help": "The phase of the --caffe net.",
        },
    ),
)
"""Names and settings of the options, in the order of the help."""


def probe_options(hidden: bool = False) -> Callable[[F], F]:
    """All options of a network; ``hidden`` ones work and stand in another command's help."""

    def add(command: F) -> F:
        for names, settings in reversed(OPTIONS):
            command = click.option(*names, hidden=hidden, **settings)(command)
        return command

    return add


def probe_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `ProbeOptions` from the command line's words."""
    fields = {field_of(names): given[field_of(names)] for names, _ in OPTIONS}
    fields["outputs"] = fields.pop(OUTPUTS)
    fields["data_root"] = given["data_root"]
    return fields


def given_without_probe(ctx: click.Context) -> str | None:
    """The first option of a network on the command line."""
    for names, _ in OPTIONS:
        source = ctx.get_parameter_source(field_of(names))
        if source is click.core.ParameterSource.COMMANDLINE:
            return names[0]
    return None


def field_of(names: tuple[str, ...]) -> str:
    """The name of an option's parameter."""
    return names[-1].lstrip("-").replace("-", "_")
