"""The compiled likelihoods and their derivatives against a likelihood written by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.models import FitStatus, fit_garch_batch
from foremargin.models.garch import GarchBatch
from foremargin.models.garch.entries import curvature_entry
from foremargin.models.garch.options import ALL_PARAMETERS, garch_model

Array = NDArray[np.float64]
ByHand = Callable[..., Array]

by_volatility = pytest.mark.parametrize("volatility", ["garch", "gjr", "egarch"])
by_distribution = pytest.mark.parametrize("distribution", ["normal", "t", "skewt"])
by_start = pytest.mark.parametrize("start_variance", ["mean-square", "exponential"])


@pytest.fixture(scope="module")
def log_return() -> Array:
    """Simulate 701 returns of deviation one: no multiple of what the compiled loops unroll."""
    rng = np.random.default_rng(8)
    z = rng.standard_t(7, size=701) * np.sqrt(5 / 7)
    h, out = 1.0, np.empty(701)
    for t in range(701):
        out[t] = 0.1 + np.sqrt(h) * z[t]
        h = 0.08 + (0.05 + 0.1 * (z[t] < 0)) * h * z[t] ** 2 + 0.82 * h
    return np.asarray((out - out.mean()) / out.std() + 0.07)


def named(batch: GarchBatch) -> dict[str, float]:
    return dict(zip(batch.param_names, batch.params[0], strict=True))


@by_volatility
@by_distribution
@by_start
def test_the_log_likelihood_is_that_written_by_hand(
    log_return: Array,
    log_density_by_hand: ByHand,
    volatility: str,
    distribution: str,
    start_variance: str,
) -> None:
    batch = fit_garch_batch(
        log_return,
        volatility=volatility,
        distribution=distribution,
        start_variance=start_variance,
    )
    each = log_density_by_hand(
        log_return, named(batch), volatility=volatility, start_variance=start_variance
    )
    np.testing.assert_allclose(batch.log_likelihood[0], each.sum(), rtol=1e-12)


@by_volatility
@by_distribution
@by_start
def test_scores_and_second_derivatives_are_those_of_the_likelihood_written_by_hand(
    log_return: Array,
    log_density_by_hand: ByHand,
    volatility: str,
    distribution: str,
    start_variance: str,
) -> None:
    theta = {"mu": 0.06, "omega": 0.07, "alpha": 0.09, "beta": 0.8}
    if volatility != "garch":
        theta |= {"gamma": 0.06}
    if volatility == "egarch":
        theta |= {"omega": -0.02, "beta": 0.93}
    theta |= {"nu": 6.0} if distribution != "normal" else {}
    theta |= {"lambda": -0.15} if distribution == "skewt" else {}
    names = [name for name in ALL_PARAMETERS if name in theta]
    model = garch_model(
        volatility=volatility,
        distribution=distribution,
        mean="constant",
        start_variance=start_variance,
    )
    assert model.param_names == tuple(names)
    full = np.array([[theta.get(name, 0.0) for name in ALL_PARAMETERS]])
    rows = np.array([[0, len(log_return)]])
    hessian, outer = np.empty((2, 1, 7, 7))
    curvature_entry(log_return, rows, model.plan(), full, hessian, outer)

    def density(**moved: float) -> Array:
        return log_density_by_hand(
            log_return, theta | moved, volatility=volatility, start_variance=start_variance
        )

    scores = np.stack([_slope(density, theta, name) for name in names], axis=1)
    pick = np.ix_(model.columns, model.columns)
    wanted = scores.T @ scores
    size = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    # Differences over 1e-5 are exact to about 1e-9 of a score.
    np.testing.assert_allclose(outer[0][pick] / size, wanted / size, atol=1e-7)

    curvature = np.empty((len(names), len(names)))
    for i, name in enumerate(names):
        for j, other in enumerate(names):
            curvature[i, j] = _second(density, theta, name, other)
    got = hessian[0][pick]
    size = np.sqrt(np.abs(np.outer(np.diag(curvature), np.diag(curvature))))
    # The likelihood has corners in the mean, except that of GARCH.
    smooth = slice(0 if volatility == "garch" else 1, None)
    # Differences of differences over 1e-4 leave about 1e-5; the second derivative of the skewed
    # law jumps at its mode, which differences smear.
    np.testing.assert_allclose(
        got[smooth, smooth] / size[smooth, smooth],
        curvature[smooth, smooth] / size[smooth, smooth],
        atol=1e-3 if distribution == "skewt" else 1e-4,
    )


@by_volatility
@by_distribution
def test_standard_errors_invert_the_second_derivatives_written_by_hand(
    log_return: Array, log_density_by_hand: ByHand, volatility: str, distribution: str
) -> None:
    own = 3.0 * log_return  # a series of deviation one would hide a slip of scale
    batch = fit_garch_batch(own, volatility=volatility, distribution=distribution, mean="zero")
    assert batch.status[0] == FitStatus.CONVERGED
    theta = named(batch)

    def density(**moved: float) -> Array:
        return log_density_by_hand(own, theta | moved, volatility=volatility)

    curvature = [[_second(density, theta, name, other) for other in theta] for name in theta]
    wanted = np.sqrt(np.diag(np.linalg.inv(-np.array(curvature))))
    # Differences of differences over 1e-4 leave 1e-5, and the inverse a hundred times as much.
    np.testing.assert_allclose(batch.standard_errors("hessian")[0], wanted, rtol=5e-3)


def _slope(density: ByHand, theta: dict[str, float], name: str) -> Array:
    step = 1e-5
    up, down = theta[name] + step, theta[name] - step
    out: Array = (density(**{name: up}) - density(**{name: down})) / (2 * step)
    return out


def _second(density: ByHand, theta: dict[str, float], name: str, other: str) -> float:
    step = 1e-4
    total = 0.0
    for a in (-1, 1):
        for b in (-1, 1):
            moved = {name: theta[name] + a * step}
            moved[other] = moved.get(other, theta[other]) + b * step
            total += a * b * float(density(**moved).sum())
    return total / (4 * step**2)
