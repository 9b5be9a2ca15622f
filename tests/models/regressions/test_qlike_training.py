"""Training by QLIKE: the optimum, the prior, and days that are too far off."""

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.models.regressions.log_regression import LogFit, fit_log_regression
from foremargin.models.regressions.qlike_training import train_qlike

Array = NDArray[np.float64]


def planted(n: int = 400) -> tuple[Array, Array, LogFit]:
    """Return terms, log outcomes with errors whose size depends on a term, and least squares."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(n, 2))
    y = 0.5 * x[:, 0] + np.exp(0.4 * x[:, 1]) * 0.4 * rng.normal(size=n)
    return x, y, fit_log_regression(x, y, ratio=np.exp(y), penalty=0.0)


def test_the_slope_of_the_loss_is_zero_at_the_optimum() -> None:
    x, y, start = planted()
    fit = train_qlike(start, x, y, ratio=np.exp(y), prior=0.0)
    u = y - np.log(fit.predict(x))
    assert u.max() < 2.0  # no day is cut
    slope = np.column_stack([np.ones(len(x)), x]).T @ (np.exp(u) - 1.0)
    # Newton's method stops once a step changes the loss by less than 1e-10 of it.
    np.testing.assert_allclose(slope, 0.0, atol=1e-3)
    assert np.abs(fit.coefficient - start.coefficient).max() > 0.05


def test_the_prior_pulls_the_coefficients_to_their_start() -> None:
    x, y, start = planted()
    distances = []
    for prior in (0.0, 300.0, 1e9):
        fit = train_qlike(start, x, y, ratio=np.exp(y), prior=prior)
        distances.append(np.abs(fit.coefficient - start.coefficient).max())
    assert distances[0] > 1.3 * distances[1] > 0.0
    assert distances[2] < 1e-6


def test_training_never_raises_the_loss_it_minimises() -> None:
    x, y, start = planted()

    def loss(fit: LogFit) -> float:
        u = y - np.log(fit.predict(x))
        return float(np.mean(np.exp(u) - u - 1.0))

    assert loss(train_qlike(start, x, y, ratio=np.exp(y), prior=0.0)) < loss(start)


@pytest.mark.parametrize("shock", [20.0, 40.0])
def test_one_day_far_off_is_one_day(shock: float) -> None:
    x, y, start = planted()
    calm = train_qlike(start, x, y, ratio=np.exp(y), prior=0.0)
    y[0] += shock
    fit = train_qlike(start, x, y, ratio=np.exp(calm.predict_log(x)), prior=0.0)
    # Along its tangent the loss pulls with a weight of exp(2), however far the day is away.
    assert np.abs(fit.coefficient - calm.coefficient).max() < 0.15
