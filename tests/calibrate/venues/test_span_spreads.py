"""SPAN's spreads: a worked example by hand, options by a second implementation, and what holds."""

from collections.abc import Callable
from dataclasses import replace
from math import erf, log, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.options import Book, Kind, Marks
from foremargin.calibrate.venues.span import (
    CommodityLeg,
    CommoditySpread,
    MonthLeg,
    MonthSpread,
    Side,
    Span,
    combined_margin,
    margin,
)
from foremargin.errors import InputError

NAN = np.nan
A, B = Side.A, Side.B

Row = tuple[str, Kind, float, float, float]


def portfolio(*rows: Row, price: float = 1_000.0, sigma: float = 0.4) -> tuple[Book, Marks]:
    """Positions (underlying, kind, strike, expiry, quantity) at one price."""
    book = Book(
        kind=np.array([row[1] for row in rows], dtype=np.int8),
        strike=np.array([row[2] for row in rows]),
        expiry=np.array([row[3] for row in rows]),
        quantity=np.array([row[4] for row in rows]),
        underlying=tuple(row[0] for row in rows),
    )
    return book, Marks.flat(book, spot=price, sigma_ann=sigma)


def future(name: str, quantity: float, expiry: float = 0.2) -> Row:
    return (name, Kind.FUTURE, NAN, expiry, quantity)


def between(
    first: str, second: str, *, ratio: tuple[float, float] = (1.0, 1.0), credit: float = 0.5
) -> CommoditySpread:
    return CommoditySpread(
        legs=(
            CommodityLeg(commodity=first, side=A, ratio=ratio[0]),
            CommodityLeg(commodity=second, side=B, ratio=ratio[1]),
        ),
        credit=credit,
    )


RULES = {
    "X": Span(price_range=100.0, vol_range=0.1),
    "Y": Span(price_range=40.0, vol_range=0.1),
    "Z": Span(price_range=25.0, vol_range=0.1),
}
SPREADS = (
    between("X", "Y", ratio=(1.0, 2.0), credit=0.6),
    between("Y", "Z", ratio=(2.0, 1.0), credit=0.5),
)


def test_a_worked_example_of_futures_in_order_of_priority() -> None:
    book, marks = portfolio(future("X", 10.0), future("Y", -30.0), future("Z", 4.0))
    got = combined_margin(book, marks, parameters=RULES, spreads=SPREADS).commodities
    # Ten spreads take 10 X and 20 Y; of the 10 Y left, four take 8, and all 4 Z.
    assert got["X"].scanning_risk == pytest.approx(1_000.0)
    assert got["X"].inter_commodity_credit == pytest.approx(0.6 * 10 * 100.0)
    assert got["Y"].inter_commodity_credit == pytest.approx(0.6 * 20 * 40.0 + 0.5 * 8 * 40.0)
    assert got["Z"].inter_commodity_credit == pytest.approx(0.5 * 4 * 25.0)
    assert [got[name].risk for name in "XYZ"] == pytest.approx([400.0, 560.0, 50.0])
    turned = combined_margin(book, marks, parameters=RULES, spreads=SPREADS[::-1]).commodities
    # Four of the second take 8 Y and 4 Z first; 22 Y are left for eleven, but X has ten.
    assert turned["Z"].inter_commodity_credit == pytest.approx(50.0)
    assert turned["Y"].inter_commodity_credit == pytest.approx(160.0 + 480.0)
    scarce, at = portfolio(future("X", 20.0), future("Y", -30.0), future("Z", 4.0))
    first, second = (
        combined_margin(scarce, at, parameters=RULES, spreads=order).commodities["Z"]
        for order in (SPREADS, SPREADS[::-1])
    )
    assert first.inter_commodity_credit == 0.0  # fifteen of the first leave no Y
    assert second.inter_commodity_credit == pytest.approx(50.0)


def test_the_other_direction_earns_the_same_and_one_direction_nothing() -> None:
    rows = (future("X", 10.0), future("Y", -30.0))
    turned = (future("X", -10.0), future("Y", 30.0))
    alike = (future("X", 10.0), future("Y", 30.0))
    risks = [
        combined_margin(*portfolio(*r), parameters=RULES, spreads=SPREADS).risk
        for r in (rows, turned, alike)
    ]
    assert risks == pytest.approx([2_200.0 - 1_080.0, 2_200.0 - 1_080.0, 2_200.0])


