"""Conformance suites for backends and layouts of your own: inherit, say how data is made, and let pytest run them.

They need pytest and hypothesis (``pip install 'datascan[testing]'``); datascan itself never imports this package.

>>> from datascan.scanner.testing import LayoutContract
>>> class TestMine(LayoutContract):  # doctest: +SKIP
...     layout = MyLayout
...     def pairs(self):
...         return [(b"%08d" % i, encode(i)) for i in range(20)]
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(f"{__name__}.layout_contract", f"{__name__}.store_contract")

from .layout_contract import LayoutContract, records  # noqa: E402  # after pytest knows where asserts stand
from .store_contract import StoreContract, read_all, read_partition, untouched  # noqa: E402

__all__ = ["LayoutContract", "StoreContract", "read_all", "read_partition", "records", "untouched"]
