"""The predictive policy row by row is the predictive policy of the backtest."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate import Predictive
from foremargin.calibrate.coverage import AdaptiveConformal, ConformalPid, RegimeWeightedConformal
from foremargin.calibrate.laws import SCORE_LAWS
from foremargin.calibrate.path import MarginLimits, SpeedLimit
from foremargin.calibrate.policies import (
    NO_RUNG,
    ChosenMargins,
    ErrorInterval,
    OnlinePolicy,
    OnlinePredictive,
    predictive,
)
from foremargin.calibrate.policies import online as online_module
from foremargin.calibrate.pooling import RunningPool, pooled_tail
from foremargin.calibrate.regime import RegimeStream, market_regime
from foremargin.errors import InputError, ShapeError
from foremargin.models import from_state, read_state, to_state, write_state

MODEL, PAIR, FIRST = "har-pooled", (0.75, 0.5), 120


def _through_bytes(state):
    return from_state(read_state(*write_state(to_state(state))), loaded_only=True)


@pytest.fixture(scope="module", params=[1, 5])
def market(request, make_market, make_panel):
    made = make_market(make_panel(n_periods=800), horizon=request.param, first_row=FIRST)
    variance = made.variance[MODEL].copy()
    variance[:FIRST] = np.nan
    variance[300:303, 0] = np.nan  # a model may say nothing for a while
    return replace(made, variance={MODEL: variance})


def _online(policy, market, cuts=()):
    frozen = OnlinePolicy.of(
        policy,
        horizon=market.horizon,
        tail_probability=market.tail_probability,
        exponents=policy.exponents[0],
    )
    panel = market.history.panel
    online, out = OnlinePredictive.fresh(frozen, panel), []
    for row in range(panel.n_periods):
        if row in cuts:
            saved = _through_bytes(online.state())
            online = OnlinePredictive.fresh(frozen, panel)
            online.restore(saved)
        out.append(
            online.advance(
                panel.log_return[row],
                present=panel.present[row],
                variance=market.variance[MODEL][row],
            )
        )
    return np.stack(out), online


@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_margins_are_those_of_the_backtest_however_the_rows_are_cut(market, data):
    policy = Predictive(model=MODEL, exponents=(PAIR,))
    cuts = data.draw(st.sets(st.integers(1, 799), max_size=4))
    online, _ = _online(policy, market, cuts)
    batch = policy.margin(market)
    # The mean of the log volatilities is summed in another order, nothing else.
    np.testing.assert_allclose(online, batch, rtol=1e-12)
    assert np.isfinite(batch).sum(axis=0).min() > 50  # every side of every instrument has some


@pytest.mark.parametrize(
    "policy",
    [
        Predictive(model=MODEL, exponents=((1.0, 1.0),), pooled_sessions=0.0),
        Predictive(model=MODEL, exponents=((0.0, 0.0),), coverage=ConformalPid()),
        Predictive(model=MODEL, exponents=(PAIR,), coverage=RegimeWeightedConformal(fewest=20.0)),
    ],
    ids=["own scores", "pid", "regimes"],
)
def test_other_rules_are_those_of_the_backtest_too(market, policy):
    online, _ = _online(policy, market, cuts={400})
    np.testing.assert_allclose(online, policy.margin(market), rtol=1e-11)


def test_scores_leave_the_windows_when_they_do_in_the_backtest(market, monkeypatch):
    for module in (predictive, online_module):
        monkeypatch.setattr(module, "WINDOW_SESSIONS", 150)
        monkeypatch.setattr(module, "USUAL_SESSIONS", 60)
    policy = Predictive(model=MODEL, exponents=(PAIR,))
    online, _ = _online(policy, market, cuts={500})
    np.testing.assert_allclose(online, policy.margin(market), rtol=1e-11)


def test_a_margin_at_another_forecast_is_that_of_the_present_row_at_it(market):
    policy = Predictive(model=MODEL, exponents=(PAIR,))
    margins, online = _online(policy, market)
    last = int(np.flatnonzero(market.history.panel.present[:, 0])[-1])
    same = online.provisional(0, float(market.variance[MODEL][last, 0]))
    np.testing.assert_allclose(same, margins[last, 0], rtol=1e-12)
    higher = online.provisional(0, 4.0 * float(market.variance[MODEL][last, 0]))
    assert (np.array(higher) > same).all()


def test_a_policy_with_a_law_is_not_served_and_a_state_of_others_is_refused(market):
    policy = Predictive(model=MODEL, exponents=(PAIR,))
    with pytest.raises(InputError, match="must have no law of scores"):
        OnlinePolicy.of(
            replace(policy, law=SCORE_LAWS[0]), horizon=1, tail_probability=0.05, exponents=PAIR
        )
    _, online = _online(policy, market)
    saved = online.state()
    frozen = replace(online.policy, tail_probability=0.02)
    other = OnlinePredictive.fresh(frozen, market.history.panel)
    with pytest.raises(InputError, match="must be that of AdaptiveConformal"):
        other.restore(saved)
    with pytest.raises(InputError, match="found KeyError"):
        online.restore({})
    with pytest.raises(InputError, match="quantile of a saved policy must be float64"):
        online.restore({**saved, "quantile": saved["quantile"][:1]})
    with pytest.raises(ShapeError, match="a value for each of 4 instruments"):
        online.advance(np.zeros(2), present=np.ones(2, dtype=bool), variance=np.ones(2))


def test_a_score_that_no_loss_could_make_is_left_out_and_counted(market):
    policy = Predictive(model=MODEL, exponents=((1.0, 1.0),))
    _, online = _online(policy, market)
    n = online.policy.horizon
    present = np.ones(4, dtype=bool)
    for _ in range(n):
        online.advance(np.full(4, 0.01), present=present, variance=np.full(4, 1e-60))
    assert online.refused == 0
    online.advance(np.full(4, 0.01), present=present, variance=np.full(4, 1e-4))
    assert online.refused == 8
    assert np.isfinite(
        online.advance(np.zeros(4), present=present, variance=np.full(4, 1e-4))
    ).all()


def test_the_running_pool_reads_what_the_whole_pass_reads():
    rng = np.random.default_rng(3)
    score = rng.standard_t(3, size=(400, 3, 2))
    score[rng.random(score.shape) < 0.2] = np.nan
    known_at = np.minimum(np.arange(400)[:, None] + np.array([1, 4, 9]), 400)
    options: Any = {"tail_probability": 0.05, "window": 120, "step": 7}
    whole = pooled_tail(score, known_at, **options, weight=1.0)
    pool = RunningPool.fresh(**options, n_instruments=3)
    for row in range(400):
        origin = row - np.array([1, 4, 9])
        known = np.where((origin >= 0)[:, None], score[origin, np.arange(3)], np.nan)
        np.testing.assert_array_equal(pool.advance(origin, known), whole.quantile[row])
    assert np.isfinite(whole.quantile).any()


def test_the_regime_stream_says_what_the_history_says(market):
    history = market.history
    week, regimes = history.features.column("log_variance_week"), market_regime(history)
    stream = RegimeStream.fresh(history.panel.n_instruments)
    for row in range(history.panel.n_periods):
        if row == 400:
            saved = _through_bytes(stream.state())
            stream = RegimeStream.fresh(history.panel.n_instruments)
            stream.restore(saved)
        np.testing.assert_array_equal(stream.advance(week[row]), regimes[row])
    assert len(np.unique(regimes)) == 4
    with pytest.raises(InputError, match="saved regimes must be of 4 instruments"):
        stream.restore({"ordered": np.zeros((1, 1)), "count": np.zeros(1, dtype=np.int64)})


def test_the_interval_holds_nine_of_ten_errors_and_young_instruments_borrow_it():
    rng = np.random.default_rng(9)
    n, inside = 3, 0
    interval = ErrorInterval.fresh(np.ones(n, dtype=np.int64), horizon=2)
    forecast = 1e-4 * np.exp(rng.normal(size=(700, n)))
    realized = 0.5e-4 * np.exp(rng.normal(size=(700, n)))
    bounds = []
    for row in range(700):
        present = np.array([True, True, row >= 650])
        lower, upper = interval.advance(realized[row], present=present, variance=forecast[row])
        bounds.append((lower, upper))
        if row == 600:
            saved = _through_bytes(interval.state())
            interval = ErrorInterval.fresh(np.ones(n, dtype=np.int64), horizon=2)
            interval.restore(saved)
    assert np.isnan(bounds[90][0]).all()
    assert bounds[-1][0][2] == np.median(bounds[-1][0][:2])
    for row in range(300, 698):
        ratio = np.sqrt(realized[row + 1 : row + 3, 0].sum() / forecast[row, 0])
        inside += bounds[row][0][0] <= ratio <= bounds[row][1][0]
    # Four standard deviations of 398 overlapping errors, as of 199.
    assert abs(inside / 398 - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 199)


def test_going_down_a_rung_never_lowers_a_margin_until_the_better_one_is_back():
    chosen = ChosenMargins.fresh(MarginLimits(), n_instruments=1)
    nothing = [[np.nan, np.nan]]
    steps = [
        ([nothing, [[0.03, 0.03]]], 1, [0.03, 0.03]),  # the better one has never spoken
        ([[[0.10, 0.08]], [[0.03, 0.03]]], 0, [0.10, 0.08]),
        ([nothing, [[0.05, 0.09]]], 1, [0.10, 0.09]),
        ([nothing, [[0.04, 0.04]]], 1, [0.10, 0.08]),
        ([[[0.06, 0.07]], [[0.04, 0.04]]], 0, [0.06, 0.07]),
        ([nothing, nothing], NO_RUNG, [np.nan, np.nan]),
        ([nothing, [[0.05, 0.05]]], 1, [0.06, 0.07]),
    ]
    for targets, rung, margin in steps:
        said = chosen.advance(np.array(targets))
        assert said.rung[0] == rung
        np.testing.assert_array_equal(said.initial[0], margin)


def test_limits_go_on_from_a_saved_state():
    limits = MarginLimits(speed=(SpeedLimit(rise=0.1, fall=0.1),))
    rng = np.random.default_rng(1)
    chosen = ChosenMargins.fresh(limits, n_instruments=2)
    for _ in range(20):
        chosen.advance(np.exp(rng.normal(-3, 0.5, size=(1, 2, 2))))
    other = ChosenMargins.fresh(limits, n_instruments=2)
    other.restore(_through_bytes(chosen.state()))
    targets = np.exp(rng.normal(-3, 0.5, size=(1, 2, 2)))
    expected, found = chosen.advance(targets), other.advance(targets)
    np.testing.assert_array_equal(found.initial, expected.initial)
    with pytest.raises(InputError, match="must be of the limits"):
        ChosenMargins.fresh(MarginLimits(), n_instruments=2).restore(chosen.state())
    with pytest.raises(ShapeError, match="targets must have shape"):
        chosen.advance(np.zeros((1, 3, 2)))


def test_adaptive_is_what_the_default_policy_runs():
    assert Predictive(model=MODEL).coverage == AdaptiveConformal()
