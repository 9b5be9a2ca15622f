"""The moving parts against pandas, and against themselves when the rows come in pieces."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.errors import InputError
from foremargin.features import Measures, Memory
from foremargin.markets import DAYS_PER_YEAR, Missing, Panel

Array = NDArray[np.float64]
Part = Callable[[Measures, Array], Array]

PARTS: dict[str, Part] = {
    "mean": lambda m, x: m.mean(x, days=7),
    "mean of everything in a day": lambda m, x: m.mean(x, days=1, min_periods=1),
    "standard deviation": lambda m, x: m.std(x, days=10),
    "covariance": lambda m, x: m.covariance(x, np.abs(x), days=10),
    "correlation": lambda m, x: m.correlation(x, x**2, days=10),
    "quantile": lambda m, x: m.quantile(x, probability=0.9, days=20),
    "expanding quantile": lambda m, x: m.quantile(x, probability=0.3),
    "ewma": lambda m, x: m.ewma(x, half_life_days=3),
    "expanding mean": lambda m, x: m.expanding_mean(x),
    "running total": lambda m, x: m.running_total(x),
    "lag": lambda m, x: m.lag(x, periods=3),
    "market": lambda m, x: m.market(m.mean(x, days=3)),
}

by_part = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)


def panel_of(x: Array, present: NDArray[np.bool_]) -> Panel:
    """Build a daily panel in which values are present where said; the values travel beside it."""
    n, k = x.shape
    price = np.where(present, 1.0, np.nan)
    return Panel(
        time=np.asarray(pd.date_range("2020-01-02", periods=n), dtype="datetime64[ns]"),
        period=pd.Timedelta(days=1),
        instruments=tuple(f"I{i}" for i in range(k)),
        close=price,
        log_return=np.where(present, 0.0, np.nan),
        missing=np.where(present, Missing.PRESENT, Missing.NO_DATA).astype(np.int8),
        periods_per_year=np.full(k, DAYS_PER_YEAR),
    )


def noisy(n: int = 400, k: int = 3, seed: int = 0) -> tuple[Array, NDArray[np.bool_]]:
    """Return values with holes, and rows in which an instrument does not trade."""
    rng = np.random.default_rng(seed)
    x = np.exp(3.0 * rng.normal(size=(n, k)))
    x[rng.uniform(size=(n, k)) < 0.1] = np.nan
    x[100:140, 0] = 5.0
    return x, rng.uniform(size=(n, k)) > 0.2


def in_own_time(
    compute: Callable[[pd.Series], pd.Series],
) -> Callable[[Array, NDArray[np.bool_]], Array]:
    def each(x: Array, present: NDArray[np.bool_]) -> Array:
        out = np.full(x.shape, np.nan)
        for i in range(x.shape[1]):
            rows = np.flatnonzero(present[:, i])
            out[rows, i] = compute(pd.Series(x[rows, i]))
        return out

    return each


def afresh(window: pd.Series) -> float:
    return float(window.dropna().std())


@pytest.mark.parametrize(
    ("part", "reference"),
    [
        ("mean", lambda s: s.rolling(7, min_periods=3).mean()),
        ("mean of everything in a day", lambda s: s.rolling(1, min_periods=1).mean()),
        # Each window afresh: pandas' running sums leave residues after large values.
        ("standard deviation", lambda s: s.rolling(10, min_periods=5).apply(afresh)),
        ("covariance", lambda s: s.rolling(10, min_periods=5).apply(afresh) ** 2),
        ("quantile", lambda s: s.rolling(20, min_periods=10).quantile(0.9)),
        ("expanding quantile", lambda s: s.expanding().quantile(0.3)),
        ("ewma", lambda s: s.ewm(halflife=3).mean()),
        ("expanding mean", lambda s: s.expanding().mean()),
        ("running total", lambda s: s.fillna(0.0).cumsum()),
        ("lag", lambda s: s.shift(3)),
    ],
)
def test_a_moving_part_agrees_with_pandas_in_own_time(
    part: str, reference: Callable[[pd.Series], pd.Series]
) -> None:
    x, present = noisy()
    got = PARTS[part](Measures(panel=panel_of(x, present)), x)
    expected: Array = in_own_time(reference)(x, present)
    # Squares of 1e4 round at 1e-8, and a window of fives may follow them.
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-7)


@by_part
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 399), max_size=6, unique=True), seed=st.integers(0, 50))
def test_rows_in_pieces_give_the_same_bits_as_all_rows_at_once(
    part: Part, cuts: list[int], seed: int
) -> None:
    x, present = noisy(seed=seed)
    panel = panel_of(x, present)
    whole = part(Measures(panel=panel), x)
    edges = [0, *sorted(cuts), 400]
    memory = Memory()
    pieces = []
    for start, stop in pairwise(edges):
        with memory.scope("part"):
            chunk = Measures(panel=panel.rows(start, stop), memory=memory)
            pieces.append(part(chunk, x[start:stop]))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@by_part
def test_a_moving_part_does_not_look_ahead(part: Part) -> None:
    x, present = noisy()
    whole = part(Measures(panel=panel_of(x, present)), x)
    wild = x.copy()
    wild[250:] *= -1e3
    shocked = part(Measures(panel=panel_of(wild, present)), wild)
    np.testing.assert_array_equal(shocked[:250], whole[:250])
    assert (shocked[260:] != whole[260:]).any()


def test_equal_values_have_exactly_their_value_as_mean_and_no_spread() -> None:
    wild = 1e16 * np.random.default_rng(1).normal(size=50)
    x = np.concatenate([wild, np.full(50, 0.1)])[:, None]
    m = Measures(panel=panel_of(x, np.ones_like(x, dtype=bool)))
    assert (m.mean(x, days=7)[57:] == 0.1).all()
    assert (m.std(x, days=7)[57:] == 0.0).all()
    # A residue would show in what follows, too: the next value alone decides the mean's change.
    zeros = np.concatenate([wild, np.zeros(50)])[:, None]
    assert (m.mean(zeros, days=7)[57:] == 0.0).all()


def test_rounding_does_not_build_up_over_many_values() -> None:
    rng = np.random.default_rng(2)
    x = np.exp(8.0 * rng.normal(size=(200_000, 1)))
    m = Measures(panel=panel_of(x, np.ones_like(x, dtype=bool)))
    got = m.mean(x, days=100)[-5:, 0]
    windows = [x[i - 100 : i] for i in range(200_000 - 4, 200_001)]
    expected = [window.mean() for window in windows]
    # Neumaier sums keep all but the last digits of the largest value that was in the window.
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    # The spread of small values a window after large ones: shifted to their mean once a window.
    calm = np.concatenate([1e8 * x[:5_000], 1e8 + rng.normal(size=(1_000, 1))])
    m = Measures(panel=panel_of(calm, np.ones_like(calm, dtype=bool)))
    got = m.std(calm, days=100)[-1, 0]
    np.testing.assert_allclose(got, calm[-100:].std(ddof=1), rtol=1e-6)


def test_a_window_is_given_once() -> None:
    x, present = noisy()
    m = Measures(panel=panel_of(x, present))
    with pytest.raises(InputError, match="in days or in periods"):
        m.mean(x)
    with pytest.raises(InputError, match="in days or in periods"):
        m.std(x, days=3, periods=3)
    with pytest.raises(InputError, match=r"probability must be in \[0, 1\], was 90"):
        m.quantile(x, probability=90, days=7)
