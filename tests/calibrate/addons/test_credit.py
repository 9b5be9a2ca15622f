"""Credit and identity: a split never pays, whatever scores new accounts have."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.addons import AccountBook, Concentration, CreditMargin, CreditRule
from foremargin.errors import InputError, ShapeError

moderate = settings(max_examples=50, deadline=None)

NOW = np.datetime64("2026-01-01T00:00:00", "ns")
LATER, EARLIER = NOW + np.timedelta64(1, "s"), NOW - np.timedelta64(1, "s")


def rule_of(exponent: float = 0.5, rate: float = 0.02) -> CreditRule:
    return CreditRule(
        base_rate=0.05,
        credit_rate=0.01,
        concentration=Concentration(rate=rate, scale=1e6, exponent=exponent),
        most_discount=0.5,
        neutral_score=500.0,
        best_score=800.0,
    )


@dataclass(frozen=True)
class Account:
    notional: float
    identity: str = ""
    score: float = np.nan
    attested_until: np.datetime64 = LATER
    score_until: np.datetime64 = LATER


def book_of(accounts: list[Account]) -> AccountBook:
    return AccountBook(
        notional=np.array([a.notional for a in accounts]),
        identity=np.array([a.identity for a in accounts], dtype=np.str_),
        attested_until=np.array([a.attested_until for a in accounts], dtype="M8[ns]"),
        score=np.array([a.score for a in accounts]),
        score_until=np.array([a.score_until for a in accounts], dtype="M8[ns]"),
    )


def charge(accounts: list[Account], rule: CreditRule | None = None) -> CreditMargin:
    return (rule or rule_of()).charge(book_of(accounts), now=NOW)


sizes = st.floats(1.0, 1e8)
scores = st.one_of(st.just(np.nan), st.floats(300.0, 900.0))
others = st.lists(
    st.builds(Account, notional=sizes, identity=st.sampled_from(["", "x", "y"]), score=scores),
    max_size=4,
)
# What each new account takes: a share, on either side, attested or not, with any score.
new_accounts = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.booleans(), st.booleans(), scores), min_size=1, max_size=4
)


def split(account: Account, taken: list[tuple[float, bool, bool, float]]) -> list[Account]:
    """Spread a position over the old account and new ones; some take the other side of others.

    The notionals add up to that of the account.
    """
    pieces, left = [], account.notional
    for weight, opposite, attested, score in taken:
        size = (-1.0 if opposite else 1.0) * weight * account.notional
        pieces.append(Account(size, account.identity if attested else "", score))
        left -= size
    return [Account(left, account.identity, account.score), *pieces]


@settings(max_examples=200, deadline=None)
@given(
    size=sizes,
    attested=st.booleans(),
    score=scores,
    elsewhere=st.lists(st.tuples(sizes, st.booleans(), scores), max_size=2),
    strangers=others,
    taken=new_accounts,
    exponent=st.floats(0.0, 3.0),
)
def test_splitting_an_account_never_lowers_what_its_owner_pays(
    size, attested, score, elsewhere, strangers, taken, exponent
) -> None:
    account = Account(size, "me" if attested else "", score)
    mine = [Account(s, "me" if known else "", value) for s, known, value in elsewhere]
    parts = split(account, taken)
    assert sum(part.notional for part in parts) == pytest.approx(size, rel=1e-9)
    rule = rule_of(exponent)
    whole = charge([account, *mine, *strangers], rule).total[: 1 + len(mine)].sum()
    apart = charge([*parts, *mine, *strangers], rule).total[: len(parts) + len(mine)].sum()
    assert apart >= whole * (1.0 - 1e-9)


@moderate
@given(size=sizes, weight=st.floats(0.01, 0.99), exponent=st.floats(0.1, 3.0))
def test_alone_in_the_market_a_split_changes_nothing(size, weight, exponent) -> None:
    parts = [Account(weight * size, "me"), Account((1.0 - weight) * size)]
    whole = charge([Account(size, "me")], rule_of(exponent)).concentration.sum()
    apart = charge(parts, rule_of(exponent)).concentration.sum()
    assert apart == pytest.approx(whole, rel=1e-9)


def test_charging_every_account_on_its_own_would_pay_for_a_split() -> None:
    alone = rule_of().concentration.charge(np.array([1e7, 5e6]))
    assert 2.0 * alone[1] < 0.75 * alone[0]


def test_one_score_per_account_would_pay_for_a_new_one() -> None:
    mine = charge([Account(1e6, "me", 500.0), Account(1e6, "me", 800.0)])
    np.testing.assert_array_equal(mine.discount, [0.0, 0.0])
    apart = charge([Account(1e6, "me", 500.0), Account(1e6, "you", 800.0)])
    np.testing.assert_array_equal(apart.discount, [0.0, 0.5])


@pytest.mark.parametrize(
    ("account", "discount"),
    [
        (Account(1e6, "me", 800.0), 0.5),
        (Account(1e6, "me", 900.0), 0.5),
        (Account(1e6, "me", 650.0), 0.25),
        (Account(1e6, "me", 300.0), 0.0),
        (Account(1e6, "me"), 0.0),
        (Account(1e6, "", 800.0), 0.0),
        (Account(1e6, "me", 800.0, attested_until=NOW), 0.0),
        (Account(1e6, "me", 800.0, attested_until=EARLIER), 0.0),
        (Account(1e6, "me", 800.0, score_until=NOW), 0.0),
        (Account(1e6, "me", 800.0, score_until=np.datetime64("NaT")), 0.0),
        (Account(1e6, "me", 800.0, attested_until=np.datetime64("NaT")), 0.0),
    ],
)
def test_a_score_counts_behind_an_attestation_while_both_hold(account, discount) -> None:
    assert charge([account]).discount[0] == pytest.approx(discount)


@moderate
@given(accounts=others, score=scores)
def test_a_score_touches_the_credit_addon_alone_and_never_the_base(accounts, score) -> None:
    with_score = charge([Account(1e6, "me", score), *accounts])
    without = charge([Account(1e6, "me"), *accounts])
    np.testing.assert_array_equal(with_score.base, without.base)
    np.testing.assert_array_equal(with_score.concentration, without.concentration)
    assert np.all(with_score.total <= without.total)
    assert np.all(with_score.credit >= 0.5 * without.credit)
    assert np.all(with_score.total >= with_score.base)


def test_an_attestation_that_expires_puts_the_account_among_the_unknown() -> None:
    stranger = Account(1e6)
    expired = charge([Account(1e6, "me", attested_until=NOW), stranger])
    unknown = charge([Account(1e6), stranger])
    np.testing.assert_array_equal(expired.total, unknown.total)
    held = charge([Account(1e6, "me"), stranger])
    assert held.total[0] < expired.total[0]


def test_charges_by_hand() -> None:
    # C(x) = 0.02 x^2 / 1e6. Person: C(3e6) = 180,000. Unknown: C(5e6) - C(3e6) = 320,000.
    margin = charge(
        [Account(1e6, "me"), Account(-2e6, "me"), Account(5e5), Account(-1.5e6)], rule_of(1.0)
    )
    np.testing.assert_allclose(margin.concentration, [6e4, 12e4, 8e4, 24e4])
    np.testing.assert_allclose(margin.base, [5e4, 1e5, 2.5e4, 7.5e4])
    np.testing.assert_allclose(margin.credit, [1e4, 2e4, 5e3, 1.5e4])
    concentration, credit = margin.addons()
    np.testing.assert_allclose(concentration.rate, [0.06, 0.06, 0.16, 0.16])
    np.testing.assert_allclose(credit.rate, 0.01)
    np.testing.assert_allclose(margin.frame()["total"], margin.total)


@moderate
@given(start=st.floats(0.0, 1e9), size=st.floats(0.0, 1e9), exponent=st.floats(0.0, 3.0))
def test_what_more_size_costs_is_the_difference_of_the_charges(start, size, exponent) -> None:
    concentration = Concentration(rate=0.1, scale=1e6, exponent=exponent)
    whole, part = concentration.charge(np.array([start + size, start]))
    # The plain difference loses digits where the parts are nearly equal.
    slack = 1e-12 * max(float(whole), 1.0)
    assert concentration.further(start, size) == pytest.approx(whole - part, rel=1e-9, abs=slack)


def test_a_tiny_account_beside_a_huge_one_pays_the_marginal_rate() -> None:
    margin = charge([Account(1e12, "me"), Account(1e-3)])
    marginal = 0.02 * 1.5 * (1e12 / 1e6) ** 0.5
    assert margin.addons()[0].rate[1] == pytest.approx(marginal, rel=1e-9)


def test_accounts_without_a_position_pay_nothing_and_an_empty_book_is_empty() -> None:
    margin = charge([Account(0.0, "me"), Account(0.0)])
    np.testing.assert_array_equal(margin.total, 0.0)
    np.testing.assert_array_equal(margin.addons()[0].rate, 0.0)
    assert charge([]).total.shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: charge([Account(np.nan)]), "notional must be finite"),
        (lambda: charge([Account(1e300)]), "concentration of these notionals must be finite"),
        (lambda: charge([Account(1.0, score=np.inf)]), "a score must be finite, or NaN"),
        (lambda: Concentration(rate=0.1, scale=0.0), "scale must be positive"),
        (lambda: Concentration(rate=0.1, scale=1.0, exponent=-0.5), "not convex cannot be prot"),
        (lambda: Concentration(rate=-0.1, scale=1.0), "rate and exponent must be at least 0"),
        (
            lambda: CreditRule(
                base_rate=0.1,
                credit_rate=0.1,
                concentration=Concentration(rate=0.1, scale=1.0),
                most_discount=1.5,
                neutral_score=0.0,
                best_score=1.0,
            ),
            "most_discount must be in",
        ),
        (
            lambda: CreditRule(
                base_rate=0.1,
                credit_rate=0.1,
                concentration=Concentration(rate=0.1, scale=1.0),
                most_discount=0.5,
                neutral_score=1.0,
                best_score=1.0,
            ),
            "best_score must be above neutral_score",
        ),
        (lambda: rule_of().charge(book_of([]), now=np.datetime64("NaT")), "now must be a time"),
    ],
)
def test_what_makes_no_rule_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_a_book_has_one_element_per_account() -> None:
    good = book_of([Account(1.0)])
    with pytest.raises(ShapeError, match="one element per account everywhere"):
        AccountBook(
            notional=np.array([1.0, 2.0]),
            identity=good.identity,
            attested_until=good.attested_until,
            score=good.score,
            score_until=good.score_until,
        )
