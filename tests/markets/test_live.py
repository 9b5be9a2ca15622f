"""A live market against a loaded one: the same bits, from bars and from trades."""

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.features import FeatureStream, build_features
from foremargin.markets import (
    LivePanel,
    Missing,
    Observations,
    bars_from_ticks,
    load_panel,
)

START = pd.Timestamp("2024-03-01", tz="UTC")


def trades(days: int, seed: int) -> pd.DataFrame:
    """Return a few thousand trades of a market that never closes."""
    rng = np.random.default_rng(seed)
    n = 400 * days
    seconds = np.sort(rng.uniform(0.0, 86_400.0 * days, size=n))
    return pd.DataFrame(
        {
            "time": START + pd.to_timedelta(np.floor(seconds * 1e3), unit="ms"),
            "price": 100.0 * np.exp(np.cumsum(1e-3 * rng.normal(size=n))),
            "quantity": rng.exponential(size=n) + 1e-6,
            "taker_buys": rng.uniform(size=n) > 0.5,
        }
    )


@pytest.fixture(scope="module")
def ticks() -> dict[str, pd.DataFrame]:
    return {"A": trades(20, seed=1), "B": trades(20, seed=2)}


@pytest.fixture(scope="module")
def whole(ticks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for name, table in ticks.items():
        bars = bars_from_ticks(table, length=pd.Timedelta("5min"))
        bars.to_parquet(folder / f"{name}.parquet")
    return load_panel(folder, period="4h")


def same(live, loaded):
    assert set(live.fields) == set(loaded.fields)
    np.testing.assert_array_equal(live.time, loaded.time)
    for name in ("close", "log_return", "missing"):
        np.testing.assert_array_equal(getattr(live, name), getattr(loaded, name))
    for name, values in loaded.fields.items():
        np.testing.assert_array_equal(live.fields[name], values)


@pytest.mark.parametrize("form", ["ticks", "bars"])
def test_a_live_market_returns_the_bits_of_a_loaded_one(ticks, whole, form):
    cut = whole.n_periods - 40
    live = LivePanel.after(whole.upto(cut), bar_length="5min")
    now = end = pd.Timestamp(whole.time[cut - 1], tz="UTC")
    row = cut
    while row < whole.n_periods:
        now, end = end, end + pd.Timedelta("95min")
        for name, table in ticks.items():
            due = table[(table["time"] >= now) & (table["time"] < end)]
            if form == "ticks":
                live.add_ticks(name, due)
            else:
                bars = bars_from_ticks(table, length=pd.Timedelta("5min"))
                live.add_bars(name, bars[(bars["open_time"] >= now) & (bars["open_time"] < end)])
        closed = live.close(end)
        stop = min(row + closed.n_periods, whole.n_periods)
        same(closed.upto(stop - row), whole.rows(row, stop))
        row += closed.n_periods


def test_trades_to_features_live_is_the_backtest_bit_for_bit(ticks, whole):
    cut = whole.n_periods - 30
    live = LivePanel.after(whole.upto(cut), bar_length="5min")
    stream = FeatureStream.after(whole.upto(cut))
    expected = build_features(whole).values
    for row in range(cut, whole.n_periods):
        begin, end = (pd.Timestamp(whole.time[i], tz="UTC") for i in (row - 1, row))
        for name, table in ticks.items():
            live.add_ticks(name, table[(table["time"] >= begin) & (table["time"] < end)])
        closed = live.close(end)
        np.testing.assert_array_equal(stream.update(closed).values[0], expected[row])


def test_a_period_without_bars_is_a_hole_and_the_return_spans_it(whole):
    live = LivePanel.after(whole, bar_length="5min")
    last = pd.Timestamp(whole.time[-1], tz="UTC")
    bar = pd.DataFrame({"open_time": [last + pd.Timedelta("8h")], "close": [123.0]})
    live.add_bars("A", bar)
    assert live.close(last + pd.Timedelta("3h")).n_periods == 0
    rows = live.close(last + pd.Timedelta("12h"))
    a = [Missing.NO_DATA, Missing.NO_DATA, Missing.PRESENT]
    np.testing.assert_array_equal(rows.missing, np.stack([a, [Missing.NO_DATA] * 3], axis=1))
    before = whole.close[np.flatnonzero(whole.present[:, 0])[-1], 0]
    np.testing.assert_allclose(rows.log_return[2, 0], np.log(123.0 / before))
    assert np.isnan(rows.close[:2, 0]).all()


def test_what_cannot_belong_to_an_open_period_is_refused_and_nothing_is_taken(whole):
    live = LivePanel.after(whole, bar_length="5min")
    last = pd.Timestamp(whole.time[-1], tz="UTC")
    bar = pd.DataFrame({"open_time": [last], "close": [1.0]})
    live.add_bars("A", bar)
    late = bar.assign(open_time=last - pd.Timedelta("5min"))
    refused = {
        "of a period that is still open": late,
        "a bar must come once": bar,
        "must start at multiples of": bar.assign(open_time=last + pd.Timedelta("1min")),
        "every close must be a positive number": bar.assign(
            open_time=last + pd.Timedelta("5min"), close=np.nan
        ),
        "with a time zone": bar.assign(open_time=bar["open_time"].dt.tz_localize(None)),
    }
    for sentence, wrong in refused.items():
        with pytest.raises(InputError, match=sentence):
            live.add_bars("A", wrong)
    with pytest.raises(InputError, match="was 'C'"):
        live.add_bars("C", bar)
    with pytest.raises(InputError, match="must carry a time zone"):
        live.close(pd.Timestamp("2030-01-01"))
    rows = live.close(last + pd.Timedelta("4h"))
    assert rows.close[0, 0] == 1.0
    assert rows.fields["bar_count"][0, 0] == 1.0
    with pytest.raises(InputError, match="of a period that is still open"):
        live.add_bars("A", bar.assign(open_time=last + pd.Timedelta("5min")))


def test_a_bar_length_that_does_not_fit_is_refused(whole):
    with pytest.raises(InputError, match="bar_length must divide the period"):
        LivePanel.after(whole, bar_length="7min")


def test_bars_of_trades_add_up_to_the_trades():
    table = trades(1, seed=3)
    bars = bars_from_ticks(table, length=pd.Timedelta("1h"))
    assert bars["number_of_trades"].sum() == len(table)
    np.testing.assert_allclose(bars["volume"].sum(), table["quantity"].sum())
    np.testing.assert_allclose(
        bars["taker_buy_base_asset_volume"].sum(), table.loc[table["taker_buys"], "quantity"].sum()
    )
    assert bars["open"].iloc[0] == table["price"].iloc[0]
    assert bars["close"].iloc[-1] == table["price"].iloc[-1]
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="price"), "must have the columns"),
        (lambda t: t.assign(time=t["time"].dt.tz_localize(None)), "must carry a time zone"),
        (lambda t: t.iloc[::-1], "in the order of their times"),
        (lambda t: t.assign(price=-1.0), "every price must be a positive number"),
        (lambda t: t.assign(quantity=np.nan), "every quantity must be a positive number"),
    ],
)
def test_trades_that_cannot_be_read_are_refused(change, sentence):
    with pytest.raises(InputError, match=sentence):
        bars_from_ticks(change(trades(1, seed=4)), length=pd.Timedelta("1h"))


