"""The jump model: brute force over all paths, known truth, and the forward half alone online."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.errors import InputError, NotEnoughHistoryError
from foremargin.features.regimes import (
    DownsideFeatures,
    JumpFilter,
    fit_jump_model,
    online_states,
)
from foremargin.features.regimes.jump_model import best_path, cost_forward

Array = NDArray[np.float64]


def simulate(
    n: int = 1600, *, seed: int = 0, calm: int = 300, wild: int = 100
) -> tuple[Array, Array]:
    """Returns whose volatility is 1 % in calm and 3 % in wild stretches of given lengths."""
    state = np.resize(np.repeat([0.0, 1.0], [calm, wild]), n)
    shock = np.random.default_rng(seed).normal(size=n)
    return (0.0005 - 0.0025 * state) + (0.01 + 0.02 * state) * shock, state


def cost_of(path: tuple[int, ...], loss: Array, penalty: float) -> float:
    jumps = sum(a != b for a, b in pairwise(path))
    return float(loss[np.arange(len(path)), list(path)].sum()) + penalty * jumps


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    penalty=st.sampled_from([0.0, 0.3, 1.0, 5.0]),
    n_states=st.sampled_from([2, 3]),
)
def test_dynamic_programming_finds_the_cheapest_of_all_paths(
    seed: int, penalty: float, n_states: int
) -> None:
    loss = np.random.default_rng(seed).exponential(size=(7, n_states))
    costs = {path: cost_of(path, loss, penalty) for path in product(range(n_states), repeat=7)}
    found = tuple(int(s) for s in best_path(loss, penalty))
    np.testing.assert_allclose(costs[found], min(costs.values()), rtol=1e-12)


def test_the_state_of_a_row_is_the_end_of_the_cheapest_path_up_to_it() -> None:
    returns, _ = simulate()
    features = DownsideFeatures.fresh(periods_per_day=1.0).advance(returns)[100:]
    fitted = fit_jump_model(features, jump_penalty=3.0)
    online = online_states(features[:60], fitted)
    loss = fitted.loss(features)
    for t in (1, 5, 9):
        paths = product(range(2), repeat=t + 1)
        cheapest = min(paths, key=lambda path: cost_of(path, loss[: len(path)], 3.0))
        assert online[t] == cheapest[-1]
    for t in (20, 59):
        assert online[t] == best_path(loss[: t + 1], 3.0)[-1]


def test_a_larger_penalty_jumps_less_and_none_at_all_is_clustering() -> None:
    returns, _ = simulate()
    features = DownsideFeatures.fresh(periods_per_day=1.0).advance(returns)[100:]
    jumps = []
    for penalty in (0.0, 5.0, 50.0, 1e6):
        states = online_states(features, fit_jump_model(features, jump_penalty=penalty))
        jumps.append(int((np.diff(states) != 0).sum()))
    assert jumps == sorted(jumps, reverse=True)
    assert jumps[0] > 2 * jumps[1]
    assert jumps[-1] == 0
    plain = fit_jump_model(features, jump_penalty=0.0)
    np.testing.assert_array_equal(
        online_states(features, plain), plain.loss(features).argmin(axis=1)
    )


def test_the_stressed_state_has_the_larger_downside_deviation() -> None:
    returns, _ = simulate()
    features = DownsideFeatures.fresh(periods_per_day=1.0).advance(returns)[100:]
    for n_states in (2, 3):
        fitted = fit_jump_model(features, jump_penalty=5.0, n_states=n_states)
        assert (np.diff(fitted.centres[:, 0]) > 0.0).all()


def test_downside_features_are_weighted_means() -> None:
    returns, _ = simulate(300)
    features = DownsideFeatures.fresh(periods_per_day=1.0).advance(returns)
    age = np.arange(300)[::-1]
    for column, half_life in ((0, 5.0), (1, 20.0), (2, 20.0)):
        weight = 0.5 ** (age / half_life)
        risk = np.sqrt(np.average(np.minimum(returns, 0.0) ** 2, weights=weight))
        wanted = np.log(risk) if column < 2 else np.average(returns, weights=weight) / risk
        np.testing.assert_allclose(features[-1, column], wanted, rtol=1e-9)


def test_long_regimes_are_found_in_real_time() -> None:
    returns, state = simulate(4000, seed=5)
    out = JumpFilter.fresh(first=600, every=200).advance(returns)[800:]
    accuracy = (out[:, 0] == state[800:]).mean()
    # 16 changes in 3,200 rows; each is seen some twenty rows after it happened.
    assert accuracy > 0.82
    assert np.abs(np.diff(out[:, 0])).sum() < 26
    assert (np.sign(out[:, 1]) == np.where(out[:, 0] == 1.0, 1.0, -1.0)).mean() > 0.99
    assert np.abs(out[:, 1]).max() <= 1.0


def test_states_do_not_depend_on_the_unit_of_returns() -> None:
    returns, _ = simulate()
    base, scaled = (
        JumpFilter.fresh(first=300, every=200).advance(x) for x in (returns, 7 * returns)
    )
    np.testing.assert_array_equal(scaled[:, 0], base[:, 0])
    np.testing.assert_allclose(scaled[:, 1], base[:, 1], atol=1e-9)


def test_one_row_at_a_time_gives_the_same_bits() -> None:
    returns, _ = simulate(900)
    returns[[3, 500]] = np.nan
    whole, part = (
        JumpFilter.fresh(first=300, every=200).advance(returns),
        JumpFilter.fresh(first=300, every=200),
    )
    np.testing.assert_array_equal(np.stack([part.update(x) for x in returns]), whole)


@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(0, 900), max_size=8))
def test_any_split_into_chunks_gives_the_same_bits(cuts: set[int]) -> None:
    returns, _ = simulate(900)
    part = JumpFilter.fresh(first=300, every=200)
    pieces = [part.advance(returns[a:b]) for a, b in pairwise([0, *sorted(cuts), 900])]
    whole = JumpFilter.fresh(first=300, every=200).advance(returns)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_after_a_fit_the_past_is_run_through_once_more() -> None:
    returns, _ = simulate(900)
    part = JumpFilter.fresh(first=300, every=200)
    out = part.advance(returns)
    features = DownsideFeatures.fresh(periods_per_day=1.0).advance(returns)
    known = np.isfinite(features).all(axis=1)
    assert part.parameters is not None
    loss = part.parameters.loss(features[known])
    costs = np.empty(loss.shape)
    cost_forward(loss, part.jump_penalty, np.zeros(2), costs)
    lead = np.clip((costs[:, 0] - costs[:, 1]) / part.jump_penalty, -1.0, 1.0)
    # Fits are due after 300, 500 and 700 known rows.
    np.testing.assert_array_equal(out[known][700:, 1], lead[700:])
    assert (lead[700:710] != lead[700]).any()


def test_states_ignore_the_future_and_see_it_when_it_has_come() -> None:
    returns, _ = simulate(900)
    shocked = returns.copy()
    shocked[700:] *= -6.0
    base, after = (JumpFilter.fresh(first=300, every=200).advance(x) for x in (returns, shocked))
    np.testing.assert_array_equal(after[:700], base[:700])
    assert (after[720:, 1] != base[720:, 1]).mean() > 0.3


def test_the_path_of_the_fit_does_see_the_future() -> None:
    # The negative control: dynamic programming over the sample revises what it said before.
    returns, _ = simulate(900)
    features = DownsideFeatures.fresh(periods_per_day=1.0).advance(returns)[100:]
    fitted = fit_jump_model(features, jump_penalty=20.0)
    loss = fitted.loss(features)
    full = best_path(loss, 20.0)
    revised = [(best_path(loss[: t + 1], 20.0) != full[: t + 1]).any() for t in range(20, 790)]
    assert any(revised)


def test_a_model_that_cannot_be_fitted_says_why() -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(NotEnoughHistoryError, match="needs 60 rows, found 50"):
        fit_jump_model(x[:50], jump_penalty=5.0)
    with pytest.raises(InputError, match=r"must not be negative .* were -1\.0 and 2"):
        fit_jump_model(x, jump_penalty=-1.0)
    with pytest.raises(InputError, match=r"were 5\.0 and 1"):
        fit_jump_model(x, jump_penalty=5.0, n_states=1)
    with pytest.raises(InputError, match="at least 1, were 300 and 0"):
        JumpFilter.fresh(first=300, every=0)
