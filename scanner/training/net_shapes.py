"""The shape of every blob, computed as Caffe's layers do when they are set up.

Source: ``LayerSetUp`` and ``Reshape`` of each layer in Caffe's ``src/caffe/layers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .net_facts import Dim, Shape
from .net_refusal import alike, axis_of, bad_parameter, bad_shape, count, same, spoken
from .net_shapes_loss import LOSS_SHAPES
from .net_spec import Layer, dims_of, whole, wholes
from .net_tables import NEURONS
from .net_windows import line_among, read_convolution, read_pooling

Shaper = Callable[[Layer, Sequence[Shape]], Sequence[Shape]]
"""From the shapes of a layer's bottoms to those of its tops; raises `Refusal` where Caffe stops."""

MOST_ELEMENTS = 2**31 - 1
MOST_AXES = 32


def shapes_of(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """The shapes of a layer's tops; unknown for a layer that is not known.

    Raises
    ------
    Refusal
        Caffe stops while it sets the layer up.
    """
    shaper = SHAPERS.get(layer.type)
    found = list(shaper(layer, bottoms)) if shaper else []
    found += [None] * (len(layer.tops) - len(found))
    for shape in found:
        check_size(layer, shape)
    return found


def check_size(layer: Layer, shape: Shape) -> None:
    """No size is negative, and a blob has less than 2^31 elements."""
    if shape is None:
        return
    if len(shape) > MOST_AXES:
        raise bad_shape(layer, f"its output has {len(shape)} axes, of {MOST_AXES} at most", layer.line, "fewer axes")
    if any(dim is not None and dim < 0 for dim in shape):
        raise bad_shape(layer, f"its output would be {spoken(shape)}", layer.line, "a smaller kernel, or more padding")
    total = count(shape)
    if total is not None and total > MOST_ELEMENTS:
        raise bad_shape(
            layer, f"its output of {spoken(shape)} has more than 2^31 elements", layer.line, "a smaller batch"
        )


def unchanged(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Every top like the first bottom."""
    return [bottoms[0]] * len(layer.tops)


def pooling(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Pooling; an output of no elements is Caffe's stop at the next layer, and is refused here, where the cause is."""
    spec = read_pooling(layer)
    shape = four_axes(layer, bottoms[0])
    sizes: tuple[Dim, Dim] = (1, 1)
    if spec.windows is not None:
        rows, columns = (
            None if size is None else window.outputs(size) for window, size in zip(spec.windows, shape[2:], strict=True)
        )
        sizes = rows, columns
        for size, made, window in zip(shape[2:], sizes, spec.windows, strict=True):
            if size is not None and made is not None and made < 1:
                raise bad_shape(
                    layer,
                    f"a pooling kernel of {window.kernel} on an input of {size} gives {made} outputs",
                    line_among(spec.message, "kernel_size", "kernel_h"),
                    f"kernel_size: {max(size, 1)}",
                )
    return [(shape[0], shape[1], *sizes)] * len(layer.tops)


def four_axes(layer: Layer, shape: Shape) -> tuple[Dim, Dim, Dim, Dim]:
    """An input that must have four axes."""
    if shape is None:
        return None, None, None, None
    if len(shape) != 4:
        raise bad_shape(
            layer,
            f"{layer.type} wants 4 axes (batch, channels, height, width), its input is {spoken(shape)}",
            layer.line,
            "reshape_param { shape { dim: 0 dim: 1 dim: 1 dim: -1 } } in a Reshape layer before it",
        )
    return shape[0], shape[1], shape[2], shape[3]


def convolution(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Convolution and deconvolution, any number of spatial axes."""
    first = bottoms[0] if bottoms else None
    spec = read_convolution(layer, None if first is None else len(first))
    param = layer.param("convolution_param")
    if first is None:
        return [(None, spec.outputs, None, None)] * len(layer.tops) if spec.axis == 1 else []
    axis = axis_of(layer, first, spec.axis, param.line_of("axis"))
    channels = first[axis]
    if channels is not None and channels % spec.group:
        raise bad_parameter(
            layer,
            f"group {spec.group} does not divide the {channels} channels of its input",
            line_among(param, "group"),
            "group: 1",
        )
    found: list[Shape] = []
    for shape in bottoms[: len(layer.tops)]:
        if shape is not None and not alike(shape, first):
            raise bad_shape(layer, f"inputs of {spoken(first)} and {spoken(shape)}", layer.line, "inputs of one shape")
        sizes = list(spec.sizes(first[axis + 1 :]))
        for size, made, kernel in zip(first[axis + 1 :], sizes, spec.kernel, strict=True):
            if made is not None and made < 1:
                raise bad_shape(
                    layer,
                    f"a kernel of {kernel} on an input of {size} gives {made} outputs",
                    line_among(param, "kernel_size", "kernel_h"),
                    f"kernel_size: {max(size or 1, 1)}",
                )
        found.append((*first[:axis], spec.outputs, *sizes))
    if channels == 0:
        raise bad_shape(layer, "its input has no channels", layer.line, "an input with channels")
    return found


def inner_product(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """All axes from ``axis`` on become one of ``num_output``."""
    param = layer.param("inner_product_param")
    outputs = whole(param, "num_output")
    if outputs < 1:
        raise bad_parameter(layer, "num_output is 0 or absent", param.line_of("num_output"), "num_output: 10")
    shape = bottoms[0]
    if shape is None:
        return [(None, outputs)] if whole(param, "axis", 1) == 1 else []
    axis = axis_of(layer, shape, whole(param, "axis", 1), param.line_of("axis"))
    if count(shape[axis:]) == 0:
        raise bad_shape(layer, f"its input of {spoken(shape)} is empty", layer.line, "an input with elements")
    return [(*shape[:axis], outputs)]


def concat(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Bottoms one behind the other along an axis."""
    param = layer.param("concat_param")
    if "axis" in param and "concat_dim" in param:
        raise bad_parameter(layer, "axis and concat_dim together", param.line_of("concat_dim"), "take concat_dim out")
    line = line_among(param, "axis", "concat_dim")
    first = next((shape for shape in bottoms if shape is not None), None)
    if first is None:
        return []
    axis = axis_of(layer, first, whole(param, "axis", whole(param, "concat_dim", 1)), line)
    merged = list(first)
    total: Dim = 0
    for shape in bottoms:
        if shape is None:
            total = None
            continue
        if len(shape) != len(first) or not all(
            same(shape[place], first[place]) for place in range(len(first)) if place != axis
        ):
            raise bad_shape(
                layer,
                f"{spoken(first)} and {spoken(shape)} differ not only along axis {axis}",
                layer.line,
                "make the branches end in one height and width",
            )
        merged = [known if known is not None else other for known, other in zip(merged, shape, strict=True)]
        size = shape[axis]
        total = None if total is None or size is None else total + size
    merged[axis] = total
    return [tuple(merged)]


def slice_(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """One bottom cut along an axis."""
    param = layer.param("slice_param")
    if "axis" in param and "slice_dim" in param:
        raise bad_parameter(layer, "axis and slice_dim together", param.line_of("slice_dim"), "take slice_dim out")
    points, tops = wholes(param, "slice_point"), len(layer.tops)
    if points and len(points) != tops - 1:
        raise bad_parameter(
            layer,
            f"{len(points)} slice points make {len(points) + 1} parts, but there are {tops} tops",
            param.line_of("slice_point"),
            "one slice_point less than tops",
        )
    if sorted(set(points)) != points or (points and points[0] < 1):
        raise bad_parameter(layer, "slice points that do not rise", param.line_of("slice_point"), "rising slice points")
    shape = bottoms[0]
    if shape is None:
        return []
    axis = axis_of(
        layer, shape, whole(param, "axis", whole(param, "slice_dim", 1)), line_among(param, "axis", "slice_dim")
    )
    size = shape[axis]
    if points:
        ends = [*points, size]
        if size is not None and points[-1] >= size:
            raise bad_shape(
                layer, f"slice point {points[-1]} of an axis of {size}", param.line_of("slice_point"), "a smaller one"
            )
        starts = [0, *points]
        parts = [None if end is None else end - start for start, end in zip(starts, ends, strict=True)]
    else:
        if size is not None and size % tops:
            raise bad_shape(layer, f"an axis of {size} can't be cut into {tops} equal parts", layer.line, "slice_point")
        parts = [None if size is None else size // tops] * tops
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts]


def eltwise(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Bottoms of one shape."""
    param = layer.param("eltwise_param")
    coefficients = param.all("coeff")
    if coefficients and len(coefficients) != len(bottoms):
        raise bad_parameter(
            layer,
            f"{len(coefficients)} coefficients for {len(bottoms)} bottoms",
            coefficients[0].line,
            "one coeff for each bottom",
        )
    if coefficients and param.enum("operation", ("PROD", "SUM", "MAX"), "SUM") == "PROD":
        raise bad_parameter(layer, "coefficients for a product", coefficients[0].line, "operation: SUM")
    first = next((shape for shape in bottoms if shape is not None), None)
    for shape in bottoms:
        if not alike(first, shape):
            raise bad_shape(
                layer,
                f"its inputs are {spoken(first)} and {spoken(shape)}, but must be alike",
                layer.line,
                "make the branches end in one shape",
            )
    return [first]


def reshape(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """A new shape for the same elements; 0 copies a size, -1 takes what is left."""
    param = layer.param("reshape_param")
    wanted = param.message("shape")
    dims = dims_of(wanted) if wanted is not None else ()
    line = param.line if wanted is None else wanted.line
    if layer.tops and layer.bottoms and layer.tops[0] == layer.bottoms[0]:
        raise bad_parameter(layer, "Reshape can't work in place", layer.top_line(0), f'top: "{layer.name}"')
    if len(dims) > MOST_AXES:
        raise bad_shape(layer, f"a shape of {len(dims)} axes, of {MOST_AXES} at most", line, "fewer dims")
    if dims.count(-1) > 1:
        raise bad_parameter(layer, "more than one -1", line, "one dim of -1")
    shape = bottoms[0]
    if shape is None:
        return []
    start = whole(param, "axis")
    start = start if start >= 0 else len(shape) + start + 1
    replaced = whole(param, "num_axes", -1)
    end = len(shape) if replaced == -1 else start + replaced
    if not 0 <= start <= end <= len(shape):
        raise bad_shape(layer, f"axes {start} to {end} of {spoken(shape)}", param.line_of("axis"), "axis: 0")
    made: list[Dim] = list(dims)
    for place, dim in enumerate(dims):
        if dim == 0:
            if start + place >= len(shape):
                raise bad_shape(layer, f"a 0 where {spoken(shape)} has no axis to copy", line, "as many 0 as axes")
            made[place] = shape[start + place]
    before, after = shape[:start], shape[end:]
    total = count(shape)
    if -1 in dims:
        place = dims.index(-1)
        rest = count([*before, *made[:place], *made[place + 1 :], *after])
        made[place] = None
        if total is not None and rest is not None:
            if rest == 0 or total % rest:
                raise bad_shape(
                    layer, f"{spoken(shape)} has {total} elements, which {rest} does not divide", line, "other dims"
                )
            made[place] = total // rest
    found = (*before, *made, *after)
    if not same(count(found), total):
        raise bad_shape(layer, f"{spoken(shape)} can't become {spoken(found)}: the counts differ", line, "dim: -1")
    return [found]


def flatten(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Several axes become one."""
    param = layer.param("flatten_param")
    if layer.tops and layer.bottoms and layer.tops[0] == layer.bottoms[0]:
        raise bad_parameter(layer, "Flatten can't work in place", layer.top_line(0), f'top: "{layer.name}"')
    shape = bottoms[0]
    if shape is None:
        return []
    start = axis_of(layer, shape, whole(param, "axis", 1), param.line_of("axis"))
    end = axis_of(layer, shape, whole(param, "end_axis", -1), param.line_of("end_axis"))
    if end < start:
        return []
    return [(*shape[:start], count(shape[start : end + 1]), *shape[end + 1 :])]


def crop(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """The first bottom cut to the size of the second."""
    param = layer.param("crop_param")
    shape, size = bottoms[0], bottoms[1]
    if shape is None or size is None:
        return []
    axis = axis_of(layer, shape, whole(param, "axis", 2), param.line_of("axis"))
    offsets = wholes(param, "offset")
    if len(offsets) > 1 and len(offsets) != len(shape) - axis:
        raise bad_parameter(
            layer, f"{len(offsets)} offsets for {len(shape) - axis} axes", param.line_of("offset"), "offset: 0"
        )
    if len(size) < len(shape):
        return []
    for place in range(axis, len(shape)):
        offset = (offsets[0] if len(offsets) == 1 else offsets[place - axis]) if offsets else 0
        have, want = shape[place], size[place]
        if have is not None and want is not None and have - offset < want:
            raise bad_shape(
                layer,
                f"{want} with offset {offset} does not fit in {have} (axis {place})",
                param.line_of("offset"),
                f"offset: {max(have - want, 0)}" if have >= want else "a larger first bottom",
            )
    return [(*shape[:axis], *size[axis : len(shape)])]


def lrn(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Local response normalisation."""
    param = layer.param("lrn_param")
    size = whole(param, "local_size", 5)
    if size % 2 == 0:
        raise bad_parameter(layer, f"local_size {size} is even", param.line_of("local_size"), f"local_size: {size + 1}")
    four_axes(layer, bottoms[0])
    return [bottoms[0]]


def embed(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """A vector for each index."""
    param = layer.param("embed_param")
    for name in ("num_output", "input_dim"):
        if whole(param, name) < 1:
            raise bad_parameter(layer, f"{name} is 0 or absent", param.line_of(name), f"{name}: 100")
    return [None if bottoms[0] is None else (*bottoms[0], whole(param, "num_output"))]


def reduction(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """All axes from ``axis`` on become one number."""
    param = layer.param("reduction_param")
    shape = bottoms[0]
    if shape is None:
        return []
    axis = whole(param, "axis")
    return [shape[: axis_of(layer, shape, axis, param.line_of("axis"))] if shape or axis else ()]


def tile(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """One axis repeated."""
    param = layer.param("tile_param")
    tiles = whole(param, "tiles")
    if tiles < 1:
        raise bad_parameter(layer, "tiles is 0 or absent", param.line_of("tiles"), "tiles: 1")
    shape = bottoms[0]
    if shape is None:
        return []
    axis = axis_of(layer, shape, whole(param, "axis", 1), param.line_of("axis"))
    size = shape[axis]
    return [(*shape[:axis], None if size is None else size * tiles, *shape[axis + 1 :])]


def argmax(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """The largest score's place."""
    param = layer.param("argmax_param")
    top_k = whole(param, "top_k", 1)
    shape = bottoms[0]
    if top_k < 1:
        raise bad_parameter(layer, "top_k is 0", param.line_of("top_k"), "top_k: 1")
    if shape is None:
        return []
    if "axis" in param:
        axis = axis_of(layer, shape, whole(param, "axis"), param.line_of("axis"))
        have, made = shape[axis], (*shape[:axis], top_k, *shape[axis + 1 :])
    else:
        have = count(shape[1:])
        pair = 2 if param.boolean("out_max_val") else 1
        made = (shape[0] if shape else None, pair, top_k, *([1] * max(len(shape) - 3, 0)))
    if have is not None and top_k > have:
        raise bad_parameter(layer, f"top_k {top_k} of {have} classes", param.line_of("top_k"), f"top_k: {have}")
    return [made]


def batch_reindex(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Rows of the first bottom, as many as the second has."""
    shape, rows = bottoms[0], bottoms[1]
    return [] if shape is None or rows is None or not rows else [(rows[0], *shape[1:])]


def scale(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Scale and Bias: the second bottom must match the first from an axis on."""
    param = layer.param("scale_param" if layer.type == "Scale" else "bias_param")
    shape = bottoms[0]
    if shape is None:
        return [None]
    axis = axis_of(layer, shape, whole(param, "axis", 1), param.line_of("axis"))
    axes = whole(param, "num_axes", 1)
    if len(bottoms) == 1:
        if axes < -1 or axis + axes > len(shape):
            raise bad_shape(
                layer, f"{axes} axes from axis {axis} on of {spoken(shape)}", param.line_of("num_axes"), "num_axes: 1"
            )
    elif bottoms[1]:
        factors = bottoms[1]
        if not alike(factors, shape[axis : axis + len(factors)]):
            raise bad_shape(
                layer,
                f"factors of {spoken(factors)} do not match {spoken(shape)} from axis {axis} on",
                param.line_of("axis"),
                "axis: 0",
            )
    return [shape]


def batch_norm(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """BatchNorm wants a channel axis."""
    shape = bottoms[0]
    if shape is not None and len(shape) < 2:
        raise bad_shape(layer, f"its input is {spoken(shape)}, without channels", layer.line, "an input with channels")
    return [shape]


def mvn(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """MVN gives four axes whatever it is fed."""
    shape = bottoms[0]
    if shape is None:
        return []
    if len(shape) > 4:
        raise bad_shape(layer, f"MVN takes at most 4 axes, its input is {spoken(shape)}", layer.line, "4 axes")
    return [(*shape, *([1] * (4 - len(shape))))]


def softmax(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """Softmax wants its axis."""
    param = layer.param("softmax_param")
    if bottoms[0] is not None:
        axis_of(layer, bottoms[0], whole(param, "axis", 1), param.line_of("axis"))
    return [bottoms[0]]


def prelu(layer: Layer, bottoms: Sequence[Shape]) -> list[Shape]:
    """PReLU wants a channel axis."""
    if bottoms[0] is not None and len(bottoms[0]) < 2:
        raise bad_shape(layer, f"its input is {spoken(bottoms[0])}, without channels", layer.line, "ReLU in its place")
    return [bottoms[0]]


SHAPERS: Mapping[str, Shaper] = {
    **dict.fromkeys(NEURONS, unchanged),
    **LOSS_SHAPES,
    "ArgMax": argmax,
    "BatchNorm": batch_norm,
    "BatchReindex": batch_reindex,
    "Bias": scale,
    "Concat": concat,
    "Convolution": convolution,
    "Crop": crop,
    "Deconvolution": convolution,
    "Eltwise": eltwise,
    "Embed": embed,
    "Flatten": flatten,
    "InnerProduct": inner_product,
    "LRN": lrn,
    "MVN": mvn,
    "Normalize": unchanged,
    "PReLU": prelu,
    "Pooling": pooling,
    "Reduction": reduction,
    "Reshape": reshape,
    "Scale": scale,
    "Slice": slice_,
    "Softmax": softmax,
    "Split": unchanged,
    "Tile": tile,
}
