"""The embedded data sets."""

import numpy as np
import pytest

from foremargin.markets import Missing, load_panel


@pytest.fixture(scope="module")
def panel():
    return load_panel("arch")


def test_the_embedded_data_have_their_known_shapes(panel):
    assert panel.instruments == ("SP500", "NASDAQ", "WTI")
    assert panel.present.sum(axis=0).tolist() == [5031, 5031, 8611 - 290]
    assert panel.periods_per_year.tolist() == [252, 252, 252]


def test_a_session_is_known_at_the_end_of_its_day(panel):
    first = np.flatnonzero(panel.present[:, 0])[0]
    assert panel.time[first] == np.datetime64("1999-01-05T00:00")
    assert panel.close[first, 0] == pytest.approx(1228.10, abs=0.01)


def test_no_weekend_is_invented(panel):
    day_of_week = ((panel.time - panel.period).astype("datetime64[D]").astype(int) + 3) % 7
    assert (day_of_week < 5).all()


def test_oil_has_a_close_only(panel):
    present = panel.present[:, 2]
    assert np.isnan(panel.fields["high"][present, 2]).all()
    assert np.isfinite(panel.fields["high"][panel.present[:, 0], 0]).all()
    assert "realized_variance" not in panel.fields


def test_holidays_without_an_oil_price_are_listed(panel):
    (finding,) = [f for f in panel.findings if f.instrument == "WTI"]
    assert (finding.check, finding.count) == ("nan-close", 290)
    known = panel.missing[:, 2]
    assert set(np.unique(known)) == {Missing.PRESENT, Missing.NO_DATA}


def test_days_with_an_unrecorded_volume_are_no_halts(panel):
    nasdaq = panel.missing[:, 1]
    assert Missing.HALTED not in nasdaq
    unknown = np.isnan(panel.fields["volume"][panel.present[:, 1], 1])
    assert unknown.sum() == 2
    (finding,) = [f for f in panel.findings if f.check == "volume-not-recorded"]
    assert (finding.instrument, finding.count) == ("NASDAQ", 2)


def test_returns_are_those_of_the_published_closes(panel):
    total = np.nansum(panel.log_return[:, 0])
    assert total == pytest.approx(np.log(2506.85 / 1228.10), abs=1e-4)
