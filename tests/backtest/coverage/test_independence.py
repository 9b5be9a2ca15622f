import numpy as np
import pytest
from scipy import stats

from foremargin.backtest.coverage import (
    christoffersen_conditional_coverage,
    christoffersen_independence,
    kupiec_pof,
)
from foremargin.errors import InputError, NotEnoughHistoryError


def published_transitions() -> np.ndarray:
    """1043 periods with N00=932, N01=53, N10=53, N11=4: 49 single breaches and 4 pairs."""
    calm = [12] * 52 + [309]
    runs = [1] * 49 + [2] * 4
    pieces = [piece for c, r in zip(calm, runs, strict=True) for piece in ([0] * c, [1] * r)]
    breach = np.concatenate([*pieces, [0] * (1043 - sum(calm) - sum(runs))]).astype(bool)
    pairs = 2 * breach[:-1] + breach[1:]
    assert np.bincount(pairs).tolist() == [932, 53, 53, 4]
    return breach


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


def test_christoffersen_gives_the_published_values():
    breach = published_transitions()
    independence = christoffersen_independence(breach)
    joint = christoffersen_conditional_coverage(breach, tail_probability=0.05)
    # Published with five decimals.
    assert independence.statistic == pytest.approx(0.25866, abs=5e-6)
    assert independence.p_value == pytest.approx(0.61104, abs=5e-6)
    assert joint.statistic == pytest.approx(0.72013, abs=1e-5)
    assert joint.p_value == pytest.approx(0.69763, abs=1e-5)
    assert (independence.df, joint.df) == (1, 2)


def test_conditional_coverage_on_pairs_is_the_exact_joint_likelihood_ratio():
    breach = published_transitions()
    joint = christoffersen_conditional_coverage(
        breach, tail_probability=0.05, unconditional_on="pairs"
    )
    free = sum(n * np.log(n / total) for n, total in [(932, 985), (53, 985), (53, 57), (4, 57)])
    restricted = 57 * np.log(0.05) + 985 * np.log(0.95)
    assert joint.statistic == pytest.approx(2 * (free - restricted), rel=1e-10)


def test_conditional_coverage_on_pairs_ignores_a_breach_in_the_first_period():
    breach = np.zeros(300, dtype=bool)
    breach[[0, 50, 120]] = True
    expected = kupiec_pof(breach[1:], tail_probability=0.01).statistic
    expected += christoffersen_independence(breach).statistic
    joint = christoffersen_conditional_coverage(
        breach, tail_probability=0.01, unconditional_on="pairs"
    )
    assert joint.statistic == pytest.approx(expected, rel=1e-12)


def test_no_breach_is_no_evidence_against_independence():
    result = christoffersen_independence(np.zeros(250, dtype=bool))
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_nothing_but_breaches_is_no_evidence_against_independence():
    result = christoffersen_independence(np.ones(250, dtype=bool))
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_one_breach_in_the_last_period_says_nothing_about_independence():
    result = christoffersen_independence(np.arange(250) == 249)
    assert result.statistic == 0.0
    assert result.p_value == 1.0


def test_independence_needs_two_periods():
    with pytest.raises(NotEnoughHistoryError, match="more than 1 periods for a test of indep"):
        christoffersen_independence([True])


def test_an_unknown_convention_is_refused():
    with pytest.raises(InputError, match='must be "all" or "pairs", was \'first\''):
        christoffersen_conditional_coverage(
            np.zeros(9, bool),
            tail_probability=0.01,
            unconditional_on="first",  # type: ignore[arg-type]
        )


def test_independent_breaches_are_rejected_slightly_more_often_than_promised():
    breach = np.random.default_rng(12).random((1000, 1000)) < 0.05
    # The chi-squared law gives about 7 % at 50 breaches; same false-alarm rate as above.
    low, high = np.array(stats.binom.interval(1 - 2e-4, 1000, 0.07)) / 1000
    assert low <= rejection_rate(christoffersen_independence, breach) <= high


def test_independence_sees_neighbouring_breaches():
    breach = clustered(np.random.default_rng(14), 200, 500, lag=1)
    assert rejection_rate(christoffersen_independence, breach) > 0.9


@pytest.mark.parametrize("n_before", [0, 30])
def test_the_ratio_is_that_of_the_transitions(n_before):
    # 0 -> 0 six times, 0 -> 1 and 1 -> 0 twice, 1 -> 1 once; quiet in front adds to 0 -> 0.
    breach = np.array([*[0] * n_before, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    n00 = 6 + n_before
    free = 2 * np.log(2 / (n00 + 2)) + n00 * np.log(n00 / (n00 + 2)) + 2 * np.log(2 / 3)
    free += np.log(1 / 3)
    pooled = 3 * np.log(3 / (n00 + 5)) + (n00 + 2) * np.log((n00 + 2) / (n00 + 5))
    result = christoffersen_independence(breach)
    assert result.statistic == pytest.approx(2 * (free - pooled), rel=1e-12)


def test_few_breaches_are_seldom_called_dependent():
    breach = np.random.default_rng(13).random((1000, 250)) < 0.01
    # About 1 % in place of 5 %, as the docstring says; above 3 % with a probability below 1e-6.
    assert rejection_rate(christoffersen_independence, breach) < 0.03


def test_no_breach_leaves_only_the_chance_of_none():
    result = christoffersen_conditional_coverage(np.zeros(250, dtype=bool), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 250 * np.log(0.99), rel=1e-12)


def test_conditional_coverage_sees_a_wrong_rate_and_clusters():
    often = np.random.default_rng(16).random((200, 1000)) < 0.1
    runs = clustered(np.random.default_rng(17), 200, 500, lag=1)
    for breach in (often, runs):
        rate = rejection_rate(christoffersen_conditional_coverage, breach, tail_probability=0.05)
        assert rate > 0.9
