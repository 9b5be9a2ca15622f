"""The synthetic market does what its specification says, and its truth is true.

Simulated promises have a false-alarm rate of about 1e-4 unless said otherwise; seeds are fixed.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets import Kind, Panel, check_bars, load_panel
from foremargin.markets.synthetic import (
    CALM,
    CRYPTO,
    EQUITY,
    BookSpec,
    Collapse,
    InstrumentSpec,
    JumpSpec,
    MarketSpec,
    RegimeSpec,
    SeasonSpec,
    SyntheticMarket,
    VolatilitySpec,
    simulate_market,
)

# exchange_calendars 4.13 reads times in a way that pandas 3.1 deprecates; gone when it changes.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray that drops")

PRESETS = {"calm": CALM, "crypto": CRYPTO, "equity": EQUITY}
by_preset = pytest.mark.parametrize("name", list(PRESETS))

STEADY = MarketSpec(
    instruments=tuple(
        InstrumentSpec(name=name, annual_volatility=sigma)
        for name, sigma in (("A", 0.5), ("B", 0.8), ("C", 1.0))
    ),
    days=365,
    regimes=(RegimeSpec(name="only", variance_multiplier=1.0, mean_days=99.0, correlation=0.6),),
    volatility=VolatilitySpec(log_sd=0.0),
    jumps=JumpSpec(per_year=0.0),
    season=SeasonSpec(log_amplitude=0.0, weekend_multiplier=1.0),
)
"""One state, constant variance, no jumps: everything has a closed form."""


def draw(spec: MarketSpec, seed: int = 0) -> SyntheticMarket:
    return simulate_market(spec, rng=np.random.default_rng(seed))


def log_returns(market: SyntheticMarket) -> np.ndarray:
    """Close-to-close log returns of all bars, shape (n_bars - 1, n_instruments)."""
    return np.diff(np.log(np.column_stack([b["close"] for b in market.bars.values()])), axis=0)


@pytest.fixture(scope="module")
def markets() -> dict[str, SyntheticMarket]:
    return {name: draw(replace(spec, days=400)) for name, spec in PRESETS.items()}


@pytest.fixture(scope="module")
def panels(markets: dict[str, SyntheticMarket]) -> dict[str, Panel]:
    return {name: market.panel(period="1D") for name, market in markets.items()}


@by_preset
def test_its_bars_have_no_defect(name: str, markets: dict[str, SyntheticMarket]) -> None:
    for instrument, bars in markets[name].bars.items():
        assert check_bars(bars, instrument=instrument) == []


@by_preset
def test_the_same_seed_draws_the_same_market_and_another_one_another(name: str) -> None:
    spec = replace(PRESETS[name], days=40)
    one, same, other = draw(spec, 3), draw(spec, 3), draw(spec, 4)
    for instrument in one.bars:
        pd.testing.assert_frame_equal(one.bars[instrument], same.bars[instrument])
        assert (one.bars[instrument]["close"] != other.bars[instrument]["close"]).all()
    pd.testing.assert_frame_equal(one.book, same.book)
    np.testing.assert_array_equal(one.truth.regime, same.truth.regime)


def test_another_instrument_changes_nothing_for_the_others() -> None:
    spec = replace(CRYPTO, days=40)
    extra = InstrumentSpec(name="NEW", annual_volatility=0.5)
    more = replace(spec, instruments=(extra, *spec.instruments))
    base, wider = draw(spec), draw(more)
    for instrument, bars in base.bars.items():
        pd.testing.assert_frame_equal(wider.bars[instrument], bars)
    book = wider.book[wider.book["instrument"] != "NEW"].reset_index(drop=True)
    pd.testing.assert_frame_equal(book, base.book)


def test_annual_variance_and_correlation_are_those_of_the_specification() -> None:
    returns = log_returns(draw(STEADY))
    n = len(returns)
    variance = (returns**2).mean(axis=0) * 365 * 24
    expected = np.array([0.5, 0.8, 1.0]) ** 2
    # A mean of n squared normals has the relative standard error sqrt(2 / n); four of them.
    np.testing.assert_allclose(variance, expected, rtol=4 * np.sqrt(2 / n))
    correlation = np.corrcoef(returns.T)[np.triu_indices(3, k=1)]
    np.testing.assert_allclose(correlation, 0.6, atol=4 * (1 - 0.6**2) / np.sqrt(n))


def test_high_and_low_enclose_open_and_close_and_bars_follow_each_other() -> None:
    bars = draw(STEADY).bars["A"]
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    np.testing.assert_array_equal(bars["open"][1:], bars["close"][:-1])


def test_mean_variance_is_kept_whatever_states_volatility_and_season_do() -> None:
    spec = replace(
        CRYPTO,
        days=20_000,
        bar="1D",
        jumps=JumpSpec(per_year=0.0),
        instruments=CRYPTO.instruments[:1],
    )
    truth = draw(spec).truth
    annual = truth.integrated_variance.mean() * 365
    # About 1,100 visits to states, each with a spread of its variance of 1.9 times the mean.
    assert annual == pytest.approx(0.55**2, rel=4 * 1.9 / np.sqrt(1100))


@by_preset
def test_realized_variance_recovers_the_quadratic_variation(
    name: str, markets: dict[str, SyntheticMarket], panels: dict[str, Panel]
) -> None:
    truth = markets[name].truth.on(panels[name])
    measured = panels[name].values("realized_variance")
    known = np.isfinite(measured) & (np.arange(len(measured)) > 0)[:, None]
    ratio = measured[known].sum() / truth.quadratic_variation[known].sum()
    # 400 days of at least 7 bars whose variances differ: a relative standard error near 5 %.
    assert ratio == pytest.approx(1.0, abs=0.2)
    logs = np.log(measured[known]), np.log(truth.quadratic_variation[known])
    assert np.corrcoef(*logs)[0, 1] > 0.75


def test_finer_bars_measure_the_truth_better() -> None:
    errors = []
    for bar in ("4h", "15min"):
        market = draw(replace(CALM, days=200, bar=bar))
        panel = market.panel(period="1D")
        truth = market.truth.on(panel).integrated_variance
        errors.append(np.nanstd(np.log(panel.values("realized_variance")[1:] / truth[1:])))
    # The log of a mean of n squared normals has a standard deviation near sqrt(2 / n).
    assert errors[1] == pytest.approx(np.sqrt(2 / 96), rel=0.25)
    assert errors[0] > 3 * errors[1]


def test_states_are_occupied_and_last_as_specified() -> None:
    spec = replace(CRYPTO, days=40_000, bar="1D", instruments=CRYPTO.instruments[:1])
    regime = draw(spec).truth.regime
    mean_days = np.array([one.mean_days for one in spec.regimes])
    share = np.bincount(regime) / len(regime)
    n_visits = (np.diff(regime) != 0).sum()
    # Durations are geometric: over some 2,000 visits a share is known to about 5 % of itself.
    np.testing.assert_allclose(share, mean_days / mean_days.sum(), rtol=0.2)
    assert n_visits == pytest.approx(len(regime) / mean_days.mean(), rel=0.2)


def test_correlation_rises_in_stress() -> None:
    market = draw(replace(CRYPTO, days=1000, jumps=JumpSpec(per_year=0.0)))
    returns = log_returns(market) / np.sqrt(market.truth.integrated_variance[1:])
    for state, one in enumerate(CRYPTO.regimes):
        own = returns[market.truth.regime[1:] == state]
        found = np.corrcoef(own.T)[np.triu_indices(returns.shape[1], k=1)]
        np.testing.assert_allclose(found, one.correlation, atol=5 / np.sqrt(len(own)))


def test_falls_raise_the_variance_that_follows() -> None:
    spec = replace(EQUITY, days=3000, bar="1D", jumps=JumpSpec(per_year=0.0))
    spec = replace(spec, instruments=(InstrumentSpec(name="A", annual_volatility=0.2),))
    market = draw(replace(spec, season=SeasonSpec(log_amplitude=0.0, weekend_multiplier=1.0)))
    variance = market.truth.integrated_variance[:, 0]
    shock = log_returns(market)[:, 0] / np.sqrt(variance[1:])
    change = np.diff(np.log(variance))[1:]
    same_state = np.diff(market.truth.regime)[1:] == 0
    decay = 0.5 ** (1 / spec.volatility.half_life_days)
    level = np.log(variance[1:-1])
    deviation = level - pd.Series(level).groupby(market.truth.regime[1:-1]).transform("mean")
    news = (change + (1 - decay) * deviation)[same_state]
    found = np.corrcoef(shock[:-1][same_state], news)[0, 1]
    assert found == pytest.approx(spec.volatility.leverage, abs=4 / np.sqrt(len(news)))


def test_variance_has_the_specified_season() -> None:
    season = SeasonSpec(log_amplitude=0.8, peak_hour=15.0, weekend_multiplier=0.5)
    truth = draw(replace(STEADY, season=season)).truth
    time = pd.DatetimeIndex(truth.time) - pd.Timedelta("1h")
    variance = pd.Series(truth.integrated_variance[:, 0])
    by_hour = variance[time.day_of_week < 5].groupby(time.hour[time.day_of_week < 5]).mean()
    assert by_hour.idxmax() == 15
    assert np.log(by_hour.max() / by_hour.min()) == pytest.approx(1.6)
    weekend = time.day_of_week >= 5
    assert variance[weekend].mean() / variance[~weekend].mean() == pytest.approx(0.5)
    # 52 whole weeks: the season shifts variance in time and adds none.
    assert variance[: 52 * 168].mean() * 365 * 24 == pytest.approx(0.5**2)


def test_jumps_come_as_often_and_as_large_as_specified() -> None:
    jumps = JumpSpec(per_year=50.0, mean=-0.02, sd=0.03, common_share=0.5)
    truth = draw(replace(STEADY, days=3650, jumps=jumps)).truth
    jumped = truth.jump != 0.0
    # 500 jumps expected per instrument; four standard deviations of a Poisson count.
    np.testing.assert_allclose(jumped.sum(axis=0), 500, atol=4 * np.sqrt(500))
    for column in truth.jump.T:
        sizes = column[column != 0.0]
        assert sizes.mean() == pytest.approx(-0.02, abs=4 * 0.03 / np.sqrt(len(sizes)))
    together = jumped.all(axis=1).sum()
    assert together == pytest.approx(250, abs=4 * np.sqrt(250))
    expected = truth.jump_variance.sum(axis=0)
    np.testing.assert_allclose(truth.jump_variation.sum(axis=0), expected, rtol=0.3)


@pytest.mark.parametrize("leads", [0, 5])
def test_depth_falls_and_the_spread_widens_with_volatility_and_runs_ahead_only_if_told(
    leads: int,
) -> None:
    season = SeasonSpec(log_amplitude=0.0, weekend_multiplier=1.0)
    jumps = JumpSpec(per_year=0.0)
    book = BookSpec(depth_leads=leads)
    market = draw(replace(CRYPTO, days=300, season=season, jumps=jumps, book=book))
    change = np.diff(0.5 * np.log(market.truth.integrated_variance[:, 0]))
    depth = np.diff(np.log(market.truth.depth[:, 0]))
    spread = np.diff(np.log(market.truth.spread_bps[:, 0]))
    n = len(change)

    def with_change(values: np.ndarray, lag: int) -> float:
        return float(np.corrcoef(values[: n - lag], change[lag:])[0, 1])

    at = {lag: with_change(depth, lag) for lag in range(8)}
    assert min(at, key=lambda lag: at[lag]) == leads
    assert at[leads] < -0.1
    assert with_change(spread, leads) > 0.1
    # All others are noise: four standard errors.
    others = [abs(at[lag]) for lag in at if abs(lag - leads) > 1]
    assert max(others) < 4 / np.sqrt(n) + 0.02


def test_the_book_thins_before_a_jump_if_it_leads() -> None:
    jumps = JumpSpec(per_year=100.0)
    for leads, expected in ((0, 1.0), (3, 0.5)):
        book = BookSpec(depth_leads=leads, depth_before_jump=0.5)
        truth = draw(replace(STEADY, jumps=jumps, book=book, days=1000)).truth
        at = np.flatnonzero(truth.jump[:, 0] != 0.0)
        at = at[at > 3]
        ratio = truth.depth[at - 2, 0].mean() / truth.depth[:, 0].mean()
        # About 270 jumps, depth noise of 18 %; jumps thin the mean itself by 2 %.
        assert ratio == pytest.approx(expected, abs=0.06)


def test_volume_rises_with_volatility_and_takers_go_with_the_price() -> None:
    market = draw(replace(STEADY, days=730))
    bars = market.bars["A"]
    share = (bars["taker_buy_base_asset_volume"] / bars["volume"])[1:]
    returns = log_returns(market)[:, 0]
    link = STEADY.book.taker_link
    assert np.corrcoef(share, returns)[0, 1] == pytest.approx(link, abs=4 / np.sqrt(len(returns)))
    flow = bars["quote_asset_volume"] * (2 * share - 1)
    coefficient = market.truth.impact_coefficient[:, 0]
    expected = np.asarray((flow * coefficient)[1:], dtype=np.float64)
    # What flow is expected to do to the price, against what the price did: slope one.
    slope = (expected @ returns) / (expected @ expected)
    assert slope == pytest.approx(1.0, abs=0.05)
    wild = draw(replace(CRYPTO, days=200))
    sigma = np.log(wild.truth.integrated_variance[:, 0])
    assert np.corrcoef(np.log(wild.bars["SYN1"]["quote_asset_volume"]), sigma)[0, 1] > 0.7


def test_only_perpetuals_have_funding_every_eight_hours_and_an_index() -> None:
    spot = InstrumentSpec(name="S", annual_volatility=0.5, kind=Kind.SPOT)
    market = draw(replace(STEADY, days=30, instruments=(*STEADY.instruments, spot)))
    paid = market.bars["A"]["funding_rate"].notna()
    ends = market.bars["A"]["open_time"][paid] + pd.Timedelta("1h")
    assert sorted(ends.dt.hour.unique()) == [0, 8, 16]
    assert paid.sum() == 90
    assert "funding_rate" not in market.bars["S"]
    index = market.book.groupby("instrument")["index_price"].count()
    assert index["S"] == 0
    assert index["A"] == 30 * 24


def test_an_exchange_trades_in_its_sessions_and_jumps_over_the_night() -> None:
    coin = InstrumentSpec(name="COIN", annual_volatility=0.8)
    market = draw(replace(EQUITY, days=365, instruments=(*EQUITY.instruments, coin)))
    starts = market.bars["IDX"]["open_time"]
    assert (starts.dt.day_of_week < 5).all()
    assert set(starts.dt.hour) <= set(range(13, 22))
    panel = market.panel(period="1D")
    assert panel.periods_per_year[panel.instruments.index("IDX")] < 260
    assert panel.periods_per_year[panel.instruments.index("COIN")] == 365
    # The closed time has its share of the variance of the year.
    truth = market.truth.on(panel)
    column = panel.instruments.index("IDX")
    per_day = np.nanmean(truth.integrated_variance[:, column])
    assert per_day * 252 == pytest.approx(0.16**2, rel=0.6)
    bars = market.bars["IDX"]
    gap = np.abs(np.log(bars["open"].to_numpy()[1:] / bars["close"].to_numpy()[:-1]))
    overnight = np.diff(starts) > pd.Timedelta("1h")
    assert (gap[~overnight] < 0.2).all()
    assert (gap[overnight] > 0.0).all()


def test_a_collapsed_instrument_falls_to_what_remains_and_is_delisted() -> None:
    end = Collapse(at=0.5, days=5.0, remaining=0.01)
    doomed = InstrumentSpec(name="D", annual_volatility=0.8, collapse=end)
    market = draw(replace(STEADY, instruments=(*STEADY.instruments, doomed), days=100))
    bars = market.bars["D"]
    assert len(bars) == 55 * 24
    before, last = bars["close"].iloc[50 * 24 - 1], bars["close"].iloc[-1]
    # Five days of 20 times the variance: a log standard deviation of 0.42 around the fall.
    assert np.log(last / before) == pytest.approx(np.log(0.01), abs=4 * 0.42)
    panel = market.panel(period="1D")
    assert not panel.present[56:, panel.instruments.index("D")].any()
    assert np.isnan(market.truth.integrated_variance[55 * 24 :, -1]).all()


@by_preset
def test_the_written_files_load_as_the_very_panel(
    name: str, markets: dict[str, SyntheticMarket], panels: dict[str, Panel], tmp_path: Path
) -> None:
    target = markets[name].write(tmp_path / "market")
    loaded = load_panel(target, period="1D")
    assert loaded.fingerprint() == panels[name].fingerprint()
    assert loaded.listings == panels[name].listings
    truth = pd.read_parquet(target.parent / "truth.parquet")
    n_bars = sum(len(bars) for bars in markets[name].bars.values())
    assert len(truth) == n_bars
    assert {"regime", "integrated_variance", "jump", "spread_bps", "depth"} <= set(truth)


def test_truth_on_a_panel_sums_variances_and_keeps_the_last_state(
    markets: dict[str, SyntheticMarket], panels: dict[str, Panel]
) -> None:
    market, panel = markets["crypto"], panels["crypto"]
    daily = market.truth.on(panel)
    bars = market.truth.integrated_variance[24 * 7 : 24 * 8]
    np.testing.assert_allclose(daily.integrated_variance[7], bars.sum(axis=0))
    assert daily.regime[7] == market.truth.regime[24 * 8 - 1]
    np.testing.assert_array_equal(daily.depth[7], market.truth.depth[24 * 8 - 1])
    np.testing.assert_array_equal(daily.time, panel.time)
    expected = daily.integrated_variance + daily.jump_variance
    np.testing.assert_array_equal(daily.conditional_variance, expected)


def test_truth_refuses_a_panel_of_another_market(
    markets: dict[str, SyntheticMarket], panels: dict[str, Panel]
) -> None:
    with pytest.raises(InputError, match="panel must be one of this market"):
        markets["crypto"].truth.on(panels["equity"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: replace(STEADY, instruments=()), "at least one with different names"),
        (lambda: replace(STEADY, regimes=()), "regimes must be at least one"),
        (lambda: replace(STEADY, bar="7h"), "bar must divide a day"),
        (lambda: replace(STEADY, bar="soon"), "bar must divide a day"),
        (lambda: replace(STEADY, days=0), "days must be at least 1"),
        (lambda: InstrumentSpec(name="", annual_volatility=0.5), "must have a name"),
        (lambda: InstrumentSpec(name="A", annual_volatility=-0.5), "annual_volatility must be"),
        (lambda: VolatilitySpec(leverage=-1.0), "leverage must be in"),
        (lambda: JumpSpec(common_share=1.5), "common_share must be in"),
        (lambda: JumpSpec(sd=np.nan), "sd must be zero or more"),
        (lambda: BookSpec(depth_leads=-1), "depth_leads must be a whole number"),
        (lambda: BookSpec(depth_before_jump=0.0), "depth_before_jump must be in"),
        (lambda: Collapse(at=1.0), "at must be in"),
        (
            lambda: RegimeSpec(name="x", variance_multiplier=1.0, mean_days=1.0, correlation=1.0),
            "correlation must be in",
        ),
        (
            lambda: replace(STEADY, regimes=(replace(STEADY.regimes[0], mean_days=0.01),)),
            "at least a bar on average",
        ),
    ],
)
def test_a_specification_that_cannot_be_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong()  # type: ignore[operator]


def test_an_instrument_that_never_trades_is_named() -> None:
    # 2021-01-01 to 03 were a holiday and a weekend.
    with pytest.raises(InputError, match="IDX must trade in two bars at least, found 0"):
        draw(replace(EQUITY, days=3))


def test_a_period_shorter_than_the_bars_is_refused() -> None:
    with pytest.raises(InputError, match="whole multiple of the bar length"):
        draw(replace(STEADY, days=3)).panel(period="30min")
