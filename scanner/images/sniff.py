"""Image formats by their first bytes."""

from __future__ import annotations

DIB_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
"""Sizes of the header that follows a BMP's file header: ``BM`` alone would take any text for an image."""

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

_FIRST_BYTES = frozenset({b"R", b"B", *(magic[:1] for magic, _ in _MAGIC)})
"""What any of the formats begins with: most of what is no image is told from them by it."""

# Formats that turn up in training sets by accident. The offset is that of the magic bytes.
_STRANGERS = (
    (0, b"%!PS", "an EPS or PostScript file"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (0, b"%PDF", "a PDF file"),
    (0, b"version https://git-lfs", "a Git LFS pointer: the image itself was never fetched"),
    (0, b"\x1f\x8b", "gzip data"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 stream"),
    (0, b"\xff\x0a", "a JPEG XL stream"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (0, b"qoif", "a QOI file"),
    (0, b"\x93NUMPY", "a numpy array file"),
    (4, b"ftypavif", "an AVIF file"),
    (4, b"ftypheic", "a HEIC file"),
    (4, b"ftypheix", "a HEIC file"),
    (4, b"ftypmif1", "a HEIF file"),
    (4, b"ftyp", "a video or another ISO media file"),
)


def sniff_format(data: memoryview | bytes) -> str | None:
    """``JPEG``, ``PNG``, ``WEBP``, ``GIF``, ``BMP`` or ``TIFF`` by magic bytes, else ``None``."""
    if bytes(data[:1]) not in _FIRST_BYTES:
        return None
    head = bytes(data[:18])
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head == b"\xff\xd8":  # the start marker and nothing more: a JPEG cut after two bytes
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and len(head) == 18 and int.from_bytes(head[14:18], "little") in DIB_HEADER_SIZES:
        return "BMP"
    return None


def describe_stranger(data: memoryview) -> str:
    """What bytes are that are no image of a known format, as a part of a sentence."""
    if not len(data):
        return "no bytes at all"
    head = bytes(data[:64])
    for offset, magic, name in _STRANGERS:
        if head[offset:].startswith(magic):
            return name
    if not any(head):
        return "zero bytes" if len(data) > 1 else "a zero byte"
    if head.lstrip()[:1] == b"<":
        return "HTML, SVG or XML text"
    return f"unknown data that starts with {head[:8].hex(' ')}"
