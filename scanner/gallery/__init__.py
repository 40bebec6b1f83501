"""What the records of findings look like: read again after the scan, in a worker, a bounded number of them."""

from __future__ import annotations

from .gather import with_exhibits

__all__ = ["with_exhibits"]
