import numpy as np
import pytest
from scipy import optimize, stats

from foremargin.backtest import expected_shortfall_regression, joint_regression
from foremargin.backtest.expected_shortfall.esr import Version
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

TAIL = 0.025
VERSIONS: tuple[Version, ...] = ("strict", "auxiliary", "intercept")


@pytest.fixture(scope="module")
def history(make_histories, right_forecasts):
    loss, sigma = make_histories("t5 of unit variance", 1_000, 1, seed=6)
    quantile, beyond = right_forecasts("t5 of unit variance", TAIL)
    return loss[0], quantile * sigma[0], beyond * sigma[0]


def least_quantile_loss(loss, x, tail_probability):
    """Minimum of mean(v + (loss - v)+ / p) over v = x b, by linear programming."""
    n, k = x.shape
    cost = np.concatenate([x.mean(axis=0), np.full(n, 1 / (n * tail_probability))])
    solved = optimize.linprog(
        cost,
        A_ub=-np.hstack([x, np.eye(n)]),
        b_ub=-loss,
        bounds=[(None, None)] * k + [(0, None)] * n,
    )
    assert solved.x is not None
    return solved.fun, solved.x[:k]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["strict", "auxiliary"])
def test_the_wald_statistic_of_a_regression_by_another_optimiser(history, version):
    # Forecasts of 70 % in per cent: the statistic is then large, and its rounding small beside it.
    loss, value_at_risk, expected_shortfall = (
        factor * one for factor, one in zip([100.0, 70.0, 70.0], history, strict=True)
    )
    x = np.column_stack(
        [np.ones(1_000), expected_shortfall if version == "strict" else value_at_risk]
    )
    w = np.column_stack([np.ones(1_000), expected_shortfall])

    def objective(c):
        v, e = x @ c[:2], w @ c[2:]
        if min(v.min(), e.min()) <= 0.01:
            return 1e6
        return np.mean(np.maximum(loss - v, 0) / (TAIL * e) + v / e + np.log(e))

    bounds = optimize.Bounds([-2.0, 0.0, -2.0, 0.0], [2.0, 3.0, 2.0, 3.0])
    point = optimize.differential_evolution(objective, bounds, rng=1, maxiter=400, tol=1e-10).x
    v, e = x @ point[:2], w @ point[2:]
    ratio = (loss - v) / e
    spread = ratio[ratio > 0].var(ddof=1)
    variance = (spread + (1 - TAIL) * (1 - v / e) ** 2) / TAIL
    scaled = w / e[:, None]
    bread = np.linalg.inv(scaled.T @ scaled)
    covariance = bread @ (scaled.T @ (variance[:, None] * scaled)) @ bread
    error = point[2:] - np.array([0.0, 1.0])
    expected = error @ np.linalg.solve(covariance, error)
    found = expected_shortfall_regression(
        loss, value_at_risk, expected_shortfall, tail_probability=TAIL, version=version
    )
    # Two searches of a surface with kinks end some thousandths apart in a flat direction.
    assert found.statistic == pytest.approx(expected, rel=0.03)
    assert found.p_value == pytest.approx(np.exp(-found.statistic / 2), rel=1e-9)
    assert found.df == 2


def test_the_intercept_is_that_of_linear_programming(history):
    loss, value_at_risk, e = history
    x = np.column_stack([np.ones(1_000), e])
    gamma, beta = least_quantile_loss(loss - e, x, TAIL)
    v = x @ beta
    ratio = ((loss - e - v) / e)[loss - e > v + 1e-9]
    variance = np.mean(e**2 * ratio.var(ddof=1) + (1 - TAIL) * (gamma - v) ** 2) / TAIL
    found = expected_shortfall_regression(
        loss, value_at_risk, e, tail_probability=TAIL, version="intercept"
    )
    # The simplex stops near the vertex that the programme finds.
    assert found.statistic == pytest.approx(gamma / np.sqrt(variance / 1_000), abs=0.02)
    assert found.p_value == pytest.approx(stats.norm.sf(found.statistic), rel=1e-9)
    assert found.df is None


