"""Switching regimes: brute force, another implementation, known truth, and no hindsight."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from foremargin.errors import InputError, NotEnoughHistoryError
from foremargin.features.regimes import (
    Order,
    Shocks,
    SwitchingFilter,
    SwitchingParameters,
    filtered_probabilities,
    fit_switching,
)
from foremargin.features.regimes.expectation import log_likelihood
from foremargin.features.regimes.schedule import GrowingHistory

Array = NDArray[np.float64]

TRUTH = SwitchingParameters(
    mean=np.array([0.0005, -0.002]),
    scale=np.array([0.01, 0.03]),
    transition=np.array([[0.98, 0.02], [0.06, 0.94]]),
)


def simulate(n: int, *, seed: int = 0, truth: SwitchingParameters = TRUTH) -> tuple[Array, Array]:
    """Return values and the state behind each."""
    rng = np.random.default_rng(seed)
    state = np.zeros(n, dtype=int)
    for t in range(1, n):
        state[t] = rng.choice(truth.n_states, p=truth.transition[state[t - 1]])
    shock = rng.normal(size=n) if np.isinf(truth.nu) else rng.standard_t(truth.nu, size=n)
    return truth.mean[state] + truth.scale[state] * shock, state.astype(float)


def smoothed_probabilities(values: Array, parameters: SwitchingParameters) -> Array:
    """The thing that must never be a feature: Kim's smoother, which looks at the whole sample."""
    filtered = filtered_probabilities(values, parameters)
    smooth = filtered.copy()
    for t in range(len(values) - 2, -1, -1):
        predicted = filtered[t] @ parameters.transition
        smooth[t] = filtered[t] * (parameters.transition @ (smooth[t + 1] / predicted))
    return smooth


# --- the filter ------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3])
def test_the_filter_is_that_of_another_implementation_at_the_same_parameters(k: int) -> None:
    values = simulate(600)[0] * 100.0
    model = MarkovRegression(values, k_regimes=k, switching_variance=True)
    rng = np.random.default_rng(k)
    transition = 0.8 * np.eye(k) + 0.2 * rng.dirichlet(np.ones(k), size=k)
    ours = SwitchingParameters(
        mean=np.linspace(0.1, -0.2, k), scale=np.linspace(0.8, 3.0, k), transition=transition
    )
    # The reference lists the transitions by the state they lead to, without the last.
    moves = transition[:, :-1].T.ravel()
    theirs = model.filter(np.r_[moves, ours.mean, ours.scale**2])
    np.testing.assert_allclose(
        filtered_probabilities(values, ours), theirs.filtered_marginal_probabilities, atol=1e-8
    )
    own = (ours.mean, ours.scale, ours.transition, ours.nu, ours.stationary)
    np.testing.assert_allclose(log_likelihood(values, *own), theirs.llf, rtol=1e-10)


@pytest.mark.parametrize("nu", [np.inf, 4.0])
def test_filter_and_likelihood_are_sums_over_all_paths(nu: float) -> None:
    values = simulate(8, seed=3)[0]
    p = replace(TRUTH, nu=nu)
    shocks = stats.norm() if np.isinf(nu) else stats.t(nu)
    total = np.zeros(2)
    for path in product(range(2), repeat=8):
        chance = p.stationary[path[0]]
        chance *= np.prod([p.transition[a, b] for a, b in pairwise(path)])
        z = (values - p.mean[list(path)]) / p.scale[list(path)]
        chance *= np.prod(shocks.pdf(z) / p.scale[list(path)])
        total[path[-1]] += chance
    np.testing.assert_allclose(filtered_probabilities(values, p)[-1], total / total.sum())
    own = (p.mean, p.scale, p.transition, p.nu, p.stationary)
    np.testing.assert_allclose(log_likelihood(values, *own), np.log(total.sum()))


def test_an_absurd_value_leaves_probabilities_that_sum_to_one() -> None:
    values = np.r_[simulate(50)[0], 1e6, np.nan, -1e6, simulate(5, seed=1)[0]]
    out = filtered_probabilities(values, TRUTH)
    assert np.isnan(out[51]).all()
    np.testing.assert_allclose(np.delete(out, 51, axis=0).sum(axis=1), 1.0, rtol=1e-12)


