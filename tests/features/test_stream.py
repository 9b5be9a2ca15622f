"""A live stream of features against the backtest: the same bits, however the rows arrive."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.features import ALL_FEATURES, FeatureStream, build_features
from foremargin.features import features as registry
from foremargin.markets import Panel

MakePanel = Callable[..., Panel]

NAMES = tuple(feature.name for feature in ALL_FEATURES)


@pytest.mark.parametrize("period", ["1D", "4h"])
def test_a_stream_returns_the_bits_of_the_backtest(make_panel: MakePanel, period: str) -> None:
    panel = make_panel(n_periods=900, period=period)
    whole = build_features(panel, names=NAMES)
    stream = FeatureStream.after(panel.upto(600), names=NAMES)
    # One row at a time, then a few at once, as after a pause.
    edges = [*range(600, 800), 805, 850, 900]
    for start, stop in pairwise(edges):
        live = stream.update(panel.rows(start, stop))
        for name in ("values", "variance", "level"):
            expected = getattr(whole, name)[start:stop]
            np.testing.assert_array_equal(getattr(live, name), expected)
        np.testing.assert_array_equal(live.time, whole.time[start:stop])


def test_a_stream_that_starts_with_one_row_is_the_backtest_from_its_beginning(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=120)
    stream = FeatureStream.after(panel.upto(1))
    rows = [stream.update(panel.rows(i, i + 1)).values for i in range(1, 120)]
    np.testing.assert_array_equal(np.concatenate(rows), build_features(panel).values[1:])


def test_an_update_that_cannot_follow_is_refused_and_changes_nothing(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=200)
    stream = FeatureStream.after(panel.upto(150))
    with pytest.raises(InputError, match="later than the last one seen"):
        stream.update(panel.rows(149, 151))
    with pytest.raises(InputError, match="start a new stream"):
        stream.update(panel.select(panel.instruments[:2]).rows(150, 151))
    with pytest.raises(InputError, match="at least one period"):
        stream.update(panel.rows(150, 150))
    with pytest.raises(InputError, match="start from at least one period"):
        FeatureStream.after(panel.upto(0))
    expected = build_features(panel).values[150:]
    np.testing.assert_array_equal(stream.update(panel.rows(150, 200)).values, expected)


@pytest.mark.parametrize(
    "feature", [f for f in ALL_FEATURES if np.isfinite(f.look_back_days)], ids=lambda f: f.name
)
def test_a_feature_needs_no_more_history_than_it_says(make_panel: MakePanel, feature) -> None:
    panel = make_panel(n_periods=900)
    whole = build_features(panel, names=[feature.name]).values
    # n days before the last row, and one row more for the return of the first of them.
    start = 900 - int(feature.look_back_days) - 1
    short = build_features(panel.rows(start, 900), names=[feature.name]).values
    # Windows that began elsewhere are summed in another order.
    np.testing.assert_allclose(short[-1], whole[-1], rtol=1e-9, atol=1e-12)
    assert np.isfinite(whole[-1]).any()


def test_a_value_that_is_published_late_is_known_late(
    make_panel: MakePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    feature = next(f for f in ALL_FEATURES if f.name == "volume_ratio")
    late = replace(feature, name="late", available_after=pd.Timedelta(hours=30))
    monkeypatch.setattr(registry, "ALL_FEATURES", (feature, late))
    panel = make_panel(n_periods=100)
    values = build_features(panel, names=["volume_ratio", "late"])
    # 30 hours after the close of a day, the day after the next one has closed: two periods.
    np.testing.assert_array_equal(
        values.column("late")[2:, 0], values.column("volume_ratio")[:-2, 0]
    )
