from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from foremargin.errors import InputError, NotEnoughHistoryError
from foremargin.markets import Panel
from foremargin.training import make_split
from foremargin.training.experiment import SplitConfig
from foremargin.training.split import drop_short


def test_dates_and_shares_become_rows(make_panel: Callable[..., Panel]) -> None:
    panel = make_panel(n_periods=1000)
    split = make_split(panel, SplitConfig(test_from=date(2020, 1, 1)))
    assert (split.forecast_row, split.validation_row) == (200, 450)
    # The first test period is the first of January, known when it has ended.
    assert panel.time[split.test_row] == np.datetime64("2020-01-02T00:00")


@pytest.mark.parametrize("day", [date(2018, 3, 1), date(2030, 1, 1)])
def test_parts_out_of_order_are_refused(make_panel: Callable[..., Panel], day: date) -> None:
    with pytest.raises(InputError, match=r"must follow one another within .*set split\."):
        make_split(make_panel(n_periods=1000), SplitConfig(test_from=day))


def test_short_instruments_are_left_out_by_name(make_panel: Callable[..., Panel]) -> None:
    panel, notes = drop_short(make_panel(n_periods=800, late_periods=30))
    assert "LATE" not in panel.instruments
    assert notes == ("LATE has 30 trading days and was left out: 500 are needed",)


def test_a_panel_with_only_short_instruments_is_refused(make_panel: Callable[..., Panel]) -> None:
    with pytest.raises(NotEnoughHistoryError, match="at least one instrument must have 500"):
        drop_short(make_panel(n_periods=300))


def test_periods_within_the_day_need_half_the_trading_days(
    make_panel: Callable[..., Panel],
) -> None:
    panel, notes = drop_short(make_panel(n_periods=250 * 24, period="1h", late_periods=249 * 24))
    assert panel.instruments == ("COIN", "CLOSE")
    # The index trades on weekdays: five of seven days.
    assert notes == (
        "INDEX has 180 trading days and was left out: 250 are needed",
        "LATE has 249 trading days and was left out: 250 are needed",
    )


def test_a_day_that_has_not_ended_is_not_counted(make_panel: Callable[..., Panel]) -> None:
    hourly = make_panel(n_periods=250 * 24 - 1, period="1h")
    with pytest.raises(NotEnoughHistoryError, match=r"must have 250 .* found COIN 249, INDEX"):
        drop_short(hourly)
    daily, _ = drop_short(make_panel(n_periods=500))
    assert "COIN" in daily.instruments
    with pytest.raises(NotEnoughHistoryError, match=r"must have 500 .* found COIN 499, INDEX"):
        drop_short(make_panel(n_periods=499))
