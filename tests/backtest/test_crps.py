import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from foremargin.backtest import crps_ensemble, crps_normal, crps_student_t, quantile_loss
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

OUTCOMES = (-4.0, -0.3, 0.0, 1.0, 12.0)


def integral(law, outcome: float) -> float:
    """The definition: squared distance of the law from the step at the outcome."""
    left = integrate.quad(lambda x: law.cdf(x) ** 2, -np.inf, outcome, epsabs=1e-12)[0]
    right = integrate.quad(lambda x: law.sf(x) ** 2, outcome, np.inf, epsabs=1e-12)[0]
    return float(left + right)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_normal_law_agrees_with_the_integral(outcome):
    expected = integral(stats.norm(0.5, 2.0), outcome)
    # quad promises eight digits.
    assert crps_normal(outcome, 0.5, 2.0) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("nu", [1.5, 3.0, 8.0])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_student_law_agrees_with_the_integral(outcome, nu):
    expected = integral(stats.t(nu, 0.5, 2.0), outcome)
    # quad promises eight digits, and fewer for the slow tails of 1.5 degrees of freedom.
    rel = 1e-8 if nu > 2.0 else 1e-6
    assert crps_student_t(outcome, 0.5, 2.0, nu=nu) == pytest.approx(expected, rel=rel)


def test_the_standard_normal_at_its_mean_has_the_known_value():
    # z = 0: 2 / sqrt(2 pi) - 1 / sqrt(pi) = (sqrt(2) - 1) / sqrt(pi).
    expected = (np.sqrt(2.0) - 1.0) / np.sqrt(np.pi)
    assert crps_normal(0.0, 0.0, 1.0) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_many_degrees_of_freedom_are_the_normal_law(outcome):
    # The laws differ by 1 / (4 nu) of their density.
    many = crps_student_t(outcome, 0.0, 1.0, nu=1e7)
    assert many == pytest.approx(float(crps_normal(outcome, 0.0, 1.0)), rel=1e-6)


@pytest.mark.parametrize("law", ["normal", "student"])
def test_a_large_ensemble_has_the_score_of_its_law(law):
    rng = np.random.default_rng(1)
    outcome = np.array(OUTCOMES[:4])
    if law == "normal":
        draws, expected = rng.standard_normal((4, 100_000)), crps_normal(outcome, 0.0, 1.0)
    else:
        draws = rng.standard_t(5, (4, 100_000))
        expected = crps_student_t(outcome, 0.0, 1.0, nu=5.0)
    # Five standard errors of a mean of 100,000 absolute errors.
    np.testing.assert_allclose(crps_ensemble(outcome, draws), expected, atol=5 * 1.3 / np.sqrt(1e5))


@settings(deadline=None)
@given(
    outcome=st.integers(-9, 9),
    draws=st.lists(st.integers(-9, 9), min_size=2, max_size=12),
    fair=st.booleans(),
)
def test_the_sorted_sum_is_the_double_sum(outcome, draws, fair):
    x = np.array(draws, dtype=float)
    m = x.size
    pairs = np.abs(x[:, None] - x).sum() / (m * (m - 1) if fair else m * m)
    expected = np.abs(x - outcome).mean() - pairs / 2.0
    found = crps_ensemble([float(outcome)], x[None, :], fair=fair)
    np.testing.assert_allclose(found, [expected], rtol=1e-12, atol=1e-12)


def test_the_plain_version_is_the_integral_for_the_empirical_law():
    draws, outcome = np.array([0.3, 1.1, 1.1, 2.5]), 1.4
    grid = np.unique(np.r_[draws, outcome])
    middle = (grid[1:] + grid[:-1]) / 2.0
    law = (draws[:, None] <= middle).mean(axis=0)
    expected = np.sum((law - (outcome <= middle)) ** 2 * np.diff(grid))
    assert crps_ensemble([outcome], draws[None, :])[0] == pytest.approx(expected, rel=1e-12)


def test_the_fair_version_is_unbiased_and_the_plain_one_too_large():
    rng = np.random.default_rng(2)
    n, m = 100_000, 4
    outcome, draws = rng.standard_normal(n), rng.standard_normal((n, m))
    # E|X - X'| / 2 = 1 / sqrt(pi) for a right law; the plain version adds one m-th of it.
    truth = 1.0 / np.sqrt(np.pi)
    error = 5.0 * 0.6 / np.sqrt(n)
    assert crps_ensemble(outcome, draws, fair=True).mean() == pytest.approx(truth, abs=error)
    plain = crps_ensemble(outcome, draws).mean()
    assert plain == pytest.approx(truth * (1.0 + 1.0 / m), abs=error)


