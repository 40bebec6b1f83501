"""Looking at one encoded image: which format it is, and what its own inspector finds."""

from __future__ import annotations

from collections.abc import Callable

from ..options import Options
from ..sample import ImageFacts, Seen
from .jpeg import inspect_jpeg
from .plain import inspect_bmp, inspect_gif, inspect_tiff
from .png import inspect_png
from .remarks import image_fault
from .sniff import describe_stranger, sniff_format
from .webp import inspect_webp

INSPECTORS: dict[str, Callable[[memoryview, Options], ImageFacts]] = {
    "PNG": inspect_png,
    "WEBP": inspect_webp,
    "GIF": inspect_gif,
    "BMP": inspect_bmp,
    "TIFF": inspect_tiff,
}


def inspect_image(data: memoryview, options: Options, seen: Seen | None = None) -> ImageFacts:
    """Look at one encoded image to its last row. Total: any bytes give facts.

    The size that the header declares is checked before anything of that size is allocated. Damage has one fault,
    its root cause: a truncated image isn't reported as corrupt, too. ``seen`` goes from image to image of an array.
    """
    name = sniff_format(data)
    if name is None:
        message = f"not an image of a known format: {describe_stranger(data)}"
        return ImageFacts(None, faults=(image_fault("image-undecodable", message),))
    try:
        if name == "JPEG":
            return inspect_jpeg(data, options, seen or Seen())
        return INSPECTORS[name](data, options)
    except MemoryError:
        message = "decoding it takes more memory than is allowed"
        return ImageFacts(name, faults=(image_fault("image-too-large", message),))
