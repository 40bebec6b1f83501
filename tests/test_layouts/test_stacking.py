from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.backends.columns import gathered
from datascan.scanner.layouts import stacking
from datascan.scanner.layouts.stacking import as_floats, blocks, stacked

BUFFER = np.random.default_rng(5).integers(0, 256, 4096, dtype=np.uint8)
BUFFER.flags.writeable = False

starts_and_width = st.integers(1, 64).flatmap(
    lambda width: st.tuples(
        st.one_of(
            st.lists(st.integers(0, 4096 - width), max_size=20),
            st.builds(
                lambda first, steps: np.cumsum([first, *steps]).tolist(),
                st.integers(0, 60),
                st.lists(st.sampled_from([65, 65, 65, 65, 100]), max_size=30),
            ),
        ),
        st.just(width),
    )
)


@given(starts_and_width, st.sampled_from([1, 64, 1000, 1 << 17]))
def test_every_part_comes_once_and_in_order(parts: tuple[list[int], int], view_bytes: int) -> None:
    starts, width = np.array(parts[0], np.int64), parts[1]
    expected = [BUFFER[start : start + width].tobytes() for start in parts[0]]
    assert [part.tobytes() for part in gathered(BUFFER, starts, width)] == expected
    assert [part.tobytes() for part in stacked(BUFFER, starts, width)] == expected
    rows = np.arange(len(starts)) * 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacking, "VIEW_BYTES", view_bytes)
        cut = list(blocks(BUFFER, rows, starts, width)) if len(starts) else []
    assert [row for some, _ in cut for row in some.tolist()] == rows.tolist()
    assert [part.tobytes() for _, block in cut for part in block] == expected
    assert len(cut) <= max(len(starts) * width // view_bytes, 1)


def test_a_constant_distance_costs_no_copy() -> None:
    buffer = BUFFER.copy()
    view = stacked(buffer, np.arange(10) * 100 + 7, 64)
    assert np.shares_memory(view, buffer)
    assert not view.flags.writeable


def test_runs_are_cut_where_the_distance_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacking, "VIEW_BYTES", 64)
    starts = np.array([0, 100, 200, 1000, 1100, 1200, 1300, 3000, 3070])
    cut = list(blocks(BUFFER, np.arange(9), starts, 64))
    assert [rows.tolist() for rows, _ in cut] == [[0, 1, 2], [3, 4, 5, 6], [7, 8]]
    assert all(np.shares_memory(part, BUFFER) for _, part in cut)


def test_out_of_bounds_is_an_error_and_never_foreign_memory() -> None:
    with pytest.raises((ValueError, IndexError, TypeError)):
        stacked(BUFFER, np.array([0, 4000, 8000]), 64)
    with pytest.raises((ValueError, IndexError)):
        gathered(BUFFER, np.array([0, 4090]), 64)


def test_floats_come_out_aligned() -> None:
    plain = as_floats(stacked(BUFFER, np.array([1, 102]), 40), 4)
    tagged = as_floats(stacked(BUFFER, np.array([1, 102]), 40), 5)
    assert plain.flags.aligned
    assert tagged.flags.aligned
    assert plain.tobytes() == BUFFER[1:41].tobytes() + BUFFER[102:142].tobytes()
    assert tagged[1].tobytes() == BUFFER[102:142].reshape(8, 5)[:, 1:].tobytes()
