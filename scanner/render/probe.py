"""The network of a probe and what it gave, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..printable import pad, printable, width
from .numbers import counted, real
from .style import Style

LOSSES = {"softmax": "softmax cross-entropy", "sigmoid": "sigmoid cross-entropy", "squared": "squared error"}
CURVE_SHOWN = 6


def network_lines(probe: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Each layer with its output shape and parameters: ``probe`` is the report's ``statistics.probe``."""
    layers = [layer for layer in probe.get("layers") or () if isinstance(layer, Mapping)]
    name = printable(str(probe.get("network") or next(iter(probe.get("networks") or {}), "")))
    loss = LOSSES.get(str(probe.get("loss_function")), "")
    described = ", ".join(part for part in (name, loss, str(probe.get("dtype", ""))) if part)
    yield f"{style.paint('network', 'name')}  {described}"
    rows = [
        (
            printable(str(layer.get("name"))),
            printable(str(layer.get("kind"))),
            "x".join(map(str, layer.get("shape", ()))),
            counted(int(layer.get("parameters", 0)), "parameter") if layer.get("parameters") else "",
        )
        for layer in layers
    ]
    widths = [max((width(row[column]) for row in rows), default=0) for column in range(4)]
    for row in rows:
        columns = [
            pad(text, columns_, number == 3) for number, (text, columns_) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("  " + "  ".join(columns)).rstrip()
    total = sum(int(layer.get("parameters", 0)) for layer in layers)
    batches = f"batches of {probe.get('batch_size')}"
    if probe.get("iter_size", 1) != 1:
        batches += f", {probe['iter_size']} to an iteration"
    yield from style.note(f"{counted(total, 'parameter')}; {batches}" if layers else batches)
    for note in probe.get("notes") or ():
        yield from style.note(printable(str(note)))
    masks = probe.get("masks") or ()
    if masks:
        hidden = " or ".join(map(str, masks))
        yield from style.note(
            f"its loss stays finite although one input is {hidden}: inputs and layers are tested, too"
        )


def probe_lines(value: object, style: Style) -> Iterator[str]:
    """What the network gave: losses, and the curve of training."""
    if not isinstance(value, Mapping):
        return
    yield from network_lines(value, style)
    loss, samples, finite = value.get("loss"), value.get("samples", 0), value.get("finite_losses", 0)
    if not samples:
        yield "  no sample was run"
    elif isinstance(loss, Mapping):
        figures = ", ".join(f"{name} {real(float(loss[name]))}" for name in ("mean", "min", "max") if name in loss)
        yield f"  loss finite for {finite:,} of {counted(int(samples), 'sample')}: {figures}"
    else:
        yield f"  loss finite for {finite:,} of {counted(int(samples), 'sample')}"
    yield from _curve(value.get("training"), style)


def _curve(training: object, style: Style) -> Iterator[str]:
    if not isinstance(training, Mapping):
        return
    losses = training.get("losses")
    if training.get("reason"):
        yield from style.note(f"training: {printable(str(training['reason']))}")
    if not isinstance(losses, Sequence) or not losses:
        return
    places = sorted({round(number * (len(losses) - 1) / (CURVE_SHOWN - 1)) for number in range(CURVE_SHOWN)})
    shown = ", ".join(f"{_loss(losses[place])} at {place}" for place in places)
    yield f"  trained {counted(len(losses), 'step')} at a rate of {real(float(training.get('rate', 0)))}: loss {shown}"


def _loss(loss: object) -> str:
    return real(float(loss)) if isinstance(loss, int | float) else printable(str(loss))
