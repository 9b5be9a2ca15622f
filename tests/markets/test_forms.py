"""Files are known by their columns; what each form holds arrives with its unit and its moment."""

import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets import Observations, Severity, load_panel
from foremargin.markets.sources import RawTable
from foremargin.markets.sources.bar_files import BarFiles
from foremargin.markets.sources.forms import FORMS, form_of
from foremargin.markets.sources.forms.publication import LAGS, known_from

HOURS = pd.date_range("2024-01-01", periods=48, freq="1h", tz="UTC")
DAYS = pd.date_range("2024-01-01", periods=60, freq="1D")
RATES = np.tile([1e-4, 8e-5, -5e-5], 16)


def read(path):
    return list(BarFiles().read(path))


def checks(table):
    return [finding.check for finding in table.findings]


def instant(text):
    return pd.Timestamp(text, tz="UTC").value


def described(table):
    """Numbers of a table, for comparison."""
    if isinstance(table, RawTable):
        assert table.frame is not None
        return table.frame.select_dtypes("number").astype(float).to_dict("list")
    return {name: values.tolist() for name, values in table.values.items()}


# One file of every form, with the columns by which it must be known.
EXAMPLES = {
    "observations": pd.DataFrame(
        {"time": HOURS, "known_at": HOURS, "instrument": "X", "open_interest": 5.0}
    ),
    "published series": pd.DataFrame({"series": "DGS10", "date": DAYS, "value": 4.0}),
    "funding table": pd.DataFrame({"symbol": "X", "funding_time": HOURS, "funding_rate": RATES}),
    "mark prices": pd.DataFrame({"symbol": "X", "open_time": HOURS, "mark_close": 5.0}),
    "book samples": pd.DataFrame({"timestamp": HOURS, "best_bid": 99.0, "best_ask": 101.0}),
    "volatility index": pd.DataFrame({"time": HOURS, "dvol_close": 60.0}),
    "liquidations": pd.DataFrame({"time": DAYS, "coin": "X", "daily_notional_liquidated": 1e5}),
    "vendor table": pd.DataFrame(
        {"timestamp": HOURS, "price_close": 5.0, "funding_close": RATES, "oi_close": 1e9}
    ),
    "bars of venues": pd.DataFrame(
        {"time": HOURS, "exchange": "v", "pair": "P", "close": 5.0, "funding_rate": RATES}
    ),
    "realised measures": pd.DataFrame(
        {"date": DAYS, "log_return": 0.01, "realized_variance": 1e-4}
    ),
    "bars": pd.DataFrame({"open_time": HOURS, "close": 5.0}),
    "published series, one column each": pd.DataFrame(
        {"observation_date": DAYS, "DGS10": 4.0, "WALCL": 7e6}
    ),
}
by_form = pytest.mark.parametrize(("name", "frame"), EXAMPLES.items(), ids=EXAMPLES)


def test_every_form_has_an_example():
    assert set(EXAMPLES) == {form.name for form in FORMS}


@by_form
def test_a_file_is_known_by_its_columns(name, frame):
    form = form_of(frame.columns)
    assert form is not None
    assert form.name == name


@by_form
@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv.gz", "zip"])
def test_a_file_reads_alike_whatever_its_suffix(tmp_path, name, frame, suffix):
    def values(path):
        tables = read(path)
        assert [t.instrument for t in tables]
        assert all(f.severity is not Severity.ERROR for t in tables for f in t.findings)
        return [described(table) for table in tables]

    whole = frame.copy()
    for column in whole:
        if isinstance(whole[column].dtype, pd.DatetimeTZDtype):
            whole[column] = whole[column].map(lambda t: t.isoformat())
        elif pd.api.types.is_datetime64_any_dtype(whole[column]):
            whole[column] = whole[column].dt.strftime("%Y-%m-%d")
    path, plain = tmp_path / f"X.{suffix}", tmp_path / "plain" / "X.csv"
    plain.parent.mkdir()
    text = whole.to_csv(index=False)
    plain.write_text(text)
    match suffix:
        case "parquet":
            frame.to_parquet(path)
        case "csv":
            path.write_text(text)
        case "csv.gz":
            path.write_bytes(gzip.compress(text.encode()))
        case "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("X.csv", text)
    assert values(path) == values(plain)


