"""Series on which a recursion must neither explode nor end a run: crashes, pegs, straight lines."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.models import Garch, Volatility, fit_garch
from foremargin.models.garch.recursion import egarch_log_variance


def test_egarch_stays_below_the_largest_move_after_a_crash_out_of_calm() -> None:
    residual = np.full(500, 1e-3)
    residual[300] = -40.0
    log_variance = egarch_log_variance(residual, -0.2, 0.3, -0.2, 0.98, 0.0)
    assert np.isfinite(log_variance).all()
    assert log_variance[301] == pytest.approx(np.log(40.0**2))
    assert (log_variance <= np.log(40.0**2)).all()


def test_egarch_does_not_divide_by_zero_when_the_price_stands_still() -> None:
    log_variance = egarch_log_variance(np.zeros(5_000), -0.5, 0.3, 0.0, 1.0, 0.0)
    assert log_variance.min() == pytest.approx(np.log(1e-8))


def test_returns_that_differ_by_rounding_alone_do_not_vary() -> None:
    price = np.exp(np.arange(400) * 1e-5)
    with pytest.raises(InputError, match="must be finite and must vary"):
        fit_garch(np.diff(np.log(price)))


@pytest.mark.parametrize("volatility", list(Volatility))
def test_an_instrument_that_cannot_be_fitted_is_noted_and_the_others_are_forecast(
    make_panel: Callable[..., Panel], volatility: Volatility
) -> None:
    panel = make_panel(n_periods=700)
    log_return = panel.log_return.copy()
    log_return[np.isfinite(log_return[:, 0]), 0] = 1e-5
    history = build_history(replace(panel, log_return=log_return), horizons=(1, 5))
    rng = np.random.default_rng(0)
    fitted = Garch(volatility=volatility).fit(history.upto(600), rng=rng)
    forecast = fitted.forecast(history, origins=slice(600, 700))
    assert any(note.startswith(f"{panel.instruments[0]}, ") for note in fitted.notes)
    assert np.isnan(forecast.variance[:, 0]).all()
    assert np.isfinite(forecast.variance[:, 3]).all()
