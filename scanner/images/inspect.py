"""Looking at one encoded image: which format it is, and what its own inspector finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...backends.lazy import Places
from ..options import Options
from ..sample import ImageFacts, Seen
from .remarks import image_fault
from .sniff import describe_stranger, sniff_format

INSPECTORS: Mapping[str, Callable[..., ImageFacts]] = Places(
    __name__.rpartition(".")[0],
    {
        "JPEG": ("jpeg", "inspect_jpeg"),
        "PNG": ("png", "inspect_png"),
        "WEBP": ("webp", "inspect_webp"),
        "GIF": ("plain", "inspect_gif"),
        "BMP": ("plain", "inspect_bmp"),
        "TIFF": ("plain", "inspect_tiff"),
    },
)
"""What looks at an image of a format, and loads its decoder with it: most sets have one format, or no images."""


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
        more = (seen or Seen(),) if name == "JPEG" else ()
        return INSPECTORS[name](data, options, *more)
    except MemoryError:
        message = "decoding it takes more memory than is allowed"
        return ImageFacts(name, faults=(image_fault("image-too-large", message),))
