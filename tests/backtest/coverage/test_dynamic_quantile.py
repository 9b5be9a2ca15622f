from typing import Any

import numpy as np
import pytest
from scipy import stats

from foremargin.backtest.coverage import (
    christoffersen_independence,
    dynamic_quantile,
    simulated_dynamic_quantile,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


def first_breaches(n_breaches: int, n: int) -> np.ndarray:
    return np.arange(n) < n_breaches


def rejection_rate(test, breach: np.ndarray, **kwargs) -> float:
    return float(np.mean([test(row, **kwargs).p_value < 0.05 for row in breach]))


def clustered(rng: np.random.Generator, n_trials: int, n: int, *, lag: int) -> np.ndarray:
    """Breach rate 5 %; a breach `lag` periods ago makes one eight times as likely."""
    breach = np.zeros((n_trials, n), dtype=bool)
    calm = 0.05 * 0.6 / 0.95  # 0.05 * 0.4 + 0.95 * calm = 0.05
    for t in range(n):
        after = breach[:, t - lag] if t >= lag else np.zeros(n_trials, dtype=bool)
        breach[:, t] = rng.random(n_trials) < np.where(after, 0.4, calm)
    return breach


def test_dynamic_quantile_is_the_wald_statistic_of_the_regression():
    rng = np.random.default_rng(3)
    breach, margin, lags = rng.random(400) < 0.08, rng.uniform(0.02, 0.06, 400), 3
    hit = breach - 0.05
    rows = [[1.0, hit[t - 1], hit[t - 2], hit[t - 3], margin[t]] for t in range(lags, len(breach))]
    x = np.array(rows)
    coefficients = np.linalg.solve(x.T @ x, x.T @ hit[lags:])
    expected = coefficients @ x.T @ x @ coefficients / (0.05 * 0.95)
    result = dynamic_quantile(breach, tail_probability=0.05, value_at_risk=margin, lags=lags)
    assert result.statistic == pytest.approx(expected, rel=1e-9)
    assert result.df == 5
    assert result.p_value == pytest.approx(stats.chi2.sf(expected, 5), rel=1e-9)


def test_dynamic_quantile_without_regressors_is_the_score_test_of_the_breach_rate():
    breach = first_breaches(20, 250)
    result = dynamic_quantile(breach, tail_probability=0.05, lags=0)
    assert result.statistic == pytest.approx(250 * (0.08 - 0.05) ** 2 / (0.05 * 0.95), rel=1e-10)
    assert result.df == 1


def test_dynamic_quantile_without_breaches_keeps_one_degree_of_freedom():
    result = dynamic_quantile(
        np.zeros(250, dtype=bool), tail_probability=0.01, value_at_risk=np.full(250, 0.03)
    )
    assert result.df == 1
    assert result.statistic == pytest.approx(246 * 0.01 / 0.99, rel=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.03])
def test_a_constant_margin_does_not_change_dynamic_quantile(constant):
    breach = np.random.default_rng(1).random(300) < 0.05
    alone = dynamic_quantile(breach, tail_probability=0.05)
    both = dynamic_quantile(breach, tail_probability=0.05, value_at_risk=np.full(300, constant))
    assert both.df == alone.df == 5
    assert both.statistic == pytest.approx(alone.statistic, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-15, 1e15])
def test_dynamic_quantile_does_not_depend_on_the_unit_of_the_margin(unit):
    rng = np.random.default_rng(2)
    breach, margin = rng.random(300) < 0.05, rng.uniform(0.01, 0.05, 300)
    base = dynamic_quantile(breach, tail_probability=0.05, value_at_risk=margin)
    scaled = dynamic_quantile(breach, tail_probability=0.05, value_at_risk=unit * margin)
    assert scaled.df == base.df == 6
    assert scaled.statistic == pytest.approx(base.statistic, rel=1e-9)


def test_dynamic_quantile_needs_more_periods_than_regressors():
    with pytest.raises(NotEnoughHistoryError, match="more than 10 periods for a regression on 4"):
        dynamic_quantile(np.zeros(10, dtype=bool), tail_probability=0.01)


def test_dynamic_quantile_refuses_a_margin_of_another_length():
    with pytest.raises(ShapeError, match=r"same shape.*breach \(50,\), value_at_risk \(49,\)"):
        dynamic_quantile(np.zeros(50, bool), tail_probability=0.01, value_at_risk=np.ones(49))


@pytest.mark.parametrize("lags", [-1, 1.5, True])
def test_dynamic_quantile_refuses_a_number_of_lags_that_is_no_count(lags):
    with pytest.raises(InputError, match="lags must be a whole number >= 0"):
        dynamic_quantile(np.zeros(50, bool), tail_probability=0.01, lags=lags)


def test_only_dynamic_quantile_sees_breaches_three_periods_apart():
    breach = clustered(np.random.default_rng(15), 200, 500, lag=3)
    assert rejection_rate(dynamic_quantile, breach, tail_probability=0.05) > 0.9
    assert rejection_rate(christoffersen_independence, breach) < 0.2


def test_dynamic_quantile_sees_a_margin_that_is_low_when_it_should_be_high():
    rng = np.random.default_rng(16)
    margin = rng.uniform(0.02, 0.06, (200, 1000))
    breach = rng.random((200, 1000)) < np.where(margin < 0.04, 0.09, 0.01)
    seen = [
        dynamic_quantile(b, tail_probability=0.05, value_at_risk=m).p_value < 0.05
        for b, m in zip(breach, margin, strict=True)
    ]
    unseen = rejection_rate(dynamic_quantile, breach, tail_probability=0.05)
    assert np.mean(seen) > 0.9
    assert unseen < 0.2


