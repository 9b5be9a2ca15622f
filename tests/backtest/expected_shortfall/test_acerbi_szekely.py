import numpy as np
import pytest
from scipy import stats

from foremargin.backtest import (
    acerbi_szekely_minimally_biased,
    acerbi_szekely_z1,
    acerbi_szekely_z2,
    mcneil_frey,
)
from foremargin.backtest.expected_shortfall import Z2_CRITICAL_VALUES
from foremargin.errors import InputError, ShapeError


def on_return_scale(loss, value_at_risk, expected_shortfall, *, tail_probability):
    """Z1, Z2 and both minimally biased statistics, one period at a time, as the papers write."""
    n, n_breaches, ratio, relative, absolute = len(loss), 0, 0.0, 0.0, 0.0
    for y, v, e in zip(-loss, -value_at_risk, -expected_shortfall, strict=True):
        if y < v:
            n_breaches += 1
            ratio += y / e
        term = -e + v - max(v - y, 0.0) / tail_probability
        relative += term / -e / n
        absolute += term / n
    return {
        "z1": 1 - ratio / n_breaches,
        "z2": 1 - ratio / (n * tail_probability),
        "relative": relative,
        "absolute": absolute,
    }


def compound_binomial(law, tail_probability, n, *, step=2e-3, cells=2**15):
    """Exact law of Z2: values and their probabilities, by the transform of one period's ratio."""
    quantile = law.isf(tail_probability)
    beyond = law.expect(lambda z: z, lb=quantile) / tail_probability
    edges = (np.arange(cells + 1) - 0.5) * step * beyond
    one = np.maximum(-np.diff(law.sf(np.maximum(edges, quantile))), 0.0)
    one[0] += 1 - tail_probability
    total = np.fft.irfft(np.fft.rfft(one) ** n, cells)
    return 1 - np.arange(cells) * step / (n * tail_probability), total


def quantile_of(values, probability, share):
    order = np.argsort(values)
    return values[order][np.searchsorted(np.cumsum(probability[order]), share)]


def all_statistics(loss, value_at_risk, expected_shortfall, *, tail_probability):
    data = (loss, value_at_risk, expected_shortfall)
    kwargs = {"tail_probability": tail_probability, "n_resamples": 1}
    return {
        "z1": acerbi_szekely_z1(*data, **kwargs).statistic,
        "z2": acerbi_szekely_z2(*data, **kwargs).statistic,
        "relative": acerbi_szekely_minimally_biased(*data, **kwargs).statistic,
        "absolute": acerbi_szekely_minimally_biased(*data, form="absolute", **kwargs).statistic,
    }


# Statistics -------------------------------------------------------------------------------------


def test_statistics_by_hand(three_breaches):
    # Ratios 5/5, 3/3.2 and 9/6; the tie in the second period is no breach.
    found = all_statistics(*three_breaches, tail_probability=0.25)
    assert found["z1"] == pytest.approx(1 - (1 + 3 / 3.2 + 1.5) / 3, rel=1e-12)
    assert found["z2"] == pytest.approx(1 - (1 + 3 / 3.2 + 1.5) / 2, rel=1e-12)
    assert found["absolute"] == pytest.approx((5.9 - (1 + 0.5 + 4) / 0.25) / 8, rel=1e-12)


def test_statistics_are_those_of_the_papers_with_returns(three_breaches):
    expected = on_return_scale(*three_breaches, tail_probability=0.25)
    assert all_statistics(*three_breaches, tail_probability=0.25) == pytest.approx(
        expected, rel=1e-12
    )


def test_statistics_are_zero_on_average_under_the_right_law(standard_law):
    law, tail_probability, value_at_risk, expected_shortfall = standard_law
    # A numerical integral: a loss per cell of equal probability.
    loss = law.isf((np.arange(2_000_000) + 0.5) / 2_000_000)
    found = all_statistics(
        loss, value_at_risk, expected_shortfall, tail_probability=tail_probability
    )
    # The tail's last cell is cut at its middle; forecasts have six decimals.
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=2e-4)


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.25])
def test_understated_risk_gives_negative_and_overstated_positive_statistics(standard_law, factor):
    law, tail_probability, value_at_risk, expected_shortfall = standard_law
    loss = law.isf((np.arange(100_000) + 0.5) / 100_000)
    found = all_statistics(
        loss, factor * value_at_risk, factor * expected_shortfall, tail_probability=tail_probability
    )
    sign = -1.0 if factor < 1.0 else 1.0
    for name in ("z2", "relative", "absolute"):
        assert sign * found[name] > 0.05


