"""Fixed point: exact from the shortest decimal, and rounded towards safety."""

from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.serving.publish import margin_update, market_id, whole
from foremargin.serving.publish.update import UNKNOWN_64, UNKNOWN_128
from foremargin.serving.quote import Status

NUMBERS = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)
E18 = 10**18


@given(value=NUMBERS | st.floats(0.0, 1.0))
def test_it_is_the_shortest_decimal_rounded_to_the_unit(value) -> None:
    exact = Fraction(Decimal(repr(value))) * E18
    assert whole(value, up=True) == ceil(exact)
    assert whole(value, up=False) == floor(exact)


def test_the_callers_decimal_context_does_not_matter() -> None:
    with localcontext() as context:
        context.prec = 3
        assert whole(12.345678901234567, up=True) == 12_345_678_901_234_567_000


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [
        (0.07, 70_000_000_000_000_000, 70_000_000_000_000_000),  # in binary a little above
        (0.1 + 0.2, 300_000_000_000_000_040, 300_000_000_000_000_040),
        (0.000123456789012345678, 123_456_789_012_345, 123_456_789_012_346),
        (5e-324, 0, 1),
        (1e-18, 1, 1),
        (1.0000000000000002, 1_000_000_000_000_000_200, 1_000_000_000_000_000_200),
        (0.0, 0, 0),
        (-0.0, 0, 0),
        (1e22, 10**40, 10**40),
        (np.float64(0.25), E18 // 4, E18 // 4),
        (3, 3 * E18, 3 * E18),
    ],
)
def test_vectors(value, down, up) -> None:
    assert (whole(value, up=False), whole(value, up=True)) == (down, up)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-300])
def test_what_is_not_finite_or_negative_is_refused(value) -> None:
    with pytest.raises(InputError, match="a number must be finite and at least 0 to be published"):
        whole(value, up=True)


def test_a_quote_becomes_whole_numbers(quote, now) -> None:
    changes = {"sigma_lower": 1.23456789012345678e-5, "sigma_upper": 1.23456789012345678e-1}
    made = quote(calculation={"sigma": 1.23456789012345678e-4, **changes}, regime="stressed")
    update = margin_update(made, seq=7, epoch=2, prev_seq=6, prev_digest=b"\5" * 32)
    assert update.market_id == market_id("BTC")
    assert update.margins == (800, 500, 900, 600)
    assert update.sigma_lower_e18 == 12_345_678_901_234  # down
    assert update.sigma_e18 == 123_456_789_012_346  # up
    assert update.sigma_upper_e18 == 123_456_789_012_345_680
    assert (update.stress_e18, update.liquidity_cost_e18) == (7 * 10**16, 4 * 10**14)
    assert update.liquidity_stress_e18 == UNKNOWN_64
    assert (update.regime, update.status, update.horizon_s) == (3, 0, 86_400)
    assert (update.observation_time, update.valid_from) == (now - 10, now)
    assert update.valid_until == now + 3_600
    assert (update.prev_seq, update.seq, update.epoch) == (6, 7, 2)
    assert (update.prev_digest, update.model_digest) == (b"\5" * 32, b"\xab" * 32)
    assert update.evidence_root == bytes(32)


def test_times_are_rounded_down(quote, now) -> None:
    late = {name: (now + k) * 10**9 + 999_999_999 for k, name in enumerate(("observed_at",))}
    update = margin_update(quote(**late, valid_until=(now + 60) * 10**9 - 1), seq=1, epoch=1)
    assert (update.observation_time, update.valid_until) == (now, now + 59)


def test_a_fixed_margin_says_that_nothing_is_known(quote) -> None:
    fixed = quote(calculation=None, status=Status.FALLBACK, observed_at=0)
    update = margin_update(fixed, seq=1, epoch=1)
    interval = update.sigma_lower_e18, update.sigma_e18, update.sigma_upper_e18
    assert interval == (0, UNKNOWN_128, UNKNOWN_128)
    assert update.stress_e18 == update.liquidity_cost_e18 == UNKNOWN_64
    assert (update.regime, update.status, update.horizon_s) == (0, 3, 0)
    assert update.model_digest == bytes(32)


def test_evidence_goes_with_the_bundle(quote) -> None:
    roots = {"ab" * 32: b"\7" * 32, "cd" * 32: b"\x08" * 32}
    assert margin_update(quote(), seq=1, epoch=1, evidence=roots).evidence_root == b"\7" * 32


@pytest.mark.parametrize(
    ("calculation", "message"),
    [
        ({"regime": "mad"}, "regime must be one of .* was 'mad'"),
        ({"bundle": "abcd"}, "a bundle must be named by 64 hexadecimal digits, was 'abcd'"),
        ({"sigma": float("nan")}, "a number must be finite .* was nan"),
        ({"stress_probability": float("inf")}, "a number must be finite .* was inf"),
    ],
)
def test_what_cannot_be_said_is_an_error(quote, calculation, message) -> None:
    with pytest.raises(InputError, match=message):
        margin_update(quote(calculation=calculation), seq=1, epoch=1)
