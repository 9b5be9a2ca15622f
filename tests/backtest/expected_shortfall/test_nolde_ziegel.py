import numpy as np
import pytest
from scipy import stats

from foremargin.backtest import nolde_ziegel
from foremargin.errors import InputError, NotEnoughHistoryError

TAIL = 0.025


@pytest.fixture
def history(make_histories, right_forecasts):
    loss, sigma = make_histories("t5 of unit variance", 800, 1, seed=2)
    quantile, beyond = right_forecasts("t5 of unit variance", TAIL)
    return loss[0], quantile * sigma[0], beyond * sigma[0], sigma[0]


def moments_with_returns(loss, value_at_risk, expected_shortfall):
    """Identification functions of returns y with negative forecasts, as the paper's software."""
    y, v, e = -loss, -value_at_risk, -expected_shortfall
    hit = (y < v).astype(float)
    return np.column_stack([TAIL - hit, -(e - v + hit * (v - y) / TAIL)])


def test_the_simple_statistic_by_matrices(history):
    loss, value_at_risk, expected_shortfall, _ = history
    z = moments_with_returns(loss, value_at_risk, expected_shortfall)
    mean = z.mean(axis=0)
    expected = len(z) * mean @ np.linalg.solve(z.T @ z / len(z), mean)
    found = nolde_ziegel(loss, value_at_risk, expected_shortfall, tail_probability=TAIL)
    assert found.statistic == pytest.approx(expected, rel=1e-9)
    assert found.p_value == pytest.approx(np.exp(-expected / 2), rel=1e-9)  # chi-squared of 2
    assert found.df == 2


def test_the_general_statistic_by_matrices(history):
    loss, value_at_risk, expected_shortfall, sigma = history
    v = moments_with_returns(loss, value_at_risk, expected_shortfall)
    weight = np.column_stack([(expected_shortfall - value_at_risk) / TAIL, np.ones(800)])
    z = np.sum(weight / sigma[:, None] * v, axis=1)
    expected = z.sum() ** 2 / np.sum(z**2)
    found = nolde_ziegel(
        loss, value_at_risk, expected_shortfall, tail_probability=TAIL, volatility=sigma
    )
    assert found.statistic == pytest.approx(expected, rel=1e-9)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(np.sqrt(expected)), rel=1e-9)
    assert found.df == 1


@pytest.mark.parametrize("general", [False, True])
def test_the_understated_test_joins_one_sided_p_values_by_hommel(history, general):
    loss, value_at_risk, expected_shortfall, sigma = history
    v = moments_with_returns(loss, value_at_risk, expected_shortfall)
    columns = [v[:, 0], v[:, 1]]
    if general:
        columns = [v[:, 0], value_at_risk * v[:, 0], v[:, 1], v[:, 1] / sigma]
    p_values = []
    for z in columns:
        t = np.sqrt(800) * z.mean() / np.sqrt(np.mean(z**2))
        p_values.append(stats.norm.cdf(t))
    factor = {2: 1.5, 4: 25 / 12}[len(columns)]
    joined = min(
        factor * len(columns) / rank * p for rank, p in enumerate(sorted(p_values), start=1)
    )
    found = nolde_ziegel(
        loss,
        value_at_risk,
        expected_shortfall,
        tail_probability=TAIL,
        volatility=sigma if general else None,
        alternative="understated",
    )
    assert found.p_value == pytest.approx(min(joined, 1.0), rel=1e-9)
    assert found.df is None


def test_the_moments_of_the_right_law_are_zero(standard_law):
    law, tail_probability, value_at_risk, expected_shortfall = standard_law
    loss = law.isf((np.arange(100_000) + 0.5) / 100_000)
    result = nolde_ziegel(
        loss, value_at_risk, expected_shortfall, tail_probability=tail_probability
    )
    # A numerical integral of 100,000 cells: chance alone would give 2 on average.
    assert result.statistic < 0.02


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_understated_ignores_overstated_risk_and_two_sided_does_not(history, factor):
    loss, value_at_risk, expected_shortfall, _ = history
    forecasts = (factor * value_at_risk, factor * expected_shortfall)
    both = nolde_ziegel(loss, *forecasts, tail_probability=TAIL)
    one = nolde_ziegel(loss, *forecasts, tail_probability=TAIL, alternative="understated")
    assert both.p_value < 0.05
    assert (one.p_value < 0.05) == (factor < 1.0)
    assert (one.statistic < 0.0) == (factor < 1.0)


def test_collinear_moments_count_once():
    # All periods breach by the same amount: both moments are constant.
    result = nolde_ziegel(np.full(50, 3.0), 2.0, 2.5, tail_probability=TAIL)
    assert result.df == 1
    assert result.statistic == pytest.approx(50.0)


def test_without_a_breach_nothing_is_said():
    result = nolde_ziegel(np.ones(50), 2.0, 2.5, tail_probability=TAIL)
    assert (result.statistic, result.p_value, result.df) == (0.0, 1.0, None)


def test_an_unknown_alternative_is_refused():
    with pytest.raises(InputError, match='alternative must be "two-sided" or "understated"'):
        nolde_ziegel(
            [1.0, 3.0],
            2.0,
            2.5,
            tail_probability=TAIL,
            alternative="less",  # type: ignore[arg-type]
        )


def test_a_single_period_is_refused():
    with pytest.raises(NotEnoughHistoryError, match="loss must hold more than 1 periods"):
        nolde_ziegel([3.0], 2.0, 2.5, tail_probability=TAIL)


def test_a_volatility_that_is_not_positive_is_refused():
    with pytest.raises(InputError, match="volatility must be > 0, found 1 of 2"):
        nolde_ziegel([1.0, 3.0], 2.0, 2.5, tail_probability=TAIL, volatility=[1.0, 0.0])
