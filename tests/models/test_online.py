"""Fitted forecasters row by row say what they say of a whole history."""

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.models import (
    Distribution,
    Ewma,
    FittedOnWindow,
    Garch,
    LogHar,
    OnlineGarch,
    OnlineLogHar,
    Volatility,
)

HORIZONS = (1, 5)


@pytest.fixture(scope="module")
def history(make_panel):
    return build_history(make_panel(n_periods=700), horizons=HORIZONS)


@pytest.fixture(scope="module", params=[0, 100], ids=["whole", "window"])
def fitted(request, history):
    def fit(forecaster):
        first = request.param
        found = forecaster.fit(history.between(first, 600), rng=np.random.default_rng(0))
        return FittedOnWindow(fitted=found, first_row=first) if first else found

    return fit


@pytest.mark.parametrize("volatility", [Volatility.GJR, Volatility.GARCH])
def test_a_recursion_goes_on_to_the_last_bit(history, fitted, volatility):
    panel = history.panel
    model = fitted(Garch(volatility=volatility, distribution=Distribution.T))
    batch = model.forecast(history, origins=slice(400, 700)).variance
    online = OnlineGarch.after(
        model, panel.log_return[:400], instruments=panel.instruments, horizons=HORIZONS
    )
    for row in range(400, 700):
        guess = [online.provisional(i, float(panel.log_return[row, i])) for i in range(4)]
        said = online.advance(panel.log_return[row])
        np.testing.assert_array_equal(said, batch[row - 400])
        np.testing.assert_allclose(np.where(np.isnan(said), np.nan, guess), said, rtol=1e-13)
    assert np.isfinite(batch).any(axis=(0, 2)).all()


def test_regressions_say_what_they_say_in_a_batch(history, fitted):
    panel, model = history.panel, fitted(LogHar())
    batch = model.forecast(history, origins=slice(600, 700)).variance
    online = OnlineLogHar.of(
        model, instruments=panel.instruments, horizons=HORIZONS, features=history.features.names
    )
    for row in range(600, 700):
        said = online.variance(history.features.upto(row + 1))
        # A sum of four products in another order.
        np.testing.assert_allclose(said, batch[row - 600], rtol=1e-12)
    assert np.isfinite(batch).any(axis=(0, 2)).all()


def test_what_cannot_go_on_is_refused(history):
    panel, rng = history.panel, np.random.default_rng(0)
    common = {"instruments": panel.instruments, "horizons": HORIZONS}
    egarch = Garch(volatility=Volatility.EGARCH).fit(history, rng=rng)
    with pytest.raises(InputError, match="must be a fitted GARCH or GJR, was egarch-normal"):
        OnlineGarch.after(egarch, panel.log_return, **common)
    ewma = Ewma(decay=0.94).fit(history, rng=rng)
    with pytest.raises(InputError, match="must be a fitted GARCH or GJR"):
        OnlineGarch.after(ewma, panel.log_return, **common)
    with pytest.raises(InputError, match="must be a fitted log-har"):
        OnlineLogHar.of(ewma, features=history.features.names, **common)
    har = LogHar().fit(history, rng=rng)
    with pytest.raises(InputError, match="serve it with the features it was fitted on"):
        OnlineLogHar.of(har, features=("log_variance_week",), **common)
