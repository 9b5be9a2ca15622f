"""Cuts of a history: what was known stays as it was, what came later is not there."""

import pickle
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import History, build_history
from foremargin.features.shared import read_history, write_history
from foremargin.markets import Panel

START, STOP = 250, 400


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(make_panel(n_periods=500), horizons=(1, 5))


def test_a_window_keeps_every_feature_as_it_was_known(history: History) -> None:
    cut = history.between(START, STOP)
    assert cut.panel.n_periods == STOP - START
    np.testing.assert_array_equal(cut.panel.time, history.panel.time[START:STOP])
    for name in ("time", "values", "variance", "level"):
        np.testing.assert_array_equal(
            getattr(cut.features, name), getattr(history.features, name)[START:STOP]
        )
    assert cut.features.names == history.features.names


def test_a_window_has_the_outcomes_that_were_complete_at_its_end(history: History) -> None:
    cut, known = history.between(START, STOP), history.upto(STOP)
    for field in fields(cut.targets):
        whole = getattr(known.targets, field.name)
        if field.name not in ("horizons", "known_at"):
            np.testing.assert_array_equal(getattr(cut.targets, field.name), whole[START:])
    assert np.isnan(cut.targets.variance[-1]).all()
    assert np.isnan(cut.targets.variance[-5:, 0, 1]).all()
    assert np.isfinite(cut.targets.variance[-6, 0, 1])


def test_rows_are_counted_from_the_start_of_the_window(history: History) -> None:
    cut = history.between(START, STOP).targets.known_at
    whole = history.upto(STOP).targets.known_at[START:]
    np.testing.assert_array_equal(cut + START, whole)
    # What never becomes known is known at the number of periods, one row after the last.
    assert cut.max() == STOP - START


def test_a_cut_that_begins_at_the_first_row_cuts_nothing(history: History) -> None:
    same = history.since(0)
    assert same.panel.fingerprint() == history.panel.fingerprint()
    np.testing.assert_array_equal(same.targets.known_at, history.targets.known_at)


@pytest.mark.parametrize("start", [-1, 500])
def test_a_start_outside_the_panel_is_refused(history: History, start: int) -> None:
    with pytest.raises(InputError, match=rf"row of the panel, 0 to 499, was {start}"):
        history.since(start)


def test_a_shared_history_is_the_same_and_cannot_be_written_to(
    history: History, tmp_path: Path
) -> None:
    path = tmp_path / "history"
    write_history(history, path)
    shared = read_history(path)
    assert shared.panel.fingerprint() == history.panel.fingerprint()
    assert pickle.dumps(shared.features) == pickle.dumps(history.features)
    assert pickle.dumps(shared.targets) == pickle.dumps(history.targets)
    assert not shared.features.values.flags.writeable
    assert not shared.panel.close.flags.writeable
    assert read_history(path) is shared  # mapped once per process
    # The arrays lie where vector instructions like them, in the file and not in memory of ours.
    assert shared.features.values.ctypes.data % 64 == 0
    assert not shared.features.values.flags.owndata