def black(price: float, strike: float, total: float, *, call: bool) -> float:
    d1 = log(price / strike) / total + 0.5 * total
    n1, n2 = (0.5 * (1.0 + erf(d / sqrt(2.0))) for d in (d1, d1 - total))
    value = price * n1 - strike * n2
    return value if call else value - price + strike


def losses(rows: list[tuple[bool, float, float]], *, price: float, rules: Span) -> list[float]:
    """Sixteen losses of options (call, strike, quantity) of a fifth of a year, one by one."""
    root = sqrt(0.2)
    out = []
    for s in range(16):
        if s < 14:
            third = (0, 1, -1, 2, -2, 3, -3)[s // 2]
            move, vol, share = third * rules.price_range / 3, 0.1 * (-1) ** s, 1.0
        else:
            move, vol, share = (2 if s == 14 else -2) * rules.price_range, 0.0, 0.35
        total = 0.0
        for call, strike, quantity in rows:
            now = black(price, strike, 0.4 * root, call=call)
            then = black(price + move, strike, (0.4 + vol) * root, call=call)
            total += share * quantity * (now - then)
        out.append(total)
    return out


def delta(call: bool, strike: float, *, price: float) -> float:
    total = 0.4 * sqrt(0.2)
    up = 0.5 * (1.0 + erf((log(price / strike) / total + 0.5 * total) / sqrt(2.0)))
    return up if call else up - 1.0


def test_options_earn_the_price_risk_of_their_deltas_without_that_of_volatility_and_time() -> None:
    rules = {"X": RULES["X"], "Y": replace(RULES["Y"], price_range=90.0)}
    sold = [(True, 1_050.0, -20.0), (False, 900.0, -5.0)]
    bought = [(True, 1_020.0, 12.0), (False, 980.0, 2.0)]
    rows = [
        (name, Kind.CALL if call else Kind.PUT, strike, 0.2, quantity)
        for name, held in (("X", sold), ("Y", bought))
        for call, strike, quantity in held
    ]
    got = combined_margin(
        *portfolio(*rows), parameters=rules, spreads=[between("X", "Y", credit=0.7)]
    ).commodities
    deltas, per_delta, scan = {}, {}, {}
    for name, held in (("X", sold), ("Y", bought)):
        table = losses(held, price=1_000.0, rules=rules[name])
        scan[name] = max(table)
        worst = table.index(scan[name])
        assert worst < 14  # each has a pair with the opposite volatility
        pair = worst + 1 if worst % 2 == 0 else worst - 1
        risk = (table[worst] + table[pair]) / 2 - (table[0] + table[1]) / 2
        deltas[name] = sum(q * delta(c, k, price=1_000.0) for c, k, q in held)
        per_delta[name] = risk / abs(deltas[name])
    assert deltas["X"] < 0.0 < deltas["Y"]
    formed = min(-deltas["X"], deltas["Y"])
    for name, one in got.items():
        assert one.scanning_risk == pytest.approx(scan[name], rel=1e-10)
        wanted = 0.7 * formed * per_delta[name]
        assert one.inter_commodity_credit == pytest.approx(wanted, rel=1e-10)
        assert 0.0 < one.risk < one.scanning_risk


def test_an_extreme_scenario_is_its_own_pair() -> None:
    rows = [("X", Kind.CALL, 1_250.0, 0.01, -10.0), future("Y", 30.0)]
    rules = {"X": RULES["X"], "Y": RULES["Y"]}
    book, marks = portfolio(*rows)
    got = combined_margin(book, marks, parameters=rules, spreads=[between("X", "Y", credit=1.0)])
    one = got.commodities["X"]
    assert one.active_scenario == 15
    # All of its small delta is taken: the credit is the whole price risk, scan less time risk.
    alone = [float(row) for row in _option_losses(rules["X"], strike=1_250.0, years=0.01)]
    wanted = -10.0 * (alone[14] - 0.5 * (alone[0] + alone[1]))
    assert one.inter_commodity_credit == pytest.approx(wanted, rel=1e-9)


def _option_losses(rules: Span, *, strike: float, years: float) -> list[float]:
    root = sqrt(years)
    now = black(1_000.0, strike, 0.4 * root, call=True)
    out = [now - black(1_000.0, strike, (0.4 + v) * root, call=True) for v in (0.1, -0.1)]
    far = now - black(1_000.0 + 2 * rules.price_range, strike, 0.4 * root, call=True)
    return [*out, *[NAN] * 12, 0.35 * far]


def test_a_book_that_loses_less_by_price_than_by_time_earns_no_credit_and_pays_none() -> None:
    rows = [
        ("X", Kind.CALL, 950.0, 0.02, 1.0),
        ("X", Kind.CALL, 1_200.0, 0.2, -2.0),
        ("X", Kind.PUT, 1_000.0, 0.02, 2.0),
        future("Y", 5.0),
    ]
    got = combined_margin(*portfolio(*rows), parameters=RULES, spreads=[between("X", "Y")])
    # Its delta is short, and the spread is formed; only its price risk is none.
    assert got.commodities["X"].inter_commodity_credit == 0.0
    assert got.commodities["Y"].inter_commodity_credit > 5.0


def test_the_total_is_never_below_the_minimum_nor_below_zero() -> None:
    # A straddle sold: its time risk is negative, so that its price risk is above its scan.
    rows = [
        ("X", Kind.CALL, 1_000.0, 0.2, -10.0),
        ("X", Kind.PUT, 1_000.0, 0.2, -10.0),
        future("X", -0.5),
        future("Y", 100.0),
    ]
    minimum = {"X": replace(RULES["X"], short_option_charge=7.0), "Y": RULES["Y"]}
    for rules in (RULES, minimum):
        whole = combined_margin(
            *portfolio(*rows), parameters=rules, spreads=[between("X", "Y", credit=1.0)]
        )
        one = whole.commodities["X"]
        assert one.risk >= one.short_option_minimum >= 0.0
        assert whole.risk == pytest.approx(sum(m.risk for m in whole.commodities.values()))
    far = [("X", Kind.CALL, 9_000.0, 0.2, -10.0), future("X", 10.0), future("Y", -30.0)]
    got = combined_margin(
        *portfolio(*far), parameters=minimum, spreads=[between("X", "Y", ratio=(1, 2), credit=1.0)]
    ).commodities["X"]
    assert got.scanning_risk == pytest.approx(got.inter_commodity_credit, rel=1e-9)
    assert got.risk == got.short_option_minimum == 70.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100_000), factor=st.floats(0.1, 10.0))
