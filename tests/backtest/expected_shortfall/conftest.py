"""Histories whose volatility and law are known, and the right forecasts for them."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

# Value at risk and expected shortfall of standard laws, from the literature (six decimals).
STANDARD = {
    ("normal", 0.025): (1.959964, 2.337803),
    ("normal", 0.01): (2.326348, 2.665214),
    ("t5", 0.01): (3.364930, 4.452429),
    ("t5 of unit variance", 0.01): (2.606464, 3.448837),
}
LAWS = {
    "normal": stats.norm(),
    "t5": stats.t(5),
    "t5 of unit variance": stats.t(5, scale=np.sqrt(3 / 5)),
}


@pytest.fixture(params=STANDARD.items(), ids=lambda item: f"{item[0][0]} {item[0][1]:g}")
def standard_law(request):
    """One law: itself, tail probability, value at risk and expected shortfall."""
    (name, tail_probability), (value_at_risk, expected_shortfall) = request.param
    return LAWS[name], tail_probability, value_at_risk, expected_shortfall


@pytest.fixture(scope="session")
def right_forecasts() -> Callable[..., tuple[float, float]]:
    """Return a function that gives both forecasts of a law, by numerical integration."""

    def both(law: str, tail_probability: float) -> tuple[float, float]:
        frozen = LAWS[law]
        quantile = frozen.isf(tail_probability)
        return quantile, frozen.expect(lambda z: z, lb=quantile) / tail_probability

    return both


@pytest.fixture(scope="session")
def make_histories() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Return a function that draws GARCH(1,1) losses and their volatilities, shape (rows, n)."""

    def draw(law: str, n: int, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        z = LAWS[law].rvs((rows, n), random_state=np.random.default_rng(seed))
        z = z / LAWS[law].std()
        variance = np.ones((rows, n))
        for t in range(1, n):
            variance[:, t] = 0.02 + variance[:, t - 1] * (0.08 * z[:, t - 1] ** 2 + 0.90)
        sigma = 0.01 * np.sqrt(variance)
        return z * sigma, sigma

    return draw


@pytest.fixture(scope="session")
def three_breaches() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss and forecasts of eight periods with three breaches, a tie and a gain."""
    loss = np.array([1.0, 2.0, 5.0, -4.0, 3.0, 0.5, 9.0, 1.9])
    value_at_risk = np.array([2.0, 2.0, 4.0, 3.0, 2.5, 1.0, 5.0, 2.0])
    return loss, value_at_risk, np.array([2.5, 3.0, 5.0, 4.0, 3.2, 1.5, 6.0, 2.2])
