"""Laws that every registered feature obeys; a new entry of a set is tested on arrival."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from foremargin.features import (
    ALL_FEATURES,
    FEATURE_SETS,
    Feature,
    Features,
    FeatureStream,
    build_features,
)
from foremargin.markets import Panel

Panels = dict[str, Panel]
ShockAfter = Callable[..., Panel]

ROWS = 900
SHOCK = 700  # every feature is known long before, and every window but the longest ends after

by_set = pytest.mark.parametrize("name", FEATURE_SETS)
by_period = pytest.mark.parametrize("period", ["1D", "4h"])
by_feature = pytest.mark.parametrize("feature", ALL_FEATURES, ids=lambda f: f.name)


@pytest.fixture(scope="module")
def panels(make_full_panel: Callable[..., Panel]) -> Panels:
    return {period: make_full_panel(n_periods=ROWS, period=period) for period in ("1D", "4h")}


@pytest.fixture(scope="module")
def whole(panels: Panels) -> Callable[[str, str], Features]:
    """Return a function that builds a set on a panel, once."""
    built: dict[tuple[str, str], Features] = {}

    def build(name: str, period: str) -> Features:
        if (name, period) not in built:
            built[name, period] = build_features(panels[period], names=[name])
        return built[name, period]

    return build


@by_period
@by_set
def test_features_are_the_same_when_everything_after_them_is_deleted(
    name: str, period: str, panels: Panels, whole: Callable[[str, str], Features]
) -> None:
    for stop in (1, 2, 30, 401, SHOCK):
        cut = build_features(panels[period].upto(stop), names=[name]).values
        np.testing.assert_array_equal(cut, whole(name, period).values[:stop])


@by_period
@by_set
def test_features_ignore_a_shock_before_it_happens_and_see_it_afterwards(
    name: str,
    period: str,
    panels: Panels,
    whole: Callable[[str, str], Features],
    shock_after: ShockAfter,
) -> None:
    base = whole(name, period)
    shocked = build_features(shock_after(panels[period], SHOCK), names=[name])
    for part in ("values", "variance", "level"):
        before = getattr(base, part)[: SHOCK + 1]
        np.testing.assert_array_equal(getattr(shocked, part)[: SHOCK + 1], before)
    for k, feature in enumerate(base.names):
        after, was = shocked.values[SHOCK + 50 :, :, k], base.values[SHOCK + 50 :, :, k]
        both = np.isfinite(after) & np.isfinite(was)
        assert both.any(), feature
        # Parts of a clipped or one-sided feature may stay at their bound; most must move.
        assert (after[both] != was[both]).mean() > 0.2, feature


@by_period
@by_set
def test_a_stream_returns_the_bits_of_the_backtest(
    name: str, period: str, panels: Panels, whole: Callable[[str, str], Features]
) -> None:
    panel, expected = panels[period], whole(name, period).values
    stream = FeatureStream.after(panel.upto(2), names=[name])
    edges = [2, 3, 90, 91, 249, 250, 251, 430, 699, *range(860, ROWS + 1)]
    for start, stop in pairwise(edges):
        live = stream.update(panel.rows(start, stop))
        np.testing.assert_array_equal(live.values, expected[start:stop])


@by_period
@by_set
def test_a_feature_is_known_in_time_and_only_where_its_instrument_trades(
    name: str, period: str, panels: Panels, whole: Callable[[str, str], Features]
) -> None:
    features = whole(name, period)
    for k, feature in enumerate(features.names):
        values = features.values[:, :, k]
        assert np.isfinite(values[:SHOCK]).any(), feature
        assert not np.isfinite(values[~panels[period].present]).any(), feature


@pytest.mark.parametrize(
    "feature", [f for f in ALL_FEATURES if np.isfinite(f.look_back_days)], ids=lambda f: f.name
)
def test_a_feature_needs_no_more_history_than_it_says(
    feature: Feature, panels: Panels, whole: Callable[[str, str], Features]
) -> None:
    name = next(name for name, one_set in FEATURE_SETS.items() if feature in one_set)
    period, per_day = ("4h", 6) if feature.intraday_only else ("1D", 1)
    # n days before the last row, and two rows more: the return of the first bar of a pair.
    start = max(0, ROWS - per_day * int(feature.look_back_days) - 2)
    short = build_features(panels[period].rows(start, ROWS), names=[feature.name]).values[-1, :, 0]
    expected = whole(name, period).column(feature.name)[-1]
    # Windows that began elsewhere are summed in another order. A halt stretches the window of LATE.
    np.testing.assert_allclose(short[[0, 1, 3]], expected[[0, 1, 3]], rtol=1e-6, atol=1e-9)


@by_feature
def test_a_feature_says_what_it_is(feature: Feature) -> None:
    assert feature.name.isidentifier()
    assert feature.name == feature.name.lower()
    assert len(feature.unit) > 3
    assert len(feature.meaning.split()) >= 4
    assert not feature.meaning.endswith(".")


def test_names_and_meanings_are_unique_and_no_name_is_that_of_a_set() -> None:
    names = [*FEATURE_SETS, *(f.name for f in ALL_FEATURES)]
    assert len(set(names)) == len(names)
    assert len({f.meaning for f in ALL_FEATURES}) == len(ALL_FEATURES)


def test_features_of_what_a_source_does_not_have_are_unknown_and_no_error(
    make_panel: Callable[..., Panel],
) -> None:
    bare = make_panel(n_periods=120)
    closes = Panel(
        time=bare.time,
        period=bare.period,
        instruments=bare.instruments,
        close=bare.close,
        log_return=bare.log_return,
        missing=bare.missing,
        periods_per_year=bare.periods_per_year,
    )
    values = build_features(closes, names=["books", "crowding"])
    assert np.isnan(values.values).all()
