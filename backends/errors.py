"""The error tree: what keeps datascan from looking.

::

    DatascanError
    ├── UsageError                an option that makes no sense, alone or with another
    └── StoreError                could not look; says nothing about the contents
        ├── StoreNotFound         no such path, or no permission to read it
        ├── UnknownFormat         neither LMDB, LevelDB nor HDF5
        └── MissingDependency     the library for this store is not installed

Damage in a store is a value (`Damage`) and never raised.
"""

from __future__ import annotations


class DatascanError(Exception):
    """Base of all errors that datascan raises on purpose; the message says what, where and what to do."""


class UsageError(DatascanError):
    """An option or argument that makes no sense; nothing was read."""


class StoreError(DatascanError):
    """The store could not be looked at; this says nothing about its contents."""


class StoreNotFound(StoreError):
    """The path does not exist, is empty where it must not be, or may not be read."""


class UnknownFormat(StoreError):
    """The path is none of the formats that datascan reads."""


class MissingDependency(StoreError):
    """A library that this store needs is not installed."""
