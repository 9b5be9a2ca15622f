"""The core features, one by one; the laws of all features stand in test_registry."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.errors import InputError
from foremargin.features import CORE_FEATURES, Feature, Measures, build_features
from foremargin.markets import Panel

MakePanel = Callable[..., Panel]
ShockAfter = Callable[..., Panel]

SHOCK = 700  # of 900 rows; every feature is known long before, and every window ends after

by_feature = pytest.mark.parametrize("feature", CORE_FEATURES, ids=lambda f: f.name)
by_period = pytest.mark.parametrize("period", ["1D", "4h"])


@pytest.fixture(scope="module")
def panels(make_panel: MakePanel) -> dict[str, Panel]:
    return {
        "1D": make_panel(n_periods=900, period="1D"),
        "4h": make_panel(n_periods=900, period="4h"),
    }


@by_feature
def test_a_feature_does_not_depend_on_the_scale_of_returns(
    feature: Feature, make_panel: MakePanel
) -> None:
    base = build_features(make_panel(), names=[feature.name])
    scaled = build_features(make_panel(scale=7.0), names=[feature.name])
    # Prices are exponentials of scaled logs: both they and the logs taken of them are rounded,
    # and moves of 1e-4 lose four digits of the sixteen; a unit slip would be of order one.
    np.testing.assert_allclose(scaled.values, base.values, rtol=1e-6, atol=1e-7)


def test_only_features_that_say_something_at_this_period_length_are_built_by_default(
    panels: dict[str, Panel],
) -> None:
    daily, intraday = build_features(panels["1D"]).names, build_features(panels["4h"]).names
    assert set(intraday) - set(daily) == {f.name for f in CORE_FEATURES if f.intraday_only}
    assert intraday == tuple(f.name for f in CORE_FEATURES)


def test_an_unknown_feature_is_named_in_the_error(panels: dict[str, Panel]) -> None:
    with pytest.raises(InputError, match=r"found \['moon_phase'\]"):
        build_features(panels["1D"], names=["moon_phase"])
    with pytest.raises(InputError, match="was 'moon_phase'"):
        build_features(panels["1D"], names=["vol_of_vol"]).column("moon_phase")


def test_the_frame_holds_every_value_once_under_its_time_and_instrument(
    panels: dict[str, Panel],
) -> None:
    features = build_features(panels["1D"], names=["fall_last", "vol_of_vol"])
    table = features.frame()
    assert table.shape == (900 * 4, 2)
    time = table.index[4 * 500][0]
    assert table.loc[(time, "INDEX"), "vol_of_vol"] == features.column("vol_of_vol")[500, 1]


def test_a_return_of_the_last_period_is_split_into_its_fall_and_its_rise(
    panels: dict[str, Panel],
) -> None:
    features = build_features(panels["1D"], names=["fall_last", "rise_last"])
    fall, rise = features.column("fall_last"), features.column("rise_last")
    log_return = panels["1D"].log_return
    known = np.isfinite(fall)
    assert ((fall <= 0.0) & (rise >= 0.0) & (fall * rise == 0.0))[known].all()
    np.testing.assert_array_equal(np.sign(fall + rise)[known], np.sign(log_return)[known])


def test_the_mean_variance_of_a_week_counts_the_instruments_own_periods(
    panels: dict[str, Panel],
) -> None:
    panel = panels["1D"]
    features = build_features(panel, names=["log_variance_week"])
    # 7 calendar days hold 7 periods of COIN and round(7 * 252 / 365) = 5 of INDEX.
    for i, window in ((0, 7), (1, 5)):
        rows = np.flatnonzero(panel.present[:, i])
        at = rows[300]
        last = features.variance[rows[301 - window : 301], i]
        expected = np.log(last.mean()) - features.level[at, i]
        # No variance of these weeks is so small that it is floored.
        np.testing.assert_allclose(features.column("log_variance_week")[at, i], expected)


def test_the_season_of_a_market_that_is_wild_on_sundays_peaks_on_saturday_night(
    make_panel: MakePanel,
) -> None:
    base = make_panel(intraday=False, clustered=False)
    # Periods are stamped with their end: the day of a row is the day before its time.
    day = (base.time - np.timedelta64(1, "D")).astype("datetime64[D]").astype(int)
    sunday = (day + 4) % 7 == 0  # 1970-01-01 was a Thursday
    realized = np.full(base.close.shape, 1e-4)
    realized[sunday] *= 9.0
    realized[~base.present] = np.nan
    panel = Panel(
        time=base.time,
        period=base.period,
        instruments=base.instruments,
        close=base.close,
        log_return=base.log_return,
        missing=base.missing,
        periods_per_year=base.periods_per_year,
        fields={"realized_variance": realized},
    )
    season = build_features(panel, names=["season_next"]).column("season_next")[-100:-1, 0]
    # On Sundays ln 9 above 1e-4, whose four-week mean of logs is ln(9)/7 above it.
    before_sunday = sunday[-99:]
    assert (season[before_sunday] > 1.5).all()
    assert (season[~before_sunday] < 0.0).all()
    # The slots of Monday to Friday of the exchange never hold a Sunday.
    index = build_features(panel, names=["season_next"]).column("season_next")[:, 1]
    np.testing.assert_allclose(index[np.isfinite(index)], 0.0, atol=1e-12)  # sums of rounded logs


def hourly_with_season(season: NDArray[np.float64], make_panel: MakePanel) -> Panel:
    """Thirty weeks of hours whose log variance is a season and noise of unit variance."""
    base = make_panel(intraday=False, clustered=False)
    n = 30 * 168
    # 2024-01-01 was a Monday; hours are stamped with their end.
    time = np.datetime64("2024-01-01T01", "ns") + np.arange(n) * np.timedelta64(1, "h")
    noise = np.random.default_rng(3).standard_normal(n)
    realized = 1e-4 * np.exp(np.tile(season, 30) + noise)
    return Panel(
        time=time,
        period=pd.Timedelta("1h"),
        instruments=base.instruments[:1],
        close=np.full((n, 1), 100.0),
        log_return=np.zeros((n, 1)),
        missing=np.zeros((n, 1), dtype=np.int8),
        periods_per_year=np.array([365.0 * 24.0]),
        fields={"realized_variance": realized[:, None]},
    )


@pytest.mark.parametrize(
    ("every_hour_its_own", "least", "most"),
    # The noise of a mean over 30 weeks has variance 1/30. Over 150 workdays and 60 weekend days it
    # is 1/150 and 1/60, and the prior of 8 periods takes 5 % and 12 % of the season: 0.68 in all.
    # Slots that differ as much as the noise are hardly to be shrunk.
    [(False, 0.6, 0.75), (True, 0.9, 1.05)],
    ids=["workdays alike", "every hour its own"],
)
def test_a_season_is_shrunk_to_that_of_the_kind_of_day_as_much_as_slots_are_noise(
    make_panel: MakePanel, every_hour_its_own: bool, least: float, most: float
) -> None:
    rng = np.random.default_rng(1)
    day, weekend = rng.standard_normal((2, 24))
    season = np.concatenate([np.tile(day, 5), np.tile(weekend, 2)])
    if every_hour_its_own:
        season = rng.standard_normal(168)
    season -= season.mean()
    panel = hourly_with_season(season, make_panel)
    known = build_features(panel, names=["season_next"]).column("season_next")[-169:-1, 0]
    measures = Measures(panel=panel)
    log_variance = measures.log_variance
    deviation = (log_variance - measures.mean(log_variance, days=28))[:-168, 0]
    by_slot = np.nanmean(deviation.reshape(-1, 168), axis=0)
    error, error_by_slot = (np.sqrt(np.mean((x - season) ** 2)) for x in (known, by_slot))
    assert least < error / error_by_slot < most


def test_the_variance_a_week_ago_is_that_of_the_same_weekday_as_the_period_to_come(
    panels: dict[str, Panel],
) -> None:
    panel = panels["1D"]
    measures = Measures(panel=panel)
    week_ago = build_features(panel, names=["log_variance_week_ago"]).values[:, 0, 0]
    at = 300  # COIN trades daily: the next row is 301, a week before it is 294
    assert week_ago[at] == measures.log_variance[294, 0] - measures.level[at, 0]


def test_the_season_of_the_period_after_a_friday_is_monday_for_an_exchange(
    panels: dict[str, Panel],
) -> None:
    panel = panels["1D"]
    slots = Measures(panel=panel).slot_of_next()
    # 2018-01-05 was a Friday: rows are stamped with their end, Saturday at midnight.
    friday = np.datetime64("2018-01-06", "ns")
    row = np.flatnonzero(panel.time == friday)[0]
    assert slots[row, 0] == 5 * 24  # COIN
    assert slots[row, 1] == 0  # INDEX
