"""The trial on accounts: the case of 10 March 2026, in which a cap and its time parted, is refused.

The figures are those of ``tests/calibrate/updates/test_capo.py``: a ratio that may rise by 3 % in 3
days, sent from 1.1572 to 1.2282 with a time seven days back; 34 loans against 10,938 wstETH.
"""

from fractions import Fraction

import numpy as np
import pytest

from foremargin.calibrate.updates import (
    CAP_KINDS,
    Accounts,
    Kind,
    Limit,
    Parameter,
    ParameterState,
    RateLimits,
    Step,
)
from foremargin.serving.publish import PREFLIGHT, Ledger, Market, Publisher
from foremargin.serving.publish.accounts import AccountsPreflight

DAY = 86_400
MARKET = np.array([1.2288])
RATIO, SINCE, GROWTH = (Parameter("wstETH", kind) for kind in CAP_KINDS)
LIMITS = RateLimits(
    by_kind={Kind.SNAPSHOT_RATIO: Limit(rise=Step(basis_points=300), delay_s=3 * DAY)}
)


@pytest.fixture
def trial(now):
    margins = {Kind.INITIAL_MARGIN: 700, Kind.MAINTENANCE_MARGIN: 500}
    values = {
        Parameter("wstETH", kind, side): units
        for kind, units in margins.items()
        for side in ("long", "short")
    }
    cap = {RATIO: Kind.SNAPSHOT_RATIO.whole(1.1572), SINCE: now - 262 * DAY, GROWTH: 868}
    size = 10_938 / 34
    borrowers = Accounts(
        instruments=("wstETH",),
        cash=-np.linspace(0.925, 0.949, 34) * size * MARKET[0],
        start=np.arange(35),
        instrument=np.zeros(34, dtype=np.int64),
        quantity=np.full(34, size),
    )
    state = ParameterState(values={**values, **cap}, effective=now - 30 * DAY)
    return AccountsPreflight(borrowers, state, LIMITS, MARKET)


@pytest.fixture
def plan(trial, domain, signers, quote, now):
    """Plan the margins 7 % and 5 % of wstETH, or others."""

    def make(margins=(700, 500, 700, 500), *, at=now, publisher=None):
        market = Market(instrument="wstETH")
        publisher = publisher or Publisher(Ledger(domain), [market], signers[0], preflight=trial)
        return publisher.plan([quote(margins, name="wstETH", at=at)], now=at * 10**9)

    return make


def reasons(plan):
    assert all(report.code == PREFLIGHT for report in plan.reports)
    return [report.message.split(":")[0] for report in plan.reports]


def test_the_update_of_10_march_2026_is_not_signed(trial, plan, now) -> None:
    target = Kind.SNAPSHOT_RATIO.whole(1.2282)
    trial.along = {"wstETH": {RATIO: target, SINCE: now - 7 * DAY}}
    made = plan()
    assert (made.record, made.updates) == (b"", {})
    assert reasons(made) == ["unequal-shares", "liquidates"]
    assert "snapshot-ratio by 48.9% and wstETH snapshot-time by 100.0%" in made.reports[0].message
    assert "found 34 with positions of 13,059" in made.reports[1].message


def test_the_same_share_of_both_is_signed(trial, plan, now) -> None:
    share = Fraction("1.1572") * Fraction("0.03") / (Fraction("1.2282") - Fraction("1.1572"))
    since = now - 262 * DAY + -(-share * 255 * DAY // 1)
    reached = Kind.SNAPSHOT_RATIO.whole(Fraction("1.1572") * Fraction("1.03"))
    trial.along = {"wstETH": {RATIO: reached, SINCE: since}}
    assert list(plan().updates) == ["wstETH"]


def test_margins_alone_are_signed_if_nobody_is_liquidated_by_them(trial, plan) -> None:
    assert list(plan().updates) == ["wstETH"]
    assert reasons(plan((900, 500, 900, 500))) == []
    assert reasons(plan((900, 520, 900, 500))) == ["liquidates"]  # the highest loan: 94.9 %


def test_updates_are_tried_from_the_margins_that_were_signed_last(
    trial, plan, domain, signers, now
) -> None:
    # 95.5 %: liquidatable at the 5 % of the state, healthy at the 4 % that are signed first.
    trial.accounts = Accounts(
        instruments=("wstETH",),
        cash=np.array([-0.955 * MARKET[0]]),
        start=np.array([0, 1]),
        instrument=np.array([0]),
        quantity=np.array([1.0]),
    )
    market = Market(instrument="wstETH")
    publisher = Publisher(Ledger(domain), [market], signers[0], preflight=trial)
    publisher.commit(plan((700, 400, 700, 400), publisher=publisher))
    back = (700, 500, 700, 500)
    assert reasons(plan(back, at=now + 60, publisher=publisher)) == ["liquidates"]
    assert reasons(plan(back)) == []


def test_what_cannot_be_tried_is_not_signed(trial, plan) -> None:
    trial.prices = np.array([np.nan])
    made = plan()
    assert made.updates == {}
    assert [report.code for report in made.reports] == [PREFLIGHT]
    assert "prices must be positive and finite, wstETH was nan" in made.reports[0].message