def test_strict_and_auxiliary_agree_where_the_forecasts_are_proportional(history):
    results = [
        expected_shortfall_regression(*history, tail_probability=TAIL, version=version)
        for version in ("strict", "auxiliary")
    ]
    # The same regression in other coordinates; searches stop within about 1e-5.
    assert results[0].statistic == pytest.approx(results[1].statistic, rel=0.02, abs=0.01)


def test_a_scale_error_is_found_in_the_slope(history):
    loss, value_at_risk, expected_shortfall = history
    w = np.column_stack([np.ones(1_000), 0.5 * expected_shortfall])
    fit = joint_regression(loss, w, w, tail_probability=TAIL)
    base = joint_regression(
        loss, w * [1.0, 2.0], w * [1.0, 2.0], tail_probability=TAIL
    ).expected_shortfall_coefficient
    np.testing.assert_allclose(
        fit.expected_shortfall_coefficient, base * [1.0, 2.0], rtol=0.02, atol=1e-4
    )
    for version in VERSIONS:
        result = expected_shortfall_regression(
            loss,
            0.5 * value_at_risk,
            0.5 * expected_shortfall,
            tail_probability=TAIL,
            version=version,
        )
        assert result.p_value < 1e-4


@pytest.mark.parametrize("version", VERSIONS)
def test_a_law_may_stand_in_for_the_large_sample_one(history, version):
    loss, value_at_risk, expected_shortfall = (one[:250] for one in history)
    sigma = expected_shortfall / expected_shortfall.mean()
    law = stats.t(5, scale=np.sqrt(3 / 5) * 0.01)

    def draw(rng, rows):
        return sigma * law.rvs((rows, 250), random_state=rng)

    result = expected_shortfall_regression(
        loss,
        value_at_risk,
        expected_shortfall,
        tail_probability=TAIL,
        version=version,
        simulated_loss=draw,
        n_resamples=39,
    )
    # 39 draws: multiples of 1 / 40.
    assert 40 * result.p_value == pytest.approx(round(40 * result.p_value), abs=1e-9)
    assert result.p_value >= 1 / 40


@pytest.mark.slow
def test_the_bootstrap_keeps_the_size_at_250_periods_and_the_chi_squared_law_does_not(
    make_histories, right_forecasts
):
    losses, sigmas = make_histories("t5 of unit variance", 250, 40, seed=11)
    quantile, beyond = right_forecasts("t5 of unit variance", TAIL)
    p_values = np.array(
        [
            [
                expected_shortfall_regression(
                    loss, quantile * s, beyond * s, tail_probability=TAIL, n_resamples=n_resamples
                ).p_value
                for n_resamples in (0, 19)
            ]
            for loss, s in zip(losses, sigmas, strict=True)
        ]
    )
    rejected = np.sum(p_values <= 0.05, axis=0)
    # Chi-squared: about 40 % (documented). Bootstrap: a band with a false-alarm rate of 1e-4 at a
    # true size of 5 %.
    assert rejected[0] >= 8
    assert rejected[1] <= stats.binom.isf(1e-4, 40, 0.05)


def test_what_is_refused(history):
    loss, value_at_risk, expected_shortfall = history
    with pytest.raises(InputError, match='version must be "strict", "auxiliary" or "intercept"'):
        expected_shortfall_regression(*history, tail_probability=TAIL, version="other")  # type: ignore[arg-type]
    with pytest.raises(NotEnoughHistoryError, match="a regression of four coefficients"):
        expected_shortfall_regression(
            loss[:4], value_at_risk[:4], expected_shortfall[:4], tail_probability=TAIL
        )
    with pytest.raises(InputError, match="n_resamples must be a whole number >= 0"):
        expected_shortfall_regression(*history, tail_probability=TAIL, n_resamples=-1)
    with pytest.raises(ShapeError, match="simulated_loss must have shape"):
        expected_shortfall_regression(*history, tail_probability=TAIL, simulated_loss=np.ones(3))