def test_the_minimally_biased_statistic_feels_an_error_of_the_quantile_in_second_order():
    law, tail_probability = stats.norm(), 0.025
    loss = law.isf((np.arange(1_000_000) + 0.5) / 1_000_000)
    value_at_risk, expected_shortfall = 1.959964, 2.337803
    errors = np.array([-0.1, -0.05, 0.05, 0.1])
    found = [
        all_statistics(
            loss, value_at_risk + error, expected_shortfall, tail_probability=tail_probability
        )
        for error in errors
    ]
    absolute = np.array([one["absolute"] for one in found])
    # E[v + (L - v)+ / p] has derivative zero and curvature f(v) / p at the quantile.
    expected = -0.5 * law.pdf(value_at_risk) / tail_probability * errors**2
    # The next term of the expansion is of the order of the error itself.
    np.testing.assert_allclose(absolute, expected, rtol=0.12)
    z2 = np.array([one["z2"] for one in found])
    assert (np.abs(z2) > 5 * np.abs(absolute)).all()


# P-values with a law ------------------------------------------------------------------------------


def test_z2_with_a_law_has_the_exact_p_value():
    law, n, tail_probability = stats.norm(), 250, 0.025
    values, probability = compound_binomial(law, tail_probability, n)
    rng = np.random.default_rng(4)
    drawn = law.rvs((20_000, n), random_state=rng)
    for seed in range(4):
        loss = 1.1 * law.rvs(n, random_state=np.random.default_rng(seed))
        result = acerbi_szekely_z2(
            loss, 1.959964, 2.337803, tail_probability=tail_probability, simulated_loss=drawn
        )
        # Cells of the exact law are 0.0003 wide in Z2; a tie in the number of breaches is not.
        exact = probability[values <= result.statistic + 2e-4].sum()
        # Four standard errors of 20,000 draws, two more for the width of a cell.
        error = np.sqrt(exact * (1 - exact) / 20_000)
        assert abs(result.p_value - exact) < 6 * error + 1e-4


@pytest.mark.parametrize(
    "law", [stats.norm(), stats.t(10), stats.t(5)], ids=["normal", "t10", "t5"]
)
def test_the_published_critical_values_of_z2_hold_for_moderate_tails(law):
    values, probability = compound_binomial(law, 0.025, 250, step=5e-3)
    # Published with two digits "about"; five degrees of freedom are the heaviest tail of these.
    found = quantile_of(values, probability, 0.05)
    assert found == pytest.approx(Z2_CRITICAL_VALUES[0.05], abs=0.05)
    far = quantile_of(values, probability, 0.0001)
    if law.dist.name == "norm":
        assert far == pytest.approx(Z2_CRITICAL_VALUES[0.0001], abs=0.05)
    else:
        assert far < Z2_CRITICAL_VALUES[0.0001] + 0.05


def test_z1_with_a_law_leaves_out_histories_without_a_breach():
    loss, drawn = np.array([3.0, 1.0]), np.array([[2.2, 1.0], [1.0, 1.0], [1.0, 9.0], [5.0, 1.0]])
    result = acerbi_szekely_z1(
        loss, 2.0, 2.5, tail_probability=0.025, simulated_loss=drawn, n_resamples=1
    )
    # Of three histories with a breach, two have a mean ratio at or above the 1.2 that was seen.
    assert result.p_value == pytest.approx((2 + 1) / (3 + 1))


def test_a_function_draws_what_an_array_would_hold():
    loss = stats.norm.rvs(size=300, random_state=np.random.default_rng(1))

    def draw(rng, rows):
        return rng.standard_normal((rows, 300))

    array = np.random.default_rng(8).standard_normal((1_200, 300))
    for test in (acerbi_szekely_z1, acerbi_szekely_z2, acerbi_szekely_minimally_biased):
        results = [
            test(loss, 1.5, 2.0, tail_probability=0.05, **kwargs)
            for kwargs in (
                {"simulated_loss": draw, "n_resamples": 1_200, "rng": np.random.default_rng(8)},
                {"simulated_loss": array},
            )
        ]
        assert results[0] == results[1]