def test_a_file_of_no_known_form_says_what_it_has_and_what_is_known(write):
    (table,) = read(write(pd.DataFrame({"strike": [1.0], "expiry": ["x"]})))
    (finding,) = table.findings
    assert finding.check == "unknown-form"
    assert "found the columns strike, expiry" in finding.detail
    for form in FORMS:
        assert form.name in finding.detail


@by_form
def test_a_file_without_rows_is_an_error_and_no_exception(write, name, frame):
    tables = read(write(frame.iloc[:0]))
    if name == "bars":  # the checks of bars say so
        with pytest.raises(InputError, match="must have rows"):
            load_panel(write(frame.iloc[:0]))
        return
    assert [checks(table) for table in tables] == [["empty-file"]]


@by_form
def test_a_time_without_a_zone_is_refused_unless_it_is_a_day(write, name, frame):
    dated = next(c for c in frame if pd.api.types.is_datetime64_any_dtype(frame[c]))
    naive = frame.assign(**{dated: pd.date_range("2024-01-01 01:00", periods=len(frame))})
    if name == "bars":
        with pytest.raises(InputError, match="must carry a time zone"):
            load_panel(write(naive))
        return
    assert checks(read(write(naive))[0])[0] == "naive-time"


# Observations


def test_canonical_observations_keep_their_two_times(write):
    known = HOURS + pd.Timedelta("3min")
    frame = pd.DataFrame({"time": HOURS, "known_at": known, "instrument": "X", "bid": 5.0})
    (table,) = read(write(frame.sample(frac=1.0, random_state=3), "any.parquet"))
    assert table.instrument == "X"
    np.testing.assert_array_equal(table.time, HOURS.as_unit("ns").asi8)
    np.testing.assert_array_equal(table.known_at - table.time, 180 * 10**9)


def test_canonical_observations_without_an_instrument_are_of_the_market(write):
    frame = pd.DataFrame({"time": HOURS, "known_at": HOURS, "fear": 5.0, "greed": 4.0})
    (table,) = read(write(frame))
    assert table.instrument is None
    assert set(table.values) == {"fear", "greed"}


def test_a_value_known_before_its_time_is_refused(write):
    early = HOURS - pd.Timedelta("1h")
    (table,) = read(write(pd.DataFrame({"time": HOURS, "known_at": early, "x": 1.0})))
    assert checks(table) == ["known-too-early"]


def test_a_repeated_observation_is_refused(write):
    frame = pd.DataFrame({"time": HOURS, "known_at": HOURS, "x": 1.0})
    (table,) = read(write(pd.concat([frame, frame[3:4]])))
    assert checks(table) == ["duplicate-time"]
    assert "found 1 row otherwise" in table.findings[0].detail


# Realised measures


def realized(**columns):
    rng = np.random.default_rng(3)
    log_return = 0.01 * rng.normal(size=60)
    base = {"date": DAYS, "log_return": log_return, "realized_variance": log_return**2 + 2e-5}
    return pd.DataFrame(base | columns)


def test_the_measures_of_a_daily_panel_come_from_the_file(write):
    frame = realized(semivariance_negative=np.linspace(1e-5, 2e-5, 60))
    panel = load_panel(write(frame), period="1D")
    for name in ("realized_variance", "semivariance_negative"):
        np.testing.assert_array_equal(panel.fields[name][:, 0], frame[name])
    np.testing.assert_allclose(panel.log_return[1:, 0], frame["log_return"][1:], rtol=1e-10)
    assert panel.time[0] == np.datetime64("2024-01-02")


def test_a_price_that_is_rebuilt_from_returns_is_said_to_be(write):
    (table,) = read(write(realized()))
    assert "rebuilt-price" in checks(table)
    expected = 100 * np.exp(np.cumsum(realized()["log_return"]))
    np.testing.assert_allclose(table.frame["close"], expected, rtol=1e-12)


