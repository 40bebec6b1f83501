"""Addresses of data sets on a server, told from paths without loading anything."""

from __future__ import annotations

from pathlib import Path


def is_remote(path: object) -> bool:
    """Whether a path is an address with a scheme."""
    scheme, separator, _ = str(path).partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum() and not isinstance(path, Path)
