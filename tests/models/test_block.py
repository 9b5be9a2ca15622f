"""One fit and its block of origins: what the fit sees, and what happens when it cannot fit."""

from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from foremargin.errors import InputError
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import FittedForecaster, Garch, PooledHar, fit_block

MakePanel = Callable[..., Panel]


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    return build_history(make_panel(n_periods=700), horizons=(1, 5))


def test_a_block_is_fitted_on_what_was_known_before_its_first_origin(history: History) -> None:
    origins = slice(600, 650)
    block = fit_block(Garch(), history, origins=origins, rng=rng())
    # An optimiser amplifies the order of sums, which threads would change.
    with threadpool_limits(1):
        known = Garch().fit(history.upto(600), rng=rng())
        wanted = known.forecast(history, origins=origins)
    assert block.first_row == 600
    np.testing.assert_array_equal(block.forecast.variance, wanted.variance)
    np.testing.assert_array_equal(block.forecast.origin, history.panel.time[600:650])


def test_what_happens_inside_a_block_does_not_change_its_fit(
    history: History, shock_after: Callable[..., Panel]
) -> None:
    # The first origin is made with the parameters and the data of rows up to it.
    shocked = build_history(shock_after(history.panel, 600), horizons=(1, 5))
    for forecaster in (Garch(), PooledHar()):
        base = fit_block(forecaster, history, origins=slice(600, 650), rng=rng())
        moved = fit_block(forecaster, shocked, origins=slice(600, 650), rng=rng())
        # A matrix product sums in an order that depends on how many rows it has.
        np.testing.assert_allclose(
            moved.forecast.variance[0], base.forecast.variance[0], rtol=1e-12
        )


def test_a_model_without_enough_history_says_so_and_forecasts_nothing(history: History) -> None:
    block = fit_block(PooledHar(), history, origins=slice(100, 120), rng=rng())
    assert block.forecast.model == "har-pooled"
    assert block.forecast.variance.shape == (20, 4, 2)
    assert np.isnan(block.forecast.variance).all()
    assert len(block.notes) == 1
    assert block.notes[0].startswith("2018-04-12: a pooled model needs 500 rows")


def test_other_errors_are_not_hidden(history: History) -> None:
    class Broken:
        name = "broken"
        refit_days = 1

        def fit(self, history: History, *, rng: np.random.Generator) -> FittedForecaster:
            raise InputError("broken on purpose")

    with pytest.raises(InputError, match="broken on purpose"):
        fit_block(Broken(), history, origins=slice(600, 610), rng=rng())
