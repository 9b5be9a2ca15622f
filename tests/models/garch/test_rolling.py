"""Many windows of one series in one call, and what is expected of the periods after a series."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from foremargin.errors import NotEnoughHistoryError, ShapeError
from foremargin.models import fit_garch_batch, fit_garch_rolling
from foremargin.models.garch.expectations import fall_share
from foremargin.models.garch.options import Distribution

Array = NDArray[np.float64]

by_volatility = pytest.mark.parametrize("volatility", ["garch", "gjr", "egarch"])


@pytest.fixture(scope="module")
def log_return() -> Array:
    """Simulate 2,000 returns of a GJR process, about 2 % a period."""
    rng = np.random.default_rng(6)
    z = rng.standard_t(6, size=2_000) * np.sqrt(4 / 6)
    h, out = 1.0, np.empty(2_000)
    for t in range(2_000):
        out[t] = np.sqrt(h) * z[t]
        h = 0.04 + (0.04 + 0.08 * (z[t] < 0)) * h * z[t] ** 2 + 0.87 * h
    return 0.02 * out


@by_volatility
def test_windows_are_estimated_as_if_each_were_alone(log_return: Array, volatility: str) -> None:
    rolling = fit_garch_rolling(
        log_return, window=800, step=10, volatility=volatility, distribution="t"
    )
    windows = np.lib.stride_tricks.sliding_window_view(log_return, 800)[::10]
    alone = fit_garch_batch(windows, volatility=volatility, distribution="t")
    assert rolling.params.shape == alone.params.shape == (121, len(alone.param_names))
    below = rolling.log_likelihood - alone.log_likelihood
    # A warm search may stay on a lower summit that a cold one passes by; few do.
    assert np.mean(below < -1e-4) < 0.05
    assert rolling.converged.mean() > 0.98
    assert rolling.passes.mean() < alone.passes.mean()


def test_windows_are_the_same_on_any_number_of_threads(log_return: Array) -> None:
    one = fit_garch_rolling(log_return, window=500, step=5, n_threads=1)
    two = fit_garch_rolling(log_return, window=500, step=5, n_threads=2)
    np.testing.assert_array_equal(one.params, two.params)


def test_a_window_knows_nothing_of_what_follows_it(log_return: Array) -> None:
    full = fit_garch_rolling(log_return, window=500, step=100)
    cut = fit_garch_rolling(log_return[:1_000], window=500, step=100)
    np.testing.assert_array_equal(full.params[:6], cut.params)


def test_windows_that_do_not_fit_are_refused(log_return: Array) -> None:
    with pytest.raises(NotEnoughHistoryError, match="they were 99 and 1"):
        fit_garch_rolling(log_return, window=99)
    with pytest.raises(NotEnoughHistoryError, match="at most the 2000 returns"):
        fit_garch_rolling(log_return, window=2_001)
    with pytest.raises(ShapeError, match="must be one series of finite returns"):
        fit_garch_rolling(log_return[None], window=500)


@pytest.mark.parametrize("distribution", ["normal", "t", "skewt"])
@pytest.mark.parametrize("volatility", ["garch", "gjr"])
def test_expected_variances_decay_to_their_long_run_level(
    log_return: Array, volatility: str, distribution: str
) -> None:
    batch = fit_garch_batch(log_return, volatility=volatility, distribution=distribution)
    named = dict(zip(batch.param_names, batch.params[0], strict=True))
    law = Distribution(distribution)
    share = fall_share(law, named.get("nu", 0.0), named.get("lambda", 0.0))
    persistence = named["alpha"] + named["beta"] + named.get("gamma", 0.0) * share
    long_run = named["omega"] / (1 - persistence)
    # h(t+k) = long_run + persistence^(k-1) (h(t+1) - long_run)
    wanted = long_run + persistence ** np.arange(20) * (batch.next_variance[0] - long_run)
    np.testing.assert_allclose(batch.forecast_variance(20)[0], wanted, rtol=1e-10)
    np.testing.assert_allclose(
        batch.forecast_variance(20, cumulative=True)[0], np.cumsum(wanted), rtol=1e-10
    )


@pytest.mark.parametrize("distribution", ["normal", "t", "skewt"])
def test_expected_variances_of_egarch_are_those_of_a_simulation(
    log_return: Array, distribution: str
) -> None:
    batch = fit_garch_batch(log_return, volatility="egarch", distribution=distribution)
    named = dict(zip(batch.param_names, batch.params[0], strict=True))
    rng = np.random.default_rng(1)
    n_paths, horizon = 100_000, 8
    own = batch.standardized_residuals(0)
    log_h = np.full(n_paths, np.log(batch.next_variance[0]))
    closed = batch.forecast_variance(horizon)[0]
    for step in range(horizon):
        h = np.exp(log_h)
        # Four standard errors: one false alarm in 16,000.
        assert abs(h.mean() - closed[step]) <= 4 * h.std() / np.sqrt(n_paths) + 1e-12 * h.mean()
        z = rng.normal(size=n_paths) if distribution == "normal" else rng.choice(own, n_paths)
        news = named["alpha"] * (np.abs(z) - np.sqrt(2 / np.pi)) + named["gamma"] * z
        log_h = named["omega"] + news + named["beta"] * log_h


@by_volatility
def test_the_next_variance_is_what_the_estimate_of_one_series_forecasts(
    log_return: Array, volatility: str
) -> None:
    for start in ("mean-square", "exponential"):
        batch = fit_garch_batch(
            [log_return[:1_000], log_return[1_000:]], volatility=volatility, start_variance=start
        )
        for i, own in enumerate((log_return[:1_000], log_return[1_000:])):
            ahead = batch.fit(i).next_variance(own, horizons=(1,))[-1, 0]
            np.testing.assert_allclose(batch.next_variance[i], ahead, rtol=1e-12)


@pytest.mark.parametrize("nu", [2.3, 5.0, 40.0])
@pytest.mark.parametrize("skew", [-0.6, -0.1, 0.0, 0.3])
def test_the_share_of_falls_is_the_integral_of_the_density(nu: float, skew: float) -> None:
    from scipy.special import gammaln

    c = np.exp(gammaln((nu + 1) / 2) - gammaln(nu / 2)) / np.sqrt(np.pi * (nu - 2))
    a = 4 * skew * c * (nu - 2) / (nu - 1)
    b = np.sqrt(1 + 3 * skew**2 - a**2)

    def integrand(z: float) -> float:
        side = 1 - skew if z < -a / b else 1 + skew
        density = b * c * (1 + ((b * z + a) / side) ** 2 / (nu - 2)) ** (-(nu + 1) / 2)
        return float(z**2 * density)

    # At 2.3 degrees the tail of z² falls like |z|^-1.3: integrate over its logarithm.
    wanted = quad(lambda s: integrand(-np.exp(s)) * np.exp(s), -30, 120, limit=400)[0]
    np.testing.assert_allclose(fall_share(Distribution.SKEW_T, nu, skew), wanted, rtol=1e-6)
