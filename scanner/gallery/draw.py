"""Thumbnails and plots: an encoded image as far as it decodes, arrays with their broken values marked."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ..exhibit import Picture, Plot
from ..finding import Finding
from ..images import sniff_format
from ..sample import ArrayBlock, SampleBatch

SIDE = 176
"""Longest side of a thumbnail."""

MOST_PIXELS = 40_000_000
QUALITY = 74
SPOTS = 12
STEPS = 156
"""Steps of a plot."""

Shown = Picture | Plot


def picture_of_encoded(data: bytes, broken_from: float | None) -> Picture | None:
    """A thumbnail of as much of an image as a decoder gives; ``None`` where it gives nothing."""
    image_format = sniff_format(data)
    if image_format is None:
        return None
    try:
        with tolerant(), Image.open(BytesIO(data), formats=[image_format]) as image:
            full = image.size
            if full[0] * full[1] > MOST_PIXELS:
                return None
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            image.load()
            return thumbnail(flat(image), full, broken_from)
    except MemoryError:
        raise
    except Exception:  # whatever a damaged image drives a decoder into
        return None


@contextmanager
def tolerant() -> Iterator[None]:
    """Let Pillow give what there is of a damaged image, for this one time."""
    kept = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = True, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = kept


def flat(image: Image.Image) -> Image.Image:
    """Grey or colour in eight bits."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode in ("I", "F", "I;16", "I;16B", "I;16L", "I;16N"):
        return Image.fromarray(grey(np.asarray(image, np.float64)))
    return image.convert("L" if image.mode in ("1", "LA") else "RGB")


def thumbnail(
    image: Image.Image,
    full: tuple[int, int],
    broken_from: float | None = None,
    spots: tuple[tuple[float, float], ...] = (),
) -> Picture:
    """A small copy: PNG where every pixel may be seen, JPEG where they are many."""
    exact = max(full) <= SIDE // 2
    if not exact:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    stream = BytesIO()
    if exact:
        image.save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "JPEG", quality=QUALITY, optimize=True)
    mime = "image/png" if exact else "image/jpeg"
    return Picture(mime, stream.getvalue(), image.width, image.height, full, broken_from, spots)


# ---- arrays ----


def array_exhibit(samples: SampleBatch, finding: Finding, most: int) -> Iterator[Shown]:
    """Drawings of at most so many arrays of a batch of one: the one that the finding is about, else the first."""
    blocks = [block for block in samples.arrays if len(block.rows) and block.values.dtype.kind in "buif"]
    named = [block for block in blocks if block.name in (finding.location.dataset, finding.data.get("array"))]
    for block in (named or blocks)[: max(most, 0)]:
        values = block.values[0]
        if values.size:
            element = finding.location.element if block in named or len(blocks) == 1 else None
            yield drawn(block, values, element)


def drawn(block: ArrayBlock, values: NDArray[Any], element: tuple[int, ...] | None) -> Shown:
    """A picture where the array has height and width, else a plot."""
    axes = block.axes if "H" in block.axes and len(block.axes) == values.ndim else ""
    if not axes and values.ndim == 2 and min(values.shape) > 1:
        axes = "HW"
    if not axes:
        return plot_of(values.reshape(-1))
    pixels = np.moveaxis(values, [axes.index(axis) for axis in "HW"], (0, 1))
    if pixels.ndim == 3:
        pixels = pixels if pixels.shape[2] == 3 else pixels[:, :, 0]
        pixels = pixels[:, :, ::-1] if pixels.ndim == 3 and block.colour == "BGR" else pixels
    height, width = pixels.shape[:2]
    spots = marked(values, axes, element, (height, width))
    return thumbnail(Image.fromarray(grey(pixels)), (width, height), spots=spots)


def grey(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Eight bits a value: bytes as they are, others from their least to their greatest, strays aside."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * 255
    values = pixels.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    with np.errstate(all="ignore"):
        scaled = (values / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)
    return np.asarray(np.nan_to_num(np.clip(scaled, 0, 1), nan=0.5, posinf=1.0, neginf=0.0) * 255, np.uint8)


def marked(
    values: NDArray[Any], axes: str, element: tuple[int, ...] | None, size: tuple[int, int]
) -> tuple[tuple[float, float], ...]:
    """Where the finding's element and values that are not finite lie, as shares of width and height."""
    found = [] if element is None or len(element) != values.ndim else [element]
    if values.dtype.kind == "f":
        found += [tuple(place) for place in np.argwhere(~np.isfinite(values))[:SPOTS].tolist()]
    across, down = axes.index("W"), axes.index("H")
    places = [((place[across] + 0.5) / size[1], (place[down] + 0.5) / size[0]) for place in found]
    return tuple(dict.fromkeys(places))[:SPOTS]


def plot_of(values: NDArray[Any]) -> Plot:
    """The values as at most `STEPS` pairs of a least and a greatest."""
    wide = values.astype(np.float64)
    finite = np.isfinite(wide)
    places = np.flatnonzero(~finite)[:SPOTS].tolist()
    bad = tuple(((place + 0.5) / len(wide), "NaN" if np.isnan(wide[place]) else "Inf") for place in places)
    edges = np.linspace(0, len(wide), min(len(wide), STEPS) + 1).astype(np.int64)[:-1]
    lows = np.minimum.reduceat(np.where(finite, wide, np.inf), edges)
    highs = np.maximum.reduceat(np.where(finite, wide, -np.inf), edges)
    return Plot(numbers(lows), numbers(highs), len(wide), bad)


def numbers(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    """Five significant digits are more than a drawing shows; ``None`` where there is none."""
    return tuple(float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist())
