import numpy as np
import pytest
from scipy import optimize, stats

from foremargin.backtest import fz0_loss, joint_regression
from foremargin.backtest.expected_shortfall._joint_search import joint_loss
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

TAIL = 0.05


@pytest.fixture(scope="module")
def data():
    """Loss of 600 periods whose volatility is known, and a constant beside it."""
    rng = np.random.default_rng(5)
    sigma = rng.uniform(0.5, 2.0, 600)
    return sigma * rng.standard_t(5, 600), np.column_stack([np.ones(600), sigma])


def mean_fz0(coefficients, loss, x, w, tail_probability):
    v, e = x @ coefficients[: x.shape[1]], w @ coefficients[x.shape[1] :]
    if v.min() <= 1e-3 or e.min() <= 1e-3:
        return 1e6
    return np.mean(np.maximum(loss - v, 0) / (tail_probability * e) + v / e + np.log(e) - 1)


def test_the_compiled_loss_gives_the_published_value_at_one_point():
    one = np.ones((1, 1))
    found = joint_loss(np.array([2.0, 2.5]), np.array([3.0]), one, one, 0.025)
    # Published with ten decimals: return -3, VaR -2, ES -2.5.
    assert found - 1.0 == pytest.approx(16.7162907319, abs=5e-11)


def test_the_compiled_loss_is_fz0(data):
    loss, x = data
    rng = np.random.default_rng(1)
    for _ in range(5):
        point = np.concatenate([rng.uniform(0.2, 1.5, 2), rng.uniform(1.6, 3.0, 2)])
        expected = fz0_loss(loss, x @ point[:2], x @ point[2:], tail_probability=TAIL).mean()
        assert joint_loss(point, loss, x, x, TAIL) - 1.0 == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("tail_probability", [0.1, 0.05, 0.025])
def test_no_other_optimiser_finds_a_lower_loss(data, tail_probability):
    loss, x = data
    fit = joint_regression(loss, x, x, tail_probability=tail_probability)
    args = (loss, x, x, tail_probability)
    bounds = optimize.Bounds([-2.0, -1.0, -2.0, -1.0], [3.0, 5.0, 4.0, 7.0])
    other = optimize.differential_evolution(
        mean_fz0, bounds, args=args, rng=3, maxiter=400, tol=1e-10
    )
    point = np.concatenate([fit.value_at_risk_coefficient, fit.expected_shortfall_coefficient])
    assert fit.mean_loss == pytest.approx(mean_fz0(point, *args), rel=1e-9)
    # The simplex stops at differences of 1e-8.
    assert fit.mean_loss <= other.fun + 1e-6
    # In flat directions a difference of 1e-6 in loss is one of some thousandths in coefficients.
    np.testing.assert_allclose(point, other.x, atol=0.02)


@pytest.mark.parametrize("n", [400, 1_000, 3_333])
def test_constants_are_the_empirical_quantile_and_the_mean_beyond_it(n):
    loss = stats.t(4).rvs(n, random_state=np.random.default_rng(n))
    fit = joint_regression(loss, np.ones((n, 1)), np.ones((n, 1)), tail_probability=TAIL)
    largest = np.sort(loss)[::-1]
    k = n * TAIL
    # The minimum over v of v + mean(L - v)+ / p lies at an order statistic.
    quantile = largest[int(np.ceil(k)) - 1]
    expected = quantile + np.maximum(loss - quantile, 0.0).mean() / TAIL
    assert fit.expected_shortfall_coefficient[0] == pytest.approx(expected, abs=1e-4)
    # Any point between the two order statistics is a minimum where n p is a whole number.
    low, high = largest[int(np.floor(k))], largest[max(int(np.ceil(k)) - 1, 0)]
    assert low - 1e-4 <= fit.value_at_risk_coefficient[0] <= high + 1e-4


