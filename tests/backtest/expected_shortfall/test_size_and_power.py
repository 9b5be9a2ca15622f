"""Shares of rejections of the cheap tests; regressions are in a file of their own.

Fixed seeds; the benchmark `size_shortfall.py` has the whole table.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy import stats

from foremargin.backtest import (
    TestResult,
    acerbi_szekely_minimally_biased,
    acerbi_szekely_z1,
    acerbi_szekely_z2,
    expected_shortfall_regression,
    mcneil_frey,
    nolde_ziegel,
)

TESTS: dict[str, Callable[..., TestResult]] = {
    "z1": partial(acerbi_szekely_z1, n_resamples=199),
    "z2": partial(acerbi_szekely_z2, n_resamples=199),
    "relative": partial(acerbi_szekely_minimally_biased, n_resamples=199),
    "absolute": partial(acerbi_szekely_minimally_biased, form="absolute", n_resamples=199),
    "mcneil-frey": partial(mcneil_frey, n_resamples=199),
    "understated": partial(nolde_ziegel, alternative="understated"),
    "intercept": partial(expected_shortfall_regression, version="intercept"),
}
N, ROWS, TAIL = 1_000, 150, 0.025


@pytest.fixture(scope="module")
def rejected(make_histories, right_forecasts):
    """Return a function that counts the histories that a test rejects at 5 %."""

    def count(name: str, law: str, *, both=1.0, value_at_risk=1.0, gap=1.0) -> int:
        losses, sigmas = make_histories(law, N, ROWS, seed=21)
        quantile, beyond = right_forecasts(law, TAIL)
        said = quantile + gap * (beyond - quantile)
        p_values = [
            TESTS[name](
                loss,
                both * value_at_risk * quantile * sigma,
                both * said * sigma,
                tail_probability=TAIL,
            ).p_value
            for loss, sigma in zip(losses, sigmas, strict=True)
        ]
        return int(np.sum(np.array(p_values) <= 0.05))

    return count


@pytest.mark.slow
@pytest.mark.parametrize("law", ["normal", "t5 of unit variance"])
@pytest.mark.parametrize("name", TESTS)
def test_right_forecasts_are_not_rejected_more_often_than_promised(rejected, name, law):
    # One-sided, since several tests are conservative: a false-alarm rate of 1e-4 at exactly 5 %.
    assert rejected(name, law) <= stats.binom.isf(1e-4, ROWS, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"), [("z2", 0.9), ("relative", 0.75), ("absolute", 0.7), ("understated", 0.6)]
)
def test_forecasts_of_a_scale_20_per_cent_too_small_are_found(rejected, name, least):
    assert rejected(name, "t5 of unit variance", both=0.8) >= least * ROWS


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("z1", 0.5), ("mcneil-frey", 0.4), ("relative", 0.5)])
def test_a_right_quantile_with_a_shortfall_too_small_is_found(rejected, name, least):
    # The gap between both is a quarter of what it should be: the shortfall is 20 % too small.
    assert rejected(name, "t5 of unit variance", gap=0.25) >= least * ROWS


@pytest.mark.slow
def test_a_right_shortfall_with_a_quantile_too_small_is_found_by_counting_tests_only(rejected):
    law = "t5 of unit variance"
    # Breaches are then smaller, so that tests given a breach see risk overstated.
    assert rejected("z1", law, value_at_risk=0.8, gap=1.0) <= 0.05 * ROWS
    assert rejected("mcneil-frey", law, value_at_risk=0.8, gap=1.0) <= 0.05 * ROWS
    assert rejected("z2", law, value_at_risk=0.8, gap=1.0) >= 0.5 * ROWS
