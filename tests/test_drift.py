from __future__ import annotations

import numpy as np
import pytest

from datascan.scanner.drift import Spread, drift_of, shift_of


def counts(*numbers: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(numbers, np.int64)


def test_figures_of_a_known_table() -> None:
    drift = drift_of(counts(50, 50), counts(90, 10))
    assert drift is not None
    assert drift.total_variation == pytest.approx(0.4)
    assert drift.jensen_shannon == pytest.approx(0.1468, abs=1e-3)  # by hand: h(0.7) - (h(0.5) + h(0.9)) / 2
    assert drift.stability == pytest.approx(0.4 * np.log(9), abs=1e-9)
    assert drift.sigmas > 5


def test_equal_shares_do_not_differ_and_disjoint_ones_as_much_as_can_be() -> None:
    same, apart = drift_of(counts(10, 20), counts(100, 200)), drift_of(counts(500, 0), counts(0, 700))
    assert same is not None
    assert apart is not None
    assert (same.total_variation, same.jensen_shannon) == (0.0, 0.0)
    assert same.sigmas < 1
    assert (apart.total_variation, apart.jensen_shannon) == (1.0, 1.0)
    assert apart.beyond(0.1)
    assert drift_of(counts(0, 0), counts(1, 2)) is None


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("sizes", [(50, 50), (10_000, 200), (5000, 5000)])
def test_samples_of_one_population_are_never_beyond(classes: int, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(classes)
    shares = rng.dirichlet(np.full(classes, 0.3))
    drifts = [drift_of(rng.multinomial(sizes[0], shares), rng.multinomial(sizes[1], shares)) for _ in range(200)]
    told = [drift for drift in drifts if drift is not None]
    assert not any(drift.beyond(0.02) for drift in told)
    assert np.mean([d.total_variation for d in told]) == pytest.approx(np.mean([d.by_chance for d in told]), rel=0.2)


def spread(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Spread:
    return Spread(float(values.mean()), float(values.std()), len(values), float(values.min()), float(values.max()))


def drawn(rng: np.random.Generator, kind: str, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if kind == "rare":
        return (rng.random(size) < 1e-3).astype(np.float64)
    return rng.normal(5, 2, size) if kind == "normal" else rng.lognormal(0, 1, size)


@pytest.mark.parametrize("kind", ["normal", "lognormal", "rare"])
@pytest.mark.parametrize("sizes", [(400, 60), (10_000, 500), (30, 30)])
def test_values_of_one_population_are_never_beyond(kind: str, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        one, two = (drawn(rng, kind, size) for size in sizes)
        shift = shift_of(spread(one), spread(two))
        assert shift is not None
        assert not shift.beyond(0.25, 1.5)


@pytest.mark.parametrize(
    ("factor", "offset", "beyond"), [(1.0, 0.0, False), (1.0, 0.6, True), (4.0, 0.0, True), (255.0, 0.0, True)]
)
def test_what_moved_or_widened_is_beyond(factor: float, offset: float, beyond: bool) -> None:
    values = np.random.default_rng(2).normal(0, 1, 500)
    shift = shift_of(spread(values), spread(values * factor + offset))
    assert shift is not None
    assert shift.beyond(0.25, 1.5) is beyond


def test_constants_differ_or_not() -> None:
    one, two = np.full(30, 1.0), np.full(30, 2.0)
    same, other = shift_of(spread(one), spread(one)), shift_of(spread(one), spread(two))
    assert same is not None
    assert other is not None
    assert not same.beyond(0.25, 1.5)
    assert other.beyond(0.25, 1.5)
    assert shift_of(spread(one[:1]), spread(two)) is None
