"""Serialised values (pickle, msgpack, npy, npz, compressed ones), read as plain data: nothing is imported or called."""

from __future__ import annotations

from .inert import Unreadable

__all__ = ["Unreadable"]
