"""The extended log regression: shrinkage, implied variance that comes and goes, and no prices."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from foremargin.errors import NotEnoughHistoryError
from foremargin.features import CORE_FEATURES, History, build_history
from foremargin.markets import Panel
from foremargin.models import CombinedHar, ExtendedHar, LogHar, PooledHar
from foremargin.models.regressions.terms import HAR_TERMS, term_values, with_features

MakePanel = Callable[..., Panel]
COIN, INDEX = 0, 1
ORIGINS = slice(300, 900)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    return build_history(make_panel(), horizons=(1, 5))


def test_an_endless_penalty_leaves_the_autoregression_alone(history: History) -> None:
    without = ExtendedHar(others=(), implied=False).fit(history, rng=rng())
    shrunk = ExtendedHar(penalty=1e9, implied=False).fit(history, rng=rng())
    got, wanted = (f.forecast(history, origins=ORIGINS).variance for f in (shrunk, without))
    np.testing.assert_allclose(got, wanted, rtol=1e-5)  # the penalty is not quite endless
    free = ExtendedHar(implied=False).fit(history, rng=rng())
    moved = free.forecast(history, origins=ORIGINS).variance
    assert np.nanmax(np.abs(np.log(moved / wanted))) > 0.02


def test_implied_variance_is_used_where_it_is_known_and_not_missed_elsewhere(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=1_400)
    implied = panel.values("implied_vol").copy()
    implied[:500] = np.nan  # it began late,
    implied[1_300:1_310] = np.nan  # and was away for ten days
    history = build_history(
        replace(panel, fields={**panel.fields, "implied_vol": implied}), horizons=(1,)
    )
    fitted = ExtendedHar().fit(history, rng=rng())
    assert ("INDEX", 1, True) in fitted.fits
    assert ("COIN", 1, True) not in fitted.fits
    origins = slice(1_280, 1_330)
    with_it = fitted.forecast(history, origins=origins).variance[:, INDEX, 0]
    plain = replace(fitted, fits={k: f for k, f in fitted.fits.items() if not k[2]})
    without = plain.forecast(history, origins=origins).variance[:, INDEX, 0]
    present = panel.present[origins, INDEX]
    away = np.zeros(50, dtype=bool)
    away[20:30] = True
    np.testing.assert_array_equal(np.isfinite(with_it), present)
    np.testing.assert_array_equal(with_it[away], without[away])
    assert (with_it[~away & present] != without[~away & present]).all()


def test_few_days_of_implied_variance_are_not_learned_from(make_panel: MakePanel) -> None:
    panel = make_panel(n_periods=600)  # about 430 sessions of an exchange
    fitted = ExtendedHar().fit(build_history(panel, horizons=(1,)), rng=rng())
    assert ("INDEX", 1, False) in fitted.fits
    assert ("INDEX", 1, True) not in fitted.fits


def test_terms_are_the_same_whether_the_history_has_them_or_not(make_panel: MakePanel) -> None:
    panel = make_panel(n_periods=200)
    lean = build_history(panel, horizons=(1,), features=["log_variance_month"])
    rich = build_history(panel, horizons=(1,), features=["core", "measurement"])
    names = ("noise_last", *HAR_TERMS, "signed_jump_week")
    got, wanted = (term_values(one, names) for one in (lean, rich))
    np.testing.assert_array_equal(got, wanted)
    assert got.shape[-1] == len(names) - 1  # a day is the last period
    more = with_features(lean, ["core"])
    assert {f.name for f in CORE_FEATURES if not f.intraday_only} <= set(more.features.names)
    assert with_features(more, ["core"]) is more


def test_an_instrument_without_prices_is_forecast_from_its_measures(make_panel: MakePanel) -> None:
    panel = make_panel()
    unknown = np.full(panel.close.shape, np.nan)
    bare = build_history(replace(panel, close=unknown, log_return=unknown), horizons=(1,))
    for forecaster in (ExtendedHar(), CombinedHar()):
        forecast = forecaster.fit(bare, rng=rng()).forecast(bare, origins=ORIGINS)
        np.testing.assert_array_equal(
            np.isfinite(forecast.variance[:, COIN, 0]), panel.present[ORIGINS, COIN]
        )
        assert np.isnan(forecast.variance[:, INDEX]).all()  # it has neither


def test_the_combination_is_the_geometric_mean_of_its_members(history: History) -> None:
    spec = CombinedHar(members=(PooledHar(), ExtendedHar()), more_features=("core",))
    got = spec.fit(history, rng=rng()).forecast(history, origins=ORIGINS).variance
    parts = [
        member.fit(history, rng=rng()).forecast(history, origins=ORIGINS).variance
        for member in spec.members
    ]
    np.testing.assert_allclose(got, np.sqrt(parts[0] * parts[1]), rtol=1e-12)


def test_a_combination_does_without_members_that_have_too_little_history(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=260).select(["COIN"])
    history = build_history(panel, horizons=(1,))
    with pytest.raises(NotEnoughHistoryError, match="a pooled model needs 500 rows"):
        PooledHar().fit(history, rng=rng())
    fitted = CombinedHar().fit(history, rng=rng())
    assert len(fitted.members) == 2
    forecast = fitted.forecast(history, origins=slice(250, 260))
    assert np.isfinite(forecast.variance).all()
    with pytest.raises(NotEnoughHistoryError, match="a pooled model needs 500 rows"):
        CombinedHar(members=(PooledHar(),)).fit(history, rng=rng())


def test_the_combination_forecasts_better_than_log_har(make_panel: MakePanel) -> None:
    history = build_history(make_panel(n_periods=1_500, seed=3), horizons=(1,))
    origins = slice(900, 1_499)
    losses = []
    for forecaster in (CombinedHar(), LogHar()):
        fitted = forecaster.fit(history.upto(900), rng=rng())
        variance = fitted.forecast(history, origins=origins).variance[:, COIN, 0]
        error = np.log(history.targets.variance[origins, COIN, 0] / variance)
        losses.append(np.mean(np.exp(error) - error - 1.0))
    assert losses[0] < 0.99 * losses[1]
