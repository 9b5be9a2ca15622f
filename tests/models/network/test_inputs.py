"""What the network sees: the past of its own instrument, GARCH forecasts, and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import History, Standardiser, fit_standardiser
from foremargin.models import RegimeNetwork, TrainingPlan
from foremargin.models.network import FittedRegimeNetwork
from foremargin.models.network.inputs import make_inputs

STOP = 780


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 1}, "sequence_length must be 0 or a power of 4 .* was 1"),
        ({"sequence_length": 24}, "sequence_length must be 0 or a power of 4 .* was 24"),
        ({"n_members": 0}, "at least one member and one hidden unit, was n_members=0"),
        ({"device": "tpu"}, "device must be 'auto', 'cpu' or 'cuda', was 'tpu'"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainingPlan(**options)


def test_a_window_holds_the_last_own_periods_of_its_instrument(
    history: History, fitted: FittedRegimeNetwork
) -> None:
    length = 16
    inputs = fitted.inputs(history, origins=slice(0, STOP))
    windows = inputs.windows.gather()
    period, features = np.nonzero(inputs.rows)[0], history.features
    checked = 0
    for k in range(0, len(period), 97):
        i = inputs.column[k]
        own = np.flatnonzero(history.panel.present[: period[k] + 1, i])[-length:]
        log_variance = np.log(features.variance[own, i]) - features.level[own, i]
        known = np.isfinite(log_variance) & np.isfinite(history.panel.log_return[own, i])
        wanted = np.where(known, np.clip(log_variance, -5.0, 5.0), 0.0)
        np.testing.assert_allclose(windows[k, -len(own) :, 0], wanted, rtol=1e-12)
        np.testing.assert_array_equal(windows[k, -len(own) :, 2], known)
        checked += 1
    assert checked > 10


def test_an_instrument_whose_window_begins_before_its_listing_sees_zeros_there(
    history: History,
) -> None:
    inputs = make_inputs(history, _scaler(history), length=256, origins=slice(0, 250))
    windows, period = inputs.windows.gather(), np.nonzero(inputs.rows)[0]
    n_own = np.cumsum(history.panel.present, axis=0)[period, inputs.column]
    before_listing = np.arange(256) < 256 - n_own[:, None]
    assert before_listing.any()
    assert (windows[before_listing] == 0.0).all()


def _scaler(history: History) -> Standardiser:
    return fit_standardiser(history.features.values.reshape(-1, len(history.features.names)))


def test_the_garch_forecasts_are_inputs(fitted: FittedRegimeNetwork, history: History) -> None:
    assert fitted.features[-2:] == ("garch_1", "garch_5")
    inputs = fitted.inputs(history, origins=slice(500, 510))
    variance = fitted.garch.forecast(history, origins=slice(500, 510)).variance
    column = list(fitted.scaler.usable).index(len(fitted.features) - 2)
    wanted = np.log(variance[..., 0])[inputs.rows[500:510]] - inputs.level
    scaled = (wanted - fitted.scaler.centre[-2]) / fitted.scaler.spread[-2]
    np.testing.assert_allclose(inputs.x[:, column], np.clip(scaled, -5.0, 5.0), rtol=1e-10)


def test_features_that_the_history_lacks_are_computed(
    history: History, fitted: FittedRegimeNetwork
) -> None:
    names = [n for n in history.features.names if not n.startswith("illiquidity_t")]
    kept = [history.features.names.index(name) for name in names]
    fewer = replace(
        history,
        features=replace(
            history.features, names=tuple(names), values=history.features.values[..., kept]
        ),
    )
    # They end up in another order, which a fit on the other history must not take for its own.
    with pytest.raises(InputError, match="features it was fitted on, in the same order"):
        fitted.inputs(fewer, origins=slice(500, 510))
    plan = TrainingPlan(n_members=1, n_hidden=2, max_epochs=0, head_epochs=0)
    spec = RegimeNetwork(plan=plan, more_features=("core", "illiquidity"), wide_features=())
    again = spec.fit(fewer.upto(STOP), rng=np.random.default_rng(0))
    assert set(again.features) >= {*names, "illiquidity_trend"}
