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
from foremargin.models import from_state, read_state, to_state, write_state

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


@pytest.mark.parametrize(
    "names", [["core"], ["equity_correlation_quarter", "leader_push"]], ids=str
)
def test_a_stream_goes_on_from_its_saved_state_to_the_last_bit(
    make_panel: MakePanel, names: list[str]
) -> None:
    panel = make_panel(n_periods=260)
    stream = FeatureStream.after(panel.upto(200), names=names)
    packed = write_state(to_state(stream.state()))
    saved = from_state(read_state(*packed), loaded_only=True)
    assert isinstance(saved, dict)
    other = FeatureStream.resume(panel.rows(0, 1), saved)
    for row in range(200, 260):
        one = panel.rows(row, row + 1)
        expected = stream.update(one)
        np.testing.assert_array_equal(other.update(one).values, expected.values)
        np.testing.assert_array_equal(other.last_time, stream.last_time)


def test_a_saved_state_of_others_or_a_damaged_one_is_refused(make_panel: MakePanel) -> None:
    panel = make_panel(n_periods=120)
    saved = FeatureStream.after(panel.upto(100)).state()
    like = panel.rows(0, 1)
    with pytest.raises(InputError, match="start a new stream"):
        FeatureStream.resume(panel.select(panel.instruments[:2]).rows(0, 1), saved)
    with pytest.raises(InputError, match="lacks 'names'"):
        FeatureStream.resume(like, {})
    with pytest.raises(InputError, match="must have the parts of its features"):
        FeatureStream.resume(like, {**saved, "parts": {}})
    key, part = next(iter(saved["parts"].items()))
    for damaged in (None, {"ring": np.zeros(3)}, dict.fromkeys(part, np.zeros(3, dtype=np.int8))):
        with pytest.raises(InputError, match="what a feature remembered must fit it"):
            FeatureStream.resume(like, {**saved, "parts": {**saved["parts"], key: damaged}})
