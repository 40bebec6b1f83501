"""GIF, BMP and TIFF: Pillow decodes every frame, and the structure tells what Pillow does not mind."""

from __future__ import annotations

from ..options import Options
from ..sample import Fault, ImageFacts
from . import pillow
from .remarks import describe_tail, image_fault, pixel_faults, trailing_data

_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 0x21, 0x2C, 0x3B


def inspect_gif(data: memoryview, options: Options) -> ImageFacts:
    """Look at one GIF (GIF89a specification)."""
    end = _gif_end(data)
    ends = [image_fault("image-truncated", "the GIF ends early: its trailer is missing", len(data))]
    if end is not None:
        ends = [trailing_data("GIF", len(data) - end, end, describe_tail(data[end:]))] if end < len(data) else []
    return _inspect("GIF", data, options, ends)


def inspect_bmp(data: memoryview, options: Options) -> ImageFacts:
    """Look at one BMP (BITMAPFILEHEADER, BITMAPINFOHEADER)."""
    declared = int.from_bytes(data[2:6], "little")
    end = max(declared, _bmp_pixels_end(data))
    ends = []
    if end > len(data):
        if _bmp_pixels_end(data) > len(data):
            ends = [image_fault("image-truncated", f"the BMP takes {end} bytes and has {len(data)}", len(data))]
        else:
            ends = [image_fault("image-oddity", f"the BMP declares {declared} bytes and has {len(data)}")]
    elif declared and end < len(data):
        ends = [trailing_data("BMP", len(data) - end, end, describe_tail(data[end:]))]
    return _inspect("BMP", data, options, ends)


def inspect_tiff(data: memoryview, options: Options) -> ImageFacts:
    """Look at one TIFF; its directories may stand anywhere, so nothing can be said of bytes behind the end."""
    return _inspect("TIFF", data, options, [])


def _inspect(format_name: str, data: memoryview, options: Options, ends: list[Fault]) -> ImageFacts:
    """Decode, and let the gravest reason stand alone: refused, cut short, then whatever the decoder says."""
    picture = pillow.decode(data, format_name, options)
    if picture.strips_end > len(data):
        if picture.error is None:
            ends = [image_fault("image-oddity", "the TIFF's directory points beyond its end", len(data))]
        else:
            ends = [image_fault("image-truncated", "the TIFF's pixels lie beyond its end", len(data))]
    cut = [fault for fault in ends if fault.rule == "image-truncated"]
    sums = picture.sums
    if picture.refused is not None:
        faults = [picture.refused]
    elif picture.mode is None:
        faults = [image_fault("image-undecodable", f"Pillow can't read it: {picture.error}")]
    elif cut:
        faults = cut
    elif picture.error is not None:
        rule = "image-truncated" if "truncated" in picture.error else "image-corrupt"
        faults = [image_fault(rule, f"Pillow stops in frame {picture.frames}: {picture.error}")]
    elif picture.complaints:
        faults = [image_fault("image-corrupt", f"libtiff says: {picture.complaints[0]}")]
    else:
        faults = [*picture.oddities, *ends, *pixel_faults(sums, picture.orientation)]
        return _facts(format_name, picture, faults)
    picture.sums = None
    return _facts(format_name, picture, faults)


def _facts(format_name: str, picture: pillow.Picture, faults: list[Fault]) -> ImageFacts:
    return ImageFacts(
        format_name,
        picture.width,
        picture.height,
        picture.channels,
        picture.mode,
        picture.orientation,
        tuple(faults),
        picture.sums,
        picture.scaled,
        picture.grey,
    )


def _gif_end(data: memoryview) -> int | None:
    """Offset behind the trailer, ``None`` where the blocks run out before it or one of them is unknown."""
    if len(data) < 13:
        return None
    position = 13 + _colour_table(data[10])
    while position < len(data):
        kind = data[position]
        if kind == _GIF_TRAILER:
            return position + 1
        if kind == _GIF_EXTENSION:
            position += 2
        elif kind == _GIF_IMAGE and position + 10 <= len(data):
            position += 11 + _colour_table(data[position + 9])
        else:
            return None
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    return None


def _colour_table(flags: int) -> int:
    """Bytes of the colour table that a flags byte announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _bmp_pixels_end(data: memoryview) -> int:
    """Where uncompressed pixels end; 0 for compressed ones."""
    start, header = int.from_bytes(data[10:14], "little"), int.from_bytes(data[14:18], "little")
    if header == 12:
        width, height = (int.from_bytes(data[at : at + 2], "little") for at in (18, 20))
        bits, compression = int.from_bytes(data[24:26], "little"), 0
    else:
        width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
        bits, compression = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
    if compression not in (0, 3, 6):  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS
        return 0
    return start + (abs(width) * bits + 31) // 32 * 4 * abs(height)
