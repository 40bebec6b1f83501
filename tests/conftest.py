"""Shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datascan.scanner.crew import Crew


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """Two workers for the many small scans of the tests, which would otherwise start their own each time."""
    with Crew(2) as shared:
        yield shared
