"""Kernels, strides and pads as pooling and convolution layers give them, and what Caffe refuses in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .net_geometry import Window, convolved, deconvolved
from .net_refusal import bad_parameter
from .net_spec import Layer, whole, wholes
from .prototxt import Message

PoolMethod = Literal["MAX", "AVE", "STOCHASTIC"]
METHODS: tuple[PoolMethod, ...] = ("MAX", "AVE", "STOCHASTIC")


@dataclass(frozen=True, slots=True)
class Pooling:
    """A pooling layer's windows along height and width; ``windows`` is ``None`` where it pools everything."""

    method: PoolMethod
    windows: tuple[Window, Window] | None
    message: Message

    @property
    def stride_line(self) -> int:
        """The line of the stride, where there is one."""
        return next((self.message.line_of(name) for name in ("stride", "stride_h") if name in self.message), 0) or (
            self.message.line
        )


def read_pooling(layer: Layer) -> Pooling:
    """The windows of a pooling layer.

    Raises
    ------
    Refusal
        Caffe's own checks of these parameters fail.
    """
    param = layer.param("pooling_param")
    method = METHODS[METHODS.index(param.enum("pool", METHODS, "MAX"))]
    given = {name for name in ("kernel_size", "kernel_h", "kernel_w") if name in param}
    if param.boolean("global_pooling"):
        check_global(layer, param, given)
        return Pooling(method, None, param)
    if given != {"kernel_size"} and given != {"kernel_h", "kernel_w"}:
        found_words = " and ".join(sorted(given)) or "none"
        raise bad_parameter(
            layer,
            f"a pooling window needs kernel_size, or kernel_h and kernel_w; found {found_words}",
            param.line_of(sorted(given)[0]) if given else param.line,
            "kernel_size: 2",
        )
    for word in ("pad", "stride"):
        found = {name for name in (word, f"{word}_h", f"{word}_w") if name in param}
        if found and found not in ({word}, {f"{word}_h", f"{word}_w"}):
            raise bad_parameter(
                layer,
                f"{word} goes with {word}_h and {word}_w neither together nor with one alone",
                param.line_of(sorted(found)[0]),
                f"{word}: 1",
            )
    kernels = pair_of(param, "kernel", "kernel_size", 0)
    strides, pads = pair_of(param, "stride", "stride", 1), pair_of(param, "pad", "pad", 0)
    check_kernels(layer, param, kernels)
    if 0 in strides:
        raise bad_parameter(layer, "a stride of 0", line_among(param, "stride", "stride_h"), f"stride: {kernels[0]}")
    if any(pads):
        check_pads(layer, param, method, kernels, pads)
    floor = param.enum("round_mode", ("CEIL", "FLOOR"), "CEIL") == "FLOOR"
    height, width = (
        Window(kernel, stride, pad, any(pads), floor)
        for kernel, stride, pad in zip(kernels, strides, pads, strict=True)
    )
    return Pooling(method, (height, width), param)


def check_global(layer: Layer, param: Message, given: set[str]) -> None:
    """A layer that pools its whole input takes no kernel, pad or stride."""
    if given:
        name = sorted(given)[0]
        raise bad_parameter(layer, f"global_pooling with {name}", param.line_of(name), f"take {name} out")
    for word, harmless in (("pad", 0), ("stride", 1)):
        for name in (word, f"{word}_h", f"{word}_w"):
            if whole(param, name, harmless) != harmless:
                raise bad_parameter(
                    layer, f"global_pooling with {name} {whole(param, name)}", param.line_of(name), f"take {name} out"
                )


def pair_of(param: Message, word: str, both: str, default: int) -> tuple[int, int]:
    """A number for height and one for width."""
    if f"{word}_h" in param or f"{word}_w" in param:
        return whole(param, f"{word}_h", default), whole(param, f"{word}_w", default)
    number = whole(param, both, default)
    return number, number


def line_among(param: Message, *names: str) -> int:
    """The line of the first of these fields that is there."""
    return next((param.line_of(name) for name in names if name in param), param.line)


def check_kernels(layer: Layer, param: Message, kernels: tuple[int, int]) -> None:
    """Kernels must not be 0."""
    if min(kernels) < 1:
        line = line_among(param, "kernel_size", "kernel_h")
        raise bad_parameter(layer, "a kernel of 0", line, "kernel_size: 2")