def test_observations_are_joined_live_as_they_are_when_loaded(ticks, tmp_path):
    for name, table in ticks.items():
        bars_from_ticks(table, length=pd.Timedelta("5min")).to_parquet(tmp_path / f"{name}.parquet")
    rng = np.random.default_rng(5)
    hours = pd.date_range(START, periods=480, freq="1h")
    late = hours + pd.to_timedelta(rng.uniform(0.0, 90.0, size=480), unit="min")
    seen = pd.DataFrame({"time": hours, "known_at": late})
    funding = seen.assign(instrument="A", funding_rate=rng.normal(size=480))
    funding.to_parquet(tmp_path / "funding.parquet")
    seen.assign(VIX=rng.uniform(10.0, 30.0, size=480)).to_parquet(tmp_path / "vix.parquet")
    loaded = load_panel(tmp_path, period="4h")
    cut = loaded.n_periods - 20
    live = LivePanel.after(loaded.upto(cut), bar_length="5min")
    for row in range(cut, loaded.n_periods):
        begin, end = (pd.Timestamp(loaded.time[i], tz="UTC") for i in (row - 1, row))
        for name, table in ticks.items():
            live.add_ticks(name, table[(table["time"] >= begin) & (table["time"] < end)])
        # A day of what is known by now: more than what is new, and no harm.
        recent = np.flatnonzero((late <= end) & (hours > end - pd.Timedelta("1D")))
        closed = live.close(
            end,
            observations=[
                observations("A", funding.iloc[recent], "funding_rate"),
                observations(None, pd.read_parquet(tmp_path / "vix.parquet").iloc[recent], "VIX"),
            ],
        )
        expected = loaded.fields["funding_rate"][row : row + 1]
        np.testing.assert_array_equal(closed.fields["funding_rate"], expected)
        np.testing.assert_array_equal(closed.context["VIX"], loaded.context["VIX"][row : row + 1])
    assert np.isfinite(loaded.context["VIX"][cut:]).all()


def observations(instrument, table, name):
    return Observations(
        instrument=instrument,
        origin="live",
        time=table["time"].astype("datetime64[ns, UTC]").astype(np.int64).to_numpy(),
        known_at=table["known_at"].astype("datetime64[ns, UTC]").astype(np.int64).to_numpy(),
        values={name: table[name].to_numpy()},
    )
