"""The panel: read-only, and its fingerprint is its values."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from foremargin.errors import InputError, ShapeError
from foremargin.markets import load_panel


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
    for array in (panel.close, *panel.fields.values()):
        np.testing.assert_array_equal(np.isfinite(array), panel.present)


def test_an_unknown_field_or_instrument_is_refused(panel):
    with pytest.raises(InputError, match="panel field must be one of"):
        panel.values("mood")
    with pytest.raises(InputError, match=r"must be among \['A', 'B'\], found \['C'\]"):
        panel.select(["C"])


def test_arrays_of_another_shape_are_refused(panel):
    with pytest.raises(ShapeError, match=r"close must have shape \(\d+, 2\)"):
        replace(panel, close=panel.close[:-1])