def test_credits_only_lower_scale_with_the_book_and_never_take_more_than_there_is(
    seed: int, factor: float
) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (
            str(rng.choice(list("XYZ"))),
            Kind(int(rng.choice([1, 2, 3]))),
            float(rng.choice([900.0, 1_000.0, 1_150.0])),
            float(rng.choice([0.05, 0.3])),
            float(rng.normal()),
        )
        for _ in range(8)
    ]
    rows = [(n, k, NAN if k == Kind.FUTURE else s, t, q) for n, k, s, t, q in rows]
    spreads = [
        between(first, second, ratio=tuple(rng.uniform(0.5, 2.0, 2)), credit=rng.uniform())
        for first, second in (("X", "Y"), ("Y", "Z"), ("Z", "X"), ("X", "Y"))
    ]
    book, marks = portfolio(*rows)
    with_, without, scaled = (
        combined_margin(b, marks, parameters=RULES, spreads=s)
        for b, s in ((book, spreads), (book, []), (book.times(factor), spreads))
    )
    assert 0.0 <= with_.risk <= without.risk * (1.0 + 1e-12)
    assert scaled.risk == pytest.approx(factor * with_.risk, rel=1e-9)
    for name, one in with_.commodities.items():
        # However many spreads: never more than the whole price risk of the commodity.
        part = np.array([u == name for u in book.underlying])
        best = max(_credit_with_enough(book.take(part), name, sign) for sign in (1.0, -1.0))
        assert 0.0 <= one.inter_commodity_credit <= best * (1.0 + 1e-9) + 1e-12


