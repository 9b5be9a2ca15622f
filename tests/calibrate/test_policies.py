"""Laws that every margin policy obeys; a new entry of ALL_POLICIES is tested on arrival."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.calibrate import (
    ALL_POLICIES,
    EMIR_TOOLS,
    PREDICTIVE_POLICIES,
    REACTIVE_POLICIES,
    SIDES,
    Filtered,
    Fixed,
    Generation,
    Historical,
    MarginMarket,
    Policy,
    Predictive,
    WithTool,
)
from foremargin.errors import InputError
from foremargin.markets import Panel

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]
MakeMarket = Callable[..., MarginMarket]

N_PERIODS, SHOCK, FIRST_ROW, HORIZON = 1_100, 900, 500, 2

by_policy = pytest.mark.parametrize("policy", ALL_POLICIES, ids=lambda p: p.name)
PLAIN = [policy for policy in REACTIVE_POLICIES if not isinstance(policy, WithTool)]


@pytest.fixture(scope="module")
def panel(make_panel: MakePanel) -> Panel:
    return make_panel(n_periods=N_PERIODS)


@pytest.fixture(scope="module")
def market(panel: Panel, make_market: MakeMarket) -> MarginMarket:
    return make_market(panel, first_row=FIRST_ROW)


@pytest.fixture(scope="module")
def margin_of(market: MarginMarket) -> Callable[[Policy], Array]:
    """Compute the margins of a policy on the market once."""
    known: dict[str, Array] = {}

    def compute(policy: Policy) -> Array:
        if policy.name not in known:
            known[policy.name] = policy.margin(market)
        return known[policy.name]

    return compute


@pytest.fixture(scope="module")
def shocked(
    panel: Panel, shock_after: Callable[..., Panel], make_market: MakeMarket
) -> MarginMarket:
    """Give the same market until SHOCK and another one after it."""
    return make_market(shock_after(panel, SHOCK), first_row=FIRST_ROW)


@by_policy
def test_a_margin_ignores_losses_that_are_not_known_yet(
    policy: Policy,
    market: MarginMarket,
    margin_of: Callable[[Policy], Array],
    shocked: MarginMarket,
) -> None:
    base, after = margin_of(policy), policy.margin(shocked)
    # The outcomes of the last origins before SHOCK lie after it and did change.
    unknown = market.history.targets.known_at[: SHOCK + 1, :, 1] > SHOCK
    was, now = market.log_loss()[: SHOCK + 1], shocked.log_loss()[: SHOCK + 1]
    assert (was[unknown] != now[unknown]).any()
    assert np.isfinite(base[SHOCK]).all()
    np.testing.assert_array_equal(after[: SHOCK + 1], base[: SHOCK + 1])
    if policy.generation is not Generation.FIXED:
        later, before = after[SHOCK + 30 :], base[SHOCK + 30 :]
        both = np.isfinite(later) & np.isfinite(before)
        assert (later[both] != before[both]).mean() > 0.5


@by_policy
def test_a_margin_needs_nothing_after_its_origin(
    policy: Policy, panel: Panel, margin_of: Callable[[Policy], Array], make_market: MakeMarket
) -> None:
    stop = SHOCK + 1
    cut = policy.margin(make_market(panel.upto(stop), first_row=FIRST_ROW))
    np.testing.assert_array_equal(cut, margin_of(policy)[:stop])


@by_policy
def test_margins_are_positive_and_a_long_never_posts_more_than_its_notional(
    policy: Policy, market: MarginMarket, margin_of: Callable[[Policy], Array]
) -> None:
    margin = margin_of(policy)
    assert margin.shape == market.shape
    known = np.isfinite(margin)
    assert known.any(axis=(0, 1)).all()
    assert (margin[known] > 0.0).all()
    long = margin[..., SIDES.index("long")]
    assert (long[np.isfinite(long)] < 1.0).all()
    assert not np.isinf(margin).any()


@by_policy
def test_a_margin_is_missing_only_while_a_policy_warms_up(
    policy: Policy, market: MarginMarket, margin_of: Callable[[Policy], Array]
) -> None:
    margin, panel = margin_of(policy), market.history.panel
    assert np.isnan(margin[~panel.present]).all()
    for i in range(panel.n_instruments):
        own = np.isfinite(margin[panel.present[:, i], i])
        first = own.argmax(axis=0)
        # 250 outcomes, known HORIZON periods later, of forecasts that need twenty returns.
        assert (first <= 250 + HORIZON + 20).all()
        assert all(own[first[s] :, s].all() for s in range(2))


@by_policy
def test_a_rarer_tail_asks_for_more(
    policy: Policy, panel: Panel, margin_of: Callable[[Policy], Array], make_market: MakeMarket
) -> None:
    rarer = policy.margin(make_market(panel, tail_probability=0.01, first_row=FIRST_ROW))
    base = margin_of(policy)
    known = np.isfinite(rarer) & np.isfinite(base)
    # The predictive policy may follow another exponent at another tail.
    least = 0.9 if isinstance(policy, Predictive) else 1.0
    assert (rarer[known] >= base[known] * (1 - 1e-12)).mean() >= least


@pytest.mark.parametrize("policy", PLAIN, ids=lambda p: p.name)
def test_the_log_margin_doubles_when_losses_and_forecasts_double(
    policy: Policy,
    margin_of: Callable[[Policy], Array],
    make_panel: MakePanel,
    make_market: MakeMarket,
) -> None:
    double = make_market(make_panel(n_periods=N_PERIODS, scale=2.0), first_row=FIRST_ROW)
    base, doubled = margin_of(policy), policy.margin(double)
    # long: rate = 1 - exp(-m); short: rate = exp(m) - 1. Prices are rounded before their logs.
    np.testing.assert_allclose(-np.log1p(-doubled[..., 0]), -2 * np.log1p(-base[..., 0]), rtol=1e-9)
    np.testing.assert_allclose(np.log1p(doubled[..., 1]), 2 * np.log1p(base[..., 1]), rtol=1e-9)


def test_policy_names_are_unique_and_every_reactive_policy_has_every_tool() -> None:
    names = [policy.name for policy in ALL_POLICIES]
    assert len(set(names)) == len(names)
    assert (*REACTIVE_POLICIES, *PREDICTIVE_POLICIES) == ALL_POLICIES
    for plain in PLAIN:
        assert {f"{plain.name}+{tool.name}" for tool in EMIR_TOOLS} <= set(names)
    assert {p.generation for p in REACTIVE_POLICIES} == {Generation.FIXED, Generation.REACTIVE}
    assert {p.generation for p in PREDICTIVE_POLICIES} == {Generation.PREDICTIVE}


def test_a_policy_without_its_forecast_says_which_one_it_needs(market: MarginMarket) -> None:
    without = replace(market, variance={"ewma-0.94": market.variance["ewma-0.94"]})
    with pytest.raises(InputError, match=r"needs forecasts of 'gjr-t', found those of \['ewma"):
        Filtered(model="gjr-t").margin(without)


def test_historical_simulation_is_the_quantile_of_the_last_known_losses(
    market: MarginMarket, margin_of: Callable[[Policy], Array]
) -> None:
    got = margin_of(Historical(sessions=250))
    loss = market.log_loss()
    rows = np.flatnonzero(market.history.panel.present[:, 1])
    for at in (400, 500, 600):
        known = loss[rows[: at - HORIZON + 1], 1]
        for s in range(2):
            kept = np.sort(known[np.isfinite(known[:, s]), s][-250:])
            # position (n + 1)(1 - tail) of the ordered losses, counted from one
            quantile = np.interp(251 * 0.95, np.arange(1, 251), kept)
            wanted = np.exp(quantile) - 1 if s else 1 - np.exp(-quantile)
            np.testing.assert_allclose(got[rows[at], 1, s], wanted)


def test_filtered_simulation_is_the_quantile_of_scores_times_the_forecast(
    market: MarginMarket, margin_of: Callable[[Policy], Array]
) -> None:
    got = margin_of(Filtered(model="gjr-t"))
    sigma = np.sqrt(market.variance["gjr-t"][:, 0])
    at = 700
    score = (market.log_loss()[:, 0, 1] / sigma)[: at - HORIZON + 1]
    kept = np.sort(score[np.isfinite(score)])
    position = (len(kept) + 1) * 0.95
    margin = np.interp(position, np.arange(1, len(kept) + 1), kept) * sigma[at]
    np.testing.assert_allclose(got[at, 0, 1], np.exp(margin) - 1)


def test_the_fixed_margin_is_set_when_judging_begins_and_never_moves(
    margin_of: Callable[[Policy], Array],
) -> None:
    margin = margin_of(Fixed())
    for i in range(margin.shape[1]):
        for s in range(2):
            judged = margin[FIRST_ROW:, i, s]
            assert len(set(judged[np.isfinite(judged)])) == 1
    assert margin[FIRST_ROW, 0, 0] == margin_of(Historical(sessions=1_000))[FIRST_ROW, 0, 0]


def test_a_later_listing_sets_its_fixed_margin_with_its_hundredth_loss(
    make_panel: MakePanel, make_market: MakeMarket
) -> None:
    panel = make_panel(n_periods=800, late_periods=250)
    margin = Fixed().margin(make_market(panel, first_row=500))[:, 2, 0]
    own = margin[panel.present[:, 2]]
    assert np.flatnonzero(np.isfinite(own))[0] == 99 + HORIZON
    assert len(set(own[np.isfinite(own)])) == 1


def test_too_short_a_window_is_refused() -> None:
    with pytest.raises(InputError, match="sessions must be at least 100 to hold a 1 % tail"):
        Historical(sessions=60)


@pytest.mark.parametrize(
    "policy", [Historical(sessions=500), Filtered(model="true")], ids=lambda p: p.name
)
def test_the_breach_rate_of_independent_losses_is_the_one_asked_for(
    policy: Policy, make_panel: MakePanel, make_market: MakeMarket
) -> None:
    panel = make_panel(n_periods=6_000, clustered=False)
    tail = 0.05
    variance = {"true": np.full(panel.close.shape, 4e-4)}
    market = make_market(panel, horizon=1, tail_probability=tail, variance=variance)
    margin, loss = policy.margin(market), market.loss()
    known = np.isfinite(margin) & np.isfinite(loss)
    breach, n = int((loss > margin)[known].sum()), int(known.sum())
    # The quantile of n losses has itself a standard error: a rolling window re-estimates it
    # with errors of the same size, so twice the binomial variance covers both; 4 deviations.
    assert abs(breach / n - tail) < 4.0 * np.sqrt(2 * tail * (1 - tail) / n)


def test_a_long_loses_when_the_price_falls_and_a_short_when_it_rises(market: MarginMarket) -> None:
    loss, close = market.loss(), market.history.panel.close
    # COIN trades in every period: its price HORIZON rows later is that of the outcome.
    moved = close[HORIZON:, 0] / close[:-HORIZON, 0] - 1.0
    np.testing.assert_allclose(loss[:-HORIZON, 0, SIDES.index("long")], -moved, atol=1e-12)
    np.testing.assert_allclose(loss[:-HORIZON, 0, SIDES.index("short")], moved, atol=1e-12)
    assert np.isnan(loss[-HORIZON:]).all()


@pytest.mark.parametrize("policy", [Fixed(), Historical(sessions=250)], ids=lambda p: p.name)
def test_a_market_that_only_rises_gives_a_long_no_margin_rather_than_a_negative_one(
    policy: Policy, make_panel: MakePanel, make_market: MakeMarket
) -> None:
    panel = make_panel(n_periods=800)
    log_return = np.abs(panel.log_return)
    rising = replace(panel, log_return=log_return)
    margin = policy.margin(make_market(rising, first_row=500))
    assert np.isnan(margin[:, 0, 0]).all()
    assert (margin[600:, 0, 1] > 0.0).all()
