from collections.abc import Callable

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.markets import Panel
from foremargin.training import Window


def test_a_window_is_written_in_words() -> None:
    assert Window.parse("expanding") == Window()
    assert Window.parse("1000 sessions") == Window(sessions=1000)
    assert Window.parse("1 session") == Window(sessions=1)


@pytest.mark.parametrize("text", ["rolling", "1000", "0 sessions", "-5 sessions", "10 days", ""])
def test_another_word_gets_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"must be 'expanding' or .* like '1000 sessions', was"):
        Window.parse(text)


def test_the_whole_past_begins_at_the_first_row(make_panel: Callable[..., Panel]) -> None:
    panel = make_panel(n_periods=300)
    assert Window().first_row(panel, stop=250) == 0
    assert Window(sessions=1_000).first_row(panel, stop=250) == 0


def test_a_session_is_a_day_on_which_something_trades(make_panel: Callable[..., Panel]) -> None:
    panel = make_panel(n_periods=300)
    assert Window(sessions=100).first_row(panel, stop=250) == 150
    # The index alone trades five days in seven, so that the same window reaches further back.
    index = panel.select(["INDEX"])
    row = Window(sessions=100).first_row(index, stop=250)
    assert int(index.present[row:250].sum()) == 100
    assert bool(index.present[row, 0])
    assert row == pytest.approx(250 - 140, abs=2)


def test_a_session_within_the_day_begins_at_its_midnight(make_panel: Callable[..., Panel]) -> None:
    panel = make_panel(n_periods=24 * 30, period="1h")
    row = Window(sessions=3).first_row(panel, stop=24 * 20 + 5)
    # The day that has begun counts as one: five of its hours, and two whole days.
    assert row == 24 * 18
    assert panel.time[row] - panel.period.to_timedelta64() == np.datetime64("2018-01-19T00:00")