def _credit_with_enough(book: Book, name: str, sign: float) -> float:
    """Credit at a rate of one beside a counterpart that is large enough for all deltas."""
    other = Book.of([(Kind.FUTURE, NAN, 0.2, -1e6 * sign)], underlying="W")
    both = Book(
        kind=np.concatenate([book.kind, other.kind]),
        strike=np.concatenate([book.strike, other.strike]),
        expiry=np.concatenate([book.expiry, other.expiry]),
        quantity=np.concatenate([book.quantity, other.quantity]),
        underlying=(*book.underlying, "W"),
    )
    at = Marks.flat(both, spot=1_000.0, sigma_ann=0.4)
    rules = RULES | {"W": RULES["Z"]}
    got = combined_margin(both, at, parameters=rules, spreads=[between(name, "W", credit=1.0)])
    return got.commodities[name].inter_commodity_credit


def months(*quantities: float) -> tuple[Book, Marks]:
    return portfolio(*(future("X", q, 0.1 + 0.2 * i) for i, q in enumerate(quantities)))


def test_spreads_between_tiers_take_in_order_and_the_rest_pays_the_plain_charge() -> None:
    # Months at .1 and .3 are the first tier, .5 and .7 the second, .9 the third.
    rules = Span(
        price_range=100.0,
        vol_range=0.1,
        spread_charge=20.0,
        tiers=(0.31, 0.71),
        spreads=(
            MonthSpread(legs=(MonthLeg(tier=1, side=A), MonthLeg(tier=1, side=B)), charge=3.0),
            MonthSpread(
                legs=(MonthLeg(tier=1, side=A, ratio=2.0), MonthLeg(tier=2, side=B)), charge=8.0
            ),
        ),
    )
    # Within the first tier 2; then 3 long are left there against 4 short in the second: 1.5
    # spreads of 2 to 1; the 2.5 short of the second that remain meet the 1 long of the third.
    got = margin(*months(5.0, -2.0, -4.0, 0.0, 1.0), parameters=rules)
    assert got.inter_month_charge == pytest.approx(2 * 3.0 + 1.5 * 8.0 + 1.0 * 20.0)
    turned = margin(*months(-5.0, 2.0, 4.0, 0.0, -1.0), parameters=rules)
    assert turned.inter_month_charge == pytest.approx(got.inter_month_charge)
    outright = margin(*months(5.0, 2.0, 4.0), parameters=rules)
    assert outright.inter_month_charge == 0.0
    assert outright.scanning_risk == pytest.approx(1_100.0)


def test_a_butterfly_needs_all_of_its_legs() -> None:
    rules = Span(
        price_range=100.0,
        vol_range=0.1,
        tiers=(0.15, 0.35),
        spreads=(
            MonthSpread(
                legs=(
                    MonthLeg(tier=1, side=A),
                    MonthLeg(tier=2, side=B, ratio=2.0),
                    MonthLeg(tier=3, side=A),
                ),
                charge=5.0,
            ),
        ),
    )
    assert margin(*months(3.0, -4.0, 9.0), parameters=rules).inter_month_charge == 10.0
    assert margin(*months(3.0, -4.0, 0.0), parameters=rules).inter_month_charge == 0.0


def test_credits_of_tiers_take_the_deltas_and_the_risk_of_the_tier() -> None:
    rules = {name: replace(one, tiers=(0.25,)) for name, one in RULES.items()}
    rows = (future("X", 10.0, 0.2), future("X", -4.0, 0.5), future("Y", -6.0, 0.2))

    def credits(tier: int | None) -> list[float]:
        spread = CommoditySpread(
            legs=(
                CommodityLeg(commodity="X", side=A, tier=tier),
                CommodityLeg(commodity="Y", side=B),
            ),
            credit=0.5,
        )
        got = combined_margin(*portfolio(*rows), parameters=rules, spreads=[spread])
        return [got.commodities[name].inter_commodity_credit for name in "XY"]

    assert credits(1) == pytest.approx([0.5 * 6 * 100.0, 0.5 * 6 * 40.0])
    assert credits(None) == pytest.approx([0.5 * 6 * 100.0, 0.5 * 6 * 40.0])
    assert credits(2) == [0.0, 0.0]  # short there, as Y is


