"""The price cap of 10 March 2026: a ratio and its time moved by different shares of their way.

Published (Aave governance, thread 24269): the ratio could rise by 3 % in 3 days, from 1.1572 to
about 1.1919 and not to 1.2282, while its time went to seven days ago; the cap stood at 1.1939, the
market at 1.2288, which is 2.85 % more; 10,938 wstETH of 34 accounts were liquidated.

Not in the report, and derived here: the yearly growth, from the cap's growth over the seven days;
and the time of the old ratio, from the cap not having been below the market before.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from foremargin.calibrate.updates import (
    CAP_KINDS,
    Kind,
    Limit,
    Parameter,
    RateLimits,
    Reason,
    Step,
    preflight,
    staged_plan,
)

DAY = 24 * 3600
NOW = 1_773_100_800  # 10 March 2026, 00:00 UTC; only differences matter
MARKET = np.array([1.2288])  # ETH for one wstETH
RATIO, SINCE, GROWTH = (Parameter("wstETH", kind) for kind in CAP_KINDS)
OLD, TARGET, CAP = Fraction("1.1572"), Fraction("1.2282"), Fraction("1.1939")
LIMITS = RateLimits(
    by_kind={Kind.SNAPSHOT_RATIO: Limit(rise=Step(basis_points=300), delay_s=3 * DAY)}
)


def implied_growth(cap: Fraction) -> Fraction:
    """Yearly growth with which 1.1572 * 1.03 reaches a cap in seven days."""
    return (cap / (OLD * Fraction("1.03")) - 1) * 365 / 7


GROWTH_BPS = round(implied_growth(CAP) * 10_000)


@pytest.fixture
def before(state, margins):
    """The state before: its cap, 262 days after the snapshot, is just above the market."""
    held = {RATIO: Kind.SNAPSHOT_RATIO.whole(OLD), SINCE: NOW - 262 * DAY, GROWTH: GROWTH_BPS}
    return state({**margins(700, 500, name="wstETH"), **held}, effective=NOW - 30 * DAY)


@pytest.fixture
def asked(update):
    """The update that was sent."""
    return update(
        {RATIO: Kind.SNAPSHOT_RATIO.whole(TARGET), SINCE: NOW - 7 * DAY},
        announced=NOW,
        effective=NOW,
        expiry=NOW + 6 * 3600,
    )


@pytest.fixture
def borrowers(accounts):
    """34 loans in ETH against 10,938 wstETH together, leveraged and healthy at the market."""
    size = 10_938 / 34
    owed = np.linspace(0.925, 0.949, 34) * size * MARKET[0]  # liquidation threshold: 95 %
    return accounts(-owed, [[size]] * 34, ("wstETH",))


def test_the_published_figures_follow_from_each_other() -> None:
    # +3 % once: 1.191916, published as about 1.1919.
    assert round(float(OLD * Fraction("1.03")), 4) == 1.1919
    # The cap, rounded to four digits, leaves a growth between 8.5 % and 8.9 % a year.
    half = Fraction("0.00005")
    low, high = (float(implied_growth(CAP + sign * half)) for sign in (-1, 1))
    assert (round(low, 3), round(high, 3)) == (0.085, 0.089)
    assert GROWTH_BPS == 868
    # 2.84 % from the rounded figures. The 2.85 % is within their rounding, at its edge.
    assert round(float(1 - CAP / Fraction("1.2288")), 4) == 0.0284
    assert round(float(1 - (CAP - half) / (Fraction("1.2288") + half)), 4) == 0.0285
    # The whole target would have been harmless: its cap is above the market.
    grown = TARGET * (1 + Fraction(GROWTH_BPS, 10_000) * 7 / 365)
    assert round(float(grown), 4) == 1.2302


def test_the_update_as_it_was_sent_is_refused_for_both_reasons(before, asked, borrowers) -> None:
    report: Any = preflight(asked, borrowers, before, LIMITS, MARKET)
    assert report.reasons == (Reason.UNEQUAL_SHARES, Reason.LIQUIDATES)
    # What the consumer would have ended up with is what it did end up with.
    assert report.outcome.result[RATIO] == 1_191_916_000_000_000_000
    assert report.outcome.result[SINCE] == NOW - 7 * DAY
    prices = report.prices.loc["wstETH"]
    assert (prices["market"], prices["before"]) == (1.2288, 1.2288)
    assert round(prices["after"], 4) == 1.1939
    assert round(prices["below_market"], 4) == 0.0284
    # 34 accounts with 10,938 wstETH, worth 1.1939 ETH each under the cap.
    assert len(report.liquidated) == 34
    assert report.liquidated.notional.sum() / prices["after"] == pytest.approx(10_938, rel=1e-12)


def test_it_is_refused_without_any_accounts_too(before, asked, accounts) -> None:
    report: Any = preflight(asked, accounts([], [], ("wstETH",)), before, LIMITS, MARKET)
    assert report.reasons == (Reason.UNEQUAL_SHARES,)
    assert "snapshot-ratio by 48.9% and wstETH snapshot-time by 100.0%" in str(report.refusals[0])


def test_both_parameters_moved_by_the_same_share_pass(before, asked, borrowers) -> None:
    refused: Any = preflight(asked, borrowers, before, LIMITS, MARKET)
    assert refused.safe_fraction == Fraction(3, 100) * OLD / (TARGET - OLD)
    report: Any = preflight(refused.safe_update, borrowers, before, LIMITS, MARKET)
    assert report.accepted
    assert report.outcome.whole
    assert report.outcome.result[RATIO] == refused.outcome.result[RATIO]
    assert report.prices.loc["wstETH", "after"] == 1.2288  # the cap does not bind


def test_the_whole_update_passes_with_a_consumer_that_takes_it_whole(
    before, asked, borrowers
) -> None:
    assert preflight(asked, borrowers, before, RateLimits(), MARKET).accepted


def test_a_plan_arrives_in_three_steps_of_three_days(before, asked, borrowers) -> None:
    plan: Any = staged_plan(asked, borrowers, before, LIMITS, MARKET, notice_s=0)
    assert plan.complete
    assert [r.update.effective for r in plan.stages] == [NOW, NOW + 3 * DAY, NOW + 6 * DAY]
    ratios = [r.outcome.result[RATIO] for r in plan.stages]
    # 1.1572 * 1.03² is 1.22767 and still short of 1.2282.
    assert [round(ratio / 1e18, 5) for ratio in ratios] == [1.19192, 1.22767, 1.2282]
    assert plan.state.values[SINCE] == NOW - 7 * DAY
    assert all(r.accepted and r.outcome.whole for r in plan.stages)
