"""The market file: what it may say, and what a panel knows when because of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import foremargin
from foremargin.errors import InputError
from foremargin.markets import Kind, Missing, Severity, load_panel
from foremargin.markets.sources.market_file import Delay, read_market_file

EXAMPLE = Path(foremargin.__file__).parent / "docs" / "market.example.toml"
BARS = '[[bars]]\npath = "X.parquet"\n'


@pytest.fixture
def market(tmp_path):
    """Return a function that writes a market file and returns its path."""

    def save(text):
        path = tmp_path / "market.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return save


def day(number):
    return pd.Timestamp(f"2024-01-{number:02d}", tz="UTC")


def checks(panel):
    return {finding.check for finding in panel.findings}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bars = [", r"market.toml must be TOML, but could not be read"),
        ("", r"market.toml: bars field required"),
        ("[[bars]]\n", r"bars\[0\] must have a path or a source, and not both"),
        (BARS + 'source = "arch"\n', r"bars\[0\] must have a path or a source, and not both"),
        (BARS + 'colour = "red"\n', r"bars\[0\].colour extra inputs are not permitted, was 'red'"),
        (BARS + 'kind = "perp"\n', r"bars\[0\].kind input should be 'spot'.*, was 'perp'"),
        (BARS + 'calendar = "NYSE!"\n', r"bars\[0\].calendar calendar must be '24/7' or the name"),
        (BARS + "expiry = 2024-03-29T08:00:00\n", r"bars\[0\].expiry .*timezone"),
        (
            BARS + '[[context]]\npath = "a"\ntime = "t"\nnames = {}\n',
            r"context\[0\].names dictionary should have at least 1 item",
        ),
        (
            BARS + '[[context]]\npath = "a"\ntime = "t"\nnames = {a = "b"}\nseries_column = "s"\n',
            r"context\[0\] must have both series_column and value_column, or neither",
        ),
        (
            BARS + '[[context]]\npath = "a"\ntime = "t"\nnames = {a = "b"}\ndelay = "soon"\n',
            r"context\[0\].delay must be a length of time such as '1h' or '1D', or weekdays",
        ),
        (
            BARS + '[[context]]\npath = "a"\ntime = "t"\nnames = {a = "b"}\nmax_age = "-1D"\n',
            r"context\[0\].max_age must be a length of time such as '30min', .*, was '-1D'",
        ),
        (
            BARS + '[[context]]\npath = "a"\ntime = "t"\nnames = {a = "b"}\n'
            'known_at = "k"\ndelay = "1D"\n',
            r"context\[0\] must have known_at or a delay, and not both",
        ),
        (
            BARS + '[[observations]]\npath = "a"\ntime = "t"\nfields = {mood = "m"}\n'
            'instrument = "X"\n',
            r"observations\[0\].fields must name panel fields, found \['mood'\]",
        ),
        (
            BARS + '[[observations]]\npath = "a"\ntime = "t"\nfields = {bid = "m"}\n',
            r"observations\[0\] must have an instrument or an instrument_column, and not both",
        ),
        (BARS.replace("X.parquet", "none.parquet"), r"bars\[0\]: .*there is no .*none.parquet"),
        ('[[bars]]\nsource = "moon"\n', r"bars\[0\]: source must be one of \['arch'.*'moon'"),
    ],
)
def test_what_a_market_file_may_not_say_is_named_by_its_key(market, text, message):
    with pytest.raises(InputError, match=message):
        load_panel(market(text))


def test_a_market_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there must be a market file at .*none.toml"):
        load_panel(tmp_path / "none.toml")


def test_a_path_that_fits_nothing_is_named(market, make_bars, write):
    write(make_bars())
    text = BARS + '[[context]]\npath = "no/*.csv"\ntime = "t"\nnames = {a = "b"}\n'
    with pytest.raises(
        InputError, match=r"context\[0\]: path must fit at least one file, and none"
    ):
        load_panel(market(text))


def test_a_missing_column_or_series_is_an_error_of_its_file(market, make_bars, write):
    write(make_bars())
    write(pd.DataFrame({"date": [day(1)], "series": ["A"], "value": [1.0]}), "rates.parquet")
    context = BARS + '[[context]]\npath = "rates.parquet"\ntime = "date"\n'
    with pytest.raises(InputError, match=r"rates.parquet: .*found no price among date, series"):
        load_panel(market(context + 'names = {a = "price"}\n'))
    long = 'names = {a = "B"}\nseries_column = "series"\nvalue_column = "value"\n'
    with pytest.raises(InputError, match=r"'series' must hold the series 'B', found A; correct"):
        load_panel(market(context + long))


def test_a_market_file_alone_changes_nothing(market, make_bars, write):
    path = write(make_bars())
    assert load_panel(market(BARS)).fingerprint() == load_panel(path).fingerprint()


def test_what_an_instrument_is_stands_in_its_listing(market, make_bars, write):
    write(make_bars(), "perp/BTCUSDT.parquet")
    text = (
        '[[bars]]\npath = "perp/*.parquet"\nvenue = "sea"\nkind = "perpetual"\nquote = "USDT"\n'
        'calendar = "24/7"\nexpiry = 2030-01-01T08:00:00+09:00\n'
    )
    (listing,) = load_panel(market(text)).listings
    assert (listing.instrument, listing.kind, listing.underlying) == ("BTCUSDT", "perpetual", "BTC")
    assert (listing.venue, listing.quote, listing.calendar) == ("sea", "USDT", "24/7")
    assert listing.expiry == pd.Timestamp("2029-12-31 23:00", tz="UTC")


def test_one_name_at_two_venues_is_two_instruments_of_one_underlying(market, make_bars, write):
    for k, name in enumerate(("perp/BTCUSDT", "spot/BTCUSDT", "spot/SOLUSDT")):
        write(make_bars(seed=k), f"{name}.parquet")
    text = "".join(
        f'[[bars]]\npath = "{kind}"\nvenue = "sea-{kind}"\nquote = "USDT"\nkind = "{word}"\n'
        for kind, word in (("perp", "perpetual"), ("spot", "spot"))
    )
    panel = load_panel(market(text))
    assert panel.instruments == ("sea-perp:BTCUSDT", "sea-spot:BTCUSDT", "SOLUSDT")
    assert panel.related("sea-perp:BTCUSDT", kind=Kind.SPOT) == "sea-spot:BTCUSDT"
    assert panel.related("SOLUSDT", kind=Kind.PERPETUAL) is None
    assert [one.symbol for one in panel.listings] == ["BTCUSDT", "BTCUSDT", "SOLUSDT"]


def test_pieces_of_one_instrument_are_stitched_under_its_name(market, make_bars, write):
    bars = make_bars()
    write(bars.iloc[:120], "X-2024-01.parquet")
    write(bars.iloc[120:], "X-2024-02.parquet")
    panel = load_panel(market('[[bars]]\npath = "X-*.parquet"\ninstrument = "X"\n'))
    assert panel.fingerprint() == load_panel(write(bars, "all/X.parquet")).fingerprint()


def test_one_thing_cannot_be_two_kinds(market, make_bars, write):
    write(make_bars(), "X.parquet")
    text = BARS + 'kind = "spot"\n' + BARS + 'kind = "future"\n'
    with pytest.raises(InputError, match="an instrument must be one thing, and 'X' was"):
        load_panel(market(text))


FUNDING = """
[[observations]]
path = "funding.parquet"
instrument_column = "symbol"
time = "at"
fields = { funding_rate = "rate" }
"""


def test_funding_is_summed_in_the_period_in_which_it_was_paid(market, make_bars, write):
    write(make_bars(n=48), "X.parquet")
    hours = [0, 8, 16, 24, 32]
    # A few milliseconds of jitter must not move a payment into the next period.
    at = [day(1) + pd.Timedelta(hours=h, milliseconds=12 * (h % 3)) for h in hours]
    rates = pd.DataFrame({"symbol": "X", "at": at, "rate": [1.0, 2.0, 4.0, 8.0, 16.0]})
    write(rates, "funding.parquet")
    panel = load_panel(market(BARS + FUNDING), period="8h")
    # The payment of 00:00 belongs to the period that ended then, which has no bars.
    expected = [2.0, 4.0, 8.0, 16.0, np.nan, np.nan]
    np.testing.assert_array_equal(panel.fields["funding_rate"][:, 0], expected)
    assert "jittered-time" in checks(panel)
    daily = load_panel(market(BARS + FUNDING), period="1D")
    np.testing.assert_array_equal(daily.fields["funding_rate"][:, 0], [14.0, 16.0])
    percent = load_panel(market(BARS + FUNDING + 'unit = "percent"\n'), period="1D")
    np.testing.assert_allclose(percent.fields["funding_rate"][:, 0], [0.14, 0.16], rtol=1e-15)


def test_fields_stay_empty_where_there_is_no_price_and_context_does_not(market, make_bars, write):
    bars = make_bars(n=24 * 8)
    bars.loc[48:71, "volume"] = 0.0
    write(bars, "X.parquet")
    write(make_bars("2024-01-03", n=24 * 3, seed=2), "Y.parquet")
    write(pd.DataFrame({"at": [day(1)], "mark": [7.0]}), "mark.parquet")
    values = '[[{0}]]\npath = "mark.parquet"\ntime = "at"\nmax_age = "30D"\n'
    text = (
        '[[bars]]\npath = "[XY].parquet"\n'
        + values.format("observations")
        + 'instrument = "Y"\nfields = {mark_price = "mark"}\n'
        + values.format("observations")
        + 'instrument = "X"\nfields = {mark_price = "mark"}\n'
        + values.format("context")
        + 'names = {mark = "mark"}\n'
    )
    panel = load_panel(market(text))
    assert panel.missing[2, 0] == Missing.HALTED
    np.testing.assert_array_equal(panel.fields["mark_price"], np.where(panel.present, 7.0, np.nan))
    np.testing.assert_array_equal(panel.context["mark"], np.full(8, 7.0))


def test_the_age_of_an_oracle_counts_from_what_it_speaks_of(market, make_bars, write):
    write(make_bars(n=24), "X.parquet")
    oracle = pd.DataFrame({"at": [day(1) + pd.Timedelta("1h50min")], "price": [100.0]})
    write(oracle, "oracle.parquet")
    text = (
        BARS + '[[observations]]\npath = "oracle.parquet"\ninstrument = "X"\ntime = "at"\n'
        'fields = {oracle_price = "price"}\ndelay = "20min"\nmax_age = "1h"\n'
    )
    panel = load_panel(market(text), period="1h")
    np.testing.assert_array_equal(panel.fields["oracle_age_s"][1:4, 0], [np.nan, 4200.0, np.nan])
    np.testing.assert_array_equal(panel.fields["oracle_price"][1:4, 0], [np.nan, 100.0, np.nan])


def test_a_field_that_comes_with_the_bars_is_not_replaced(market, make_bars, write):
    write(make_bars(n=48).assign(funding_rate=1.0), "X.parquet")
    write(pd.DataFrame({"symbol": "X", "at": [day(1)], "rate": [5.0]}), "funding.parquet")
    panel = load_panel(market(BARS + FUNDING))
    np.testing.assert_array_equal(panel.fields["funding_rate"][:, 0], [24.0, 24.0])
    (found,) = [f for f in panel.findings if f.check == "field-in-bars"]
    assert found.severity is Severity.INFO


def test_two_sources_of_one_field_follow_each_other_and_do_not_overlap(market, make_bars, write):
    write(make_bars(n=24 * 6), "X.parquet")
    for name, days in (("a", [1, 2, 3]), ("b", [3, 4, 5])):
        at = [day(d) + pd.Timedelta("12h") for d in days]
        values = [float(d) if name == "a" else 10.0 * d for d in days]
        write(pd.DataFrame({"at": at, "oi": values}), f"{name}.parquet")
    entry = '[[observations]]\npath = "{}.parquet"\ninstrument = "X"\ntime = "at"\n'
    fields = 'fields = {open_interest = "oi"}\n'
    panel = load_panel(market(BARS + "".join(entry.format(n) + fields for n in "ab")))
    expected = [1.0, 2.0, 3.0, 40.0, 50.0, 50.0]
    np.testing.assert_array_equal(panel.fields["open_interest"][:, 0], expected)
    (found,) = [f for f in panel.findings if f.check == "overlapping-observations"]
    assert found.count == 1


def test_observations_of_nobody_are_told(market, make_bars, write):
    write(make_bars(n=48), "X.parquet")
    write(pd.DataFrame({"symbol": "Z", "at": [day(1)], "rate": [5.0]}), "funding.parquet")
    panel = load_panel(market(BARS + FUNDING))
    assert "funding_rate" not in panel.fields
    (found,) = [f for f in panel.findings if f.check == "observations-without-bars"]
    assert (found.instrument, found.severity) == ("Z", Severity.WARNING)


def test_a_name_that_may_mean_two_instruments_is_refused(market, make_bars, write):
    for k, venue in enumerate("ab"):
        write(make_bars(seed=k), f"{venue}/X.parquet")
    write(pd.DataFrame({"symbol": "X", "at": [day(2)], "rate": [5.0]}), "funding.parquet")
    bars = "".join(f'[[bars]]\npath = "{venue}"\nvenue = "{venue}"\n' for venue in "ab")
    with pytest.raises(InputError, match="'X' may be a:X, b:X; name the venue in a market file"):
        load_panel(market(bars + FUNDING))
    panel = load_panel(market(bars + FUNDING + 'venue = "b"\n'))
    assert np.isnan(panel.fields["funding_rate"][:, 0]).all()
    assert np.nansum(panel.fields["funding_rate"][:, 1]) == 5.0


def test_a_published_value_is_known_after_its_delay_and_not_on_its_date(market, make_bars, write):
    write(make_bars("2024-01-04", n=24 * 7), "X.parquet")  # Thursday to Wednesday
    rates = pd.DataFrame(
        {
            "series": ["Y", "Y", "Y", "Z"],
            "date": ["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-05"],
            "value": [4.0, 5.0, 8.0, 1.0],
        }
    )
    write(rates, "rates.csv")
    text = (
        BARS + '[[context]]\npath = "rates.csv"\ntime = "date"\nseries_column = "series"\n'
        'value_column = "value"\nnames = {yield_10y = "Y"}\n'
    )
    # Rows are the ends of Thursday 4th to Wednesday 10th: midnights of the 5th to the 11th.
    for delay, expected in (
        ("1D", [4.0, 5.0, 5.0, 5.0, 8.0, 8.0, 8.0]),
        ("1BD", [4.0, 4.0, 4.0, 5.0, 8.0, 8.0, 8.0]),
        ("2BD", [np.nan, np.nan, np.nan, 4.0, 5.0, 8.0, 8.0]),
    ):
        panel = load_panel(market(text + f'delay = "{delay}"\n'))
        np.testing.assert_array_equal(panel.context["yield_10y"], expected, err_msg=delay)
    # Known at midnight of the 5th, 6th and 9th: four days later the first is the oldest standing.
    panel = load_panel(market(text + 'delay = "1D"\nmax_age = "1D"\n'))
    expected = [4.0, 5.0, 5.0, np.nan, 8.0, 8.0, np.nan]
    np.testing.assert_array_equal(panel.context["yield_10y"], expected)


@pytest.mark.parametrize(
    ("time", "days", "expected"),
    [
        ("2024-01-04 15:00", 1, "2024-01-05 15:00"),  # Thursday
        ("2024-01-05", 1, "2024-01-08"),  # Friday
        ("2024-01-06", 1, "2024-01-08"),  # Saturday counts as its Friday
        ("2024-01-07", 2, "2024-01-09"),  # and so does Sunday
        ("1969-12-31 23:00", 1, "1970-01-01 23:00"),  # Wednesday, before the epoch
    ],
)
def test_weekdays_are_counted_from_the_day_of_the_value(time, days, expected):
    known_at = Delay(business_days=days).known_at(np.array([pd.Timestamp(time).value]))
    assert pd.Timestamp(known_at[0]) == pd.Timestamp(expected)


def test_the_shipped_example_says_only_what_a_market_file_may_say():
    example = read_market_file(EXAMPLE)
    assert example.bars
    assert example.observations
    assert example.context


def test_the_shipped_example_describes_real_files(real_data, tmp_path):
    path = tmp_path / "market.toml"
    path.write_text(EXAMPLE.read_text().replace('path = "', f'path = "{real_data}/'))
    panel = load_panel(path, period="1D")
    perp, spot = "binance-usdm:BTCUSDT", "binance:BTCUSDT"
    assert panel.related(perp, kind=Kind.SPOT) == spot
    assert {one.underlying for one in panel.listings} >= {"BTC", "ETH", "SOL", "AAVE"}
    row = int(np.searchsorted(panel.time, np.datetime64("2023-03-11")))
    column = panel.instruments.index(perp)

    # Funding of 10 March 2023: paid at 08:00, 16:00 and 24:00, known when paid.
    rates = pd.read_parquet(real_data / "perp_funding_8h.parquet").query("symbol == 'BTCUSDT'")
    paid = rates.set_index("funding_time")["funding_rate"]
    own = paid["2023-03-10 04:00":"2023-03-11 04:00"]
    assert len(own) == 3
    assert panel.fields["funding_rate"][row, column] == pytest.approx(own.sum(), rel=1e-12)

    # DVOL of the hour from 23:00 to 24:00.
    dvol = pd.read_parquet(real_data / "dvol_btc_1h.parquet").set_index("time")
    last = dvol.loc["2023-03-10 23:00:00+00:00", "dvol_close_decimal"]
    assert panel.fields["implied_vol"][row, column] == last
    assert np.isnan(panel.fields["implied_vol"][:, panel.instruments.index(spot)]).all()

    # The VIX closed at 24.80 on Friday the 10th and stands over the weekend.
    assert panel.context["VIX"][row : row + 3].tolist() == [24.80] * 3
    # The ten-year yield of the 9th (3.93 %) is out two weekdays later, on Monday the 13th.
    assert panel.context["DGS10"][row] == pytest.approx(3.98)
    assert panel.context["DGS10"][row + 2] == pytest.approx(3.93)
    before = pd.read_parquet(real_data / "btc_daily_context.parquet").set_index("date")
    assert panel.context["fear_greed"][row] == before.loc["2023-03-10 00:00:00+00:00", "fng"]
