"""Estimates on series whose law is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from foremargin.models.tails.estimation import fit_caviar, fit_score_driven
from foremargin.models.tails.recursion import caviar_loss, caviar_path, score_driven_path

Array = NDArray[np.float64]

TAIL = 0.05
NORMAL = float(stats.norm.isf(TAIL))
BEYOND = float(stats.norm.pdf(NORMAL) / TAIL)


def absolute_value_garch(*, up: float, down: float, n: int = 6_000) -> tuple[Array, Array]:
    """Losses whose volatility is a CAViaR recursion, so that every quantile of them is one too."""
    rng = np.random.default_rng(2)
    loss, sigma = np.empty(n), np.empty(n)
    sigma[0] = 1.0
    for t in range(n):
        loss[t] = sigma[t] * rng.normal()
        if t + 1 < n:
            news = up * max(loss[t], 0.0) + down * max(-loss[t], 0.0)
            sigma[t + 1] = 0.05 + 0.85 * sigma[t] + news
    return loss, sigma


@pytest.mark.parametrize(("up", "down"), [(0.12, 0.12), (0.2, 0.02)])
def test_caviar_finds_the_quantile_of_a_process_that_it_describes(up: float, down: float) -> None:
    loss, sigma = absolute_value_garch(up=up, down=down)
    symmetric = up == down
    estimate = fit_caviar(loss, tail=TAIL, symmetric=symmetric)
    assert estimate.converged
    truth = NORMAL * np.array([0.05, 0.85 / NORMAL, up, down])
    at_truth = caviar_loss(loss, truth, NORMAL, TAIL)
    assert estimate.value <= at_truth
    path = caviar_path(loss, estimate.parameters, estimate.start)
    error = path[100:-1] / (NORMAL * sigma[101:]) - 1.0
    assert np.sqrt(np.mean(error**2)) < 0.06
    if symmetric:
        assert estimate.parameters[2] == estimate.parameters[3]
    else:
        assert estimate.parameters[2] > 3.0 * estimate.parameters[3]


def test_a_score_driven_model_of_independent_losses_finds_their_tail_and_stays_there() -> None:
    loss = np.random.default_rng(3).normal(size=8_000)
    estimate = fit_score_driven(loss, tail=TAIL)
    assert estimate.converged
    v, e = score_driven_path(loss, estimate.parameters, TAIL)
    np.testing.assert_allclose(v.mean(), NORMAL, rtol=0.05)
    np.testing.assert_allclose(e.mean(), BEYOND, rtol=0.05)
    assert v.std() < 0.1 * v.mean()


def test_a_score_driven_model_follows_a_volatility_that_moves() -> None:
    # Calm and storm in turns: the true tail of the storm is three times that of the calm.
    sigma = np.where(np.arange(6_000) // 300 % 2 == 0, 1.0, 3.0)
    loss = sigma * np.random.default_rng(4).normal(size=6_000)
    estimate = fit_score_driven(loss, tail=TAIL)
    v = score_driven_path(loss, estimate.parameters, TAIL)[0]
    settled = np.arange(6_000) % 300 > 150
    assert v[settled & (sigma == 3.0)].mean() > 1.7 * v[settled & (sigma == 1.0)].mean()
    assert abs((loss[1:] > v[:-1]).mean() - TAIL) < 0.01


def test_a_side_without_losses_has_a_tail_that_can_be_divided_by() -> None:
    gains = -np.abs(np.random.default_rng(5).normal(size=400))
    for estimate in (
        fit_caviar(gains, tail=0.01, symmetric=False),
        fit_score_driven(gains, tail=0.01),
    ):
        assert np.isfinite(estimate.parameters).all()
        assert (estimate.parameters >= 0.0).all()
    path = score_driven_path(gains, fit_score_driven(gains, tail=0.01).parameters, 0.01)[0]
    assert (path > 0.0).all()
