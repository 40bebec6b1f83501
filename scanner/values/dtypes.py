"""NumPy data types from the codes that files spell them with; none of the names that NumPy also knows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

CODE = re.compile(
    r"[<>|=]?(b1|\?|[iu][1248]|f[248]|f16|c8|c16|c32|O[48]?|[SUV][0-9]{1,9}|[mM]8(\[[0-9a-zA-Z]{1,12}\])?)"
)
"""``<f4``, ``|u1``, ``S10``: a kind and a size."""


def dtype_of(code: object) -> np.dtype[Any] | None:
    """The data type of a code, ``None`` if it is none."""
    if not isinstance(code, str) or CODE.fullmatch(code) is None:
        return None
    try:
        return np.dtype(code)
    except (TypeError, ValueError):
        return None