# --- the fit ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_at_least_as_likely_as_that_of_another_implementation(seed: int) -> None:
    values = simulate(1200, seed=seed)[0] * 100.0
    theirs = MarkovRegression(values, k_regimes=2, switching_variance=True).fit(disp=0)
    p = fit_switching(values)
    ours = log_likelihood(values, p.mean, p.scale, p.transition, p.nu, p.stationary)
    # Both stop near the optimum; a tenth of a point of 2,000 is far inside sampling error.
    assert ours > theirs.llf - 0.1


def test_the_fit_finds_the_parameters_behind_a_long_series() -> None:
    p = fit_switching(simulate(20_000)[0])
    # Twenty thousand values: a scale is known to about a per cent, a probability to 0.003.
    np.testing.assert_allclose(p.scale, TRUTH.scale, rtol=0.04)
    np.testing.assert_allclose(p.mean, TRUTH.mean, atol=0.0012)
    np.testing.assert_allclose(p.transition, TRUTH.transition, atol=0.012)


def test_the_direction_of_moves_is_found_where_states_follow_each_other_in_a_circle() -> None:
    truth = SwitchingParameters(
        mean=np.array([-2.0, 0.0, 2.0]),
        scale=np.full(3, 0.4),
        transition=np.array([[0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9]]),
    )
    p = fit_switching(simulate(5000, truth=truth)[0], n_states=3, order=Order.MEAN)
    # Some 1,700 moves from each state: a deviation of 0.007.
    np.testing.assert_allclose(p.transition, truth.transition, atol=0.03)


@pytest.mark.slow
def test_student_shocks_are_found_heavy_and_do_not_make_a_regime_of_their_tails() -> None:
    truth = replace(TRUTH, nu=4.0)
    values, state = simulate(20_000, truth=truth)
    student = fit_switching(values, shocks=Shocks.STUDENT)
    assert 3.4 < student.nu < 4.8  # the deviation of nu at this length is about 0.2
    np.testing.assert_allclose(student.scale, truth.scale, rtol=0.06)
    brier = [
        ((filtered_probabilities(values, p)[:, 1] - state) ** 2).mean()
        for p in (student, fit_switching(values))
    ]
    assert brier[0] < brier[1]


@pytest.mark.parametrize("shocks", Shocks)
@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_the_fit_follows_the_unit_of_the_series(shocks: Shocks, scale: float) -> None:
    values = simulate(800)[0]
    base = fit_switching(values, shocks=shocks)
    moved = fit_switching(3.0 + scale * values, shocks=shocks)
    # An optimiser stops within a flat neighbourhood; 3 + x rounds x at 1e-14 of its spread.
    np.testing.assert_allclose(moved.scale, scale * base.scale, rtol=1e-6)
    np.testing.assert_allclose(moved.mean, 3.0 + scale * base.mean, rtol=1e-6)
    np.testing.assert_allclose(moved.transition, base.transition, atol=1e-6)


def test_states_are_numbered_by_spread_or_by_level_whatever_the_fit_began_with() -> None:
    values = simulate(800)[0]
    swapped = SwitchingParameters(
        mean=TRUTH.mean[::-1], scale=TRUTH.scale[::-1], transition=TRUTH.transition[::-1, ::-1]
    )
    p = fit_switching(values, start=swapped)
    assert p.scale[0] < p.scale[1]
    by_mean = fit_switching(values, order=Order.MEAN, start=swapped)
    assert by_mean.mean[0] < by_mean.mean[1]
    three = fit_switching(np.log(values**2), n_states=3, order=Order.MEAN)
    assert (np.diff(three.mean) > 0.0).all()


def test_a_model_that_cannot_be_fitted_says_why() -> None:
    with pytest.raises(NotEnoughHistoryError, match="needs 60 values, found 59"):
        fit_switching(np.random.default_rng(0).normal(size=59))
    with pytest.raises(InputError, match="values must vary"):
        fit_switching(np.ones(100))
    with pytest.raises(InputError, match="n_states must be at least 2, was 1"):
        fit_switching(simulate(100)[0], n_states=1)
    with pytest.raises(InputError, match="at least 1, were 0 and 5"):
        SwitchingFilter.fresh(n_states=2, first=0, every=5)


# --- in real time ------------------------------------------------------------------------------


