"""The one place that imports h5py, so that no filter plugin is ever looked for in a folder.

HDF5 loads shared objects from its plugin path when a file names a filter that it does not know. Its search is
switched off by an environment variable that it reads once, when it is initialised; where h5py was imported
before us, the search path is emptied instead. Filters that ``hdf5plugin`` registers work all the same.
"""

from __future__ import annotations

import os
import sys

_imported_before = "h5py" in sys.modules
os.environ["HDF5_PLUGIN_PRELOAD"] = "::"

import h5py  # noqa: E402  # the variable must be set first

if _imported_before:
    while h5py.h5pl.size():
        h5py.h5pl.remove(0)

__all__ = ["LIBRARY_ERRORS", "built_in_filters", "filter_advice", "h5py", "one_line", "plugin_filters"]

LIBRARY_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError)
"""What h5py raises on damaged files: HDF5's error classes are mapped to these and to nothing narrower."""

_FILTER_NAMES = {
    307: "bzip2",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32018: "fcidecomp",
    32024: "sz3",
    32026: "blosc2",
    32028: "sperr",
}
"""Numbers from The HDF Group's register of filters."""


def built_in_filters() -> frozenset[int]:
    """Numbers of the filters that this build of HDF5 and h5py brings along: deflate, shuffle, lzf and so on."""
    return frozenset(number for number in (1, 2, 3, 4, 5, 6, 32000) if h5py.h5z.filter_avail(number))


def plugin_filters() -> frozenset[int]:
    """Numbers of the filters that ``hdf5plugin`` has registered; none where it is not installed."""
    try:
        import hdf5plugin
    except ImportError:
        return frozenset()
    registered = hdf5plugin.get_config().registered_filters
    return frozenset(int(number) for name, number in hdf5plugin.FILTERS.items() if name in registered)


def filter_advice(number: int, stored_name: str) -> str:
    """Which filter is missing and how to get it."""
    name = _FILTER_NAMES.get(number) or stored_name
    called = f"filter {number} ({name})" if name else f"filter {number}"
    if number in _FILTER_NAMES:
        return f'needs {called}, which is not there: pip install "datascan[hdf5plugin]"'
    return f"needs {called}, which datascan does not have"


def one_line(error: BaseException) -> str:
    """An error of the library as one line of text."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__
