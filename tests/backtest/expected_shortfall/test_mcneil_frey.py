from itertools import product

import numpy as np
import pytest
from scipy import stats

from foremargin.backtest import mcneil_frey
from foremargin.errors import InputError, ShapeError


def exact_bootstrap_p_value(residual):
    """Share of all x**x resamples whose t is at least the one seen; 0 / 0 counts."""
    centred = residual - residual.mean()
    seen = residual.mean() / residual.std(ddof=1)
    above = 0
    for rows in product(range(residual.size), repeat=residual.size):
        drawn = centred[list(rows)]
        spread = drawn.std(ddof=1)
        if spread > 0.0:
            above += drawn.mean() / spread >= seen
        else:
            above += drawn.mean() >= 0.0
    return above / residual.size**residual.size


def loss_of(residual, *, calm=20):
    """Periods whose exceedance residuals against VaR 2 and ES 3 are the ones given."""
    return np.concatenate([np.ones(calm), 3.0 + np.asarray(residual)])


@pytest.mark.parametrize(
    "residual", [[0.3, -0.2, 0.9], [-0.5, 0.1, 0.2, 1.5], [0.6, 0.7, 0.9, 1.1, 0.4]]
)
def test_the_p_value_is_that_of_all_resamples(residual):
    result = mcneil_frey(loss_of(residual), 2.0, 3.0, n_resamples=20_000)
    exact = exact_bootstrap_p_value(np.array(residual))
    # Five standard errors of 20,000 draws.
    assert abs(result.p_value - exact) < 5 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4


def test_the_statistic_is_students_t(three_breaches):
    loss, value_at_risk, expected_shortfall = three_breaches
    volatility = np.linspace(0.5, 2.0, 8)
    residual = ((loss - expected_shortfall) / volatility)[loss > value_at_risk]
    result = mcneil_frey(*three_breaches, volatility=volatility)
    expected = stats.ttest_1samp(residual, 0.0).statistic
    assert result.statistic == pytest.approx(expected, rel=1e-12)


def test_for_many_breaches_the_p_value_is_that_of_the_t_law():
    residual = np.random.default_rng(1).uniform(-0.96, 1.04, 800)
    result = mcneil_frey(loss_of(residual), 2.0, 3.0, n_resamples=20_000)
    exact = stats.ttest_1samp(residual, 0.0, alternative="greater").pvalue
    # The t law itself is only near at 800 residuals: a relative error of 15 %.
    assert result.p_value == pytest.approx(exact, rel=0.15)


def test_a_higher_shortfall_forecast_never_lowers_the_p_value():
    loss = stats.t(5).rvs(1_000, random_state=np.random.default_rng(2))
    p_values = [
        mcneil_frey(loss, 2.5, expected_shortfall).p_value
        for expected_shortfall in np.linspace(2.6, 4.5, 12)
    ]
    assert (np.diff(p_values) >= 0.0).all()


def test_the_mean_residual_of_the_right_law_is_zero(standard_law):
    law, tail_probability, value_at_risk, expected_shortfall = standard_law
    loss = law.isf((np.arange(400_000) + 0.5) / 400_000)
    result = mcneil_frey(
        loss, value_at_risk, expected_shortfall, tail_probability=tail_probability, n_resamples=1
    )
    # A numerical integral: standard errors of a sample of this size do not apply.
    assert abs(result.statistic) < 0.1


def test_the_standardised_test_ignores_the_volatility_of_the_periods(make_histories):
    loss, sigma = make_histories("normal", 600, 1)
    result = mcneil_frey(loss[0], 2 * sigma[0], 2.4 * sigma[0], volatility=sigma[0])
    still = mcneil_frey(loss[0] / sigma[0], 2.0, 2.4)
    assert result.statistic == pytest.approx(still.statistic, rel=1e-9)
    assert result.p_value == still.p_value


@pytest.mark.parametrize("n_breaches", [0, 1])
def test_fewer_than_two_breaches_reject_nothing(n_breaches):
    result = mcneil_frey(loss_of([50.0] * n_breaches), 2.0, 3.0)
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_two_breaches_cannot_reject():
    assert mcneil_frey(loss_of([50.0, 50.1]), 2.0, 3.0).p_value > 0.2


def test_losses_on_the_shortfall_reject_nothing():
    result = mcneil_frey(loss_of([0.0, 0.0, 0.0]), 2.0, 3.0)
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_equal_residuals_are_refused():
    with pytest.raises(InputError, match=r"must vary around the expected shortfall, all 3 were"):
        mcneil_frey(loss_of([0.5, 0.5, 0.5]), 2.0, 3.0)


@pytest.mark.parametrize("volatility", [0.0, -1.0])
def test_a_volatility_that_is_not_positive_is_refused(volatility):
    with pytest.raises(InputError, match="volatility must be > 0"):
        mcneil_frey(loss_of([0.5, 0.6]), 2.0, 3.0, volatility=volatility)


def test_a_volatility_of_another_length_is_refused():
    with pytest.raises(ShapeError, match="must have the same shape"):
        mcneil_frey(loss_of([0.5, 0.6]), 2.0, 3.0, volatility=np.ones(3))
