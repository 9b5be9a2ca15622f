"""Targets: outcomes after an origin, and what of them is known at a later moment."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.features import build_history, build_targets
from foremargin.features.liquidity.cost import relative_cost
from foremargin.features.measures import Measures
from foremargin.features.targets import STRESS_QUANTILE
from foremargin.markets import Panel

MakePanel = Callable[..., Panel]
ShockAfter = Callable[..., Panel]

HORIZONS = (1, 3, 7)
OUTCOMES = (
    *("variance", "log_return", "stress", "regime"),
    *("illiquidity", "liquidity_stress", "liquidity_cost"),
)
AT_ORIGIN = (
    *("stress_threshold", "elevated_threshold", "stress_now", "regime_now"),
    *("illiquidity_threshold", "liquidity_stress_now"),
    *("liquidity_cost_level", "liquidity_cost_now"),
)


@pytest.fixture(scope="module")
def panel(make_panel: MakePanel) -> Panel:
    return make_panel()


def test_forward_sums_agree_with_a_loop_over_own_periods(panel: Panel) -> None:
    targets = build_targets(panel, horizons=HORIZONS)
    variance = Measures(panel=panel).variance
    checked = 0
    for i in range(panel.n_instruments):
        rows = np.flatnonzero(panel.present[:, i])
        for k, horizon in enumerate(HORIZONS):
            for position, row in enumerate(rows):
                ahead = rows[position + 1 : position + 1 + horizon]
                got = targets.variance[row, i, k], targets.log_return[row, i, k]
                if len(ahead) < horizon:
                    assert np.isnan(got).all()
                    assert targets.known_at[row, i, k] == panel.n_periods
                    continue
                wanted = variance[ahead, i].sum(), panel.log_return[ahead, i].sum()
                np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-15)  # order of sums
                assert targets.known_at[row, i, k] == ahead[-1]
                checked += 1
    assert checked > 5_000


def test_a_period_in_which_an_instrument_does_not_trade_has_no_outcome(panel: Panel) -> None:
    targets = build_targets(panel, horizons=HORIZONS)
    for name in OUTCOMES:
        assert np.isnan(getattr(targets, name)[~panel.present]).all()
    assert (targets.known_at[~panel.present] == panel.n_periods).all()


@pytest.mark.parametrize("stop", [2, 350, 617, 900])
def test_upto_hides_exactly_the_outcomes_that_were_not_complete(panel: Panel, stop: int) -> None:
    full = build_targets(panel, horizons=HORIZONS)
    cut = full.upto(stop)
    known = full.known_at[:stop] < stop
    for name in OUTCOMES:
        whole = getattr(full, name)[:stop]
        np.testing.assert_array_equal(getattr(cut, name), np.where(known, whole, np.nan))
    for name in AT_ORIGIN:
        np.testing.assert_array_equal(getattr(cut, name), getattr(full, name)[:stop])
    np.testing.assert_array_equal(cut.known_at, np.where(known, full.known_at[:stop], stop))


@pytest.mark.parametrize("stop", [2, 350, 617])
def test_a_cut_history_is_the_history_of_the_cut_panel(panel: Panel, stop: int) -> None:
    cut = build_history(panel, horizons=HORIZONS).upto(stop)
    anew = build_history(panel.upto(stop), horizons=HORIZONS)
    assert cut.panel.fingerprint() == anew.panel.fingerprint()
    for name in (*OUTCOMES, *AT_ORIGIN, "known_at"):
        np.testing.assert_array_equal(getattr(cut.targets, name), getattr(anew.targets, name))
    for name in ("values", "variance", "level"):
        np.testing.assert_array_equal(getattr(cut.features, name), getattr(anew.features, name))


def test_what_is_known_at_the_origin_and_past_labels_ignore_the_future(
    panel: Panel, shock_after: ShockAfter
) -> None:
    shock = 600
    base = build_targets(panel, horizons=HORIZONS)
    shocked = build_targets(shock_after(panel, shock), horizons=HORIZONS)
    assert np.isfinite(base.stress_threshold[: shock + 1]).any()
    for name in AT_ORIGIN:
        np.testing.assert_array_equal(
            getattr(shocked, name)[: shock + 1], getattr(base, name)[: shock + 1]
        )
    complete = base.known_at <= shock
    for name in OUTCOMES:
        np.testing.assert_array_equal(
            getattr(shocked, name)[complete], getattr(base, name)[complete]
        )
    later = base.known_at[: shock + 1] > shock
    was, now = base.variance[: shock + 1][later], shocked.variance[: shock + 1][later]
    assert (now[np.isfinite(was)] != was[np.isfinite(was)]).all()


def test_stress_is_variance_above_the_quantile_of_all_past_windows(panel: Panel) -> None:
    targets = build_targets(panel, horizons=(3,))
    variance = Measures(panel=panel).variance[:, 0]
    at = 500
    windows = [variance[t - 2 : t + 1].sum() for t in range(3, at + 1)]  # row 0 has no return
    threshold = np.quantile(windows, STRESS_QUANTILE)
    np.testing.assert_allclose(targets.stress_threshold[at, 0, 0], threshold, rtol=1e-10)
    known = np.isfinite(targets.stress[:, 0, 0])
    above = targets.variance[:, 0, 0] > targets.stress_threshold[:, 0, 0]
    np.testing.assert_array_equal(targets.stress[known, 0, 0], above[known].astype(float))
    assert 0.05 < targets.stress[known, 0, 0].mean() < 0.5


def test_liquidity_stress_needs_volume_and_happens_about_as_often_as_its_quantile(
    panel: Panel,
) -> None:
    liquidity = build_targets(panel, horizons=(5,)).liquidity_stress[:, :, 0]
    assert np.isnan(liquidity[:, 3]).all()  # CLOSE has no volume
    # One in ten by construction; the illiquidity of weeks is autocorrelated, so give it room.
    assert 0.03 < np.nanmean(liquidity[:, 0]) < 0.25


def test_stress_now_is_the_stress_of_the_window_that_has_just_ended(panel: Panel) -> None:
    horizon = 3
    targets = build_targets(panel, horizons=(horizon,))
    for i in range(panel.n_instruments):
        own = np.flatnonzero(panel.present[:, i])
        ended = targets.variance[own[:-horizon], i, 0]  # of origins whose outcome ends at `now`
        now = own[horizon:]
        wanted = np.where(
            np.isfinite(ended) & np.isfinite(targets.stress_threshold[now, i, 0]),
            ended > targets.stress_threshold[now, i, 0],
            np.nan,
        )
        np.testing.assert_array_equal(targets.stress_now[now, i, 0], wanted)
    assert 0.05 < np.nanmean(targets.stress_now) < 0.5
    # Stress lasts: a window in stress is followed by one more often than not.
    lasting = targets.liquidity_stress_now[:, 0, 0] == 1.0
    assert np.nanmean(targets.liquidity_stress[lasting, 0, 0]) > np.nanmean(
        targets.liquidity_stress[:, 0, 0]
    )


def test_the_regime_and_the_cost_now_are_those_of_the_window_that_has_just_ended(
    panel: Panel,
) -> None:
    horizon = 3
    targets = build_targets(panel, horizons=(horizon,))
    for i in range(panel.n_instruments):
        own = np.flatnonzero(panel.present[:, i])
        now, before = own[horizon:], own[:-horizon]
        ended = targets.variance[before, i, 0]
        edges = [
            threshold[now, i, 0]
            for threshold in (targets.elevated_threshold, targets.stress_threshold)
        ]
        known = np.isfinite(ended) & np.isfinite(edges).all(axis=0)
        wanted = np.where(known, sum((ended > edge).astype(float) for edge in edges), np.nan)
        np.testing.assert_array_equal(targets.regime_now[now, i, 0], wanted)
        np.testing.assert_array_equal(
            targets.liquidity_cost_now[now, i, 0], targets.liquidity_cost[before, i, 0]
        )
    cost, row = relative_cost(Measures(panel=panel)), 400
    last = np.flatnonzero(panel.present[: row + 1, 0])[-horizon:]
    wanted = cost[last, 0].mean()
    np.testing.assert_allclose(targets.liquidity_cost_now[row, 0, 0], wanted, rtol=1e-10)
    assert set(np.unique(targets.regime_now[np.isfinite(targets.regime_now)])) == {0.0, 1.0, 2.0}
    np.testing.assert_array_equal(targets.regime_now == 2.0, targets.stress_now == 1.0)
    assert np.isfinite(targets.liquidity_cost_now).any()


def test_one_period_after_friday_is_monday_for_an_exchange_and_saturday_for_a_coin(
    panel: Panel,
) -> None:
    targets = build_targets(panel, horizons=(1,))
    day = pd.DatetimeIndex(panel.time) - pd.Timedelta(days=1)  # rows are stamped with their end
    friday = int(np.flatnonzero(day.day_of_week == 4)[60])
    assert day[targets.known_at[friday, 0, 0]] == day[friday] + pd.Timedelta(days=1)
    assert day[targets.known_at[friday, 1, 0]] == day[friday] + pd.Timedelta(days=3)
    assert targets.log_return[friday, 0, 0] == panel.log_return[friday + 1, 0]
    assert targets.log_return[friday, 1, 0] == panel.log_return[friday + 3, 1]


@pytest.mark.parametrize("horizons", [(), (0, 1), (5, 1), (1, 1)])
def test_horizons_must_increase_from_one(panel: Panel, horizons: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="horizons must be increasing numbers of periods"):
        build_targets(panel, horizons=horizons)


def test_asking_for_a_horizon_that_was_not_built_names_those_that_were(panel: Panel) -> None:
    targets = build_targets(panel, horizons=(1, 5))
    assert targets.at(5) == 1
    with pytest.raises(InputError, match=r"one of \[1, 5\], was 2"):
        targets.at(2)
