"""The data sets inside skfolio, where the package is installed; a sentence where it is not."""

import importlib.util

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.markets import Kind, Severity, inspect_source, load_panel
from foremargin.markets.sources.skfolio_data import SkfolioData

installed = pytest.mark.skipif(
    importlib.util.find_spec("skfolio") is None, reason="the package skfolio is not installed"
)


@installed
def test_shares_funds_and_the_index_are_read_without_a_download():
    tables = list(SkfolioData().read("skfolio"))
    names = [table.instrument for table in tables]
    assert len(names) == len(set(names)) == 26
    assert {"AAPL", "SP500", "MTUM"} <= set(names)
    kinds = {t.instrument: t.listing.kind for t in tables if t.listing}
    assert (kinds["SP500"], kinds["AAPL"]) == (Kind.INDEX, Kind.SPOT)


@installed
@pytest.mark.slow
def test_a_panel_of_shares_has_exchange_calendars():
    panel = load_panel("skfolio", period="1D")
    assert (panel.periods_per_year == 252).all()
    assert np.isfinite(panel.log_return[-1]).all()
    # Black Monday of 2020 in the index, whose time is the end of the day.
    row = list(panel.time.astype("datetime64[D]").astype(str)).index("2020-03-17")
    index = panel.instruments.index("SP500")
    assert panel.log_return[row, index] == pytest.approx(np.log(2386.13 / 2711.02), abs=1e-4)


@installed
@pytest.mark.slow
def test_only_one_share_has_warnings_and_deserves_them():
    # RRC falls to exactly a third between two days of 1990 and then hardly trades for two years;
    # Apple's fall by half on 2000-09-29 was real.
    warnings = [f for f in inspect_source("skfolio").findings if f.severity is Severity.WARNING]
    assert [(f.instrument, f.check) for f in warnings] == [
        ("RRC", "level-jump"),
        ("RRC", "stale-price"),
    ]


def test_without_the_package_a_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"must have the package skfolio.*pip install skfolio"):
        list(SkfolioData().read("skfolio"))


def test_only_the_word_is_claimed():
    assert SkfolioData().claims("skfolio")
    assert not SkfolioData().claims("./skfolio")