def test_dynamic_quantile_sees_twice_the_promised_breaches():
    breach = np.random.default_rng(17).random((200, 1000)) < 0.1
    assert rejection_rate(dynamic_quantile, breach, tail_probability=0.05) > 0.95


def test_few_expected_breaches_are_rejected_too_often():
    breach = np.random.default_rng(18).random((1000, 1000)) < 0.01
    low, high = np.array(stats.binom.interval(1 - 2e-4, 1000, 0.11)) / 1000
    # 11 % is the size the documentation gives; the band has a false-alarm rate of 2e-4.
    assert low <= rejection_rate(dynamic_quantile, breach, tail_probability=0.01) <= high


def drawn_case(seed: int) -> tuple[np.ndarray, np.ndarray, float, int]:
    rng = np.random.default_rng(seed)
    n, tail = int(rng.integers(11, 400)), float(rng.choice([0.01, 0.05, 0.2]))
    margin = rng.choice([1e-8, 1.0, 1e6]) * np.exp(0.1 * rng.normal(size=n).cumsum())
    return rng.random(n) < tail, margin, tail, int(rng.integers(0, 5))


@pytest.mark.parametrize("seed", range(30))
def test_the_simulated_test_has_the_statistic_of_the_regression(seed):
    breach, margin, tail, lags = drawn_case(seed)
    for value_at_risk in (margin, np.full_like(margin, 0.1), None):
        both: dict[str, Any] = {
            "tail_probability": tail,
            "value_at_risk": value_at_risk,
            "lags": lags,
        }
        plain = dynamic_quantile(breach, **both).statistic
        rng = np.random.default_rng(0)
        drawn = simulated_dynamic_quantile(breach, rng=rng, n_simulations=1, **both)
        assert drawn.statistic == pytest.approx(plain, rel=1e-8)
        assert drawn.df is None


def test_the_simulated_p_value_is_the_rank_among_independent_breaches_on_the_same_margins():
    breach, margin, _, _ = drawn_case(7)
    both: dict[str, Any] = {"tail_probability": 0.05, "value_at_risk": margin}
    seen = dynamic_quantile(breach, **both).statistic
    rng = np.random.default_rng(1)
    null = [
        dynamic_quantile(rng.random(breach.size) < 0.05, **both).statistic for _ in range(4_000)
    ]
    wanted = np.mean(np.array(null) >= seen)
    got = simulated_dynamic_quantile(breach, rng=rng, n_simulations=4_000, **both).p_value
    # Two shares of 4,000 draws each; four standard errors of their difference.
    assert got == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / 2_000))


@pytest.mark.parametrize("n", [100, 550])
def test_the_simulated_test_rejects_right_margins_at_the_rate_it_says(n):
    rng = np.random.default_rng(2)
    margin = np.exp(0.05 * rng.normal(size=n).cumsum())
    both = {"tail_probability": 0.01, "value_at_risk": margin, "rng": rng, "n_simulations": 199}
    rate = rejection_rate(simulated_dynamic_quantile, rng.random((1_500, n)) < 0.01, **both)
    # Binomial; the large-sample law rejects 9 to 18 %. Ties count against rejection: no lower end.
    assert rate < 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 1_500)


def test_the_simulated_test_finds_clusters_and_margins_that_stand_still():
    rng = np.random.default_rng(3)
    found = rejection_rate(
        simulated_dynamic_quantile,
        clustered(rng, 200, 500, lag=2),
        tail_probability=0.05,
        rng=rng,
        n_simulations=199,
    )
    assert found > 0.8
    # The margin follows volatility half as much as the breaches do.
    sigma = np.exp(0.5 * np.sin(np.arange(500) / 40))
    breach = rng.random((200, 500)) < 0.05 * sigma**2 / np.mean(sigma**2)
    found = rejection_rate(
        simulated_dynamic_quantile,
        breach,
        tail_probability=0.05,
        value_at_risk=sigma**0.5,
        rng=rng,
        n_simulations=199,
    )
    assert found > 0.6


def test_the_smallest_simulated_p_value_is_one_over_the_draws_and_one():
    breach = np.arange(500) % 250 < 5
    got = simulated_dynamic_quantile(
        breach, tail_probability=0.01, rng=np.random.default_rng(4), n_simulations=99
    )
    assert got.p_value == 0.01


def test_the_simulated_test_refuses_what_the_plain_one_refuses():
    rng = np.random.default_rng(5)
    with pytest.raises(NotEnoughHistoryError, match="regression on 4 lags"):
        simulated_dynamic_quantile(np.zeros(10, dtype=bool), tail_probability=0.01, rng=rng)
    with pytest.raises(InputError, match="n_simulations"):
        simulated_dynamic_quantile(
            np.zeros(100, dtype=bool), tail_probability=0.01, rng=rng, n_simulations=0
        )
    with pytest.raises(InputError, match="value_at_risk"):
        simulated_dynamic_quantile(
            np.zeros(100, dtype=bool),
            tail_probability=0.01,
            rng=rng,
            value_at_risk=np.full(100, np.nan),
        )
