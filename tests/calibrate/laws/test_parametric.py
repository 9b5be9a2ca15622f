"""Closed forms of the parametric laws against quadrature, limits and simulated samples."""

import numpy as np
import pytest
from scipy import integrate, optimize

from foremargin.calibrate.laws import SkewT, StudentT, normal_tail, skew_t_tail, student_t_tail
from foremargin.calibrate.laws.skew_t import skew_constants
from foremargin.errors import InputError


def density(z: float, nu: float, skew: float) -> float:
    """Hansen's density as he writes it."""
    a, b, log_c = skew_constants(nu, skew)
    width = 1.0 + skew if z >= -a / b else 1.0 - skew
    kernel = 1.0 + ((b * z + a) / width) ** 2 / (nu - 2.0)
    return float(b * np.exp(log_c) * kernel ** (-(nu + 1.0) / 2))


@pytest.mark.parametrize(("nu", "skew"), [(5.0, 0.3), (3.2, -0.4), (12.0, 0.0), (8.0, -0.1)])
@pytest.mark.parametrize("tail", [0.01, 0.05])
def test_the_tail_of_the_skewed_t_is_that_of_its_density(nu, skew, tail) -> None:
    got = skew_t_tail(nu, skew, tail_probabilities=[tail])

    def above(q: float) -> float:
        return integrate.quad(density, q, np.inf, args=(nu, skew))[0]

    quantile = optimize.brentq(lambda q: above(q) - tail, 0.1, 30.0, xtol=1e-12)
    first_moment = integrate.quad(lambda z: z * density(z, nu, skew), quantile, np.inf)[0]
    assert got.quantile[0] == pytest.approx(quantile, rel=1e-7)
    assert got.mean_beyond[0] == pytest.approx(first_moment / tail, rel=1e-7)


@pytest.mark.parametrize(("nu", "skew"), [(5.0, 0.3), (4.5, -0.6)])
def test_the_skewed_t_has_mean_zero_and_variance_one(nu, skew) -> None:
    middle = -skew_constants(nu, skew)[0]  # the density has a kink there
    for power, wanted in ((0, 1.0), (1, 0.0), (2, 1.0)):
        got = sum(
            integrate.quad(lambda z: z**power * density(z, nu, skew), low, high)[0]  # noqa: B023
            for low, high in ((-np.inf, middle), (middle, np.inf))
        )
        assert got == pytest.approx(wanted, abs=1e-6)


def test_without_skew_it_is_students_t_and_far_out_the_normal() -> None:
    tails = (0.01, 0.025)
    skewed, plain = (
        skew_t_tail(6.0, 0.0, tail_probabilities=tails),
        student_t_tail(6.0, tail_probabilities=tails),
    )
    np.testing.assert_allclose(skewed.quantile, plain.quantile, rtol=1e-12)
    np.testing.assert_allclose(skewed.mean_beyond, plain.mean_beyond, rtol=1e-12)
    far, normal = student_t_tail(1e7, tail_probabilities=tails), normal_tail(tails)
    np.testing.assert_allclose(far.quantile, normal.quantile, rtol=1e-5)
    np.testing.assert_allclose(far.mean_beyond, normal.mean_beyond, rtol=1e-5)


def test_standard_tails() -> None:
    normal = normal_tail([0.025, 0.01])
    np.testing.assert_allclose(normal.quantile, [1.959964, 2.326348], atol=5e-7)
    np.testing.assert_allclose(normal.mean_beyond, [2.337803, 2.665214], atol=5e-7)
    student = student_t_tail(5.0, tail_probabilities=[0.01])
    assert student.quantile[0] * np.sqrt(5 / 3) == pytest.approx(3.364930, abs=5e-7)
    assert student.mean_beyond[0] * np.sqrt(5 / 3) == pytest.approx(4.452429, abs=5e-7)
    assert student.mean_beyond[0] == pytest.approx(3.448837, abs=5e-7)


def test_a_fit_finds_the_law_that_drew_the_scores() -> None:
    rng = np.random.default_rng(4)
    score = 1.7 * np.sqrt(3 / 5) * rng.standard_t(5, size=40_000)
    got = StudentT().fit(score, tail_probabilities=[0.01])
    # Maximum likelihood of 40,000: about 1 % of the quantile.
    assert got.quantile[0] == pytest.approx(1.7 * 2.606464, rel=0.02)
    assert got.mean_beyond[0] == pytest.approx(1.7 * 3.448837, rel=0.03)


def test_a_skewed_sample_has_two_tails() -> None:
    rng = np.random.default_rng(5)
    nu, skew, n = 6.0, 0.35, 40_000
    a, b, _ = skew_constants(nu, skew)
    # Either half of a t with unit variance, stretched, with the probability of its side.
    y = np.abs(rng.standard_t(nu, size=n)) * np.sqrt((nu - 2) / nu)
    up = rng.random(n) < (1 + skew) / 2
    score = (np.where(up, (1 + skew) * y, -(1 - skew) * y) - a) / b
    upper = SkewT().fit(score, tail_probabilities=[0.01])
    lower = SkewT().fit(-score, tail_probabilities=[0.01])
    wanted = skew_t_tail(nu, skew, tail_probabilities=[0.01])
    mirrored = skew_t_tail(nu, -skew, tail_probabilities=[0.01])
    assert upper.quantile[0] == pytest.approx(wanted.quantile[0], rel=0.02)
    assert lower.quantile[0] == pytest.approx(mirrored.quantile[0], rel=0.02)
    assert upper.quantile[0] > 1.3 * lower.quantile[0]


def test_parameters_without_a_variance_are_refused() -> None:
    with pytest.raises(InputError, match="above 2"):
        student_t_tail(2.0, tail_probabilities=[0.01])
    with pytest.raises(InputError, match=r"skew in \(-1, 1\)"):
        skew_t_tail(5.0, 1.0, tail_probabilities=[0.01])
    with pytest.raises(InputError, match=r"below \(1 \+ skew\) / 2 = 0.05"):
        skew_t_tail(5.0, -0.9, tail_probabilities=[0.05])
