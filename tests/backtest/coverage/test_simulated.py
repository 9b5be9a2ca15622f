import time

import numpy as np
import pytest
from scipy import stats

from foremargin.backtest.coverage import (
    basel_traffic_light,
    berkowitz_tail,
    binomial_coverage,
    christoffersen_independence,
    du_escanciano_conditional,
    duration_test,
    dynamic_quantile,
    kupiec_pof,
    simulated,
    simulated_pit,
)
from foremargin.backtest.coverage.simulated import breaches, null_p_values, rank_p_value, uniforms
from foremargin.errors import InputError


def first_breaches(n_breaches: int, n: int) -> np.ndarray:
    return np.arange(n) < n_breaches


def exact_bounds(test, n_breaches: int, n: int, tail_probability: float) -> tuple[float, float]:
    """Binomial probabilities of smaller p-values than the one seen, and of no larger ones."""
    counts = np.arange(n + 1)
    p_value = np.array(
        [
            test(first_breaches(k, n), tail_probability=tail_probability).p_value
            for k in range(n + 1)
        ]
    )
    mass = stats.binom.pmf(counts, n, tail_probability)
    seen = p_value[n_breaches]
    return float(mass[p_value < seen].sum()), float(mass[p_value <= seen].sum())


@pytest.mark.slow
@pytest.mark.parametrize("test", [kupiec_pof, basel_traffic_light])
@pytest.mark.parametrize("n_breaches", [0, 4, 7])
def test_the_simulated_p_value_is_the_exact_binomial_one(test, n_breaches):
    breach, rng = first_breaches(n_breaches, 250), np.random.default_rng(1)
    null = null_p_values(
        test, breaches(250, 0.01), rng=rng, n_simulations=4999, tail_probability=0.01
    )
    seen = test(breach, tail_probability=0.01).p_value
    places = [rank_p_value(seen, null, rng=rng) for _ in range(2000)]
    low, high = exact_bounds(test, n_breaches, 250, 0.01)
    # Ties put it anywhere between both bounds; four standard errors of 4999 draws.
    for found, exact in ((min(places), low), (max(places), high)):
        error = np.sqrt(max(exact * (1 - exact), 0.0) / 4999)
        assert found == pytest.approx(exact, abs=4 * error + 1e-3)
    assert np.mean(places) == pytest.approx((low + high) / 2, abs=0.02)


def test_the_traffic_light_counts_what_is_at_least_as_bad():
    # Its own p-value is exact, and the larger bound of the simulated one.
    low, high = exact_bounds(basel_traffic_light, 7, 250, 0.01)
    assert high == pytest.approx(stats.binom.sf(6, 250, 0.01), rel=1e-9)
    assert low == pytest.approx(stats.binom.sf(7, 250, 0.01), rel=1e-9)
    assert basel_traffic_light(first_breaches(7, 250)).p_value == pytest.approx(high, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("test", [kupiec_pof, dynamic_quantile])
def test_a_right_margin_is_rejected_exactly_as_often_as_promised(test):
    rng = np.random.default_rng(2)
    p_value = [
        simulated(
            test, rng.random(120) < 0.01, tail_probability=0.01, rng=rng, n_simulations=19
        ).p_value
        for _ in range(1000)
    ]
    # Every multiple of 1/20 has the same chance, though samples differ in some ten statistics.
    place, count = np.unique(np.round(20 * np.array(p_value)), return_counts=True)
    assert place.tolist() == list(range(1, 21))
    # A false-alarm rate of 1e-4.
    assert stats.chisquare(count).pvalue > 1e-4


def test_ranks_put_ties_at_every_place_with_equal_chance():
    rng = np.random.default_rng(3)
    null = np.array([0.01, 0.2, 0.2, 0.2, 0.7, 0.9, 0.9, 1.0, 1.0])
    place = [round(10 * rank_p_value(0.2, null, rng=rng)) for _ in range(4000)]
    count = np.bincount(place, minlength=11)
    assert count[2:6].sum() == 4000
    assert stats.chisquare(count[2:6]).pvalue > 1e-4
    assert rank_p_value(0.005, null, rng=rng) == 0.1
    assert rank_p_value(0.95, null, rng=rng) == 0.8


def test_the_statistic_is_that_of_the_test_and_its_law_has_no_degrees_of_freedom():
    breach = np.random.default_rng(4).random(200) < 0.05
    result = simulated(
        dynamic_quantile,
        breach,
        tail_probability=0.05,
        rng=np.random.default_rng(5),
        n_simulations=19,
        lags=2,
    )
    expected = dynamic_quantile(breach, tail_probability=0.05, lags=2)
    assert (result.statistic, result.df) == (expected.statistic, None)
    assert (20 * result.p_value).is_integer()


def test_the_same_state_gives_the_same_p_value_and_another_one_nearly():
    breach = np.random.default_rng(6).random(200) < 0.05
    found = [
        simulated(kupiec_pof, breach, tail_probability=0.05, rng=np.random.default_rng(seed))
        for seed in (7, 7, 8)
    ]
    assert found[0] == found[1] != found[2]


def test_a_margin_that_foretells_breaches_is_handed_on():
    rng = np.random.default_rng(9)
    margin = rng.uniform(0.02, 0.06, 800)
    breach = rng.random(800) < np.where(margin < 0.04, 0.1, 0.002)
    p_value = [
        simulated(
            dynamic_quantile, breach, tail_probability=0.05, rng=rng, value_at_risk=known
        ).p_value
        for known in (margin, None)
    ]
    assert p_value[0] < 0.01 < p_value[1]


def test_rearrangements_keep_the_number_of_breaches():
    seen = []

    def count(breach):
        seen.append(int(breach.sum()))
        return christoffersen_independence(breach)

    breach, rng = np.random.default_rng(10).random(100) < 0.2, np.random.default_rng(11)
    simulated(count, breach, tail_probability=None, rng=rng, n_simulations=50)
    assert seen == [breach.sum()] * 51


def test_rearrangements_give_fishers_answer_about_one_pair():
    # Two breaches in 20 periods: 19 of 190 rearrangements put them side by side.
    breach, rng = np.isin(np.arange(20), [7, 8]), np.random.default_rng(12)
    null = [
        simulated(
            christoffersen_independence, breach, tail_probability=None, rng=rng, n_simulations=199
        ).p_value
        for _ in range(100)
    ]
    # Ties among the 10 % make it uniform below that: mean 5 %, standard error 0.3 %.
    assert np.mean(null) == pytest.approx(0.05, abs=0.015)


def test_a_wrong_rate_is_not_taken_for_dependence_when_breaches_are_rearranged():
    breach = np.random.default_rng(13).random(1000) < 0.1
    rng = np.random.default_rng(14)
    told, free = (
        simulated(duration_test, breach, tail_probability=p, rng=rng, n_simulations=199).p_value
        for p in (0.01, None)
    )
    assert free > 0.05
    assert told != free


def test_a_test_of_the_rate_needs_a_rate():
    with pytest.raises(InputError, match="tail_probability must be given for a test that takes"):
        simulated(
            kupiec_pof, np.zeros(9, bool), tail_probability=None, rng=np.random.default_rng(0)
        )


def test_arguments_out_of_range_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\), was 99"):
        simulated(duration_test, np.zeros(9, bool), tail_probability=99, rng=rng)
    with pytest.raises(InputError, match="n_simulations must be a whole number >= 1, was 0"):
        simulated(duration_test, np.zeros(9, bool), tail_probability=0.01, rng=rng, n_simulations=0)
    with pytest.raises(InputError, match="breach must be finite, found 1 NaN"):
        simulated(duration_test, [float("nan"), 1.0], tail_probability=0.01, rng=rng)
    with pytest.raises(InputError, match=r"pit must be in \(0, 1\), found 1 outside"):
        simulated_pit(berkowitz_tail, [0.5, 1.0], rng=rng, tail_probability=0.01)