def test_a_close_is_taken_before_a_return(write):
    (table,) = read(write(realized(close=np.linspace(10, 20, 60))))
    assert table.frame["close"].tolist() == np.linspace(10, 20, 60).tolist()
    assert "rebuilt-price" not in checks(table)


def test_percent_is_told_from_decimals_by_size(write):
    decimal = realized()
    percent = decimal.assign(
        log_return=100 * decimal["log_return"],
        realized_variance=1e4 * decimal["realized_variance"],
    )
    (a,), (b,) = read(write(decimal, "a/X.parquet")), read(write(percent, "b/X.parquet"))
    for name in ("close", "realized_variance"):
        np.testing.assert_allclose(a.frame[name], b.frame[name], rtol=1e-12)
    assert "unit-converted" in checks(b)


def test_a_unit_that_cannot_be_told_is_an_error(write):
    (table,) = read(write(realized(realized_variance=0.15**2)))
    (finding,) = table.findings
    assert (finding.check, finding.severity) == ("unclear-unit", Severity.ERROR)
    assert "market file" in finding.detail


def test_measures_without_any_return_are_refused(write):
    (table,) = read(write(realized().drop(columns="log_return")))
    assert checks(table) == ["no-price"]


# Funding and vendors


def test_jitter_of_funding_times_is_rounded_and_told(write):
    late = HOURS + pd.to_timedelta(np.where(np.arange(48) % 3 == 0, 17, 0), unit="ms")
    frame = EXAMPLES["funding table"].assign(funding_time=late)
    (table,) = read(write(frame))
    np.testing.assert_array_equal(table.time, HOURS.as_unit("ns").asi8)
    (finding,) = table.findings
    assert (finding.check, finding.count) == ("jittered-time", 16)
    assert "up to 17 ms" in finding.detail


def test_funding_that_is_far_from_the_hour_is_not_moved(write):
    late = HOURS + pd.Timedelta("7min")
    (table,) = read(write(EXAMPLES["funding table"].assign(funding_time=late)))
    np.testing.assert_array_equal(table.time, late.as_unit("ns").asi8)


