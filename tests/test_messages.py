"""Messages between a scan and its workers: large arrays go uncopied, what is cut short is no message."""

from __future__ import annotations

from io import BufferedReader, BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datascan.scanner.serve import receive, send

SIZES = st.lists(st.integers(0, 40_000), max_size=4)


def sent(message: Any) -> bytes:
    stream = BytesIO()
    send(stream, message)
    return stream.getvalue()


def received(content: bytes) -> Any:
    return receive(BufferedReader(BytesIO(content)))


@settings(max_examples=30, deadline=None)
@given(SIZES)
def test_arrays_of_any_size_arrive_as_they_were(sizes: list[int]) -> None:
    arrays: list[NDArray[np.int64]] = [np.arange(size, dtype=np.int64) for size in sizes]
    arrays += [array.reshape(2, -1).T for array in arrays if array.size % 2 == 0]
    message = {"arrays": arrays, "strided": [array[::2] for array in arrays], "text": "x" * 100_000}
    found = received(sent(message) + b"what follows")
    assert found["text"] == message["text"]
    for name in ("arrays", "strided"):
        for one, other in zip(found[name], message[name], strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
            one[...] = 0  # whoever merges partial reports changes them in place


def test_messages_follow_one_another() -> None:
    stream = BufferedReader(BytesIO(sent((1, np.arange(10_000))) + sent((2, None))))
    assert receive(stream)[1].sum() == 49_995_000
    assert receive(stream) == (2, None)
    with pytest.raises(EOFError):
        receive(stream)


@pytest.mark.parametrize("kept", [0, 5, 8, 30, 200, -1])
def test_a_message_that_is_cut_short_is_the_end(kept: int) -> None:
    with pytest.raises(EOFError):
        received(sent(np.arange(20_000))[:kept])
