"""A service needs the last origin only; skipping the others must not change it."""

from collections.abc import Callable

import numpy as np
import pytest

from foremargin.calibrate import (
    with_calibrated_probabilities,
    with_stress_probability,
    with_tails,
)
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Forecast

FIRST, FROM = 200, 700
FIELDS = ("variance", "value_at_risk_lower", "expected_shortfall_upper", "stress_probability")
Calibrate = Callable[..., Forecast]


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(make_panel(n_periods=800), horizons=(1, 5))


@pytest.fixture(scope="module")
def raw(history: History) -> Forecast:
    shape = (*history.panel.present.shape, len(history.horizons))
    variance = np.full(shape, 4e-4) * np.array(history.horizons)
    variance[~history.panel.present] = np.nan
    rng = np.random.default_rng(3)
    return Forecast(
        model="constant",
        origin=history.panel.time[FIRST:],
        instruments=history.panel.instruments,
        horizons=history.horizons,
        variance=(variance * np.exp(0.3 * rng.normal(size=shape)))[FIRST:],
    )


@pytest.mark.parametrize(
    "calibrate", [with_tails, with_stress_probability, with_calibrated_probabilities]
)
def test_what_is_needed_is_the_same_when_the_rest_is_left_out(
    calibrate: Calibrate, history: History, raw: Forecast
) -> None:
    if calibrate is with_calibrated_probabilities:
        raw = with_stress_probability(raw, history, first_row=FIRST)
    every = calibrate(raw, history, first_row=FIRST)
    needed = calibrate(raw, history, first_row=FIRST, from_row=FROM)
    left_out = False
    for name in FIELDS:
        whole, part = getattr(every, name), getattr(needed, name)
        assert (whole is None) == (part is None)
        if whole is not None:
            np.testing.assert_array_equal(part[FROM - FIRST :], whole[FROM - FIRST :])
            left_out |= not np.array_equal(part, whole, equal_nan=True)
    assert left_out
