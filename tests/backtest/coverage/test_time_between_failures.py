import numpy as np
import pytest
from scipy import integrate, stats

from foremargin.backtest.coverage import (
    kupiec_pof,
    kupiec_tuff,
    simulated,
    time_between_failures,
)


def at(*periods: int, n: int) -> np.ndarray:
    return np.isin(np.arange(1, n + 1), periods)


def rejection_rate(breach: np.ndarray, **kwargs) -> float:
    results = [time_between_failures(row, tail_probability=0.05, **kwargs) for row in breach]
    return float(np.mean([result.p_value < 0.05 for result in results]))


def test_the_ratio_is_a_sum_of_geometric_ones_by_hand():
    # Waits 3, 1 and 5 with p = 0.1: likelihoods 0.9^2 0.1, 0.1, 0.9^4 0.1 against
    # (2/3)^2 / 3, 1, (4/5)^4 / 5.
    gain = np.log([(4 / 27) / 0.081, 1 / 0.1, 0.4096 / 5 / (0.6561 * 0.1)])
    result = time_between_failures(at(3, 4, 9, n=12), tail_probability=0.1)
    assert result.statistic == pytest.approx(2 * gain.sum(), rel=1e-12)
    assert result.df == 3
    assert result.p_value == pytest.approx(stats.chi2.sf(2 * gain.sum(), 3), rel=1e-12)


def test_every_term_is_the_test_of_the_time_until_a_first_breach():
    breach = np.random.default_rng(1).random(500) < 0.03
    starts = [0, *(np.flatnonzero(breach)[:-1] + 1)]
    terms = [kupiec_tuff(breach[start:], tail_probability=0.02).statistic for start in starts]
    result = time_between_failures(breach, tail_probability=0.02)
    assert result.statistic == pytest.approx(sum(terms), rel=1e-12)
    assert result.df == len(terms)


def test_the_mixed_version_adds_the_ratio_of_the_rate_and_a_degree_of_freedom():
    breach = np.random.default_rng(2).random(500) < 0.03
    plain = time_between_failures(breach, tail_probability=0.02)
    mixed = time_between_failures(breach, tail_probability=0.02, mixed=True)
    rate = kupiec_pof(breach, tail_probability=0.02).statistic
    assert mixed.statistic == pytest.approx(plain.statistic + rate, rel=1e-12)
    assert mixed.df == breach.sum() + 1
    assert mixed.p_value == pytest.approx(
        stats.chi2.sf(mixed.statistic, breach.sum() + 1), rel=1e-12
    )


def test_the_first_published_breach_is_the_whole_test_if_it_is_the_only_one():
    result = time_between_failures(at(58, n=1043), tail_probability=0.05)
    # The published value of the time until first failure, with five digits.
    assert result.statistic == pytest.approx(1.7354, rel=3e-5)
    assert result.p_value == pytest.approx(0.18773, rel=3e-5)
    assert result.df == 1


def test_quiet_after_the_last_breach_counts_in_the_mixed_version_only():
    short, long = at(10, 40, n=50), at(10, 40, n=500)
    plain = [time_between_failures(breach, tail_probability=0.05) for breach in (short, long)]
    mixed = [
        time_between_failures(breach, tail_probability=0.05, mixed=True) for breach in (short, long)
    ]
    assert plain[0] == plain[1]
    assert mixed[1].statistic > mixed[0].statistic + 10


def test_no_breach_leaves_no_wait_to_test():
    result = time_between_failures(np.zeros(250, bool), tail_probability=0.01)
    assert (result.statistic, result.p_value, result.df) == (0.0, 1.0, 0)


def test_nothing_but_breaches_leaves_only_the_chance_of_all():
    result = time_between_failures(np.ones(20, bool), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 20 * np.log(0.01), rel=1e-12)
    assert result.df == 20


def test_waits_exactly_as_long_as_promised_are_no_evidence():
    result = time_between_failures(np.arange(1, 501) % 20 == 0, tail_probability=0.05)
    assert result.statistic == pytest.approx(0.0, abs=1e-9)
    assert result.p_value == pytest.approx(1.0)


def test_the_law_of_one_term_is_not_chi_squared():
    def term(wait):  # of a rare breach: p times the wait is exponential
        return 2 * (wait - 1 - np.log(wait))

    moments = [
        integrate.quad(lambda w, k=k: term(w) ** k * np.exp(-w), 0, np.inf, limit=200)[0]
        for k in (1, 2)
    ]
    assert moments[0] == pytest.approx(2 * np.euler_gamma, rel=1e-6)
    assert moments[1] - moments[0] ** 2 == pytest.approx(2.580, abs=5e-4)
    waits = np.arange(51, 20_000, 50)
    breach = [at(int(w), n=int(w)) for w in waits]
    seen = [time_between_failures(b, tail_probability=1e-3).statistic for b in breach]
    # p (1 - p)^(v - 1) is p e^(-pv) up to terms in p.
    np.testing.assert_allclose(seen, term(1e-3 * waits), atol=0.03)


def test_a_right_margin_is_rejected_too_often_and_the_more_the_longer():
    breach = np.random.default_rng(3).random((1000, 1000)) < 0.05
    low, high = np.array(stats.binom.interval(1 - 2e-4, 1000, 0.19)) / 1000
    # 19 % is the size the documentation gives; the band has a false-alarm rate of 2e-4.
    assert low <= rejection_rate(breach) <= high
    assert low <= rejection_rate(breach, mixed=True) <= high


def test_twice_the_breaches_and_clusters_are_seen():
    rng = np.random.default_rng(4)
    often = rng.random((200, 1000)) < 0.1
    moving = np.repeat(rng.choice([0.01, 0.09], (200, 20)), 50, axis=1)
    assert rejection_rate(often) > 0.85
    assert rejection_rate(rng.random((200, 1000)) < moving) > 0.85


@pytest.mark.slow
def test_the_simulated_p_value_repairs_the_size():
    rng = np.random.default_rng(5)
    breach = rng.random((200, 500)) < 0.05
    rejected = [
        simulated(
            time_between_failures, row, tail_probability=0.05, rng=rng, n_simulations=99
        ).p_value
        <= 0.05
        for row in breach
    ]
    low, high = np.array(stats.binom.interval(1 - 2e-4, 200, 0.05)) / 200
    assert low <= np.mean(rejected) <= high
