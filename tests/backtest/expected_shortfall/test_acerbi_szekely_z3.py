from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from foremargin.backtest import acerbi_szekely_z3
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


def law_of(frozen, sigma):
    return lambda w: np.asarray(sigma)[:, None] * frozen.isf(w)


def exceedances(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(n)


@pytest.mark.parametrize(("n", "m"), [(250, 6), (40, 1), (2_500, 62)])
def test_the_exponential_law_has_a_closed_form(n, m):
    w = exceedances(n, n)
    found = acerbi_szekely_z3(
        w, law_of(stats.expon(), np.ones(n)), tail_probability=(m + 0.5) / n, n_resamples=1
    )
    # Renyi: the j-th largest of n exponential draws has mean 1/j + ... + 1/n.
    harmonic = np.cumsum(1 / np.arange(1, n + 1))
    expected = np.mean(harmonic[-1] - np.concatenate([[0.0], harmonic[: m - 1]]))
    seen = -np.log(np.sort(w)[:m]).mean()
    # The quadrature is exact to about ten digits.
    assert found.statistic == pytest.approx(1 - seen / expected, abs=1e-8)


@pytest.mark.parametrize("frozen", [stats.norm(), stats.t(5), stats.t(2.5)])
def test_other_laws_agree_with_adaptive_integration(frozen):
    n, m = 250, 6
    w = exceedances(n, 1)

    def integrand(u):
        return frozen.isf(u) * stats.binom.cdf(m - 1, n - 1, u) * n / m

    pieces = [0.0, 1e-9, 1e-6, 1e-4, 1e-3, 0.02, 0.05, 0.2]
    expected = sum(integrate.quad(integrand, a, b, limit=400)[0] for a, b in pairwise(pieces))
    found = acerbi_szekely_z3(w, law_of(frozen, np.ones(n)), tail_probability=0.025, n_resamples=1)
    seen = frozen.isf(np.sort(w)[:m]).mean()
    assert found.statistic == pytest.approx(1 - seen / expected, abs=1e-6)


def test_the_expected_shortfall_of_a_sample_is_its_mean_over_samples():
    frozen, n, m = stats.t(5), 250, 6
    drawn = frozen.rvs((40_000, n), random_state=np.random.default_rng(2))
    tails = -np.partition(-drawn, m, axis=1)[:, :m].mean(axis=1)
    w = exceedances(n, 3)
    found = acerbi_szekely_z3(w, law_of(frozen, np.ones(n)), tail_probability=0.025, n_resamples=1)
    expected = frozen.isf(np.sort(w)[:m]).mean() / (1 - found.statistic)
    # Five standard errors of the simulation.
    assert abs(expected - tails.mean()) < 5 * tails.std() / np.sqrt(40_000)


def test_one_law_up_to_scale_gives_the_same_for_every_scale():
    w, sigma = exceedances(250, 4), np.exp(np.random.default_rng(5).standard_normal(250))
    moving, still = (
        acerbi_szekely_z3(w, law_of(stats.norm(), scale), tail_probability=0.025, n_resamples=200)
        for scale in (sigma, np.ones(250))
    )
    assert moving.statistic == pytest.approx(still.statistic, rel=1e-9)
    assert moving.p_value == still.p_value


def test_the_p_value_of_a_tail_of_one_is_that_of_the_smallest_of_n():
    n = 60
    for smallest in (0.0005, 0.005, 0.02):
        w = np.concatenate([[smallest], np.linspace(0.1, 0.9, n - 1)])
        found = acerbi_szekely_z3(
            w, law_of(stats.norm(), np.ones(n)), tail_probability=0.02, n_resamples=20_000
        )
        exact = 1 - (1 - smallest) ** n
        error = np.sqrt(exact * (1 - exact) / 20_000)
        assert abs(found.p_value - exact) < 5 * error + 1e-4


def test_z3_is_zero_on_average_and_has_its_size():
    law = law_of(stats.t(5), np.ones(250))
    results = [
        acerbi_szekely_z3(exceedances(250, seed), law, tail_probability=0.025, n_resamples=399)
        for seed in range(300)
    ]
    z3 = np.array([one.statistic for one in results])
    assert abs(z3.mean()) < 5 * z3.std() / np.sqrt(300)
    # The p-value is exact: a binomial band with a false-alarm rate of 1e-4.
    low, high = stats.binom.interval(1 - 1e-4, 300, 0.05)
    assert low <= sum(one.p_value <= 0.05 for one in results) <= high


def test_understated_scale_is_found():
    rejected = 0
    for seed in range(60):
        loss = stats.t(5).rvs(1_000, random_state=np.random.default_rng(seed))
        w = stats.t(5, scale=0.75).sf(loss)
        law = law_of(stats.t(5, scale=0.75), np.ones(1_000))
        result = acerbi_szekely_z3(w, law, tail_probability=0.025, n_resamples=199)
        rejected += result.p_value <= 0.05
    # Measured 59 of 60; the band leaves room for other random numbers.
    assert rejected >= 50


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1])
def test_an_exceedance_probability_outside_is_refused(bad):
    w = np.append(exceedances(99, 1), bad)
    with pytest.raises(InputError, match=r"exceedance_probability must be in \(0, 1\), found 1"):
        acerbi_szekely_z3(w, law_of(stats.norm(), np.ones(100)), tail_probability=0.025)


def test_values_that_are_not_finite_are_refused():
    w = np.append(exceedances(99, 1), np.nan)
    with pytest.raises(InputError, match="exceedance_probability must be finite"):
        acerbi_szekely_z3(w, law_of(stats.norm(), np.ones(100)), tail_probability=0.025)
    with pytest.raises(InputError, match=r"loss_quantile\(...\) must be finite"):
        acerbi_szekely_z3(
            exceedances(100, 1), lambda w: np.full((100, w.size), np.inf), tail_probability=0.025
        )


def test_a_history_without_a_tail_is_refused():
    with pytest.raises(NotEnoughHistoryError, match="at least 40 periods"):
        acerbi_szekely_z3(
            exceedances(39, 1), law_of(stats.norm(), np.ones(39)), tail_probability=0.025
        )


def test_a_law_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"loss_quantile must return shape \(100, "):
        acerbi_szekely_z3(exceedances(100, 1), stats.norm.isf, tail_probability=0.025)


def test_a_law_of_gains_is_refused():
    with pytest.raises(InputError, match="expected shortfall of every law must be > 0, found 100"):
        acerbi_szekely_z3(
            exceedances(100, 1), law_of(stats.norm(-9), np.ones(100)), tail_probability=0.025
        )


def test_ties_are_an_ordinary_case():
    result = acerbi_szekely_z3(
        np.full(100, 0.5), law_of(stats.norm(), np.ones(100)), tail_probability=0.05
    )
    assert result.statistic == pytest.approx(1.0)
    assert result.p_value == 1.0
