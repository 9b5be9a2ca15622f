"""Where a market-wide series stands: against its past, its last weeks, its own changes."""

import numpy as np
from numpy.typing import NDArray

from foremargin.features.state import (
    Change,
    RealizedOfLevel,
    Score,
    Shift,
)

Array = NDArray[np.float64]


def walk_steps() -> Array:
    """Return independent steps of a series, shape (400,)."""
    return np.asarray(0.02 * np.random.default_rng(0).normal(size=400))


def test_a_score_compares_with_the_rows_before_it() -> None:
    series = walk_steps()
    score = Score.fresh(window=50, needed=20).advance(series)
    before = series[249:299]
    np.testing.assert_allclose(score[299], (series[299] - before.mean()) / before.std(ddof=1))
    assert np.isnan(score[:20]).all()
    assert np.isfinite(score[20])


def test_a_series_that_stands_still_has_no_score_and_no_shift() -> None:
    flat = np.r_[walk_steps()[:100], np.full(200, 0.25)]
    assert np.isnan(Score.fresh(window=50, needed=20).advance(flat)[160:]).all()
    assert np.isnan(Shift.fresh(short=5, long=50, needed=20).advance(flat)[160:]).all()


def test_rows_without_a_value_shorten_windows_and_have_no_value() -> None:
    series = walk_steps()
    series[100:104] = np.nan
    score = Score.fresh(window=20, needed=10).advance(series)
    before = series[90:110][np.isfinite(series[90:110])]
    np.testing.assert_allclose(score[110], (series[110] - before.mean()) / before.std(ddof=1))
    shift = Shift.fresh(short=8, long=20, needed=10).advance(series)
    last, short = series[91:111], np.nanmean(series[103:111])
    wanted = (short - np.nanmean(last)) / np.nanstd(last, ddof=1)
    np.testing.assert_allclose(shift[110], wanted)
    change = Change.fresh(rows=3).advance(series)
    assert np.flatnonzero(np.isnan(change[3:])).tolist() == list(range(97, 104))
    for out in (score, shift, RealizedOfLevel.fresh(window=20).advance(series)):
        assert np.isnan(out[100:104]).all()
        assert np.isfinite(out[105:]).all()


def test_the_change_after_unknown_rows_spans_them() -> None:
    level = np.cumsum(np.full(40, 0.01))
    level[20:24] = np.nan
    realized = RealizedOfLevel.fresh(window=10).advance(level)
    # The last ten rows hold four unknown ones, five steps of one and one of five.
    np.testing.assert_allclose(realized[24], (5 * 0.01**2 + 0.05**2) / 6, rtol=1e-9)


def test_the_variance_of_a_level_that_rests_on_weekends_is_that_of_its_changes() -> None:
    changes = np.where(np.arange(70) % 7 < 5, 0.01, 0.0)
    realized = RealizedOfLevel.fresh(window=28).advance(np.cumsum(changes))
    np.testing.assert_allclose(realized[-1], 20 * 0.01**2 / 28, rtol=1e-12)
