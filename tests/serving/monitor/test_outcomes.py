import math

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.serving.monitor import InstrumentOutcomes, Reactive

HOUR = 3_600_000_000_000


def test_margin_is_judged_by_the_close_after_its_horizon(make_quote):
    outcomes = InstrumentOutcomes()
    outcomes.closed(10 * HOUR, 100.0)
    outcomes.quoted(make_quote(origin=10 * HOUR, margins=(200, 210), horizon=2))
    assert outcomes.closed(11 * HOUR, 90.0) == []
    (judged,) = outcomes.closed(12 * HOUR, 97.0)
    assert (judged.origin, judged.known_at) == (10 * HOUR, 12 * HOUR)
    assert judged.long_loss_bps == pytest.approx(300.0)  # the price fell by 3 %
    assert judged.short_loss_bps == pytest.approx(-300.0)
    assert judged.log_return == pytest.approx(math.log(0.97))
    assert (judged.long_margin_bps, judged.short_margin_bps, judged.lag) == (200, 210, 2)


def test_lower_of_two_margins_of_one_close_is_judged(make_quote):
    outcomes = InstrumentOutcomes()
    outcomes.closed(HOUR, 100.0)
    outcomes.quoted(make_quote(origin=HOUR, margins=(200, 250)))
    outcomes.quoted(make_quote(origin=HOUR, margins=(300, 240)))
    (judged,) = outcomes.closed(2 * HOUR, 100.0)
    assert (judged.long_margin_bps, judged.short_margin_bps) == (200, 240)
    assert outcomes.series()["short_margin_bps"] == [240.0]


def test_margin_that_was_never_in_force_is_counted_and_not_judged(make_quote):
    outcomes = InstrumentOutcomes()
    outcomes.quoted(make_quote(origin=HOUR))  # of a close that nobody saw
    outcomes.closed(HOUR, 100.0)
    outcomes.closed(2 * HOUR, 100.0)
    outcomes.quoted(make_quote(origin=HOUR))  # after its outcome
    outcomes.quoted(make_quote(origin=HOUR + 5))  # between two closes
    outcomes.quoted(make_quote(origin=2 * HOUR, computed=False))  # fixed
    assert outcomes.unjudged == 4
    assert outcomes.closed(3 * HOUR, 50.0) == []
    assert outcomes.series()["time"] == []


@pytest.mark.parametrize(
    ("time", "close"), [(HOUR, 90.0), (1, 90.0), (2 * HOUR, math.nan), (2 * HOUR, 0.0)]
)
def test_close_that_cannot_be_changes_nothing(make_quote, time, close):
    outcomes = InstrumentOutcomes()
    outcomes.closed(HOUR, 100.0)
    outcomes.quoted(make_quote(origin=HOUR))
    assert outcomes.closed(time, close) == []
    (judged,) = outcomes.closed(3 * HOUR, 110.0)
    assert judged.short_loss_bps == pytest.approx(1_000.0)


def test_series_has_the_last_origins_and_none_for_what_is_not_known(make_quote):
    outcomes = InstrumentOutcomes(points=4)
    closes = [100.0, 101.0, 102.0, 99.0, 98.0, 105.0]
    for k, close in enumerate(closes, start=1):
        outcomes.closed(k * HOUR, close)
        outcomes.quoted(make_quote(origin=k * HOUR, margins=(200 + k, 210), horizon=2))
    series = outcomes.series()
    assert series["time"] == [3 * HOUR, 4 * HOUR, 5 * HOUR, 6 * HOUR]
    assert series["long_margin_bps"] == [203.0, 204.0, 205.0, 206.0]
    assert series["short_loss_bps"][2:] == [None, None]
    assert series["short_loss_bps"][:2] == pytest.approx(
        [1e4 * (98 / 102 - 1), 1e4 * (105 / 99 - 1)]
    )
    assert series["long_reactive_bps"] == [None] * 4


@pytest.mark.parametrize("horizon", [1, 5])
def test_reactive_margin_is_that_of_the_whole_series_at_once(horizon):
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_t(4, size=700)))
    reactive = Reactive(
        horizon_periods=horizon, tail_probability=0.02, window=300, needed=100, decay=0.94
    )
    found = [reactive.update(float(value)) for value in close]

    r = pd.Series(np.log(close)).diff()
    mean = (r**2).ewm(alpha=0.06, adjust=True).mean()
    scale = np.sqrt(mean * horizon).where(r.notna().cumsum() >= 20)
    move = pd.Series(np.log(close)).diff(horizon)
    score = (move / scale.shift(horizon)).dropna()
    for t in (150, 400, 699):
        known = score.loc[:t].to_numpy()[-300:]
        n = len(known)
        place = min(((n + 1) * 0.98 - 1) / (n - 1), 1.0)
        upper = np.expm1(np.quantile(known, place) * scale[t])
        lower = -np.expm1(-np.quantile(-known, place) * scale[t])
        assert found[t].short_bps == math.ceil(1e4 * upper)
        assert found[t].long_bps == math.ceil(1e4 * lower)
    first = next(t for t, margin in enumerate(found) if margin.long_bps is not None)
    assert first == 20 + horizon + 99


def test_reactive_settings_are_checked():
    with pytest.raises(InputError, match=r"decay must be in \(0, 1\) and tail_probability"):
        Reactive(horizon_periods=1, tail_probability=0.99)
    with pytest.raises(InputError, match="needed from 1 to window"):
        Reactive(horizon_periods=1, tail_probability=0.01, window=10)


def test_closes_before_the_first_calculation_count_for_the_reactive_margin(make_quote):
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 0.01, 300)))
    reactive = Reactive(horizon_periods=1, tail_probability=0.05)
    outcomes = InstrumentOutcomes()
    for k, price in enumerate(close):
        said = reactive.update(float(price))
        outcomes.closed((k + 1) * HOUR, float(price))
    assert said.long_bps is not None
    outcomes.quoted(make_quote(origin=300 * HOUR))
    series = outcomes.series()
    assert [series["long_reactive_bps"], series["short_reactive_bps"]] == [
        [said.long_bps],
        [said.short_bps],
    ]
