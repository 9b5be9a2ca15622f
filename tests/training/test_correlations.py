"""Correlations of the training data: laws of the estimate, and what is said of thin pairs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.bundles import PRIOR_CORRELATION
from foremargin.errors import InputError
from foremargin.markets import Missing, Panel
from foremargin.models import Forecast
from foremargin.training.correlations import FEWEST_COMMON, Correlations, estimate_correlations

Array = NDArray[np.float64]
NAMES = ("A", "B", "C", "D")
N = 3_000
Market = Callable[..., tuple[Panel, Forecast]]


@pytest.fixture
def market(make_panel: Callable[..., Panel]) -> Market:
    """Return a function that makes a panel of given scores, and the volatility said before each.

    Keyword arguments: `sigma`, shape (n_periods, n), of the next period; `there`, who has a price.
    """
    like = make_panel(n_periods=N)

    def made(
        score: Array, *, sigma: Array | None = None, there: NDArray[np.bool_] | None = None
    ) -> tuple[Panel, Forecast]:
        rows, n = score.shape
        sigma = np.full((rows, n), 0.01) if sigma is None else sigma
        there = np.ones((rows, n), dtype=np.bool_) if there is None else there
        move = np.vstack([np.full((1, n), np.nan), score[1:] * sigma[:-1]])
        missing = np.where(there, Missing.PRESENT, Missing.CLOSED).astype(np.int8)
        panel = Panel(
            time=like.time[:rows],
            period=like.period,
            instruments=NAMES[:n],
            close=np.where(there, 100.0, np.nan),
            log_return=np.where(there, move, np.nan),
            missing=missing,
            periods_per_year=np.full(n, 365.0),
        )
        said = np.stack([sigma**2, 4.0 * sigma**2], axis=2)
        past = Forecast(
            model="known",
            origin=panel.time,
            instruments=panel.instruments,
            horizons=(1, 4),
            variance=said,
        )
        return panel, past

    return made


def drawn(correlation: Array, *, rows: int = N, seed: int = 0) -> Array:
    """Return independent rows of standard normal scores with a correlation."""
    root = np.linalg.cholesky(correlation)
    return np.random.default_rng(seed).normal(size=(rows, len(correlation))) @ root.T


def one_factor(*loadings: float) -> Array:
    out = np.outer(loadings, loadings)
    np.fill_diagonal(out, 1.0)
    return out


def estimated(market: Market, score: Array, **options: Any) -> Correlations:
    panel, past = market(score, **options)
    return estimate_correlations(panel, [past], horizon=1)


def test_what_generated_the_market_is_found(market: Market) -> None:
    true = one_factor(0.9, 0.7, 0.3, -0.4)
    found = estimated(market, drawn(true))
    np.testing.assert_allclose(found.correlation, true, atol=4.0 / np.sqrt(N))
    assert (found.instruments, found.drawn, found.notes()) == (NAMES, 0.0, ())
    assert (found.common == N - 1).all()
    assert not found.correlation.flags.writeable


def test_storms_that_were_forecast_change_nothing(market: Market) -> None:
    score = drawn(one_factor(0.8, 0.8, 0.2))
    calm = estimated(market, score)
    storms = 0.01 * np.exp(np.random.default_rng(1).normal(0.0, 1.5, score.shape))
    stormy = estimated(market, score, sigma=storms)
    np.testing.assert_allclose(stormy.correlation, calm.correlation, rtol=1e-9)


def test_horizon_changes_nothing_where_variance_grows_with_it(market: Market) -> None:
    panel, past = market(drawn(one_factor(0.8, 0.8, 0.2)))
    one = estimate_correlations(panel, [past], horizon=1)
    four = estimate_correlations(panel, [past], horizon=4)
    np.testing.assert_allclose(one.correlation, four.correlation, rtol=1e-12)


def test_first_rung_that_spoke_counts(market: Market) -> None:
    panel, past = market(drawn(one_factor(0.8, 0.8, 0.2)))
    wanted = estimate_correlations(panel, [past], horizon=1).correlation
    wild = replace(past, variance=past.variance * np.linspace(1.0, 9.0, N)[:, None, None])
    found = estimate_correlations(panel, [past, wild], horizon=1).correlation
    np.testing.assert_array_equal(found, wanted)
    silent = replace(past, variance=np.full(past.variance.shape, np.nan))
    found = estimate_correlations(panel, [silent, past], horizon=1).correlation
    np.testing.assert_array_equal(found, wanted)
    other = estimate_correlations(panel, [wild, past], horizon=1).correlation
    assert np.abs(other - wanted).max() > 1e-3


def test_returns_over_different_spans_are_not_common(market: Market) -> None:
    there = np.ones((N, 2), dtype=np.bool_)
    there[np.arange(N) % 7 >= 5, 1] = False  # weekends: each Monday spans them
    found = estimated(market, drawn(one_factor(0.9, 0.9)), there=there)
    mondays = (np.arange(N) % 7 == 0) & there[:, 1]
    assert found.common[0, 1] == there[:, 1].sum() - mondays.sum()
    assert found.common[1, 1] == there[:, 1].sum() - 1  # its own Mondays count


def test_thin_pair_is_one_half_and_is_named(market: Market) -> None:
    there = np.ones((N, 3), dtype=np.bool_)
    there[: N - FEWEST_COMMON, 2] = False  # its first price has no return
    score = drawn(one_factor(0.9, 0.9, -0.9))
    found = estimated(market, score, there=there)
    assert found.common[0, 2] == FEWEST_COMMON - 1
    assert found.drawn == 0.0
    assert found.correlation[0, 2] == found.correlation[1, 2] == PRIOR_CORRELATION
    assert found.correlation[0, 1] == pytest.approx(0.81, abs=0.05)
    assert found.notes() == (
        "what-if takes 0.5 for the correlation of pairs with fewer than 60 common periods: "
        "A and C, B and C",
    )
    there[N - FEWEST_COMMON - 1, 2] = True
    assert estimated(market, score, there=there).correlation[0, 2] < 0.0


def test_correlation_is_drawn_to_one_half_as_far_as_it_is_noise(market: Market) -> None:
    rows = 100
    score = drawn(one_factor(0.9, 0.6, 0.2, -0.3), rows=rows)
    found = estimated(market, score).correlation
    seen = score[1:]
    square = (seen**2).sum(0)
    raw = seen.T @ seen / np.sqrt(np.outer(square, square))
    pairs = ~np.eye(4, dtype=np.bool_)
    error = (1.0 - raw**2) ** 2 / (rows - 1)
    spread = ((raw - 0.5) ** 2 - error)[pairs].mean()
    wanted = 0.5 + spread / (spread + error) * (raw - 0.5)
    np.testing.assert_allclose(found[pairs], wanted[pairs], rtol=1e-9)
    assert (np.abs(found - 0.5) < np.abs(raw - 0.5))[pairs].all()


def test_estimates_that_do_not_fit_together_become_definite_by_the_least(market: Market) -> None:
    # A and B move as one, and so do B and C; but A and C, when both are there, move apart.
    there = np.ones((N, 3), dtype=np.bool_)
    third = np.arange(N) * 3 // N
    for place, part in ((2, 0), (0, 1), (1, 2)):
        there[third == part, place] = False
    base, noise = drawn(np.eye(1))[:, 0], 0.1 * drawn(np.eye(3), seed=1)
    score = base[:, None] * np.where((third == 2)[:, None], [1.0, 1.0, -1.0], 1.0) + noise
    found = estimated(market, score, there=there)
    lowest = np.linalg.eigvalsh(found.correlation)[0]
    assert 0.0 < lowest < 1e-5
    assert 0.0 < found.drawn < 1.0
    np.testing.assert_array_equal(np.diagonal(found.correlation), 1.0)
    np.testing.assert_array_equal(found.correlation, found.correlation.T)


def test_price_that_never_moved_has_no_correlation(market: Market) -> None:
    score = drawn(np.eye(2))
    score[:, 1] = 0.0
    found = estimated(market, score)
    assert found.correlation.tolist() == [[1.0, 0.5], [0.5, 1.0]]
    assert found.common[0, 1] == 0


def test_one_instrument_has_no_pairs(market: Market) -> None:
    found = estimated(market, drawn(np.eye(1)))
    assert (found.correlation.tolist(), found.notes()) == ([[1.0]], ())


def test_horizon_that_was_not_forecast_is_refused(market: Market) -> None:
    panel, past = market(drawn(np.eye(2)))
    with pytest.raises(InputError, match=r"among those that known has forecast, \(1, 4\), was 2"):
        estimate_correlations(panel, [past], horizon=2)
