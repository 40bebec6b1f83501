"""Values each once, as numpy has them."""

from __future__ import annotations

import numpy as np
import pytest

from datascan.backends.distinct import distinct


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32])
@pytest.mark.parametrize("values", [[], [5], [3, 1, 3, 2, 1], [7, 7, 7], list(range(100)) * 2], ids=str)
def test_values_come_once_and_in_order(values: list[int], dtype: type[np.int64]) -> None:
    given = np.array(values, dtype)
    found = distinct(given)
    assert found.dtype == given.dtype
    assert found.tolist() == sorted(set(values))
    assert given.tolist() == values
