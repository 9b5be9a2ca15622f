"""Attributions: they add up, they are the coefficients where all is linear, they name an input."""

from dataclasses import replace

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import History
from foremargin.models.network import FittedRegimeNetwork, explain, permutation_importance
from foremargin.models.network.attribution import BASE, BOUNDS, LEVEL, SEQUENCE

ORIGINS = slice(780, 800)


def test_the_contributions_to_a_forecast_sum_to_the_log_of_its_variance(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    # With weights drawn at random the trunk is as crooked as it can be.
    rng = np.random.default_rng(4)
    wild = {name: w + 0.3 * rng.normal(size=w.shape) for name, w in fitted.weights.items()}
    for one in (fitted, replace(fitted, weights=wild)):
        table = explain(one, history, origins=ORIGINS)
        total = table.groupby(["origin", "instrument", "horizon"])["contribution"].sum()
        forecast = one.forecast(history, origins=ORIGINS)
        rows, columns, horizons = np.nonzero(np.isfinite(forecast.variance))
        assert len(total) == len(rows)
        for row, column, k in zip(rows[::17], columns[::17], horizons[::17], strict=True):
            key = (
                history.panel.time[780 + row],
                history.panel.instruments[column],
                history.horizons[k],
            )
            stamp = table["origin"].dt.tz_localize(None)
            own = table[
                (stamp == key[0]) & (table["instrument"] == key[1]) & (table["horizon"] == key[2])
            ]
            wanted = np.log(forecast.variance[row, column, k])
            assert own["contribution"].sum() == pytest.approx(wanted, abs=1e-6)


def test_without_a_trunk_contributions_are_coefficient_times_input(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    nothing = {
        name: np.zeros_like(w) if name.startswith("correction") else w
        for name, w in fitted.weights.items()
    }
    linear = replace(fitted, weights=nothing)
    table = explain(linear, history, origins=ORIGINS)
    assert (table.loc[table["input"].isin(SEQUENCE), "contribution"] == 0.0).all()
    feature = fitted.features[fitted.scaler.usable[3]]
    own = table[(table["input"] == feature) & (table["horizon"] == 5)]
    assert feature not in {fitted.features[j] for j in fitted.scaler.masked}
    np.testing.assert_allclose(
        own["contribution"], own["value"] * fitted.skip.fits[1].coefficient[3], rtol=1e-12
    )
    assert {BASE, BOUNDS, LEVEL} <= set(table["input"])


def test_an_input_that_nothing_reads_is_worth_nothing(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    # Cut every wire from one input; the others keep theirs.
    column = 3
    skip = fitted.skip
    fits = []
    for fit in skip.fits:
        coefficient = fit.coefficient.copy()
        coefficient[column] = 0.0
        fits.append(replace(fit, coefficient=coefficient))
    weights = {name: w.copy() for name, w in fitted.weights.items()}
    weights["first_weight"][:, column] = 0.0
    deaf = replace(fitted, skip=replace(skip, fits=tuple(fits)), weights=weights)
    deaf = replace(deaf, cost_skip=None)
    feature = fitted.features[fitted.scaler.usable[column]]
    worth = permutation_importance(
        deaf, history, origins=slice(780, 900), rng=np.random.default_rng(1), n_repeats=1
    )
    variance = worth[worth["head"] == "variance"].set_index(["input", "horizon"])["importance"]
    assert variance[feature].abs().max() == 0.0
    assert variance["garch_1"].abs().max() > 0.0
    assert "sequence" in set(worth["input"])
    assert worth.loc[worth["head"] == "liquidity_cost", "loss"].isna().all()


def test_importance_without_a_repeat_is_refused(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    with pytest.raises(InputError, match="n_repeats must be at least 1, was 0"):
        permutation_importance(
            fitted, history, origins=ORIGINS, rng=np.random.default_rng(1), n_repeats=0
        )