@pytest.mark.parametrize("breach", [np.zeros(60, bool), np.ones(60, bool)], ids=["none", "all"])
@pytest.mark.parametrize("test", [kupiec_pof, binomial_coverage, dynamic_quantile, duration_test])
def test_no_and_only_breaches_have_a_simulated_p_value(test, breach):
    rng = np.random.default_rng(15)
    result = simulated(test, breach, tail_probability=0.01, rng=rng, n_simulations=39)
    assert 1 / 40 <= result.p_value <= 1.0


def test_draws_are_what_the_hypothesis_says():
    rng = np.random.default_rng(16)
    hits = np.array([breaches(500, 0.02)(rng) for _ in range(200)])
    # A false-alarm rate of 1e-4 each.
    low, high = stats.binom.interval(1 - 1e-4, hits.size, 0.02)
    assert low <= hits.sum() <= high
    u = np.concatenate([uniforms(500)(rng) for _ in range(20)])
    assert 0.0 < u.min() < u.max() < 1.0
    assert stats.kstest(u, "uniform").pvalue > 1e-4


def test_a_draw_of_zero_becomes_a_number_below_one():
    class Zero:
        def random(self, n):
            return np.zeros(n)

    assert (np.asarray(uniforms(3)(Zero())) < 1.0).all()  # type: ignore[arg-type]


def test_the_conditional_test_of_shortfall_is_repaired():
    rng = np.random.default_rng(17)
    null = null_p_values(
        du_escanciano_conditional, uniforms(250), rng=rng, n_simulations=999, tail_probability=0.01
    )
    pit = [uniforms(250)(rng) for _ in range(1000)]
    reported = np.array([du_escanciano_conditional(u, tail_probability=0.01).p_value for u in pit])
    ranked = np.array([rank_p_value(p, null, rng=rng) for p in reported])
    # Reported about 10 %; ranked 5 %, with standard errors of 0.7 points from either sample and a
    # false-alarm rate of 1e-4 for four of both together.
    assert (reported < 0.05).mean() > 0.075
    assert (ranked <= 0.05).mean() == pytest.approx(0.05, abs=0.04)
    result = simulated_pit(
        du_escanciano_conditional, pit[0], rng=rng, n_simulations=39, tail_probability=0.01
    )
    assert result.statistic == du_escanciano_conditional(pit[0], tail_probability=0.01).statistic


@pytest.mark.slow
def test_a_long_dynamic_quantile_takes_seconds():
    rng = np.random.default_rng(18)
    breach, start = rng.random(2500) < 0.01, time.process_time()
    simulated(dynamic_quantile, breach, tail_probability=0.01, rng=rng, n_simulations=999)
    # One second of processor time on an idle core.
    assert time.process_time() - start < 10.0
