"""Simulated sums against closed forms: independent returns, and the variance of a GARCH sum."""

import numpy as np
import pytest
from scipy import stats

from foremargin.calibrate.laws import VarianceRecursion, simulate_horizon, simulated_tails
from foremargin.errors import InputError

STILL = VarianceRecursion(omega=4e-4, alpha=0.0, beta=0.0)
GARCH = VarianceRecursion(omega=2e-6, alpha=0.1, beta=0.85)


def normal_residuals(n: int = 100_001) -> np.ndarray:
    """Quantiles of the normal law: a sample without luck."""
    return stats.norm.ppf((np.arange(n) + 0.5) / n)


def simulated(recursion: VarianceRecursion, residual, *, horizon: int, start: float, **options):
    return simulate_horizon(
        [start],
        residual,
        recursion=recursion,
        horizon=horizon,
        rng=np.random.default_rng(6),
        **options,
    )[0]


@pytest.mark.parametrize("horizon", [1, 5, 10])
def test_independent_normal_returns_grow_with_the_square_root_of_time(horizon: int) -> None:
    drawn = simulated(STILL, normal_residuals(), horizon=horizon, start=4e-4, n_paths=400_000)
    lower, upper = simulated_tails(drawn, tail_probabilities=(0.01, 0.05))
    wanted = 0.02 * np.sqrt(horizon) * stats.norm.isf([0.01, 0.05])
    # A 1 % quantile of 400,000 draws has a standard error of .6 %; four of them.
    np.testing.assert_allclose(lower.quantile, wanted, rtol=0.025)
    np.testing.assert_allclose(upper.quantile, wanted, rtol=0.025)


def test_the_variance_of_a_garch_sum_is_the_sum_of_its_expected_variances() -> None:
    start, horizon = 1e-4, 10
    drawn = simulated(GARCH, normal_residuals(), horizon=horizon, start=start, n_paths=400_000)
    usual, persistence = 2e-6 / 0.05, 0.95
    wanted = sum(usual + persistence**k * (start - usual) for k in range(horizon))
    # Relative standard error of a variance: sqrt((kurtosis - 1) / n), kurtosis below 6; four.
    assert drawn.var() == pytest.approx(wanted, rel=4 * np.sqrt(5 / 400_000))


def test_heavy_tails_thin_out_when_periods_are_independent() -> None:
    n = 200_001
    residual = stats.t.ppf((np.arange(n) + 0.5) / n, 4) / np.sqrt(2.0)
    one = simulated(STILL, residual, horizon=1, start=4e-4, n_paths=200_000)
    ten = simulated(STILL, residual, horizon=10, start=4e-4, n_paths=200_000)
    by_root = np.sqrt(10.0) * simulated_tails(one, tail_probabilities=(0.01,))[0].quantile[0]
    assert simulated_tails(ten, tail_probabilities=(0.01,))[0].quantile[0] < 0.96 * by_root


def test_two_independent_periods_have_the_convolved_law() -> None:
    n = 200_001
    residual = stats.t.ppf((np.arange(n) + 0.5) / n, 4) / np.sqrt(2.0)
    drawn = simulated(STILL, residual, horizon=2, start=4e-4, n_paths=400_000)
    got = simulated_tails(drawn, tail_probabilities=(0.01,))[1].quantile[0] / 0.02
    grid = np.linspace(-80.0, 80.0, 2**15 + 1)
    density = stats.t.pdf(grid, 4, scale=1 / np.sqrt(2.0))
    step = grid[1] - grid[0]
    both = np.convolve(density, density, mode="same") * step
    wanted = np.interp(0.99, np.cumsum(both) * step, grid)
    assert got == pytest.approx(wanted, rel=0.03)  # four standard errors of the draws


def test_a_fall_raises_what_follows_under_gjr() -> None:
    gjr = VarianceRecursion(omega=2e-6, alpha=0.02, gamma=0.16, beta=0.85)
    drawn = simulated(gjr, normal_residuals(), horizon=10, start=1e-4, n_paths=200_000)
    lower, upper = simulated_tails(drawn, tail_probabilities=(0.01,))
    assert lower.quantile[0] > 1.1 * upper.quantile[0]
    assert lower.mean_beyond[0] > lower.quantile[0]


def test_origins_share_their_draws() -> None:
    both = simulate_horizon(
        [1e-4, 4e-4],
        normal_residuals(),
        recursion=VarianceRecursion(omega=0.0, alpha=0.1, beta=0.85),
        horizon=5,
        rng=np.random.default_rng(7),
        n_paths=50,
    )
    # Without a constant everything scales with the first variance.
    np.testing.assert_allclose(both[1], 2.0 * both[0], rtol=1e-12)


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(InputError, match="positive and finite"):
        simulated(GARCH, normal_residuals(200), horizon=1, start=0.0)
    with pytest.raises(InputError, match="at least 1, were 0"):
        simulated(GARCH, normal_residuals(200), horizon=0, start=1e-4)
    with pytest.raises(InputError, match=r"not negative, were 1e-06, 0\.1, -0\.1"):
        VarianceRecursion(omega=1e-6, alpha=0.1, gamma=-0.2, beta=0.8)
