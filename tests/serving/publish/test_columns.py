"""Many quotes at once say what they say one by one, to the last byte."""

import math
import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.serving.publish import (
    LIMITED,
    NOT_CONVERTIBLE,
    Check,
    Due,
    Ledger,
    Limits,
    Market,
    Publisher,
    PublishRule,
    RegimeLimit,
    batch_json,
    updates_json,
    whole,
)
from foremargin.serving.publish import draft as draft_module
from foremargin.serving.publish.decimals import decimals
from foremargin.serving.quote import Quote, Status

SECOND = 10**9
N = 120
STEP = RegimeLimit(rise_bps=100, fall_bps=50, period_s=60)
TIGHT = Limits(floor_bps=50, cap_bps=2_000, max_age_s=600, calm=STEP, elevated=STEP)
RULES = (PublishRule(), PublishRule(deviation_bps=2**70, heartbeat_s=2**70, quiet_s=2**70))
MARKETS = [
    Market(instrument=f"I{k:03d}", limits=(Limits(), TIGHT)[k % 2], rule=RULES[k % 7 == 0])
    for k in range(N)
]
EVIDENCE = {"cd" * 32: b"\5" * 32}
USUAL = st.floats(min_value=1e-5, max_value=1.0, exclude_max=True)


# ------------------------------------------------------------------- numbers


@given(values=st.lists(st.floats() | USUAL | st.none(), min_size=1, max_size=40))
def test_decimals_are_those_of_one_number_at_a_time(values) -> None:
    found = decimals(values)
    for k, value in enumerate(values):
        assert found.known[k] == (value is not None)
        if value is not None and found.usual[k]:
            assert found.down[k] == whole(value, up=False)
            assert found.up[k] == whole(value, up=True)


@given(values=st.lists(USUAL, min_size=1, max_size=40))
def test_fractions_that_are_not_tiny_are_usual(values) -> None:
    assert decimals([0.0, *values, None]).usual.all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.25, 1.0, 12, 5e-324])
def test_other_numbers_are_not_usual_and_spare_their_neighbours(value) -> None:
    found = decimals([0.25, value, 0.5])
    assert found.usual.tolist() == [True, False, True]
    assert found.down.tolist() == [whole(0.25, up=True), 0, whole(0.5, up=True)]


def test_rounding_is_towards_safety() -> None:
    found = decimals([0.000123456789012345678, 0.07])
    assert found.down.tolist() == [123_456_789_012_345, 70_000_000_000_000_000]
    assert found.up.tolist() == [123_456_789_012_346, 70_000_000_000_000_000]


# -------------------------------------------------------------------- quotes

ODD: dict[str, dict[str, Any]] = {
    "no calculation": {"calculation": None, "status": Status.FALLBACK},
    "not a number": {"calculation": {"sigma": math.nan}},
    "a cost that is not finite": {"calculation": {"liquidity_cost": math.inf}},
    "outside its interval": {"calculation": {"sigma_upper": 0.001}},
    "below its interval": {"calculation": {"sigma_lower": 0.9}},
    "a large volatility": {"calculation": {"sigma": 1.25, "sigma_upper": 3.5}},
    "no interval": {"calculation": {"sigma_lower": None, "sigma_upper": None}},
    "a tiny cost": {"calculation": {"liquidity_cost": 1.5e-19}},
    "a large probability": {"calculation": {"stress_probability": 1.0}},
    "no bundle": {"calculation": {"bundle": ""}},
    "a bundle with evidence": {"calculation": {"bundle": "cd" * 32}},
    "a bundle that is none": {"calculation": {"bundle": "champion"}},
    "an unknown regime": {"calculation": {"regime": "unknown"}},
    "a regime that is none": {"calculation": {"regime": "wild"}},
    "an endless horizon": {"calculation": {"horizon_s": 2**32}},
}


def random_quote(quote, rng, name, at, row):
    """A quote that is usual, most of the time."""
    initial = [rng.randrange(300, 1_200) for _ in range(2)]
    margins = [m for i in initial for m in (i, i - rng.randrange(200))]
    changes = {
        "sequence": row + 1,
        "regime": rng.choice(("calm", "calm", "elevated", "stressed")),
        "status": rng.choice((Status.OK, Status.OK, Status.OK, Status.DEGRADED)),
        "calculation": {
            "sigma": 10 ** rng.uniform(-4, -0.3),
            "sigma_lower": 0.0,
            "sigma_upper": 0.9,
            "stress_probability": rng.choice((None, rng.random())),
            "liquidity_cost": rng.random() * 10 ** -rng.uniform(0, 3),
        },
    }
    made = at - rng.choice((0, 0, 0, 30))
    odd = rng.random()
    if odd < 0.15:
        changes = {**changes, **ODD[rng.choice(sorted(ODD))]}
    elif odd < 0.25:
        times = {
            "observed_at": (made + 5) * SECOND,
            "quoted_at": (made + 60) * SECOND,
            "valid_until": made * SECOND,
        }
        field = rng.choice(sorted(times))
        changes[field] = times[field]
    elif odd < 0.4:
        margins[rng.randrange(4)] = rng.choice((-1, 0, 10, 1_500, 2_500, 10_001, 2**33))
    elif odd < 0.43:
        margins[1] = margins[0] + 1
    return quote(margins, at=made, name=name, **changes)