def test_the_covariance_of_constants_has_a_closed_form():
    n, law = 200_000, stats.norm()
    loss = law.isf((np.arange(n) + 0.5) / n)
    fit = joint_regression(loss, np.ones((n, 1)), np.ones((n, 1)), tail_probability=0.1)
    p, v = 0.1, law.isf(0.1)
    e = law.pdf(v) / p
    beyond = law.expect(lambda z: (z - e) ** 2, lb=v) / p
    shortfall = (beyond + (1 - p) * (e - v) ** 2) / p / n
    quantile = p * (1 - p) / law.pdf(v) ** 2 / n
    between = (1 - p) * (e - v) / law.pdf(v) / n
    # The density is that of a kernel: up to some per cent off.
    np.testing.assert_allclose(fit.covariance[1, 1], shortfall, rtol=1e-3)
    np.testing.assert_allclose(fit.covariance[0, 0], quantile, rtol=0.05)
    np.testing.assert_allclose(fit.covariance[0, 1], between, rtol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scale", "sandwich"])
def test_standard_errors_are_the_spread_of_estimates(kind):
    rng = np.random.default_rng(9)
    estimates, errors = [], []
    for _ in range(80):
        sigma = rng.uniform(0.5, 2.0, 2_000)
        x = np.column_stack([np.ones(2_000), sigma])
        loss = sigma * rng.standard_normal(2_000)
        fit = joint_regression(loss, x, x, tail_probability=0.1, covariance=kind)
        estimates.append([*fit.value_at_risk_coefficient, *fit.expected_shortfall_coefficient])
        errors.append(np.sqrt(np.diag(fit.covariance)))
    quantile, beyond = stats.norm.isf(0.1), stats.norm.pdf(stats.norm.isf(0.1)) / 0.1
    spread = np.std(estimates, axis=0)
    # Five standard errors of a mean over 80 samples.
    bias = np.mean(estimates, axis=0) - np.array([0.0, quantile, 0.0, beyond])
    assert (np.abs(bias) < 5 * spread / np.sqrt(80)).all()
    # A standard deviation of 80 has a standard error of 8 %; and the law is asymptotic.
    np.testing.assert_allclose(np.mean(errors, axis=0), spread, rtol=0.35)


def test_estimates_follow_a_change_of_unit(data):
    loss, x = data
    base = joint_regression(loss, x, x, tail_probability=TAIL)
    other = joint_regression(0.01 * loss, x, x, tail_probability=TAIL)
    # Searches stop within about 1e-5.
    for name in ("value_at_risk_coefficient", "expected_shortfall_coefficient"):
        np.testing.assert_allclose(getattr(other, name), 0.01 * getattr(base, name), atol=1e-5)
    np.testing.assert_allclose(other.covariance, 1e-4 * base.covariance, rtol=1e-2)
    assert other.mean_loss == pytest.approx(base.mean_loss + np.log(0.01), abs=1e-6)


def test_estimates_follow_a_change_of_regressors(data):
    loss, x = data
    turn = np.array([[1.0, 0.3], [0.0, 2.0]])
    base = joint_regression(loss, x, x, tail_probability=TAIL)
    other = joint_regression(loss, x @ turn, x @ turn, tail_probability=TAIL)
    np.testing.assert_allclose(
        turn @ other.expected_shortfall_coefficient, base.expected_shortfall_coefficient, atol=1e-3
    )
    assert other.mean_loss == pytest.approx(base.mean_loss, abs=1e-7)


def test_results_cannot_be_written_to(data):
    loss, x = data
    fit = joint_regression(loss, x, x, tail_probability=TAIL)
    with pytest.raises(ValueError, match="read-only"):
        fit.covariance[0, 0] = 1.0


def test_what_is_refused(data):
    loss, x = data
    twice = np.column_stack([x, x[:, 1]])
    with pytest.raises(InputError, match="must not be collinear, 3 columns have rank 2"):
        joint_regression(loss, twice, x, tail_probability=TAIL)
    with pytest.raises(ShapeError, match=r"expected_shortfall_regressors must have shape \(600,"):
        joint_regression(loss, x, x[1:], tail_probability=TAIL)
    with pytest.raises(InputError, match="value_at_risk_regressors must be finite"):
        joint_regression(loss, np.where(x > 1.9, np.nan, x), x, tail_probability=TAIL)
    with pytest.raises(NotEnoughHistoryError, match="so many coefficients"):
        joint_regression(loss[:4], x[:4], x[:4], tail_probability=TAIL)
    with pytest.raises(InputError, match='covariance must be "scale" or "sandwich"'):
        joint_regression(
            loss,
            x,
            x,
            tail_probability=TAIL,
            covariance="iid",  # type: ignore[arg-type]
        )
    with pytest.raises(ShapeError, match=r"start must have shape \(4,\)"):
        joint_regression(loss, x, x, tail_probability=TAIL, start=[1.0])
    with pytest.raises(InputError, match="the largest losses must be positive"):
        joint_regression(loss - 100.0, x, x, tail_probability=TAIL)
    both_signs = np.sin(np.arange(600.0))[:, None]
    with pytest.raises(InputError, match="a combination that is positive in every period"):
        joint_regression(loss, both_signs, both_signs, tail_probability=TAIL)
