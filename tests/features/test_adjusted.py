"""Range variance without its season: what it removes, what it keeps, and where it falls back."""

from dataclasses import replace

import numpy as np
import pytest

from foremargin.features import build_features

HOURS_PER_WEEK = 168


def with_season(panel, *, strength):
    """Multiply every variance by a wave over the hours of the day, the close being left alone."""
    hour = panel.time.astype("datetime64[h]").astype(int) % 24
    wave = np.exp(strength * np.sin(2 * np.pi * hour / 24))[:, None]
    fields = dict(panel.fields)
    for name in ("realized_range", "late_range", "realized_variance"):
        fields[name] = panel.values(name) * wave
    return replace(panel, fields=fields)


@pytest.fixture(scope="module")
def hourly(make_panel):
    return make_panel(n_periods=24 * 7 * 20, period="1h")


def test_a_season_that_was_seen_often_enough_is_gone(hourly):
    names = ["adjusted_last", "log_variance_last"]
    plain = build_features(hourly, names=names)
    seasonal = build_features(with_season(hourly, strength=1.0), names=names)
    late = slice(HOURS_PER_WEEK * 10, None)
    change = {
        name: np.nanstd((seasonal.column(name) - plain.column(name))[late, 0]) for name in names
    }
    assert change["log_variance_last"] > 0.6  # the wave itself: 1 / sqrt(2)
    # A slot of the week was seen 10 to 20 times, against a prior of eight.
    assert change["adjusted_last"] < 0.5 * change["log_variance_last"]


def test_the_range_is_read_where_there_is_one_and_the_variance_elsewhere(hourly):
    louder = {"realized_range": hourly.values("realized_range") * np.linspace(1, 9, 3360)[:, None]}
    changed = replace(hourly, fields={**hourly.fields, **louder})
    before, after = (
        build_features(panel, names=["adjusted_day"]).column("adjusted_day")
        for panel in (hourly, changed)
    )
    coin, close = hourly.instruments.index("COIN"), hourly.instruments.index("CLOSE")
    assert np.nanmax(np.abs(after[:, coin] - before[:, coin])) > 0.3
    np.testing.assert_array_equal(after[:, close], before[:, close])
    assert np.isfinite(after[-1, close])


def test_the_late_share_is_the_log_of_the_two_ranges(hourly):
    share = build_features(hourly, names=["late_range_share"]).column("late_range_share")
    expected = np.log(hourly.values("late_range") / hourly.values("realized_range"))
    np.testing.assert_allclose(share[:, 0], expected[:, 0], rtol=1e-12)


def test_features_of_one_period_a_day_have_no_hours(make_panel):
    daily = build_features(make_panel())
    assert "adjusted_day" in daily.names
    assert not {"adjusted_two_hours", "adjusted_six_hours", "adjusted_day_ago"} & set(daily.names)