@pytest.mark.parametrize("simulated_loss", [np.ones((5, 4)), np.ones(3), np.ones((0, 3))])
def test_simulated_losses_of_another_shape_are_refused(simulated_loss):
    with pytest.raises(ShapeError, match=r"simulated_loss must have shape \(n_simulations, 3\)"):
        acerbi_szekely_z2(
            [3.0, 1.0, 0.0], 2.0, 2.5, tail_probability=0.025, simulated_loss=simulated_loss
        )


def test_a_function_must_return_the_rows_asked_for():
    with pytest.raises(ShapeError, match="must return 500 rows, returned 2"):
        acerbi_szekely_z2(
            [3.0, 1.0, 0.0],
            2.0,
            2.5,
            tail_probability=0.025,
            simulated_loss=lambda rng, rows: np.ones((2, 3)),
        )


def test_simulated_losses_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="simulated_loss must be finite"):
        acerbi_szekely_z1(
            [3.0, 1.0], 2.0, 2.5, tail_probability=0.025, simulated_loss=[[np.nan, 1.0]]
        )


# P-values without a law -------------------------------------------------------------------------


def test_z1_without_a_law_is_mcneil_frey_relative_to_the_shortfall(three_breaches):
    expected_shortfall = three_breaches[2]
    found = acerbi_szekely_z1(*three_breaches, tail_probability=0.25)
    other = mcneil_frey(*three_breaches, volatility=expected_shortfall)
    assert found.p_value == other.p_value


def test_one_breach_without_a_law_rejects_nothing_in_z1():
    result = acerbi_szekely_z1([1.0, 9.0], 2.0, 2.5, tail_probability=0.025)
    assert result.statistic == pytest.approx(-2.6)
    assert result.p_value == 1.0


def test_z2_of_equal_breaches_has_the_binomial_p_value():
    # All breaches lie on the shortfall, so that only their number is left.
    n, tail_probability = 250, 0.025
    for n_breaches in (1, 6, 10, 14):
        loss = np.where(np.arange(n) < n_breaches, 2.5, 1.0)
        result = acerbi_szekely_z2(
            loss, 2.0, 2.5, tail_probability=tail_probability, n_resamples=20_000
        )
        exact = stats.binom.sf(n_breaches - 1, n, tail_probability)
        error = np.sqrt(exact * (1 - exact) / 20_000)
        assert abs(result.p_value - exact) < 5 * error + 1 / 20_000


def test_z2_and_the_relative_statistic_without_a_law_are_near_the_exact_p_value():
    law, n, tail_probability = stats.norm(), 2_500, 0.025
    values, probability = compound_binomial(law, tail_probability, n, step=4e-3, cells=2**17)
    loss = law.rvs(n, random_state=np.random.default_rng(12))
    result = acerbi_szekely_z2(loss, 1.959964, 2.337803, tail_probability=tail_probability)
    exact = probability[values <= result.statistic].sum()
    # The sizes of 60 breaches instead of their law move the spread by a few per cent.
    assert result.p_value == pytest.approx(exact, abs=0.03)


def test_a_forecast_without_a_gap_is_refuted_by_one_breach():
    loss = np.where(np.arange(250) < 1, 2.1, 1.0)
    result = acerbi_szekely_minimally_biased(loss, 2.0, 2.0, tail_probability=0.025)
    assert result.statistic < 0.0
    assert result.p_value == pytest.approx(1 / 5_001)


def test_the_form_must_be_known(three_breaches):
    with pytest.raises(InputError, match='form must be "relative" or "absolute"'):
        acerbi_szekely_minimally_biased(
            *three_breaches,
            tail_probability=0.25,
            form="other",  # type: ignore[arg-type]
        )


def test_relative_and_absolute_agree_where_the_forecast_does_not_move():
    loss = stats.t(5).rvs(500, random_state=np.random.default_rng(2))
    results = [
        acerbi_szekely_minimally_biased(loss, 2.57, 3.5, tail_probability=0.025, form=form)
        for form in ("relative", "absolute")
    ]
    assert results[1].statistic == pytest.approx(3.5 * results[0].statistic, rel=1e-12)
    assert results[0].p_value == results[1].p_value