def test_it_is_the_quantile_loss_averaged_over_tail_probabilities():
    # CRPS = 2 times the integral of the pinball loss, and that is p (quantile_loss - outcome).
    def pinball(p: float) -> float:
        loss = quantile_loss(0.7, stats.norm.isf(p), tail_probability=p)
        return float(p * (loss - 0.7))

    kink = stats.norm.sf(0.7)
    area = sum(integrate.quad(pinball, a, b, epsabs=1e-12)[0] for a, b in [(0, kink), (kink, 1)])
    assert crps_normal(0.7, 0.0, 1.0) == pytest.approx(2.0 * area, rel=1e-8)


def test_a_single_member_has_the_absolute_error():
    np.testing.assert_array_equal(crps_ensemble([1.0, 2.0], [[3.0], [2.0]]), [2.0, 0.0])


def test_members_that_all_tie_have_the_absolute_error():
    for fair in (False, True):
        found = crps_ensemble([1.0], np.full((1, 7), 1.25), fair=fair)
        assert found[0] == pytest.approx(0.25, rel=1e-14)


@settings(deadline=None)
@given(shift=st.floats(-1e6, 1e6), scale=st.floats(1e-3, 1e3))
def test_the_score_moves_with_the_unit_and_not_with_the_origin(shift, scale):
    rng = np.random.default_rng(3)
    outcome, draws = rng.standard_normal(3), rng.standard_normal((3, 9))
    moved = crps_ensemble(shift + scale * outcome, shift + scale * draws)
    # A shift of a million costs ten digits at a scale of a thousandth.
    np.testing.assert_allclose(moved, scale * crps_ensemble(outcome, draws), rtol=1e-5, atol=1e-9)
    moved = crps_student_t(shift + scale * outcome, shift, scale, nu=4.0)
    expected = scale * crps_student_t(outcome, 0.0, 1.0, nu=4.0)
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-9)


def test_a_shift_of_a_million_costs_no_more_digits_than_the_data_have():
    draws = np.array([[0.0, 0.25, 1.0]])
    at_zero, far = crps_ensemble([0.5], draws), crps_ensemble([0.5 + 2**40], draws + 2**40)
    np.testing.assert_array_equal(at_zero, far)


def test_the_right_law_has_the_lowest_mean():
    outcome = np.random.default_rng(4).standard_normal(20_000)
    right = crps_normal(outcome, 0.0, 1.0).mean()
    for mean, sigma in [(0.2, 1.0), (0.0, 0.8), (0.0, 1.25)]:
        assert crps_normal(outcome, mean, sigma).mean() > right


# What is refused --------------------------------------------------------------------------------


def test_missing_values_are_refused():
    with pytest.raises(InputError, match="ensemble must be finite, found 1 NaN"):
        crps_ensemble([1.0], [[np.nan, 1.0]])
    with pytest.raises(InputError, match="outcome must be finite"):
        crps_normal([np.nan], [0.0], [1.0])
    with pytest.raises(InputError, match="location must be finite"):
        crps_student_t([0.0], [np.nan], [1.0], nu=4.0)


@pytest.mark.parametrize("shape", [(4,), (3, 5), (4, 5, 1)])
def test_an_ensemble_of_another_shape_is_refused(shape):
    with pytest.raises(ShapeError, match=r"ensemble \(n, n_members\), were \(4,\) and"):
        crps_ensemble(np.ones(4), np.ones(shape))


def test_too_few_members_are_refused():
    with pytest.raises(NotEnoughHistoryError, match="at least 2 members, had 1; draw more"):
        crps_ensemble([1.0], [[1.0]], fair=True)
    with pytest.raises(NotEnoughHistoryError, match="at least 1 members, had 0; draw more"):
        crps_ensemble([1.0], np.ones((1, 0)))


def test_a_spread_that_is_not_positive_is_refused():
    with pytest.raises(InputError, match="sigma must be > 0, found 1 of 2 at or below zero"):
        crps_normal([0.0, 0.0], [0.0, 0.0], [1.0, 0.0])
    with pytest.raises(InputError, match="scale must be > 0, found 1 of 1"):
        crps_student_t(0.0, 0.0, -1.0, nu=4.0)


@pytest.mark.parametrize("nu", [1.0, np.inf, np.nan])
def test_a_law_without_a_mean_is_refused(nu):
    with pytest.raises(InputError, match="nu must be above 1 and finite, was"):
        crps_student_t(0.0, 0.0, 1.0, nu=nu)


def test_different_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"outcome \(2,\), mean \(3,\)"):
        crps_normal(np.zeros(2), np.zeros(3), 1.0)