@pytest.mark.parametrize(("factor", "unit"), [(1.0, "decimals"), (100.0, "percent")])
def test_the_unit_of_vendor_funding_is_read_off_and_said(write, factor, unit):
    frame = EXAMPLES["vendor table"].assign(funding_close=factor * RATES)
    bars, funding = read(write(frame))
    # The bar that ends at 08:00 starts at 07:00; 00, 08 and 16 o'clock are settlements.
    assert (funding.time // 10**9 % (8 * 3600) == 0).all()
    assert len(funding.time) == 6
    np.testing.assert_allclose(funding.values["funding_rate"], RATES[7::8], rtol=1e-12)
    assert f"is read as {unit}" in funding.findings[0].detail
    assert bars.frame["open_interest_value"].eq(1e9).all()


def test_funding_of_an_unclear_size_asks_for_a_market_file(write):
    frame = EXAMPLES["vendor table"].assign(funding_close=8e-4)
    assert "unclear-unit" in [c for table in read(write(frame)) for c in checks(table)]


def test_mark_prices_are_known_at_the_end_of_their_bar(write):
    (table,) = read(write(EXAMPLES["mark prices"]))
    assert table.known_at[0] == instant("2024-01-01 01:00")
    assert table.values["mark_price"][0] == 5.0


def test_contracts_of_two_venues_are_told_apart(write):
    frame = EXAMPLES["bars of venues"]
    tables = read(write(pd.concat([frame, frame.assign(exchange="w", funding_rate=np.nan)])))
    assert [(type(t).__name__, t.instrument) for t in tables] == [
        ("RawTable", "v:P"),
        ("Observations", "v:P"),
        ("RawTable", "w:P"),
    ]


# Books


def books(**columns):
    n = 60
    minutes = pd.date_range("2024-01-01", periods=n, freq="1min", tz="UTC")
    base = {
        "ts_minute_utc": minutes,
        "exchange": "v",
        "symbol": "P",
        "best_bid": 99.0,
        "best_ask": 101.0,
        "ask_slip_1k": 110.0,
        "bid_slip_1m": 130.0,
        "bid_fill_1m": True,
        "error": None,
    }
    return pd.DataFrame(base | columns)


def test_a_book_sample_is_known_at_the_end_of_its_minute(write):
    (table,) = read(write(books()))
    assert (table.known_at - table.time == 60 * 10**9).all()
    assert table.values["spread_bps"].tolist() == [200.0] * 60
    assert table.values["slippage_buy_1000"][0] == 110.0
    assert table.values["slippage_sell_1000000"][0] == 130.0


def test_failed_samples_are_counted_by_kind_and_left_out(write):
    errors = [None] * 57 + [
        "timeout: x",
        "http_error: HTTP 403; http_error: HTTP 403",
        "timeout: x",
    ]
    frame = books(error=errors)
    frame.loc[57:, ["best_bid", "best_ask", "ask_slip_1k", "bid_slip_1m"]] = np.nan
    (table,) = read(write(frame))
    (finding,) = [f for f in table.findings if f.severity is Severity.WARNING]
    assert (finding.check, finding.count, len(table.time)) == ("error-row", 3, 57)
    assert "timeout: x 2, http_error: HTTP 403 1" in finding.detail


def test_a_spread_of_zero_makes_the_costs_unknown_and_keeps_the_price(write):
    (table,) = read(write(books(best_bid=100.0, best_ask=100.0)))
    assert "zero-spread" in checks(table)
    assert np.isnan(table.values["spread_bps"]).all()
    assert (table.values["bid"] == 100.0).all()


def test_a_crossed_book_is_unknown(write):
    bids = np.full(60, 99.0)
    bids[7] = 102.0
    (table,) = read(write(books(best_bid=bids)))
    assert "crossed-quote" in checks(table)
    assert np.flatnonzero(np.isnan(table.values["bid"])).tolist() == [7]


def test_a_size_that_the_book_did_not_hold_has_no_cost(write):
    (table,) = read(write(books(bid_fill_1m=[False] * 4 + [True] * 56)))
    assert np.flatnonzero(np.isnan(table.values["slippage_sell_1000000"])).tolist() == [0, 1, 2, 3]
    assert "unfilled-size" in checks(table)


def test_a_negative_cost_is_unknown(write):
    (table,) = read(write(books(ask_slip_1k=[-3.0] + [5.0] * 59)))
    assert np.isnan(table.values["slippage_buy_1000"][0])
    assert "negative-value" in checks(table)


# Volatility indices and published series


@pytest.mark.parametrize(("close", "word"), [(60.0, "points"), (0.6, "decimals")])
def test_points_of_volatility_are_told_from_decimals(write, close, word):
    frame = pd.DataFrame({"time": HOURS, "dvol_close": close})
    (table,) = read(write(frame, "dvol_eth.parquet"))
    assert table.values["DVOL_ETH"].tolist() == [0.6] * 48
    assert word in table.findings[0].detail
    assert table.known_at[0] == instant("2024-01-01 01:00")


def test_a_volatility_between_points_and_decimals_is_an_error(write):
    (table,) = read(write(pd.DataFrame({"time": HOURS, "dvol_close": 3.0})))
    assert checks(table) == ["unclear-unit"]


@pytest.mark.parametrize(
    ("series", "date", "known"),
    [
        ("DGS10", "2024-03-01", "2024-03-05"),  # a Friday: published on Monday
        ("DGS10", "2024-03-04", "2024-03-06"),
        ("SP500", "2024-03-01", "2024-03-02"),
        ("WALCL", "2024-03-06", "2024-03-08"),  # Wednesday: published on Thursday
        ("NFCI", "2024-03-01", "2024-03-07"),  # Friday: published on the next Wednesday
        ("FEDFUNDS", "2024-03-01", "2024-04-05"),
    ],
)
def test_a_published_series_is_known_after_its_publication(series, date, known):
    found = known_from(np.array([instant(date)]), LAGS[series])
    assert found.tolist() == [instant(known)]


def test_no_series_is_known_before_its_date():
    dates = np.array([instant(f"2024-03-{day:02}") for day in range(1, 29)])
    for name, lag in LAGS.items():
        known = known_from(dates, lag)
        assert (known >= dates + 86_400 * 10**9).all(), name
        assert (np.diff(known) >= 0).all(), name


def test_a_series_of_unknown_lag_is_taken_as_late_and_named(write):
    frame = pd.DataFrame({"series": "MOOD", "date": DAYS, "value": 1.0})
    (table,) = read(write(frame))
    assert checks(table) == ["assumed-lag"]
    assert (table.known_at - table.time == 10 * 86_400 * 10**9).all()


def test_a_series_that_is_revised_is_warned_of(write):
    frame = pd.DataFrame({"series": "NFCI", "date": DAYS[::7], "value": 1.0})
    (table,) = read(write(frame))
    (finding,) = table.findings
    assert (finding.check, finding.severity) == ("revised-series", Severity.WARNING)


def test_a_dot_is_an_empty_cell_of_a_published_series(tmp_path):
    path = tmp_path / "fred.csv"
    path.write_text(
        "observation_date,DGS10,OTHER\n2024-01-01,.,1\n2024-01-02,4.0,2\n2024-01-03,4.1,.\n"
    )
    dgs10, other = read(path)
    assert dgs10.values["DGS10"].tolist() == [4.0, 4.1]
    assert other.values["OTHER"].tolist() == [1.0, 2.0]
    assert dgs10.instrument is None


def test_text_in_a_published_series_is_refused(tmp_path):
    path = tmp_path / "fred.csv"
    path.write_text("DATE,DGS10\n2024-01-01,much\n2024-01-02,4.0\n")
    (table,) = read(path)
    assert checks(table) == ["text-in-number"]


def test_liquidations_of_a_day_are_known_when_it_is_over(write):
    (table,) = read(write(EXAMPLES["liquidations"]))
    assert table.known_at[0] == instant("2024-01-02")
    assert table.values["liquidation_value"][0] == 1e5


# Folders and patterns


def test_folders_of_venues_keep_one_name_apart(make_bars, write):
    for i, venue in enumerate(("a", "b")):
        write(make_bars(seed=i), f"all/{venue}/X.parquet")
        write(EXAMPLES["funding table"], f"all/{venue}/funding.parquet")
    folder = write(make_bars(seed=2), "all/a/Y.parquet").parents[1]
    tables = read(folder)
    assert [t.instrument for t in tables if isinstance(t, RawTable)] == ["a:X", "Y", "b:X"]
    # What the files of a venue say about an instrument goes with its bars.
    assert [t.instrument for t in tables if isinstance(t, Observations)] == ["a:X", "b:X"]


def test_a_pattern_picks_files(make_bars, write):
    for name in ("p_1h/BTC.parquet", "q_1h/BTC.parquet", "q_1h/ETH.parquet", "q_5m/BTC.parquet"):
        root = write(make_bars(), name).parents[1]
    names = [table.instrument for table in read(str(root / "*1h*" / "B*.parquet"))]
    assert names == ["p_1h:BTC", "q_1h:BTC"]


def test_a_pattern_that_fits_nothing_is_an_error(tmp_path):
    with pytest.raises(InputError, match="must fit at least one data file"):
        read(str(tmp_path / "*.parquet"))


def test_hidden_files_are_passed_over(make_bars, write):
    write(make_bars(), "all/.cache/X.parquet")
    folder = write(make_bars(), "all/X.parquet").parent
    assert [table.instrument for table in read(folder)] == ["X"]


def test_a_day_needs_no_zone_and_becomes_the_utc_day(write):
    frame = pd.DataFrame({"date": DAYS.strftime("%Y-%m-%d"), "close": np.linspace(1, 2, 60)})
    panel = load_panel(write(frame, "X.csv"), period="1D")
    assert panel.time[0] == np.datetime64("2024-01-02")


def test_turnover_in_dollars_is_read_as_quote_volume(make_bars, write):
    bars = make_bars().rename(columns={"volume": "volume_usd"})
    panel = load_panel(write(bars), period="1h")
    np.testing.assert_array_equal(panel.fields["quote_volume"][:, 0], bars["volume_usd"])
    assert "renamed-column" in {f.check for f in panel.findings}
