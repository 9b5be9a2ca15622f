"""The rule: rises at once, falls after a while, and a sign of life."""

import pytest

from foremargin.errors import InputError
from foremargin.serving.publish import Due, Held, PublishRule

RULE = PublishRule(deviation_bps=10, heartbeat_s=900, quiet_s=60)


@pytest.fixture
def held(update, domain):
    last = update()  # (800, 500, 900, 600), calm, ok, valid for an hour
    return Held(update=last, digest=domain.digest(last))


def test_without_an_update_before_one_is_due(now) -> None:
    assert RULE.due((800, 500, 900, 600), None, regime=1, status=0, now=now) is Due.FIRST


@pytest.mark.parametrize(
    ("margins", "after_s", "due"),
    [
        ((800, 500, 900, 600), 0, None),
        ((810, 510, 910, 610), 0, None),
        ((811, 500, 900, 600), 0, Due.RISE),
        ((800, 511, 900, 600), 0, Due.RISE),
        ((700, 400, 800, 611), 0, Due.RISE),  # others fall
        ((790, 490, 890, 590), 60, None),
        ((800, 500, 900, 589), 59, None),
        ((800, 500, 900, 589), 60, Due.FALL),
        ((800, 500, 900, 600), 899, None),
        ((800, 500, 900, 600), 900, Due.HEARTBEAT),
    ],
)
def test_what_is_due(held, now, margins, after_s, due) -> None:
    assert RULE.due(margins, held, regime=1, status=0, now=now + after_s) is due


def test_another_regime_or_status_is_due_at_once(held, now) -> None:
    margins = held.update.margins
    assert RULE.due(margins, held, regime=2, status=0, now=now) is Due.REGIME
    assert RULE.due(margins, held, regime=1, status=1, now=now) is Due.STATUS


def test_a_heartbeat_comes_at_half_the_validity_at_the_latest(held, now) -> None:
    slow = PublishRule(heartbeat_s=10_000)
    margins = held.update.margins
    assert slow.due(margins, held, regime=1, status=0, now=now + 1_799) is None
    assert slow.due(margins, held, regime=1, status=0, now=now + 1_800) is Due.HEARTBEAT


@pytest.mark.parametrize("changes", [{"deviation_bps": -1}, {"quiet_s": -1}, {"heartbeat_s": 0}])
def test_a_rule_must_be_one(changes) -> None:
    with pytest.raises(InputError, match="deviation_bps and quiet_s must be at least 0"):
        PublishRule(**changes)
