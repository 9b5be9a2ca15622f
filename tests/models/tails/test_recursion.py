"""The tail recursions against loops in the words of their papers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.models.tails.recursion import (
    caviar_loss,
    caviar_path,
    score_driven_loss,
    score_driven_path,
)

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def loss() -> Array:
    return np.random.default_rng(1).standard_t(5, size=400)


def test_a_caviar_quantile_follows_its_last_value_and_the_last_loss(loss: Array) -> None:
    level, decay, up, down = 0.1, 0.8, 0.3, 0.1
    path = caviar_path(loss, np.array([level, decay, up, down]), 2.0)
    # Engle and Manganelli (2004): q' = b1 + b2 q + b3 (y)+ + b4 (y)-
    quantile = 2.0
    for t, one in enumerate(loss):
        quantile = level + decay * quantile + up * max(one, 0) + down * max(-one, 0)
        assert path[t] == pytest.approx(quantile, rel=1e-12)


def test_a_caviar_loss_is_the_mean_quantile_loss_of_the_quantile_known_before(loss: Array) -> None:
    parameters, tail = np.array([0.1, 0.8, 0.3, 0.1]), 0.05
    path = caviar_path(loss, parameters, 2.0)
    # Koenker and Bassett (1978) over the tail: (tail - 1{y > q}) (q - y) / tail, plus the mean of y
    check = (tail - (loss[1:] > path[:-1])) * (path[:-1] - loss[1:]) / tail + loss[1:]
    assert caviar_loss(loss, parameters, 2.0, tail) == pytest.approx(check.mean(), rel=1e-12)


def test_a_score_driven_scale_rises_after_a_breach_and_falls_after_none(loss: Array) -> None:
    decay, jump, a, b, tail = 0.95, 0.2, 1.8, 2.6, 0.05
    v, e = score_driven_path(loss, np.array([decay, jump, a, b]), tail)
    kappa = 0.0
    for t, one in enumerate(loss):
        # Patton, Ziegel and Chen (2019) with gamma = jump * tail and returns as losses
        breach = one >= a * np.exp(kappa)
        kappa = decay * kappa + jump * tail * (breach * one / (tail * b * np.exp(kappa)) - 1.0)
        np.testing.assert_allclose([v[t], e[t]], np.array([a, b]) * np.exp(kappa), rtol=1e-12)


def test_a_score_driven_loss_is_the_mean_fz0_of_what_was_known_before(loss: Array) -> None:
    parameters, tail = np.array([0.95, 0.2, 1.8, 2.6]), 0.025
    v, e = (path[:-1] for path in score_driven_path(loss, parameters, tail))
    # FZ0 in returns: -1{y <= v} (v - y) / (tail e) + v / e + ln(-e) - 1 with v, e, y negated
    y, var, es = -loss[1:], -v, -e
    excess = np.maximum(var - y, 0.0)
    fz0 = -excess / (tail * es) + var / es + np.log(-es) - 1
    assert score_driven_loss(loss, parameters, tail) == pytest.approx(fz0.mean(), rel=1e-12)