def test_a_perpetual_is_in_the_first_tier() -> None:
    rules = Span(price_range=1.0, vol_range=0.1, tiers=(0.25, 1.0))
    expiry = np.array([NAN, 0.0, 0.25, 0.3, 1.0, 1.01])
    assert rules.tier_of(expiry).tolist() == [1, 1, 1, 2, 2, 3]


def legs(*rows: tuple[str, Side, int | None]) -> tuple[CommodityLeg, ...]:
    return tuple(CommodityLeg(commodity=n, side=s, tier=t) for n, s, t in rows)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CommoditySpread(legs=legs(("X", A, None)), credit=0.5), "stand on both sides"),
        (
            lambda: CommoditySpread(legs=legs(("X", A, None), ("X", B, None)), credit=0.5),
            "no two at one place",
        ),
        (
            lambda: CommoditySpread(legs=legs(("X", A, None), ("Y", B, None)), credit=60.0),
            r"credit must be in \[0, 1\]",
        ),
        (lambda: CommodityLeg(commodity="X", side=A, ratio=0.0), "ratio must be positive"),
        (lambda: MonthLeg(tier=1, side=A, ratio=-1.0), "ratio must be positive"),
        (
            lambda: MonthSpread(
                legs=(MonthLeg(tier=1, side=A), MonthLeg(tier=2, side=B)), charge=-1.0
            ),
            "charge must not be negative",
        ),
        (lambda: Span(price_range=1.0, vol_range=0.1, tiers=(0.5, 0.5)), "tiers must rise"),
        (
            lambda: Span(
                price_range=1.0,
                vol_range=0.1,
                tiers=(0.5,),
                spreads=(
                    MonthSpread(
                        legs=(MonthLeg(tier=1, side=A), MonthLeg(tier=3, side=B)), charge=1.0
                    ),
                ),
            ),
            r"a tier must be from 1 to 2, found \[3\]",
        ),
    ],
)
def test_spreads_that_cannot_be_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_portfolios_that_cannot_be_margined_are_refused() -> None:
    book, marks = portfolio(future("X", 1.0), future("Y", -1.0))
    with pytest.raises(InputError, match=r"must have parameters, \['Y'\] have none"):
        combined_margin(book, marks, parameters={"X": RULES["X"]})
    mixed = [
        CommoditySpread(legs=legs(("X", A, None), ("Y", B, None)), credit=0.5),
        CommoditySpread(legs=legs(("X", A, 1), ("Y", B, None)), credit=0.5),
    ]
    with pytest.raises(InputError, match="X must be named with a tier in all spreads or in none"):
        combined_margin(book, marks, parameters=RULES, spreads=mixed)
    with pytest.raises(InputError, match=r"a tier must be from 1 to 1, found \[2\]"):
        combined_margin(
            book,
            marks,
            parameters=RULES,
            spreads=[CommoditySpread(legs=legs(("X", A, 2), ("Y", B, None)), credit=0.5)],
        )
    unknown = [between("X", "GOLD")]
    got = combined_margin(book, marks, parameters=RULES, spreads=unknown)
    assert got.risk == pytest.approx(140.0)  # no gold is held: the spread is not formed
    assert got.requirement == got.risk


def test_one_commodity_alone_is_margined_as_ever() -> None:
    book, marks = portfolio(future("X", 3.0), ("X", Kind.PUT, 950.0, 0.1, -4.0))
    whole = combined_margin(book, marks, parameters=RULES, spreads=SPREADS)
    assert whole.commodities == {"X": margin(book, marks, parameters=RULES["X"])}
    empty = Book.of([])
    nothing = combined_margin(empty, Marks.flat(empty, spot=1.0, sigma_ann=1.0), parameters=RULES)
    assert nothing.risk == nothing.requirement == 0