def fresh(shocks: Shocks = Shocks.NORMAL) -> SwitchingFilter:
    return SwitchingFilter.fresh(n_states=2, first=250, every=100, shocks=shocks)


@pytest.fixture(scope="module")
def holed() -> Array:
    values = simulate(900)[0]
    values[[0, 10, 400, 401]] = np.nan
    return values


@pytest.fixture(scope="module")
def at_once(holed: Array) -> Array:
    return fresh().advance(holed)


def test_one_row_at_a_time_gives_the_same_bits(holed: Array, at_once: Array) -> None:
    part = fresh()
    rows = np.stack([part.update(value) for value in holed])
    np.testing.assert_array_equal(rows, at_once)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(0, 900), max_size=8))
def test_any_split_into_chunks_gives_the_same_bits(cuts: set[int]) -> None:
    values = simulate(900)[0]
    part = fresh()
    pieces = [part.advance(values[a:b]) for a, b in pairwise([0, *sorted(cuts), 900])]
    np.testing.assert_array_equal(np.concatenate(pieces), fresh().advance(values))


def test_filtered_regimes_ignore_the_future_and_see_it_when_it_has_come(
    holed: Array, at_once: Array
) -> None:
    shocked = holed.copy()
    shocked[600:] *= -5.0
    out = fresh().advance(shocked)
    np.testing.assert_array_equal(out[:600], at_once[:600])
    # A probability may stay at its bound to the last digits; nearly all must move.
    assert (np.abs(out - at_once)[600:, 1] > 1e-6).mean() > 0.95


def test_smoothed_regimes_do_see_the_future() -> None:
    # The negative control of the test above: a shock changes what was said before it.
    values = simulate(900)[0]
    shocked = values.copy()
    shocked[600:] *= -5.0
    base, after = (smoothed_probabilities(x, TRUTH) for x in (values, shocked))
    assert np.abs(after - base)[595:600].max() > 1e-3
    filtered = [filtered_probabilities(x, TRUTH)[:600] for x in (values, shocked)]
    np.testing.assert_array_equal(filtered[0], filtered[1])


def test_parameters_change_on_schedule_only_and_come_from_the_rows_before() -> None:
    values = simulate(700)[0]
    part, changed, last = fresh(), [], None
    for t, value in enumerate(values):
        part.update(value)
        if part.parameters is not last:
            changed.append(t)
            last = part.parameters
            assert last is not None
            if t == 250:
                alone = fit_switching(values[:250])
                np.testing.assert_array_equal(last.scale, alone.scale)
    assert changed == [250, 350, 450, 550, 650]


def test_a_young_history_is_fitted_again_when_it_has_doubled() -> None:
    history, due = GrowingHistory(first=10, every=35, width=1), []
    for _ in range(120):
        if not history.until_due:
            due.append(history.count)
            history.fitted()
        history.append(np.zeros((1, 1)))
    assert due == [10, 20, 40, 75, 110]


def test_between_refits_the_probabilities_are_those_of_the_plain_filter() -> None:
    values = simulate(700)[0]
    part = fresh()
    out = part.advance(values)
    assert part.parameters is not None
    plain = filtered_probabilities(values, part.parameters)
    np.testing.assert_array_equal(out[650:], plain[650:])
    assert np.isnan(out[:250]).all()


def test_a_price_that_does_not_move_has_no_regimes_until_it_does() -> None:
    values = np.r_[np.zeros(300), simulate(400)[0]]
    out = fresh().advance(values)
    assert np.isnan(out[:350]).all()
    assert np.isfinite(out[350:]).all()


@pytest.mark.slow
@pytest.mark.parametrize("shocks", Shocks)
def test_filtered_probabilities_beat_the_base_rate_by_half_against_the_known_truth(
    shocks: Shocks,
) -> None:
    values, state = simulate(4000, seed=11)
    probability = fresh(shocks).advance(values)[500:, 1]
    state = state[500:]
    climatology = state.mean() * (1.0 - state.mean())
    assert ((probability - state) ** 2).mean() < 0.5 * climatology
    assert roc_auc_score(state, probability) > 0.92
    # Calibrated: of the rows with about 0.3 to 0.7, between 0.3 and 0.7 are in the state.
    unsure = (probability > 0.3) & (probability < 0.7)
    assert 0.3 < state[unsure].mean() < 0.7
