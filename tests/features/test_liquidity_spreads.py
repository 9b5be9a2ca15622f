"""Spreads from prices: closed forms, laws that all estimators obey, and simulated truth."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.errors import InputError, ShapeError
from foremargin.features.liquidity import (
    ABDI_RANALDO,
    ABDI_RANALDO_PAIRS,
    CORWIN_SCHULTZ,
    EDGE,
    ROLL,
    SPREAD_ESTIMATORS,
    LogBars,
    NegativeSpread,
    SpreadEstimator,
    corwin_schultz,
)

Array = NDArray[np.float64]
SIGNED = NegativeSpread.SIGNED

by_estimator = pytest.mark.parametrize("estimator", SPREAD_ESTIMATORS, ids=lambda e: e.name)


@dataclass(frozen=True)
class Bars:
    open: Array
    high: Array
    low: Array
    close: Array

    def logs(self, *, factor: float = 1.0) -> LogBars:
        return LogBars.of(
            open=factor * self.open,
            high=factor * self.high,
            low=factor * self.low,
            close=factor * self.close,
        )


def simulate(
    n_bars: int,
    *,
    spread: float,
    trades: int,
    seed: int,
    seen: float = 1.0,
    sigma: float = 0.03,
    carry: bool = False,
) -> Bars:
    """Random walk with random sides; bars without a trade are left out, or carried flat."""
    rng = np.random.default_rng(seed)
    steps = sigma / np.sqrt(trades) * rng.normal(size=(n_bars, trades))
    side = rng.choice([-0.5, 0.5], size=steps.shape)
    log_price = np.cumsum(steps).reshape(steps.shape) + spread * side
    observed = rng.random(steps.shape) < seen
    traded = observed.any(axis=1)
    row = np.arange(n_bars)
    first, last = observed.argmax(axis=1), trades - 1 - observed[:, ::-1].argmax(axis=1)
    table = pd.DataFrame(
        {
            "open": log_price[row, first],
            "high": np.where(observed, log_price, -np.inf).max(axis=1),
            "low": np.where(observed, log_price, np.inf).min(axis=1),
            "close": log_price[row, last],
        }
    )
    table[~traded] = np.nan
    if carry:
        close = table["close"].ffill()
        table = table.apply(lambda column: column.fillna(close))
    known = table.dropna()
    return Bars(*(np.exp(known[name].to_numpy()) for name in ("open", "high", "low", "close")))


def part(bars: LogBars, rows: slice) -> LogBars:
    return LogBars(**{field.name: getattr(bars, field.name)[rows] for field in fields(LogBars)})


@pytest.fixture(scope="module")
def bars() -> Bars:
    return simulate(600, spread=0.01, trades=60, seed=1)


def test_roll_is_exact_on_a_bounce_without_noise() -> None:
    # Each triple of sides occurs equally often, so sides are independent to the order that counts;
    # the first two bars close the cycle.
    side = np.concatenate([[1, 1], np.tile([-1, -1, -1, 1, -1, 1, 1, 1], 9)])
    price = 50.0 * np.exp(0.5 * 0.002 * side)
    flat = LogBars.of(open=price, high=price, low=price, close=price)
    np.testing.assert_allclose(ROLL.bps(flat), 20.0)


def test_roll_takes_a_steady_drift_for_no_spread() -> None:
    side = np.concatenate([[1, 1], np.tile([-1, -1, -1, 1, -1, 1, 1, 1], 9)])
    price = 50.0 * np.exp(0.5 * 0.002 * side + 0.01 * np.arange(len(side)))
    flat = LogBars.of(open=price, high=price, low=price, close=price)
    np.testing.assert_allclose(ROLL.bps(flat), 20.0)


def test_abdi_ranaldo_is_exact_where_the_middle_stands_still() -> None:
    # Closes at bid and ask around one middle: every product is (S/2)², so S² is four times that.
    close = 100.0 * np.exp(0.5 * 0.003 * np.array([1, -1, -1, 1, 1, -1]))
    high, low = np.full(6, 100.0 * np.exp(0.01)), np.full(6, 100.0 * np.exp(-0.01))
    still = LogBars.of(open=np.full(6, 100.0), high=high, low=low, close=close)
    np.testing.assert_allclose(ABDI_RANALDO.bps(still), 30.0, rtol=1e-9)
    np.testing.assert_allclose(ABDI_RANALDO_PAIRS.bps(still), 30.0, rtol=1e-9)


def test_corwin_schultz_is_exact_where_the_range_is_all_spread() -> None:
    # beta = 2 s², gamma = s²: alpha = (2 s - sqrt(2) s) / k - s / sqrt(k) = s, k = 3 - 2 sqrt(2).
    high, low = np.full(4, 100.2), np.full(4, 100.0)
    middle = np.full(4, 100.1)
    pure = LogBars.of(open=middle, high=high, low=low, close=middle)
    np.testing.assert_allclose(CORWIN_SCHULTZ.bps(pure), 1e4 * 0.2 / 100.1, rtol=1e-12)


def test_corwin_schultz_takes_the_gap_between_bars_out() -> None:
    # The second bar lies wholly above (below) the close before; shifted back, it repeats the first.
    for jump in (1.05, 0.95):
        high, low = np.array([100.2, 100.2 * jump]), np.array([100.0, 100.0 * jump])
        close = np.array([100.0 if jump > 1 else 100.2, 100.1 * jump])
        gap = LogBars.of(open=close, high=high, low=low, close=close)
        terms = CORWIN_SCHULTZ.known_terms(gap)[0]
        np.testing.assert_allclose(1e4 * terms[1], 1e4 * 0.2 / 100.1, rtol=1e-9)


def edge_by_hand(bars: Bars) -> float:
    """EDGE by the sentences of the paper, with sums over bars that trade, one step at a time."""
    o, h, low, c = (np.log(x) for x in (bars.open, bars.high, bars.low, bars.close))
    mid = (h + low) / 2
    n = len(o) - 1
    traded = np.array([not (h[t] == low[t] == c[t - 1]) for t in range(1, n + 1)])
    opens = np.mean(traded * (o[1:] != h[1:])) + np.mean(traded * (o[1:] != low[1:]))
    closes = np.mean(traded * (c[:-1] != h[:-1])) + np.mean(traded * (c[:-1] != low[:-1]))

    def demeaned(x: Array) -> Array:
        return np.asarray(x - traded * x.sum() / traded.sum())

    from_open, from_close = demeaned(mid[1:] - o[1:]), demeaned(mid[1:] - c[:-1])
    night = o[1:] - c[:-1]
    x1 = -4 / opens * from_open * (o[1:] - mid[:-1]) - 4 / closes * from_close * (c[:-1] - mid[:-1])
    x2 = -4 / opens * from_open * night - 4 / closes * demeaned(night) * (c[:-1] - mid[:-1])
    v1, v2 = x1.var(), x2.var()
    square = (v2 * x1.mean() + v1 * x2.mean()) / (v1 + v2)
    return float(1e4 * np.sign(square) * np.sqrt(abs(square)))


@pytest.mark.parametrize("seen", [1.0, 0.02])
def test_edge_from_means_of_products_is_edge_by_hand(seen: float) -> None:
    for seed in range(5):
        sample = simulate(120, spread=0.01, trades=40, seed=seed, seen=seen, carry=True)
        np.testing.assert_allclose(EDGE.bps(sample.logs(), negative=SIGNED), edge_by_hand(sample))


@by_estimator
def test_a_spread_does_not_depend_on_the_price_scale(
    estimator: SpreadEstimator, bars: Bars
) -> None:
    base = estimator.bps(bars.logs(), negative=SIGNED)
    # Logs of scaled prices differ by rounding of 1e-16, squares of moves are about 1e-4.
    scaled = estimator.bps(bars.logs(factor=1e-5), negative=SIGNED)
    np.testing.assert_allclose(scaled, base, rtol=1e-9)


@by_estimator
def test_a_spread_grows_in_proportion_to_log_prices(estimator: SpreadEstimator, bars: Bars) -> None:
    squeezed = Bars(*(np.exp(0.1 * np.log(getattr(bars, f.name))) for f in fields(Bars)))
    base, tenth = (estimator.bps(x.logs(), negative=SIGNED) for x in (bars, squeezed))
    # Corwin and Schultz turn a log spread s into 2 tanh(s / 2), which is s up to s³ / 12.
    np.testing.assert_allclose(tenth, 0.1 * base, rtol=1e-4)


@by_estimator
def test_a_rolling_spread_is_the_spread_of_its_window(
    estimator: SpreadEstimator, bars: Bars
) -> None:
    logs = bars.logs()
    rolling = estimator.rolling_bps(logs, window=60, negative=SIGNED)
    for end in (100, 333, 600):
        one = estimator.bps(part(logs, slice(end - 60, end)), negative=SIGNED)
        # The rolling sums carry rounding from bar to bar; squares of 1e-4 are summed.
        np.testing.assert_allclose(rolling[end - 1], one, rtol=1e-6)


@by_estimator
def test_a_rolling_spread_ignores_what_comes_later(estimator: SpreadEstimator, bars: Bars) -> None:
    logs = bars.logs()
    whole = estimator.rolling_bps(logs, window=50)
    cut = estimator.rolling_bps(part(logs, slice(0, 300)), window=50)
    np.testing.assert_array_equal(cut, whole[:300])
    assert np.isfinite(whole[:300]).any()


@by_estimator
def test_an_unknown_price_removes_its_bar_and_is_not_made_a_number(
    estimator: SpreadEstimator, bars: Bars
) -> None:
    close = bars.close.copy()
    close[200] = np.nan
    holed = Bars(bars.open, bars.high, bars.low, close).logs()
    # The close enters its own bar and up to two later ones; the rest of the sample is as before.
    terms = estimator.known_terms(holed)[0]
    base = estimator.known_terms(bars.logs())[0]
    assert 1 <= np.isnan(terms[200:204]).sum() <= 3
    np.testing.assert_array_equal(
        np.delete(terms, [200, 201, 202]), np.delete(base, [200, 201, 202])
    )
    assert np.isfinite(estimator.bps(holed, negative=SIGNED))
    nothing = Bars(*(np.full(40, np.nan) for _ in range(4))).logs()
    assert np.isnan(estimator.bps(nothing))
    assert np.isnan(estimator.rolling_bps(nothing, window=10)).all()


@by_estimator
def test_prices_that_never_move_have_no_spread_above_zero(estimator: SpreadEstimator) -> None:
    still = Bars(*(np.full(40, 100.0) for _ in range(4))).logs()
    spread = estimator.bps(still)
    # EDGE has no bar that trades and says so; the others find that nothing bounced.
    assert np.isnan(spread) if estimator is EDGE else spread == 0.0


def test_a_negative_estimate_is_missing_unless_another_convention_is_asked_for() -> None:
    # A trend in small steps that turns once: changes agree with their predecessors.
    price = 100.0 * np.exp(1e-4 * np.concatenate([np.arange(50), np.arange(50, 0, -1)]))
    trend = LogBars.of(open=price, high=price, low=price, close=price)
    assert np.isnan(ROLL.bps(trend))
    assert ROLL.bps(trend, negative=NegativeSpread.ZERO) == 0.0
    assert ROLL.bps(trend, negative=SIGNED) < -1.0


def test_setting_negative_pairs_to_zero_raises_corwin_schultz_and_dropping_them_more(
    bars: Bars,
) -> None:
    kept, zero, dropped = (
        corwin_schultz(convention).bps(bars.logs(), negative=SIGNED)
        for convention in (SIGNED, NegativeSpread.ZERO, NegativeSpread.MISSING)
    )
    assert kept < zero < dropped


def test_bars_that_are_no_bars_are_refused_or_unknown() -> None:
    with pytest.raises(ShapeError, match=r"low must have shape \(n,\) like open"):
        LogBars.of(open=[1.0, 2.0], high=[1.0, 2.0], low=[1.0], close=[1.0, 2.0])
    with pytest.raises(InputError, match="window must be at least 2 bars, was 1"):
        EDGE.rolling_bps(LogBars.of(open=[1.0], high=[1.0], low=[1.0], close=[1.0]), window=1)
    odd = LogBars.of(open=[1.0, 0.0], high=[1.0, 2.0], low=[1.5, 2.0], close=[1.0, -2.0])
    assert np.isnan(odd.high[0])
    assert np.isnan(odd.low[0])
    assert np.isnan(odd.open[1])
    assert np.isnan(odd.close[1])


def squares_of(estimator: SpreadEstimator, make: Callable[[int], Bars], samples: int) -> Array:
    spreads = [estimator.bps(make(seed).logs(), negative=SIGNED) / 1e4 for seed in range(samples)]
    return np.sign(spreads) * np.square(spreads)


# A bar that opens at its high does not always share the open's bounce with its middle as the paper
# takes it, so that with many trades and a large spread the squared spread is some percent too high.
@pytest.mark.slow
@pytest.mark.parametrize("seen", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("carry", [True, False])
def test_edge_recovers_a_known_spread_however_few_the_trades(seen: float, carry: bool) -> None:
    truth, samples = 0.01, 60
    squares = squares_of(
        EDGE,
        lambda seed: simulate(500, spread=truth, trades=390, seed=seed, seen=seen, carry=carry),
        samples,
    )
    # Four standard errors: a false alarm in 16,000 runs; and 4 % for the bias named above.
    error = squares.std(ddof=1) / np.sqrt(samples)
    assert abs(squares.mean() - truth**2) < 4.0 * error + 0.04 * truth**2
    assert error < 0.25 * truth**2  # or the line above says nothing


@pytest.mark.slow
def test_with_few_trades_edge_stays_where_the_older_estimators_lose_the_spread() -> None:
    truth, samples = 0.03, 60

    def make(seed: int) -> Bars:
        return simulate(500, spread=truth, trades=390, seed=seed, seen=0.01)

    means = {
        estimator.name: np.sqrt(squares_of(estimator, make, samples).mean())
        for estimator in (EDGE, ABDI_RANALDO, CORWIN_SCHULTZ)
    }
    # Standard errors are below 1 % of the spread; four trades a bar.
    assert abs(means["edge"] / truth - 1.0) < 0.05
    assert means["abdi_ranaldo"] < 0.9 * truth
    assert means["corwin_schultz_zero"] < 0.5 * truth


@pytest.mark.slow
def test_without_a_spread_corwin_schultz_makes_one_from_volatility_and_edge_does_not() -> None:
    squares = squares_of(
        EDGE, lambda seed: simulate(500, spread=0.0, trades=390, seed=seed), samples=40
    )
    assert abs(squares.mean()) < 4.0 * squares.std(ddof=1) / np.sqrt(40)
    sample = simulate(2_000, spread=0.0, trades=390, seed=77).logs()
    assert CORWIN_SCHULTZ.bps(sample) > 50.0  # of a volatility of 300 bps