def published(quote, rng, last, at, row):
    """New quotes of most markets, an old one of some, a little one of others."""
    quotes = dict(last)
    for market in MARKETS:
        name, chance = market.instrument, rng.random()
        if name in last and chance < 0.2:
            old = last[name]
            later = {"sequence": row + 1, "valid_until": old.valid_until + 60 * SECOND}
            quotes[name] = msgspec.structs.replace(old, **later) if chance < 0.1 else old
        else:
            quotes[name] = random_quote(quote, rng, name, at, row)
    return quotes


def run(publisher, quote, *, seed, rows=8):
    """Everything that comes of some rows."""
    rng, last, said = random.Random(seed), dict[str, Quote](), list[object]()
    at, key = 4_000_000_000, publisher._signer
    for row in range(rows):
        at += rng.choice((20, 600, 900, 1_000, 4_000))
        last = published(quote, rng, last, at, row)
        strange = quote(name="NONE", at=at)
        plan = publisher.plan([*last.values(), strange], now=at * SECOND + rng.randrange(SECOND))
        batch = publisher.commit(plan)
        text = None if batch is None else batch_json(batch)
        if batch is not None:
            assert text == batch_json(batch, updates_json(dict(batch.updates), batch.levels))
        said += [plan.record, plan.digests, plan.due, plan.levels, plan.batch, plan.reports, text]
        said += [list(plan.updates.items()), publisher.snapshot(), publisher.batch()]
        if row == 3:
            publisher.pause("I004")
        if row == 5:
            publisher.commit(publisher.rotate(key))
    return said


@pytest.fixture
def make(domain, signers):
    return lambda: Publisher(Ledger(domain), MARKETS, signers[0], evidence=EVIDENCE)


@pytest.mark.parametrize("seed", range(6))
def test_columns_say_what_one_by_one_says(make, quote, monkeypatch, seed) -> None:
    columns = run(make(), quote, seed=seed)
    monkeypatch.setattr(draft_module, "_MANY", 10**9)
    assert columns == run(make(), quote, seed=seed)


def test_the_comparison_meets_every_reason_and_columns_do_most_of_it(
    make, quote, monkeypatch
) -> None:
    alone, inner = Counter[int](), draft_module.Drafter.draft

    def counted(self, one, *, now):
        alone[now] += 1
        return inner(self, one, now=now)

    monkeypatch.setattr(draft_module.Drafter, "draft", counted)
    said = [run(make(), quote, seed=seed) for seed in range(6)]
    dues = {due for one in said for plan in one[2::10] for due in plan.values()}
    codes = {report.code for one in said for reports in one[5::10] for report in reports}
    assert dues == set(Due)
    assert codes >= {
        NOT_CONVERTIBLE,
        LIMITED,
        Check.INCONSISTENT,
        Check.OUT_OF_BOUNDS,
        Check.PAUSED,
    }
    assert codes >= {Check.NOT_YET_VALID, Check.EXPIRED, Check.TOO_OLD, Check.BAD_TIMES}
    assert sum(alone.values()) < 0.6 * 6 * 8 * N


def test_a_row_of_usual_quotes_asks_for_none_alone(make, quote, now, monkeypatch) -> None:
    publisher = make()
    names = [market.instrument for market in MARKETS]
    publisher.commit(publisher.plan([quote(name=n) for n in names], now=now * SECOND))
    monkeypatch.delattr(draft_module.Drafter, "draft")
    later = now + 900
    quotes = [quote((820, 510, 910, 640), name=n, at=later) for n in names]
    plan = publisher.plan(quotes, now=later * SECOND)
    assert len(plan.updates) == N - len(names[::7])  # those that nothing moves but a heartbeat
    assert plan.updates["I001"].prev_seq == 1


@pytest.mark.parametrize(
    "changes",
    [{"margins": (800.5, 500, 900, 600)}, {"margins": (2**64, 500, 900, 600)}],
    ids=["parts of basis points", "more than 64 bits"],
)
def test_a_number_that_fits_no_column_is_reported_and_the_others_are_signed(
    make, quote, now, changes
) -> None:
    quotes = [quote(name=market.instrument) for market in MARKETS[1:]]
    plan = make().plan([quote(**changes, name="I000"), *quotes], now=now * SECOND)
    assert [(one.instrument, one.code) for one in plan.reports] == [("I000", NOT_CONVERTIBLE)]
    assert list(plan.updates) == [market.instrument for market in MARKETS[1:]]


def test_what_was_recorded_packed_is_restored_and_replayed(make, quote, domain, now) -> None:
    publisher = make()
    plan = publisher.plan([quote(name=m.instrument) for m in MARKETS], now=now * SECOND)
    batch = publisher.commit(plan)
    replayed = Ledger(domain)
    replayed.replay(plan.record)
    for ledger in (replayed, Ledger.restored(domain, publisher.snapshot())):
        assert dict(ledger.held) == dict(publisher._ledger.held)
        assert ledger.batch == batch.batch
    assert np.all([len(code) == 736 for code in plan.updates.encoded.values()])
