"""What holds for every test of expected shortfall: what it refuses, edges, units."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

import foremargin.backtest as backtest
from foremargin.backtest import (
    TestResult,
    acerbi_szekely_minimally_biased,
    acerbi_szekely_z1,
    acerbi_szekely_z2,
    expected_shortfall_regression,
    mcneil_frey,
    nolde_ziegel,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

TESTS: dict[str, Callable[..., TestResult]] = {
    "z1": acerbi_szekely_z1,
    "z2": acerbi_szekely_z2,
    "relative": acerbi_szekely_minimally_biased,
    "absolute": partial(acerbi_szekely_minimally_biased, form="absolute"),
    "mcneil-frey": mcneil_frey,
    "nolde-ziegel": nolde_ziegel,
    "nolde-ziegel general": partial(nolde_ziegel, volatility=0.01),
    "nolde-ziegel understated": partial(nolde_ziegel, alternative="understated"),
    "strict": expected_shortfall_regression,
    "auxiliary": partial(expected_shortfall_regression, version="auxiliary"),
    "intercept": partial(expected_shortfall_regression, version="intercept"),
    "strict, bootstrap": partial(expected_shortfall_regression, n_resamples=19),
}
RESAMPLED = ("z1", "z2", "relative", "absolute", "mcneil-frey", "strict, bootstrap")
REGRESSIONS = ("strict", "auxiliary", "intercept", "strict, bootstrap")


def by(names):
    return pytest.mark.parametrize("test", [TESTS[name] for name in names], ids=names)


by_test = by(TESTS)
by_test_of_breaches = by([name for name in TESTS if name not in REGRESSIONS])
by_test_without_volatility = by([name for name in TESTS if name != "nolde-ziegel general"])
TAIL = 0.025


@pytest.fixture(scope="module")
def history(make_histories, right_forecasts):
    """Loss and right forecasts of 400 periods."""
    loss, sigma = make_histories("t5 of unit variance", 400, 1, seed=3)
    quantile, beyond = right_forecasts("t5 of unit variance", TAIL)
    return loss[0], quantile * sigma[0], beyond * sigma[0]


@by_test
@pytest.mark.parametrize("which", ["loss", "value_at_risk", "expected_shortfall"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(test, history, which, bad):
    arrays = dict(zip(["loss", "value_at_risk", "expected_shortfall"], history, strict=True))
    arrays[which] = np.where(np.arange(400) == 7, bad, arrays[which])
    with pytest.raises(InputError, match=f"{which} must be finite, found 1 "):
        test(*arrays.values(), tail_probability=TAIL)


@by_test
def test_a_value_at_risk_above_the_expected_shortfall_is_refused(test, history):
    loss, value_at_risk, expected_shortfall = history
    with pytest.raises(InputError, match="must not exceed expected_shortfall, found 400"):
        test(loss, expected_shortfall, value_at_risk, tail_probability=TAIL)


@by_test
def test_forecasts_that_are_not_positive_losses_are_refused(test, history):
    loss, value_at_risk, expected_shortfall = history
    with pytest.raises(InputError, match="value_at_risk must be > 0, found 400"):
        test(loss, -value_at_risk, -expected_shortfall, tail_probability=TAIL)


@by_test
def test_series_of_different_length_are_refused(test, history):
    loss, value_at_risk, expected_shortfall = history
    with pytest.raises(ShapeError, match="must have the same shape"):
        test(loss[1:], value_at_risk, expected_shortfall, tail_probability=TAIL)


@by_test
@pytest.mark.parametrize("tail_probability", [0.0, 1.0, 97.5])
def test_an_impossible_tail_probability_is_refused(test, history, tail_probability):
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\)"):
        test(*history, tail_probability=tail_probability)


@by_test
def test_an_empty_series_is_refused(test):
    with pytest.raises(NotEnoughHistoryError, match="loss must hold at least 1 period"):
        test([], [], [], tail_probability=TAIL)


@pytest.fixture(scope="module")
def no_breach(history):
    loss, value_at_risk, expected_shortfall = history
    return np.minimum(loss, 0.9 * value_at_risk), value_at_risk, expected_shortfall


@by_test_of_breaches
def test_without_a_breach_nothing_is_rejected(test, no_breach):
    assert test(*no_breach, tail_probability=TAIL).p_value == 1.0


def test_without_a_breach_a_regression_says_that_the_forecast_is_too_high(no_breach):
    by_version = {
        version: expected_shortfall_regression(*no_breach, tail_probability=TAIL, version=version)
        for version in ("strict", "auxiliary", "intercept")
    }
    assert by_version["strict"].p_value < 0.01
    assert by_version["auxiliary"].p_value < 0.01
    assert by_version["intercept"].p_value > 0.99  # one-sided


@by_test
def test_nothing_but_breaches_far_beyond_the_shortfall_is_rejected(test, history):
    _, value_at_risk, expected_shortfall = history
    # Always between two and four times the shortfall.
    loss = expected_shortfall * np.random.default_rng(1).uniform(2.0, 4.0, 400)
    result = test(loss, value_at_risk, expected_shortfall, tail_probability=TAIL)
    # The bootstrap of the regression has 19 resamples: 1 / 20 is its lowest p-value.
    assert result.p_value <= 0.05


@by_test_of_breaches
def test_a_loss_at_the_value_at_risk_is_no_breach(test, history):
    loss, value_at_risk, expected_shortfall = history
    tied = loss.copy()
    tied[:20] = value_at_risk[:20]
    below = loss.copy()
    below[:20] = 0.5 * value_at_risk[:20]
    results = [
        test(one, value_at_risk, expected_shortfall, tail_probability=TAIL) for one in (tied, below)
    ]
    assert results[0] == results[1]


@by_test_without_volatility
def test_a_change_of_unit_changes_no_p_value(test, history):
    base = test(*history, tail_probability=TAIL)
    other = test(*(7.0 * one for one in history), tail_probability=TAIL)
    # Searches stop at differences of 1e-8 in the loss, some thousandths in a flat direction.
    assert other.p_value == pytest.approx(base.p_value, rel=0.03)


@by_test
def test_the_same_seed_gives_the_same_p_value(test, history):
    assert test(*history, tail_probability=TAIL) == test(*history, tail_probability=TAIL)


@pytest.mark.parametrize("name", RESAMPLED)
def test_another_seed_gives_about_the_same_p_value(name, history):
    test, draws = TESTS[name], 19 if "bootstrap" in name else 5_000
    loss, value_at_risk, expected_shortfall = history
    p_values = [
        test(loss, value_at_risk, expected_shortfall, tail_probability=TAIL, rng=seed).p_value
        for seed in range(2)
    ]
    # Two binomial shares; five standard errors of their difference.
    p = max(float(np.mean(p_values)), 0.05)
    assert abs(p_values[0] - p_values[1]) < 5 * np.sqrt(2 * p * (1 - p) / draws) + 2 / draws


@pytest.mark.parametrize("name", RESAMPLED[:-1])
@pytest.mark.parametrize("n_resamples", [0, 1.5, True])
def test_a_number_of_resamples_that_is_none_is_refused(name, history, n_resamples):
    with pytest.raises(InputError, match="n_resamples must be a whole number >= 1"):
        TESTS[name](*history, tail_probability=TAIL, n_resamples=n_resamples)


@by_test
def test_results_are_plain_numbers(test, history):
    result = test(*history, tail_probability=TAIL)
    assert type(result.statistic) is float
    assert type(result.p_value) is float
    assert 0.0 < result.p_value <= 1.0


def test_forecasts_may_be_one_number_for_all_periods(history):
    loss = history[0]
    for name, test in TESTS.items():
        if name in REGRESSIONS and name != "intercept":
            with pytest.raises(InputError, match="must not be collinear"):
                test(loss, 0.03, 0.04, tail_probability=TAIL)
        else:
            whole = test(loss, np.full(400, 0.03), np.full(400, 0.04), tail_probability=TAIL)
            assert test(loss, 0.03, 0.04, tail_probability=TAIL) == whole


def test_the_names_that_others_call_are_exported():
    assert {
        "acerbi_szekely_z1",
        "acerbi_szekely_z2",
        "mcneil_frey",
        "expected_shortfall_regression",
    } <= set(backtest.__all__)
