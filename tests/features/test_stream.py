"""A live stream of features against the backtest: the same bits, however the rows arrive."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.features import ALL_FEATURES, FeatureStream, build_features
from foremargin.features import features as registry
from foremargin.markets import Panel

MakePanel = Callable[..., Panel]

NAMES = tuple(feature.name for feature in ALL_FEATURES)


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
