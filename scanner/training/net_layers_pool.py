"""Pooling: where the last window begins."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, Severity
from .net_geometry import Window
from .net_graph import Node
from .net_refusal import Refusal
from .net_rules import NetParameter, NetPooling
from .net_scope import Scope
from .net_windows import Pooling, read_pooling

SIDES = ("height", "width")


def check_pooling(node: Node, scope: Scope) -> Iterator[Finding]:
    """Windows that hold no input, and stochastic pooling, which only GPUs have."""
    try:
        spec = read_pooling(node.layer)
    except Refusal:
        return
    if spec.method == "STOCHASTIC":
        yield from check_stochastic(node, scope, spec)
        return
    if spec.windows is None:
        return
    shape = node.shape(0)
    sizes = shape[2:] if shape is not None and len(shape) == 4 else (None, None)
    known = [(window, size) for window, size in zip(spec.windows, sizes, strict=True) if size is not None]
    edges = {window.edge(size) for window, size in known}
    if "edge" in edges or (spec.method == "MAX" and "beyond" in edges):
        yield empty_window(node, spec, sizes)
    elif "beyond" in edges:
        yield dead_cells(node, spec, sizes)
    elif any(size is None and window.may_be_empty for window, size in zip(spec.windows, sizes, strict=True)):
        yield depends(node, spec)


def check_stochastic(node: Node, scope: Scope, spec: Pooling) -> Iterator[Finding]:
    """Stochastic pooling on the CPU."""
    if scope.facts.solver_mode == "GPU":
        return
    yield NetParameter.finding(
        f"layer {node.layer.name}: STOCHASTIC pooling exists on GPUs only: on the CPU Caffe stops with "
        "Not Implemented Yet",
        spec.message.line_of("pool"),
        severity=Severity.ERROR if scope.facts.solver_mode == "CPU" else Severity.WARNING,
        cause="aborted",
        remedy="pool: MAX",
        layer=node.layer.name,
    )


def worst(spec: Pooling, sizes: tuple[int | None, ...]) -> tuple[str, Window, int]:
    """The side whose last window begins furthest out."""
    assert spec.windows is not None
    found = [
        (side, window, size)
        for side, window, size in zip(SIDES, spec.windows, sizes, strict=True)
        if size is not None and window.edge(size) != "inside"
    ]
    return max(found, key=lambda one: one[1].edge(one[2]) == "edge")


def remedy_of(window: Window) -> str:
    """The line to change."""
    return f"kernel_size: {window.stride}, or stride: {window.kernel}, or round_mode: FLOOR"


def geometry(side: str, window: Window, size: int) -> str:
    """What was computed, in words."""
    count, start = window.outputs(size), window.last_start(size)
    place = "right behind" if start == size else f"{start - size} behind"
    return (
        f"kernel {window.kernel} and stride {window.stride} make {count} windows of a {side} of {size}, and the last "
        f"begins at {start}, {place} the input"
    )


def empty_window(node: Node, spec: Pooling, sizes: tuple[int | None, ...]) -> Finding:
    """A window without input whose output spoils the net."""
    side, window, size = worst(spec, sizes)
    if spec.method == "AVE":
        effect = "AVE pooling divides 0 by 0 there: NaN at iteration 0"
    elif any(user.layer.type == "ReLU" for top in node.tops for user in top.consumers):
        effect = "MAX pooling gives -3.4e38 there, which the ReLU behind it hides as 0"
    else:
        effect = "MAX pooling gives -3.4e38 there: the loss goes to 61..87, then to NaN"
    return NetPooling.finding(
        f"layer {node.layer.name}: {geometry(side, window, size)}; {effect}",
        spec.stride_line,
        cause="pooling",
        remedy=remedy_of(window),
        layer=node.layer.name,
        size=size,
        window=window.outputs(size) - 1,
        start=window.last_start(size),
    )


def dead_cells(node: Node, spec: Pooling, sizes: tuple[int | None, ...]) -> Finding:
    """AVE windows so far out that they are 0."""
    side, window, size = worst(spec, sizes)
    return NetPooling.finding(
        f"layer {node.layer.name}: {geometry(side, window, size)}; AVE pooling gives 0 there, whatever the input",
        spec.stride_line,
        severity=Severity.WARNING,
        cause="pooling",
        remedy=remedy_of(window),
        layer=node.layer.name,
        size=size,
        window=window.outputs(size) - 1,
        start=window.last_start(size),
    )


def depends(node: Node, spec: Pooling) -> Finding:
    """Windows that are empty for some sizes, where the size is not known."""
    assert spec.windows is not None
    window = next(window for window in spec.windows if window.may_be_empty)
    kernel, stride = window.kernel, window.stride
    multiple = f"a multiple of {stride}"
    rest = f"{kernel + 1}" if kernel + 1 == stride - 1 else f"{kernel + 1} to {stride - 1}"
    beyond = f" or {rest} above one" if kernel + 1 < stride else ""
    effect = f"NaN at iteration 0 if its input's side is {multiple}"
    if spec.method == "MAX":
        effect = f"-3.4e38 in the last window if its input's side is {multiple}{beyond}"
    return NetPooling.finding(
        f"layer {node.layer.name}: stride {stride} above kernel {kernel} without padding: {effect}; the size of its "
        "input is not known",
        spec.stride_line,
        severity=Severity.WARNING,
        cause="pooling",
        remedy=remedy_of(window),
        layer=node.layer.name,
        conditional=True,
    )
