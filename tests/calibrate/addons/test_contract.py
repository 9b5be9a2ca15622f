"""The scorecard: bounded, monotone, unknown as the worst, every weight with a reason."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.addons import (
    DEFAULT_WEIGHTS,
    AdminKey,
    Choice,
    OracleKind,
    PausePower,
    ProtocolFacts,
    Ramp,
    Upgrade,
    Weighted,
    contract_haircut,
    tvl_drawdown,
)
from foremargin.errors import InputError, ShapeError

moderate = settings(max_examples=50, deadline=None)

BEST = ProtocolFacts(
    audit_age_days=0.0,
    deployed_days=5_000.0,
    admin_key=AdminKey.NOBODY,
    admin_delay_h=1_000.0,
    pause_power=PausePower.NEW_RISK,
    upgrade=Upgrade.NEVER,
    oracle=OracleKind.SEVERAL,
    tvl_drawdown=0.0,
    past_incidents=0,
)
WORST = ProtocolFacts(
    audit_age_days=9_999.0,
    deployed_days=0.0,
    admin_key=AdminKey.SINGLE_KEY,
    admin_delay_h=0.0,
    pause_power=PausePower.EVERYTHING,
    upgrade=Upgrade.AT_ONCE,
    oracle=OracleKind.ONE_VENUE,
    tvl_drawdown=1.0,
    past_incidents=9,
)
MOST = sum(line.most for line in DEFAULT_WEIGHTS)

# From better to worse.
ORDERED = {
    "audit_age_days": [0.0, 100.0, 800.0, None],
    "deployed_days": [2_000.0, 500.0, 0.0, None],
    "admin_key": [*AdminKey, None],
    "admin_delay_h": [200.0, 24.0, 0.0, None],
    "pause_power": [*PausePower, None],
    "upgrade": [*Upgrade, None],
    "oracle": [*OracleKind, None],
    "tvl_drawdown": [0.0, 0.5, 1.0, None],
    "past_incidents": [0, 1, 3, None],
}


def haircut(facts: ProtocolFacts) -> float:
    return float(contract_haircut([facts]).addon().rate[0])


def test_the_best_pays_nothing_and_the_worst_the_sum_of_the_weights() -> None:
    assert haircut(BEST) == 0.0
    assert haircut(WORST) == pytest.approx(MOST, rel=1e-14)
    assert pytest.approx(0.10) == MOST


def test_nothing_known_counts_as_the_worst() -> None:
    assert haircut(ProtocolFacts()) == haircut(WORST)
    assert not contract_haircut([ProtocolFacts()]).known.any()


def test_a_protocol_by_hand() -> None:
    facts = replace(BEST, admin_key=AdminKey.MULTISIG, admin_delay_h=42.0, tvl_drawdown=0.3)
    assert haircut(facts) == pytest.approx(0.6 * 0.02 + 0.75 * 0.01 + 0.3 * 0.01)


@moderate
@given(data=st.data())
def test_worse_facts_never_lower_the_haircut(data: st.DataObject) -> None:
    better, worse = {}, {}
    for name, values in ORDERED.items():
        low, high = sorted(data.draw(st.tuples(*[st.integers(0, len(values) - 1)] * 2)))
        better[name], worse[name] = values[low], values[high]
    assert haircut(ProtocolFacts(**better)) <= haircut(ProtocolFacts(**worse)) + 1e-15


def test_every_step_of_a_known_fact_costs_something() -> None:
    for name, values in ORDERED.items():
        costs = [haircut(replace(BEST, **{name: value})) for value in values]
        assert all(a < b for a, b in pairwise(costs[:-1])), name
        assert costs[-1] == costs[-2], name


def test_every_fact_is_weighed_once_with_a_reason() -> None:
    names = [line.fact for line in DEFAULT_WEIGHTS]
    assert sorted(names) == sorted(field.name for field in fields(ProtocolFacts))
    assert sorted(names) == sorted(ORDERED)
    assert all(len(line.reason) > 20 for line in DEFAULT_WEIGHTS)


def test_the_table_explains_the_haircut() -> None:
    scored = contract_haircut([BEST, ProtocolFacts(past_incidents=1)])
    table = scored.frame()
    assert table.groupby("protocol")["rate"].sum().to_numpy() == pytest.approx(scored.addon().rate)
    line = table[(table["protocol"] == 1) & (table["fact"] == "past_incidents")].iloc[0]
    assert line["known"]
    assert line["risk"] == pytest.approx(1.0 / 3.0)


def test_no_protocols_have_no_haircuts() -> None:
    assert contract_haircut([]).addon().rate.shape == (0,)


def test_own_weights_replace_the_defaults() -> None:
    line = Weighted(
        fact="past_incidents", most=0.5, scale=Ramp(best=0.0, worst=2.0), reason="for a test"
    )
    assert contract_haircut([replace(BEST, past_incidents=1)], weights=[line]).rate == 0.25


def test_the_drawdown_is_from_the_highest_point_to_the_last() -> None:
    assert tvl_drawdown(np.array([5.0, 10.0, 2.0, 4.0])) == 0.6
    assert tvl_drawdown(np.array([1.0, 2.0])) == 0.0
    with pytest.raises(InputError, match="must have been positive once"):
        tvl_drawdown(np.zeros(3))
    with pytest.raises(InputError, match="value_locked must be finite"):
        tvl_drawdown(np.array([1.0, np.nan]))
    with pytest.raises(ShapeError, match="not empty"):
        tvl_drawdown(np.zeros(0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ProtocolFacts(audit_age_days=-1.0), "audit_age_days must be finite and at least"),
        (lambda: ProtocolFacts(deployed_days=np.nan), "deployed_days must be finite"),
        (lambda: ProtocolFacts(tvl_drawdown=1.1), "tvl_drawdown must be in"),
        (lambda: ProtocolFacts(admin_key="friend"), "admin_key must be one of"),  # type: ignore[arg-type]
        (lambda: Ramp(best=1.0, worst=1.0), "two different finite ends"),
        (lambda: Choice(risks={"a": 2.0}), "risk of a must be in"),
        (lambda: Choice(risks={"a": 0.5}).risk("b"), "this scale knows"),
        (
            lambda: Weighted(fact="luck", most=0.1, scale=Ramp(best=0, worst=1), reason="r"),
            "'luck' is none",
        ),
        (
            lambda: Weighted(fact="oracle", most=0.1, scale=Ramp(best=0, worst=1), reason=" "),
            "needs a reason",
        ),
        (
            lambda: contract_haircut([BEST], weights=[DEFAULT_WEIGHTS[0]] * 2),
            "every fact at most once",
        ),
    ],
)
def test_what_makes_no_scorecard_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
