"""The deployed forecaster says what the backtest would have said."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.models import Forecast, Mixture, join_forecasts
from foremargin.training import Execution, Preparation, deployment, experiment
from foremargin.training.deployment import fit_final, measure_latency
from foremargin.training.forecasting import calibrated, make_forecasts, silent


def assert_same(got: Forecast, wanted: Forecast, rows: slice = slice(None)) -> None:
    for field in fields(Forecast):
        ours, theirs = getattr(got, field.name), getattr(wanted, field.name)
        if isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs[rows])
        else:
            assert ours == theirs


def test_before_its_fit_it_repeats_the_backtest(trained: Any) -> None:
    first = trained.prepared.split.forecast_row
    last = trained.prepared.panel.n_periods - 1
    said = trained.final.forecast(trained.prepared.history, origins=slice(last - 30, last))
    assert_same(said, trained.made.forecasts[0], slice(last - 30 - first, last - first))
    assert np.isfinite(said.value_at_risk_lower[:, 0]).all()


def test_from_its_fit_on_it_says_what_a_backtest_with_that_fit_would_say(
    trained: Any, later: Preparation
) -> None:
    row, stop = trained.prepared.panel.n_periods - 1, later.panel.n_periods
    fresh = trained.final.fitted.forecast(later.history, origins=slice(row, stop))
    first = trained.prepared.split.forecast_row
    whole = calibrated(join_forecasts([trained.final.past, fresh]), later.history, first_row=first)
    said = trained.final.forecast(later.history, origins=slice(row, stop))
    assert_same(said, whole, slice(row - first, stop - first))
    coin = said.instruments.index("COIN")
    assert np.isfinite(said.value_at_risk_upper[:, coin]).all()


def test_an_origin_gives_the_same_whatever_comes_after_it(
    trained: Any, later: Preparation, shock_after: Callable[..., Panel]
) -> None:
    row = trained.prepared.panel.n_periods + 5
    origins = slice(row, row + 1)
    wanted = trained.final.forecast(later.history, origins=origins)
    cut = trained.final.history(later.panel.upto(row + 1))
    assert_same(trained.final.forecast(cut, origins=origins), wanted)
    shocked = trained.final.history(shock_after(later.panel, row))
    assert_same(trained.final.forecast(shocked, origins=origins), wanted)
    many = trained.final.forecast(later.history, origins=slice(row - 3, row + 4))
    assert_same(wanted, many, slice(3, 4))


def test_an_instrument_that_is_new_has_a_variance_and_no_tails_yet(
    prepare_small: Callable[..., Preparation], make_panel: Callable[..., Panel]
) -> None:
    prepared = prepare_small(model="ewma-0.94")
    made = make_forecasts(prepared, execution=Execution(), progress=silent)
    final = fit_final(prepared, made)
    panel = make_panel(n_periods=800).select(("CLOSE", "INDEX", "COIN"))
    origins = slice(780, 800)
    said = final.forecast(final.history(panel), origins=origins)
    assert np.isfinite(said.variance[:, 0]).all()
    assert said.value_at_risk_lower is not None
    assert np.isnan(said.value_at_risk_lower[:, 0]).all()
    wanted = final.forecast(final.history(panel.select(("COIN", "INDEX"))), origins=origins)
    assert wanted.value_at_risk_lower is not None
    np.testing.assert_array_equal(said.value_at_risk_lower[:, 2], wanted.value_at_risk_lower[:, 0])


def test_a_window_and_a_mixture_are_deployed_as_they_were_walked(
    prepare_small: Callable[..., Preparation], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Mixture(
        name="both", members=("ewma-0.97", "log-har"), tellers=("log-har", "stress-pooled")
    )
    monkeypatch.setattr(experiment, "ALL_MIXTURES", (both,))
    monkeypatch.setattr(deployment, "_MIXTURES", {"both": both})
    prepared = prepare_small(
        model="both",
        forecast={
            "models": ["ewma-0.97", "log-har", "stress-pooled", "both"],
            "horizons": [1, 5],
            "windows": {"log-har": "400 sessions"},
        },
    )
    made = make_forecasts(prepared, execution=Execution(), progress=silent)
    final = fit_final(prepared, made)
    assert final.model == "both"
    assert deployment.sources_of("both") == ("ewma-0.97", "log-har", "stress-pooled")
    fitted: Any = final.fitted
    first_row = fitted.sources[1].first_row
    assert first_row > 300
    row = prepared.panel.n_periods - 1
    weight = fitted.weights.weight
    assert (fitted.weights.n_rows > 0).all()
    np.testing.assert_allclose(weight.sum(axis=1), 1.0)
    parts = [
        prepared.experiment.forecaster(name)
        .fit(history, rng=np.random.default_rng(0))
        .forecast(history, origins=slice(len(history.panel.time) - 1, len(history.panel.time)))
        for name, history in (
            ("ewma-0.97", prepared.history),
            ("log-har", prepared.history.since(first_row)),
        )
    ]
    wanted = np.exp(sum(w * np.log(p.variance) for w, p in zip(weight.T, parts, strict=True)))
    said = final.forecast(prepared.history, origins=slice(row, row + 1))
    np.testing.assert_allclose(said.variance, wanted, rtol=1e-12)


def test_data_of_another_kind_are_refused(trained: Any, later: Preparation) -> None:
    final, history = trained.final, later.history
    with pytest.raises(InputError, match=r"periods of 1 days .* what came after"):
        final.history(later.panel.rows(1, later.panel.n_periods))
    other = build_history(later.panel, horizons=(1, 3), features=final.features)
    with pytest.raises(InputError, match="horizons"):
        final.forecast(other, origins=slice(790, 791))
    fewer = build_history(later.panel, horizons=(1, 5), features=["log_variance_day"])
    with pytest.raises(InputError, match="features"):
        final.forecast(fewer, origins=slice(790, 791))
    with pytest.raises(InputError, match="up to"):
        final.forecast(history.upto(700), origins=slice(690, 691))
    with pytest.raises(InputError, match="said nothing before"):
        final.forecast(history, origins=slice(3, 9))


def test_latency_is_a_time_per_forecast(trained: Any) -> None:
    taken = measure_latency(trained.final, trained.prepared)
    assert 5 <= len(taken) <= 100
    assert (taken > 0.0).all()