def check_pads(
    layer: Layer, param: Message, method: PoolMethod, kernels: tuple[int, int], pads: tuple[int, int]
) -> None:
    """Pads must be smaller than the kernels, and there are none for stochastic pooling."""
    line = line_among(param, "pad", "pad_h")
    if method == "STOCHASTIC":
        raise bad_parameter(layer, "padding with STOCHASTIC pooling", line, "pad: 0")
    for kernel, pad in zip(kernels, pads, strict=True):
        if pad >= kernel:
            raise bad_parameter(layer, f"pad {pad} is not below kernel {kernel}", line, f"pad: {kernel // 2}")


@dataclass(frozen=True, slots=True)
class Convolving:
    """A convolution's parameters; the tuples have one number for each spatial axis."""

    outputs: int
    group: int
    axis: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool

    def sizes(self, spatial: tuple[int | None, ...]) -> Iterator[int | None]:
        """Sizes of the output along the spatial axes."""
        compute = deconvolved if self.transposed else convolved
        for place, size in enumerate(spatial):
            yield (
                None
                if size is None
                else compute(size, self.kernel[place], self.stride[place], self.pad[place], self.dilation[place])
            )


def read_convolution(layer: Layer, axes: int | None) -> Convolving:
    """A convolution's parameters for an input of so many axes; 4 where their number is not known.

    Raises
    ------
    Refusal
        Caffe's own checks of these parameters fail.
    """
    param = layer.param("convolution_param")
    outputs = whole(param, "num_output")
    if outputs < 1:
        raise bad_parameter(layer, "num_output is 0 or absent", param.line_of("num_output"), "num_output: 32")
    group = whole(param, "group", 1)
    if group < 1 or outputs % group:
        raise bad_parameter(
            layer,
            f"group {group} does not divide num_output {outputs}",
            line_among(param, "group", "num_output"),
            "group: 1",
        )
    axis = whole(param, "axis", 1)
    known = 4 if axes is None else axes
    spatial = known - (axis % known if known and -known <= axis < known else 1) - 1
    kernel = sizes_of(layer, param, "kernel", "kernel_size", None, spatial)
    stride = sizes_of(layer, param, "stride", "stride", 1, spatial)
    if kernel and min(kernel) < 1:
        raise bad_parameter(layer, "a kernel of 0", line_among(param, "kernel_size", "kernel_h"), "kernel_size: 3")
    if stride and min(stride) < 1:
        raise bad_parameter(layer, "a stride of 0", line_among(param, "stride", "stride_h"), "stride: 1")
    pad = sizes_of(layer, param, "pad", "pad", 0, spatial)
    dilation = tuple(repeated(layer, param, "dilation", wholes(param, "dilation"), 1, spatial))
    return Convolving(outputs, group, axis, kernel, stride, pad, dilation, layer.type == "Deconvolution")


def sizes_of(layer: Layer, param: Message, word: str, both: str, default: int | None, spatial: int) -> tuple[int, ...]:
    """One number for each spatial axis, from ``kernel_size`` or ``kernel_h`` and ``kernel_w`` and their like."""
    high, wide = f"{word}_h", f"{word}_w"
    if high in param or wide in param:
        line = line_among(param, high, wide)
        if spatial != 2:
            raise bad_parameter(layer, f"{high} and {wide} with {spatial} spatial axes", line, f"{both}: 3")
        if both in param:
            raise bad_parameter(layer, f"{both} together with {high} or {wide}", line, f"take {both} out")
        return whole(param, high), whole(param, wide)
    return tuple(repeated(layer, param, both, wholes(param, both), default, spatial))


def repeated(layer: Layer, param: Message, name: str, given: list[int], default: int | None, spatial: int) -> list[int]:
    """A field that stands once, once for each spatial axis, or (where it has a default) not at all."""
    if not given and default is not None:
        return [default] * spatial
    if len(given) == 1:
        return given * spatial
    if len(given) == spatial:
        return given
    raise bad_parameter(
        layer,
        f"{name} stands {len(given)} times, but must once or {spatial} times" if given else f"{name} is absent",
        param.line_of(name),
        f"{name}: {given[0] if given else 3}",
    )
