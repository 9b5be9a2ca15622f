"""What needs no model knows the past of its own instrument, and nothing else."""

import numpy as np
import pytest

from foremargin.backtest import REGIME_REFERENCES, naive_regimes
from foremargin.backtest.naive_regimes import FEWEST_OUTCOMES

N_ORIGINS = 240
HORIZON = 3
INSTRUMENT = np.tile([0, 1], N_ORIGINS)


def path(seed=4):
    """Regimes that last; those of the second instrument are unknown at times."""
    rng = np.random.default_rng(seed)
    each = np.empty((N_ORIGINS + HORIZON, 2))
    each[0] = 0
    for t in range(1, len(each)):
        jump = rng.random(2) < 0.2
        each[t] = np.where(jump, rng.integers(0, 3, 2), each[t - 1])
    regime, now = each[HORIZON:].copy(), each[:-HORIZON].copy()
    regime[rng.random(N_ORIGINS) < 0.1, 1] = np.nan
    now[5:9, 1] = np.nan
    return regime.ravel(), now.ravel()


@pytest.fixture(scope="module")
def said():
    regime, now = path()
    return naive_regimes(regime, now, INSTRUMENT, horizon=HORIZON)


def own_past(row):
    """Rows of the same instrument whose outcome had ended by this row."""
    return np.arange(row % 2, row - 2 * HORIZON + 1, 2)


def test_every_reference_is_there(said):
    assert tuple(said) == REGIME_REFERENCES


def test_climatology_is_the_shares_of_what_had_come(said):
    regime, _ = path()
    checked = 0
    for row in range(len(regime)):
        came = regime[own_past(row)]
        came = came[np.isfinite(came)].astype(int)
        got = said["climatology"][row]
        if len(came) < FEWEST_OUTCOMES:
            assert np.isnan(got).all()
            continue
        np.testing.assert_allclose(got, np.bincount(came, minlength=3) / len(came), rtol=1e-12)
        checked += 1
    assert checked > 300


def test_persistence_is_sure_of_the_present(said):
    _, now = path()
    known = np.isfinite(now)
    np.testing.assert_array_equal(said["persistence"][known], np.eye(3)[now[known].astype(int)])
    assert np.isnan(said["persistence"][~known]).all()


def test_transitions_are_what_followed_the_same_regime_drawn_to_climatology(said):
    regime, now = path()
    checked = 0
    for row in range(len(regime)):
        past = own_past(row)
        similar = past[now[past] == now[row]]
        came = regime[similar]
        counts = np.bincount(came[np.isfinite(came)].astype(int), minlength=3)
        wanted = (counts + 20 * said["climatology"][row]) / (counts.sum() + 20)
        if np.isnan(now[row]):
            wanted[:] = np.nan
        np.testing.assert_allclose(said["transitions"][row], wanted, rtol=1e-12)
        checked += np.isfinite(wanted).all()
    assert checked > 300


@pytest.mark.parametrize("reference", REGIME_REFERENCES)
def test_the_future_changes_nothing(said, reference):
    regime, now = path()
    origin = 200
    # Outcomes of origins from here on end after it.
    regime[2 * (origin - HORIZON + 1) :] = 2 - regime[2 * (origin - HORIZON + 1) :]
    now[2 * (origin + 1) :] = 2 - now[2 * (origin + 1) :]
    shocked = naive_regimes(regime, now, INSTRUMENT, horizon=HORIZON)[reference]
    np.testing.assert_array_equal(shocked[: 2 * (origin + 1)], said[reference][: 2 * (origin + 1)])
    after = slice(2 * (origin + 1), None)
    assert not np.array_equal(shocked[after], said[reference][after], equal_nan=True)


def test_probabilities_sum_to_one(said):
    for values in said.values():
        total = values.sum(axis=1)
        np.testing.assert_allclose(total[np.isfinite(total)], 1.0, rtol=1e-12)


def test_without_regimes_nothing_is_known():
    nothing = np.full(4, np.nan)
    for values in naive_regimes(nothing, nothing, np.zeros(4, int), horizon=10).values():
        assert values.shape == (4, 3)
        assert np.isnan(values).all()
