"""Matched protocols: what a constant makes equal, what it cannot change, what is known before."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.backtest import Cells, holm, judge_together
from foremargin.backtest.losses import quantile_loss, shortfall
from foremargin.backtest.protocols import (
    COST_SHARES,
    coverage_factors,
    detectable_before,
    frontier_change,
    instrument_table,
    matched_coverage_table,
)

TAIL = 0.02
N_ORIGINS, N_INSTRUMENTS = 1_500, 3


def cells(seed: int, *, n_origins: int = N_ORIGINS) -> Cells:
    """Losses of wandering volatility; margins that follow it, that do not, and scaled copies."""
    rng = np.random.default_rng(seed)
    sigma = 0.02 * np.exp(np.repeat(0.5 * np.sin(np.arange(n_origins) / 40.0), N_INSTRUMENTS * 2))
    loss = sigma * rng.standard_t(5, size=len(sigma))
    noise = np.exp(0.1 * rng.standard_normal(len(sigma)))
    margins = {
        "follows": 2.6 * sigma,
        "follows-noisily": 2.6 * sigma * noise,
        "half-of-it": 1.3 * sigma,
        "flat": np.full_like(sigma, 0.06),
    }
    order = np.lexsort(
        (
            np.repeat(np.arange(n_origins), N_INSTRUMENTS * 2),
            np.tile(np.repeat(np.arange(N_INSTRUMENTS), 2), n_origins),
            np.tile([0, 1], n_origins * N_INSTRUMENTS),
        )
    )
    pick = lambda values: np.asarray(values)[order]  # noqa: E731
    return Cells(
        policies=tuple(margins),
        margin=np.stack([pick(m) for m in margins.values()]),
        loss=pick(loss),
        origin=pick(np.repeat(np.arange(n_origins), N_INSTRUMENTS * 2)).astype(np.intp),
        instrument=pick(np.tile(np.repeat(np.arange(N_INSTRUMENTS), 2), n_origins)).astype(np.intp),
        side=pick(np.tile([0, 1], n_origins * N_INSTRUMENTS)).astype(np.intp),
    )


@pytest.fixture(scope="module")
def validation() -> Cells:
    return cells(1)


@pytest.fixture(scope="module")
def judged() -> Cells:
    return cells(2)


def change_between(judged: Cells, policy: str, reference: str = "flat") -> pd.DataFrame:
    return frontier_change(
        judged,
        policy=policy,
        reference=reference,
        confidence_level=0.9,
        mean_block=20.0,
        n_resamples=300,
        rng=np.random.default_rng(3),
    )


def test_with_its_coverage_factor_every_policy_breaches_in_validation_as_often_as_promised(
    validation: Cells,
) -> None:
    factors = coverage_factors(validation, tail_probability=TAIL)
    n = len(validation.loss)
    for name in validation.policies:
        breaches = (validation.loss > factors[name] * validation.of(name)).sum()
        assert abs(breaches - TAIL * n) <= 1  # an interpolated quantile lies between two losses


def test_a_constant_factor_of_a_policy_changes_nothing_at_equal_coverage(
    validation: Cells, judged: Cells
) -> None:
    factors = coverage_factors(validation, tail_probability=TAIL)
    table = matched_coverage_table(judged, factors=factors, reference="flat")
    assert factors["half-of-it"] == pytest.approx(2.0 * factors["follows"], rel=1e-12)
    same = ["coverage_breach_rate", "coverage_cost_ratio", "coverage_shortfall"]
    left, right = (table.loc[name, same].to_numpy(float) for name in ("half-of-it", "follows"))
    np.testing.assert_allclose(left, right, rtol=1e-9)
    assert table.loc["flat", "coverage_cost_ratio"] == pytest.approx(1.0, rel=1e-12)
    # What follows the volatility buys the same coverage for less than what does not.
    assert table["coverage_cost_ratio"].to_numpy(float)[0] < 0.95  # "follows" is the first


def test_where_too_few_breaches_are_expected_there_is_no_coverage_factor() -> None:
    short = cells(4, n_origins=80)
    factors = coverage_factors(short, tail_probability=TAIL)
    assert np.isnan(list(factors.values())).all()
    table = matched_coverage_table(short, factors=factors, reference="flat")
    assert table.isna().all(axis=None)


def test_a_policy_against_a_scaled_copy_of_itself_has_no_change_at_any_cost(judged: Cells) -> None:
    table = change_between(judged, "half-of-it", "follows")
    for column in ("change", "low", "high"):
        np.testing.assert_allclose(table[column], 0.0, atol=1e-12)  # the same sums, rounded


def test_the_change_at_a_cost_is_that_of_margins_scaled_to_it(judged: Cells) -> None:
    table = change_between(judged, "follows")
    at = COST_SHARES.index(0.8)
    cost = 0.8 * judged.of("flat").mean()
    ours, theirs = (
        shortfall(judged.loss, judged.of(name) * cost / judged.of(name).mean()).sum()
        for name in ("follows", "flat")
    )
    assert table.mean_margin[at] == pytest.approx(cost, rel=1e-12)
    assert table.change[at] == pytest.approx(ours / theirs - 1.0, rel=1e-9)
    assert table.low[at] < table.change[at] < table.high[at] < 0.0


def test_where_the_reference_leaves_nothing_uncovered_no_change_exists(judged: Cells) -> None:
    calm = replace(judged, loss=np.minimum(judged.loss, 0.05))
    table = change_between(calm, "follows")
    without = table.reference_shortfall == 0.0
    assert without.any()
    assert table.change[without].isna().all()
    assert table.change[~without].notna().all()


def test_each_instrument_is_compared_by_itself_and_corrected_for_their_number(
    judged: Cells,
) -> None:
    table = instrument_table(
        judged,
        policy="follows",
        reference="flat",
        instruments=("A", "B", "C"),
        tail_probability=TAIL,
        horizon=1,
    )
    own = judged.instrument == 1
    mean = [
        quantile_loss(judged.loss[own], judged.of(name)[own], tail_probability=TAIL).mean()
        for name in ("follows", "flat")
    ]
    assert table.quantile_loss_change[1] == pytest.approx(mean[0] / mean[1] - 1.0, rel=1e-12)
    np.testing.assert_array_equal(table.dm_p_holm, holm(table.dm_p_value.to_numpy()))
    assert (table.n_origins == N_ORIGINS).all()


def test_four_times_the_test_period_halves_the_difference_that_it_can_show(
    validation: Cells,
) -> None:
    found = [
        detectable_before(
            validation,
            policy="follows",
            reference="flat",
            n_origins=n,
            tail_probability=TAIL,
            horizon=1,
        ).relative
        for n in (1_000, 4_000)
    ]
    # Student's t with a thousand degrees of freedom is nearly normal.
    assert found[0] / found[1] == pytest.approx(2.0, rel=2e-3)


def test_horizons_that_are_judged_together_share_one_probability_of_a_false_win(
    make_verdict,
) -> None:
    verdicts = [replace(make_verdict(), p_value=p) for p in (0.03, 0.04)]
    adjusted: NDArray[np.float64] = np.array([v.p_value for v in judge_together(verdicts)])
    np.testing.assert_allclose(adjusted, [0.06, 0.06])
    assert judge_together([]) == ()
