import dataclasses
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import ALL_SCENARIOS, Scenario, check_scenario, scenario_named
from foremargin.errors import InputError

by_scenario = pytest.mark.parametrize("scenario", ALL_SCENARIOS, ids=lambda s: s.name)


def days(first, last):
    """Ends of daily periods: those of the days `first` to `last`, at the midnights after them."""
    return (pd.date_range(first, last) + pd.Timedelta(days=1)).to_numpy(dtype="datetime64[ns]")


def test_names_are_unique_and_days_are_ordered():
    assert len({s.name for s in ALL_SCENARIOS}) == len(ALL_SCENARIOS) == 8
    marked = [s.day for s in ALL_SCENARIOS]
    assert marked == sorted(set(marked))


def test_the_days_that_were_asked_for_are_there():
    named = {date(2020, 3, 12), date(2021, 5, 19), date(2024, 8, 5)}
    months = {(2022, 5), (2022, 6), (2022, 11), (2023, 3)}
    found = {s.day for s in ALL_SCENARIOS}
    assert named <= found
    assert months <= {(d.year, d.month) for d in found}
    assert 2008 in {d.year for d in found}


@by_scenario
def test_a_window_holds_run_up_and_aftermath_and_says_what_happened_where(scenario):
    assert scenario.first < scenario.day < scenario.last
    assert scenario.last - scenario.first == timedelta(scenario.days_before + scenario.days_after)
    assert scenario.happened.endswith(".")
    assert "\n" not in scenario.happened
    assert len(scenario.source) > 10
    assert not scenario.source.endswith(".")
    assert scenario_named(scenario.name) is scenario


@by_scenario
def test_the_rows_are_the_closes_of_the_days_of_the_window(scenario):
    time = days(scenario.first - timedelta(days=3), scenario.last + timedelta(days=3))
    rows = scenario.rows(time)
    assert rows == slice(3, 3 + scenario.days_before + scenario.days_after + 1)
    # The close of the day before the marked one is the start of it: the last that did not know.
    assert time[rows][scenario.days_before - 1] == scenario.marked


def test_hours_belong_to_the_day_in_which_they_lie():
    scenario = scenario_named("august-2024")
    time = pd.date_range("2024-06-01", "2024-11-01", freq="h").to_numpy(dtype="datetime64[ns]")
    inside = time[scenario.rows(time)]
    assert inside[0] == np.datetime64("2024-07-06T01:00")
    assert inside[-1] == np.datetime64("2024-10-05T00:00")


@pytest.mark.parametrize(
    ("before", "after", "lies"), [(0, 0, True), (1, 5, True), (-2, 0, False), (0, -1, False)]
)
def test_a_window_lies_in_data_that_hold_all_of_it(before, after, lies):
    scenario = scenario_named("ftx-2022")
    time = days(scenario.first - timedelta(days=before), scenario.last + timedelta(days=after))
    assert scenario.lies_in(time) is lies


def test_data_without_the_window_are_refused_with_their_dates_and_what_lies_in_them():
    time = days("2022-01-01", "2023-01-31")
    check_scenario(scenario_named("june-2022"), time)
    expected = (
        "usdc-2023, 2023-02-09 to 2023-05-10, must lie within the data, found data from 2022-01-02 "
        "to 2023-02-01; .*terra-2022, june-2022, ftx-2022$"
    )
    with pytest.raises(InputError, match=expected):
        check_scenario(scenario_named("usdc-2023"), time)
    with pytest.raises(InputError, match="no scenario lies in these"):
        check_scenario(scenario_named("usdc-2023"), days("2015-01-01", "2016-01-01"))


def test_a_name_that_is_not_registered_is_refused_with_those_that_are():
    with pytest.raises(InputError, match=r"must be one of .*covid-2020.*was 'tulips'; .*--list"):
        scenario_named("tulips")


def test_a_window_without_run_up_or_aftermath_is_refused():
    with pytest.raises(InputError, match="days_before must be a whole number >= 1, was 0"):
        dataclasses.replace(ALL_SCENARIOS[0], days_before=0)
    with pytest.raises(InputError, match="days_after must be a whole number >= 1, was 0"):
        dataclasses.replace(ALL_SCENARIOS[0], days_after=0)


def test_adding_a_scenario_is_one_entry():
    added = Scenario(name="new", title="New", day=date(2025, 1, 1), happened="It did.", source="A")
    assert added.first == date(2024, 12, 2)
    assert added.last == date(2025, 3, 2)
