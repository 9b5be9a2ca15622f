"""The panel: read-only, and its fingerprint is its values."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from foremargin.errors import InputError, ShapeError
from foremargin.markets import Kind, Listing, load_panel


@pytest.fixture
def panel(make_bars, write):
    write(make_bars(seed=1), "all/A.parquet")
    return load_panel(write(make_bars("2024-01-03", seed=2), "all/B.parquet").parent)


def test_a_panel_cannot_be_changed(panel):
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        panel.close = panel.close
    arrays = [panel.time, panel.close, panel.log_return, panel.missing, panel.periods_per_year]
    for array in (*arrays, *panel.fields.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]


def test_a_fingerprint_is_stable_and_sees_every_value(make_bars, write, panel):
    assert panel.fingerprint() == replace(panel, source="elsewhere").fingerprint()
    for name in ("close", "log_return", "missing"):
        changed = getattr(panel, name).copy()
        changed[4, 1] += 1
        assert replace(panel, **{name: changed}).fingerprint() != panel.fingerprint()
    volume = panel.fields["volume"].copy()
    volume[4, 1] += 1
    fields = {**panel.fields, "volume": volume}
    assert replace(panel, fields=fields).fingerprint() != panel.fingerprint()
    renamed = replace(panel, instruments=("A", "C"), listings=())
    assert renamed.fingerprint() != panel.fingerprint()
    assert panel.select(["B", "A"]).fingerprint() != panel.fingerprint()
    assert panel.upto(5).fingerprint() != panel.fingerprint()


def test_the_frame_says_why_a_value_is_missing(panel):
    frame = panel.frame()
    assert len(frame) == panel.n_periods * panel.n_instruments
    first = frame.xs("B", level="instrument").iloc[0]
    assert first["missing"] == "not-listed"
    assert np.isnan(first["close"])
    assert frame.xs("A", level="instrument")["missing"].iloc[0] == "present"
    assert str(frame.index.get_level_values("time").tz) == "UTC"


def test_values_are_nan_wherever_a_code_says_missing(panel):
    np.testing.assert_array_equal(np.isfinite(panel.close), panel.present)
    for array in (panel.log_return, *panel.fields.values()):
        assert not np.isfinite(array[~panel.present]).any()


def test_the_arrays_of_the_caller_stay_his_own_and_are_not_copied(panel):
    close, volume = panel.close.copy(), panel.fields["volume"].copy()
    rate = np.zeros(panel.n_periods)
    built = replace(panel, close=close, fields={"volume": volume}, context={"rate": rate})
    for own, array in ((built.close, close), (built.fields["volume"], volume)):
        assert np.shares_memory(own, array)
        assert not own.flags.writeable
        assert array.flags.writeable
    assert rate.flags.writeable
    assert not built.context["rate"].flags.writeable


def test_the_related_instrument_is_about_the_same_thing_and_of_the_kind_asked_for(panel):
    def listed(name, kind, underlying, **more):
        return Listing(instrument=name, kind=kind, underlying=underlying, **more)

    pair = replace(
        panel,
        listings=(listed("A", Kind.PERPETUAL, "BTC"), listed("B", Kind.SPOT, "BTC")),
    )
    assert pair.related("A", kind=Kind.SPOT) == "B"
    assert pair.related("B", kind=Kind.PERPETUAL) == "A"
    assert pair.related("A", kind=Kind.PERPETUAL) is None
    assert panel.related("A", kind=Kind.UNKNOWN) is None  # nothing is known of either
    with pytest.raises(InputError, match=r"must be among \['A', 'B'\], was 'C'"):
        pair.related("C", kind=Kind.SPOT)


def test_of_several_related_instruments_the_one_with_the_same_quote_comes_first(make_bars, write):
    for k, name in enumerate(("perp", "usd", "usdt", "usdt2")):
        folder = write(make_bars(seed=k), f"all/{name}.parquet").parent
    panel = load_panel(folder)
    kinds = [Kind.PERPETUAL, Kind.SPOT, Kind.SPOT, Kind.SPOT]
    places = [("USDT", "one"), ("USD", "one"), ("USDT", "two"), ("USDT", "one")]
    listings = [
        Listing(instrument=name, kind=kind, underlying="BTC", quote=quote, venue=venue)
        for name, kind, (quote, venue) in zip(panel.instruments, kinds, places, strict=True)
    ]
    listed = replace(panel, listings=tuple(listings))
    assert listed.related("perp", kind=Kind.SPOT) == "usdt2"
    assert listed.select(["perp", "usd", "usdt"]).related("perp", kind=Kind.SPOT) == "usdt"
    assert listed.select(["perp", "usd"]).related("perp", kind=Kind.SPOT) == "usd"


def test_an_unknown_field_or_instrument_is_refused(panel):
    with pytest.raises(InputError, match="panel field must be one of"):
        panel.values("mood")
    with pytest.raises(InputError, match=r"must be among \['A', 'B'\], found \['C'\]"):
        panel.select(["C"])


def test_arrays_of_another_shape_are_refused(panel):
    with pytest.raises(ShapeError, match=r"close must have shape \(\d+, 2\)"):
        replace(panel, close=panel.close[:-1])
