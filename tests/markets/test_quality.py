"""Every defect of a bar file has a finding; those that cannot be repaired stop loading."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets import Severity, check_bars, inspect_source, load_panel
from foremargin.markets.checks.quality import SERIES_CHECKS


def set_cell(column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(bars: pd.DataFrame) -> pd.DataFrame:
        bars[column] = bars[column].astype(object)
        bars.loc[17, column] = value
        return bars

    return change


def repeat_row(bars: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([bars, bars.iloc[[17]]])


ERRORS = {
    "no close": (
        lambda bars: bars.drop(columns="close"),
        "missing-column",
        r"must have the column 'close', found open_time, open, high, low, volume; add or rename",
    ),
    "no time": (
        lambda bars: bars.drop(columns="open_time"),
        "missing-column",
        r"must have the column 'open_time' or 'close_time'",
    ),
    "high without low": (
        lambda bars: bars.drop(columns="low"),
        "missing-column",
        r"must have the column 'low'",
    ),
    "no rows": (lambda bars: bars.iloc[:0], "empty-file", r"must have rows, found none"),
    "one row": (lambda bars: bars.iloc[:1], "single-bar", r"must have two bars"),
    "text in a number": (
        set_cell("volume", "a lot"),
        "text-in-number",
        r"'volume' must hold numbers only, found 1 bar otherwise \(first: row 18, value 'a lot'\)",
    ),
    "naive time": (
        lambda bars: bars.assign(open_time=bars["open_time"].dt.tz_localize(None)),
        "naive-time",
        r"'open_time' must carry a time zone, found 240 bars .* write UTC times such as",
    ),
    "one naive time": (
        set_cell("open_time", "2024-01-01 17:00:00"),
        "naive-time",
        r"found 1 bar otherwise \(first: row 18, value '2024-01-01 17:00:00'\)",
    ),
    "a date as time": (
        lambda bars: bars.assign(open_time=bars["open_time"].dt.strftime("%Y-%m-%d")),
        "naive-time",
        r"must carry a time zone",
    ),
    "unparsable time": (
        set_cell("open_time", "yesterday"),
        "unparsable-time",
        r"must hold timestamps, found 1 bar otherwise \(first: row 18, value 'yesterday'\)",
    ),
    "empty time": (set_cell("open_time", None), "unparsable-time", r"must hold timestamps"),
    "number as time": (
        lambda bars: bars.assign(open_time=np.arange(240)),
        "unparsable-time",
        r"must hold timestamps, found 240 bars",
    ),
    "repeated time": (
        repeat_row,
        "duplicate-time",
        r"must name each bar once, found 1 bar otherwise \(first: row 241, 2024-01-01 17:00 UTC",
    ),
    "negative price": (
        set_cell("close", -2.5),
        "non-positive-price",
        r"'close' must be positive, found 1 bar otherwise "
        r"\(first: row 18, 2024-01-01 17:00 UTC, value -2.5\); correct or remove these bars",
    ),
    "zero open": (set_cell("open", 0.0), "non-positive-price", r"'open' must be positive"),
    "infinite price": (set_cell("close", np.inf), "infinite-value", r"'close' must be finite"),
    "infinite volume": (set_cell("volume", -np.inf), "infinite-value", r"'volume' must be finite"),
    "no price at all": (
        lambda bars: bars.assign(close=np.nan),
        "no-price",
        r"'close' must have values, found none",
    ),
}
by_error = pytest.mark.parametrize(("spoil", "check", "message"), ERRORS.values(), ids=ERRORS)


@by_error
def test_an_error_stops_loading_and_names_the_file(make_bars, write, spoil, check, message):
    path = write(spoil(make_bars()), "X.csv")
    if check == "naive-time" and "240" in message:
        path = write(spoil(make_bars()), "X.parquet")  # text has a zone or not, row by row
    with pytest.raises(InputError, match=message) as caught:
        load_panel(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@by_error
def test_an_error_is_a_finding_of_the_inspection(make_bars, write, spoil, check, message):
    report = inspect_source(write(spoil(make_bars()), "X.csv"), period="1D")
    assert report.has_errors
    assert check in {f.check for f in report.findings if f.severity is Severity.ERROR}


@by_error
def test_an_error_is_a_finding_of_a_table(make_bars, spoil, check, message):
    findings = check_bars(spoil(make_bars()), instrument="X")
    assert [f.check for f in findings if f.severity is Severity.ERROR] == [check]
    assert {f.instrument for f in findings} == {"X"}


def test_all_errors_are_listed_in_one_message(make_bars, write):
    write(set_cell("close", -1.0)(make_bars()), "all/A.csv")
    folder = write(repeat_row(make_bars().drop(columns="volume")), "all/B.csv").parent
    with pytest.raises(InputError, match=r"the data have 2 errors:\n- .*A\.csv.*\n- .*B\.csv"):
        load_panel(folder)


def test_a_long_list_of_errors_is_cut(make_bars, write):
    for i in range(25):
        path = write(make_bars(n=30).drop(columns="close"), f"all/{i:02}.csv")
    with pytest.raises(InputError, match=r"25 errors:.*(?s:.*)and 5 more; `foremargin data insp"):
        load_panel(path.parent)


def test_a_healthy_table_has_no_findings(make_bars):
    assert check_bars(make_bars(), instrument="X") == []


WARNINGS = {
    "nan close": (set_cell("close", np.nan), "nan-close", 1),
    "high below close": (set_cell("high", 1.0), "ohlc-inconsistent", 1),
    "low above open": (set_cell("low", 1e6), "ohlc-inconsistent", 1),
    "zero volume": (set_cell("volume", 0.0), "zero-volume", 1),
    "negative volume": (set_cell("volume", -3.0), "negative-value", 1),
    "missing open": (set_cell("open", np.nan), "missing-value", 1),
    "gap": (lambda bars: bars.drop(index=[17, 18, 40]), "gap", 3),
    "wrong order": (lambda bars: bars.iloc[[1, 0, *range(2, 240)]], "out-of-order", 1),
}


@pytest.mark.parametrize(("spoil", "check", "count"), WARNINGS.values(), ids=WARNINGS)
def test_a_defect_that_can_be_handled_is_a_warning(make_bars, write, spoil, check, count):
    bars = spoil(make_bars()).reset_index(drop=True)
    found = {f.check: f for f in check_bars(bars, instrument="X")}
    assert found[check].count == count
    assert found[check].severity is Severity.WARNING
    assert found[check].first is not None
    # A column of objects would be written as text; the file holds numbers.
    numbers = bars.astype({name: float for name in bars.columns.drop("open_time")})
    assert check in {f.check for f in load_panel(write(numbers)).findings}


def test_findings_say_when_the_first_and_the_last_bar_are_affected(make_bars):
    bars = make_bars()
    bars.loc[[5, 30, 100], "volume"] = 0.0
    (finding,) = check_bars(bars, instrument="X")
    assert (finding.count, finding.first, finding.last) == (
        3,
        bars["open_time"][5],
        bars["open_time"][100],
    )


def test_a_bar_without_close_is_no_data(make_bars, write):
    bars = make_bars()
    bars.loc[30, "close"] = np.nan
    panel = load_panel(write(bars), period="1h")
    dropped = load_panel(write(bars.drop(index=30), "Y/X.parquet"), period="1h")
    assert panel.fingerprint() == dropped.fingerprint()


def test_an_inconsistent_bar_makes_the_range_of_its_period_unknown(make_bars, write):
    bars = make_bars()
    bars.loc[30, "high"] = 1.0
    panel = load_panel(write(bars))
    for name in ("high", "low"):
        assert np.flatnonzero(np.isnan(panel.fields[name][:, 0])).tolist() == [1]
    assert np.isfinite(panel.fields["realized_variance"]).all()


def test_a_negative_volume_makes_the_volume_of_its_period_unknown(make_bars, write):
    bars = make_bars()
    bars.loc[30, "volume"] = -1.0
    volume = load_panel(write(bars)).fields["volume"][:, 0]
    assert np.flatnonzero(np.isnan(volume)).tolist() == [1]


def test_a_padded_weekend_does_not_make_an_exchange_trade_every_day(make_bars, write):
    bars = make_bars(n=28, step="1D")
    weekend = bars["open_time"].dt.day_of_week >= 5
    bars.loc[weekend, "close"] = np.nan
    panel = load_panel(write(bars.drop(index=16)))
    assert panel.n_periods == 19
    assert panel.periods_per_year.tolist() == [252]
    assert "gap" not in {f.check for f in panel.findings}


def test_a_hole_of_more_than_a_week_is_a_gap_of_an_exchange(make_sessions):
    bars = make_sessions(n=60, step="1D")
    findings = check_bars(bars.drop(index=range(10, 17)), instrument="X")
    assert [(f.check, f.count) for f in findings] == [("gap", 1)]


def test_checking_changes_nothing(make_bars):
    bars = make_bars()
    bars.loc[3, "high"] = 1.0
    before = bars.copy(deep=True)
    check_bars(bars, instrument="X")
    pd.testing.assert_frame_equal(bars, before)


def test_a_text_cell_is_not_listed_again_as_a_missing_close(make_bars):
    findings = check_bars(set_cell("close", "n.v.")(make_bars()), instrument="X")
    assert [f.check for f in findings] == ["text-in-number"]


# Checks of whole series


def spike(bars: pd.DataFrame) -> pd.DataFrame:
    bars.loc[700, ["high", "close"]] *= 10.0
    return bars


def wick(bars: pd.DataFrame) -> pd.DataFrame:
    bars["low"] = bars["low"].where(bars.index != 700, bars["low"] / 10.0)
    return bars


def split(bars: pd.DataFrame) -> pd.DataFrame:
    bars.loc[700:, ["open", "high", "low", "close"]] /= 2.0
    return bars


def stand_still(bars: pd.DataFrame) -> pd.DataFrame:
    bars.loc[700:719, ["open", "high", "low", "close"]] = bars["close"][699]
    bars.loc[700:719, "high"] *= 1.0001
    return bars


def carry(bars: pd.DataFrame) -> pd.DataFrame:
    for row in range(10, 1_400, 20):
        bars.loc[row, ["open", "high", "low", "close"]] = bars["close"][row - 1]
        bars.loc[row, "volume"] = 0.0
    return bars


def collapse(bars: pd.DataFrame) -> pd.DataFrame:
    fall = np.exp(np.linspace(0.0, -9.0, 24))[:, None]
    bars.loc[1_416:, ["open", "high", "low", "close"]] *= fall
    return bars


def summer_time(bars: pd.DataFrame) -> pd.DataFrame:
    bars = bars.iloc[::8].reset_index(drop=True)
    bars.loc[80:, "open_time"] += pd.Timedelta("1h")
    return bars


def local_time(bars: pd.DataFrame) -> pd.DataFrame:
    # Hourly bars of February and March, written in Berlin's time and taken for UTC.
    local = bars["open_time"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    return bars.assign(open_time=local.dt.tz_localize("UTC"))


def mixed(bars: pd.DataFrame) -> pd.DataFrame:
    fine = bars[1_000:].assign(
        open_time=pd.date_range(bars["open_time"][1_000], periods=440, freq="5min", tz="UTC")
    )
    return pd.concat([bars[:1_000], fine], ignore_index=True)


def from_the_future(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.assign(open_time=bars["open_time"] + pd.Timedelta(days=365 * 100))


def thousandfold(bars: pd.DataFrame) -> pd.DataFrame:
    bars.loc[700:, "volume"] *= 1_000.0
    return bars


def constant(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.assign(open_interest=5.0)


def crossed(bars: pd.DataFrame) -> pd.DataFrame:
    bars = bars.assign(bid=bars["close"] * 0.9999, ask=bars["close"] * 1.0001)
    bars["bid"] = bars["bid"].where(bars.index != 17, bars["bid"] * 1.01)
    return bars


PLANTED = {
    "spike": (spike, "spike", 1),
    "wick": (wick, "spike", 1),
    "split": (split, "level-jump", 1),
    "stale": (stand_still, "stale-price", 20),
    "carried": (carry, "flat-bars", 70),
    "collapse": (collapse, "ends-in-collapse", 1),
    "summer time": (summer_time, "clock-shift", 80),
    "local time": (local_time, "clock-shift", 1),
    "mixed lengths": (mixed, "mixed-lengths", 439),
    "future": (from_the_future, "future-time", 1_440),
    "volume": (thousandfold, "volume-jump", 1),
    "constant": (constant, "constant-column", 1),
    "crossed": (crossed, "crossed-quote", 1),
}
by_plant = pytest.mark.parametrize(("plant", "check", "count"), PLANTED.values(), ids=PLANTED)

# The hour that summer time eats is missing as well as telling.
_BESIDES = {"clock-shift": {"gap"}}


@pytest.fixture
def long_bars(make_bars):
    """Clean hourly bars of sixty days, the change of the clocks in March 2024 among them."""
    return make_bars("2024-02-10", n=1_440)


@by_plant
def test_a_planted_defect_is_found_and_no_other(long_bars, plant, check, count):
    findings = check_bars(plant(long_bars), instrument="X")
    found = {f.check: f for f in findings}
    assert found[check].count == count
    assert found[check].severity is Severity.WARNING
    assert found[check].first is not None
    assert set(found) - _BESIDES.get(check, set()) == {check}


def test_every_check_of_a_series_has_a_planted_defect():
    # Each function emits one check; `clock-shift` and `spike` are planted twice.
    assert len({check for _, check, _ in PLANTED.values()}) == len(SERIES_CHECKS)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("step", ["1min", "5min", "1h", "8h", "1D"])
def test_clean_bars_of_any_length_have_no_finding(make_bars, make_sessions, step, seed):
    for make in (make_bars, make_sessions):
        bars = make("2023-01-02", n=1_000, step=step, seed=seed)
        assert check_bars(bars, instrument="X") == []


def heavy_tailed(make_bars: Callable[..., pd.DataFrame], seed: int) -> pd.DataFrame:
    """Bars with fat tails and clustered volatility: crashes that are real."""
    bars = make_bars("2023-01-02", n=5_000, seed=seed)
    rng = np.random.default_rng([seed, 1])
    sigma = 0.01 * np.exp(np.cumsum(0.03 * rng.normal(size=5_000)) * 0.3)
    close = 100 * np.exp(np.cumsum(sigma * rng.standard_t(3, size=5_000)))
    open_ = np.concatenate([[100.0], close[:-1]])
    body = np.stack([open_, close])
    return bars.assign(open=open_, close=close, high=body.max(0) * 1.01, low=body.min(0) * 0.99)


def test_real_crashes_are_no_defects(make_bars):
    # A return of a t distribution with 3 degrees is 40 times the median size about once in 20,000;
    # undone by the next bar to a tenth, once in millions: no false alarm in 100,000 bars.
    for seed in range(20):
        bars = heavy_tailed(make_bars, seed)
        found = {f.check for f in check_bars(bars, instrument="X")}
        assert found <= {"ends-in-collapse"}


def test_a_change_of_the_unit_of_price_is_a_jump_of_level_and_not_of_volume(long_bars):
    long_bars.loc[700:, ["open", "high", "low", "close"]] /= 1_000.0
    long_bars.loc[700:, "volume"] *= 1_000.0
    findings = check_bars(long_bars, instrument="X")
    assert [f.check for f in findings] == ["level-jump"]
    assert findings[0].first == long_bars["open_time"][700]


def test_a_fall_with_rising_volume_is_no_change_of_unit(long_bars):
    fall = np.exp(-np.linspace(0.0, 5.0, 1_440))
    long_bars[["open", "high", "low", "close"]] *= fall[:, None]
    long_bars["volume"] /= fall
    assert check_bars(long_bars, instrument="X") == []


def test_a_quiet_trade_at_the_same_price_is_not_carried(long_bars):
    bars = carry(long_bars)
    bars["volume"] = bars["volume"].replace(0.0, 0.001)
    assert "flat-bars" not in {f.check for f in check_bars(bars, instrument="X")}


def test_a_few_bars_without_volume_are_a_halt_and_not_a_flat_file(long_bars):
    long_bars.loc[100:102, ["open", "high", "low", "close"]] = long_bars["close"][99]
    long_bars.loc[100:102, "volume"] = 0.0
    assert [f.check for f in check_bars(long_bars, instrument="X")] == ["zero-volume"]


def test_a_crossed_quote_counts_as_unknown(long_bars, write):
    panel = load_panel(write(crossed(long_bars)), period="1h")
    for name in ("bid", "ask"):
        assert np.flatnonzero(np.isnan(panel.fields[name][:, 0])).tolist() == [17]


def test_the_order_of_the_rows_hides_no_defect(long_bars):
    shuffled = spike(long_bars).sample(frac=1.0, random_state=1).reset_index(drop=True)
    assert "spike" in {f.check for f in check_bars(shuffled, instrument="X")}


def test_a_repeated_hour_of_autumn_is_explained(make_bars):
    bars = local_time(make_bars("2024-10-01", n=960))
    found = {f.check for f in check_bars(bars, instrument="X")}
    assert {"duplicate-time", "clock-shift"} <= found
