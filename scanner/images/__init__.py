"""Looking at encoded images: decoded to the last row, every warning of the decoder kept."""

from __future__ import annotations

from .inspect import inspect_image
from .sniff import sniff_format

__all__ = ["inspect_image", "sniff_format"]
