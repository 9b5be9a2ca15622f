import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.serving.ladder import Ladder, Standing, differs
from foremargin.serving.quote import Basis, Status
from foremargin.serving.settings import FallbackSettings

SECOND, HOUR = 10**9, 3_600 * 10**9
LADDER = Ladder()
margins = st.integers(1, 20_000)
ages = st.integers(0, 60 * 3_600 * SECOND)


def quote_of(calculation, *, now, standing=None, ladder=LADDER, doubt="", **options):
    """Return the quote after a calculation, and the standing after it."""
    standing = ladder.calculated(standing or Standing(), calculation, doubt=doubt)
    quote = ladder.quote(standing, "BTC", now=now, **options)
    return quote, ladder.followed(standing, quote, doubt=doubt)


def initial(quote):
    return quote.long.initial_margin_bps, quote.short.initial_margin_bps


def check(quote):
    """Laws of every quote."""
    for side in (quote.long, quote.short):
        assert 0 < side.maintenance_margin_bps <= side.initial_margin_bps
        total = math.fsum(side.components.values())
        assert total == pytest.approx(side.initial_margin_bps, rel=1e-9)
    assert quote.valid_until > quote.quoted_at
    assert (quote.reason == "") == (quote.status is Status.OK)


def test_nothing_known_is_the_fixed_margin_and_says_so():
    quote = LADDER.quote(Standing(), "BTC", now=7, cause="the calculator has not been started")
    check(quote)
    assert (quote.status, quote.basis, quote.calculation) == (Status.FALLBACK, Basis.FIXED, None)
    assert initial(quote) == (5_000, 5_000)
    assert quote.reason == "nothing has been calculated yet; the calculator has not been started"
    assert (quote.sequence, quote.observed_at, quote.quoted_at) == (1, 0, 7)


def test_best_rung_is_quoted_as_calculated(make_calculation):
    calculation = make_calculation(at=HOUR)
    quote, _ = quote_of(calculation, now=HOUR + 5)
    check(quote)
    assert (quote.status, quote.basis) == (Status.OK, Basis.NETWORK)
    assert (quote.long, quote.short, quote.calculation) == (
        calculation.long,
        calculation.short,
        calculation,
    )
    # It turns stale 900 s after the next period should have closed.
    assert quote.valid_until == 2 * HOUR + 900 * SECOND + 1


def test_a_better_first_rung_need_not_be_the_network(make_calculation):
    quote, _ = quote_of(make_calculation(basis=Basis.LINEAR, reason=""), now=0)
    assert quote.status is Status.OK


def test_a_lower_rung_keeps_the_last_margin_of_the_better_one_side_by_side(make_calculation):
    _, standing = quote_of(make_calculation(500, 600), now=0)
    lower = make_calculation(450, 700, basis=Basis.LINEAR, at=1)
    quote, standing = quote_of(lower, now=1, standing=standing)
    check(quote)
    assert (quote.status, quote.basis) == (Status.DEGRADED, Basis.LINEAR)
    assert initial(quote) == (500, 700)
    assert quote.long.components["held"] == 50.0
    assert "held" not in quote.short.components
    # A third rung keeps what the second showed; the second back keeps the first's only.
    quote, standing = quote_of(
        make_calculation(100, 100, basis=Basis.GARCH, at=2), now=2, standing=standing
    )
    assert initial(quote) == (500, 700)
    back = make_calculation(100, 100, basis=Basis.LINEAR, at=3)
    quote, standing = quote_of(back, now=3, standing=standing)
    assert initial(quote) == (500, 600)
    quote, _ = quote_of(make_calculation(100, 100, at=4), now=4, standing=standing)
    assert (quote.status, initial(quote)) == (Status.OK, (100, 100))


def test_results_in_doubt_may_rise_and_not_fall(make_calculation):
    _, standing = quote_of(make_calculation(500, 600), now=0)
    for at, (long, short), expected in (
        (1, (400, 800), (500, 800)),
        (2, (700, 100), (700, 800)),
        (3, (100, 100), (700, 800)),
    ):
        doubted = make_calculation(long, short, at=at)
        quote, standing = quote_of(doubted, now=at, standing=standing, doubt="on trial")
        check(quote)
        assert (quote.status, initial(quote)) == (Status.DEGRADED, expected)
        assert quote.reason == "on trial"
    quote, _ = quote_of(make_calculation(100, 100, at=4), now=4, standing=standing)
    assert initial(quote) == (100, 100)


def test_a_stale_margin_grows_by_whole_minutes_that_have_begun_rounded_up(make_calculation):
    calculation = make_calculation(333, 1_000)
    for age_s, minutes in ((901, 16), (960, 16), (960.5, 17), (3_600, 60), (36_000, 600)):
        now = HOUR + int(age_s * SECOND)
        quote, _ = quote_of(calculation, now=now)
        check(quote)
        add_on = Fraction(5, 100) * minutes / 60
        assert initial(quote) == (math.ceil(333 * (1 + add_on)), math.ceil(1_000 * (1 + add_on)))
        assert (quote.status, quote.basis) == (Status.STALE, Basis.LAST_GOOD)
        assert quote.short.components["staleness"] == quote.short.initial_margin_bps - 1_000
        assert quote.valid_until == HOUR + minutes * 60 * SECOND + 1
        assert quote.reason == "nothing after 1970-01-01T00:00:00Z has been calculated"


def test_five_percent_is_five_hundredths_and_not_the_float_beside_it(make_calculation):
    ladder = Ladder(FallbackSettings(add_on_per_hour=0.1, stale_after_s=0.0))
    quote, _ = quote_of(make_calculation(1_000, 1_000), now=2 * HOUR, ladder=ladder)
    assert initial(quote) == (1_100, 1_100)  # 1000 * (1 + 0.1) is above 1100 in floats


def test_add_on_ends_at_the_largest(make_calculation):
    quote, _ = quote_of(make_calculation(4_000, 4_000), now=HOUR + 23 * HOUR)
    assert initial(quote) == (8_000, 8_000)
    assert quote.status is Status.STALE


def test_too_old_is_the_larger_of_fixed_and_stale_each_side(make_calculation):
    quote, _ = quote_of(make_calculation(1_000, 3_000), now=26 * HOUR)
    check(quote)
    assert (quote.status, quote.basis) == (Status.FALLBACK, Basis.FIXED)
    assert initial(quote) == (5_000, 6_000)
    assert quote.long.components == {"fixed": 5_000.0}
    assert quote.short.components["staleness"] == 3_000.0
    assert quote.calculation is not None
    low, after = quote_of(make_calculation(10, 10), now=26 * HOUR)
    assert low.calculation is None
    assert after.calculation is not None  # what was calculated is not forgotten
    high, _ = quote_of(make_calculation(4_000, 4_000), now=26 * HOUR)
    assert (high.status, high.basis) == (Status.FALLBACK, Basis.LAST_GOOD)


def test_a_closed_market_does_not_make_a_margin_old(make_calculation):
    quote, _ = quote_of(make_calculation(due_at=60 * HOUR), now=60 * HOUR + 900 * SECOND)
    assert quote.status is Status.OK
    quote, _ = quote_of(make_calculation(due_at=60 * HOUR), now=60 * HOUR + 901 * SECOND)
    assert quote.status is Status.STALE


def test_observations_that_wait_make_a_margin_old(make_calculation):
    calculation = make_calculation(at=HOUR)
    quote, _ = quote_of(calculation, now=HOUR + 902 * SECOND, waiting_since=HOUR)
    assert quote.status is Status.STALE
    quote, _ = quote_of(calculation, now=HOUR + 899 * SECOND, waiting_since=HOUR)
    assert quote.status is Status.OK


def test_a_clock_that_goes_back_makes_no_margin_lower(make_calculation):
    quote, standing = quote_of(make_calculation(), now=10 * HOUR)
    again = LADDER.quote(standing, "BTC", now=2 * HOUR)
    assert initial(again) == initial(quote)
    assert again.status is quote.status


def test_a_price_within_the_period_makes_late_data_no_newer(make_calculation):
    late, standing = quote_of(make_calculation(due_at=HOUR), now=10 * HOUR)
    risen = make_calculation(long=501, due_at=HOUR, at=60 * SECOND)
    again, standing = quote_of(risen, now=2 * HOUR, standing=standing)  # the clock went back
    assert all(now >= then for now, then in zip(initial(again), initial(late), strict=True))
    closed = make_calculation(due_at=3 * HOUR, at=2 * HOUR)
    fresh, _ = quote_of(closed, now=2 * HOUR, standing=standing)
    assert (fresh.status, initial(fresh)) == (Status.OK, (500, 600))


def test_a_clock_that_went_back_before_the_first_calculation_ages_nothing(make_calculation):
    fixed = LADDER.quote(Standing(), "BTC", now=60 * HOUR)
    standing = LADDER.followed(Standing(), fixed)
    quote, _ = quote_of(make_calculation(at=HOUR), now=HOUR, standing=standing)
    assert (quote.status, initial(quote)) == (Status.OK, (500, 600))


def test_what_waiting_has_raised_falls_by_a_calculation_only(make_calculation):
    calculation = make_calculation(at=HOUR)
    quote, standing = quote_of(calculation, now=HOUR + 1_800 * SECOND, waiting_since=HOUR)
    standing = LADDER.followed(standing, quote, waiting_since=HOUR)
    later = HOUR + 1_801 * SECOND
    assert initial(LADDER.quote(standing, "BTC", now=later)) >= initial(quote) > (500, 600)
    standing = LADDER.calculated(standing, make_calculation(at=HOUR + SECOND))
    assert initial(LADDER.quote(standing, "BTC", now=later)) == (500, 600)


def test_what_waited_for_a_moment_does_not_age_afterwards(make_calculation):
    calculation = make_calculation(at=HOUR)
    quote, standing = quote_of(calculation, now=HOUR + 10 * SECOND, waiting_since=HOUR)
    standing = LADDER.followed(standing, quote, waiting_since=HOUR)
    assert LADDER.quote(standing, "BTC", now=HOUR + 1_800 * SECOND).status is Status.OK


@given(long=margins, short=margins, a=ages, b=ages)
def test_margin_is_monotone_in_age_and_never_below_the_last_good(
    make_calculation, long, short, a, b
):
    calculation = make_calculation(long, short)
    first, second = (quote_of(calculation, now=now)[0] for now in sorted((a, b)))
    check(first)
    check(second)
    assert long <= first.long.initial_margin_bps <= second.long.initial_margin_bps
    assert short <= first.short.initial_margin_bps <= second.short.initial_margin_bps
    for name in ("long", "short"):
        maintenance = [getattr(q, name).maintenance_margin_bps for q in (first, second)]
        assert getattr(calculation, name).maintenance_margin_bps <= maintenance[0] <= maintenance[1]


events = st.lists(
    st.tuples(
        st.sampled_from([Basis.NETWORK, Basis.LINEAR, Basis.GARCH, None]),
        margins,
        margins,
        st.integers(0, 30 * HOUR),
        st.booleans(),
    ),
    max_size=12,
)


@given(events=events)
@settings(max_examples=100)
def test_going_down_never_lowers_and_sides_are_independent(make_calculation, events):
    """Any sequence of rungs, waits and doubts; the short side of a twin is another market's."""
    standing, twin, now, best = Standing(), Standing(), 0, (0, 0)
    for basis, long, short, wait, doubted in events:
        now += wait
        doubt = "on trial" if doubted else ""
        before = standing.quote
        if basis is not None:
            calculation = make_calculation(long, short, basis=basis, at=now)
            standing = LADDER.calculated(standing, calculation, doubt=doubt)
            other = make_calculation(long, 777, basis=basis, at=now)
            twin = LADDER.calculated(twin, other, doubt=doubt)
        doubt = standing.doubt
        quote = LADDER.quote(standing, "BTC", now=now)
        beside = LADDER.quote(twin, "BTC", now=now)
        standing = LADDER.followed(standing, quote, doubt=doubt)
        twin = LADDER.followed(twin, beside, doubt=doubt)
        check(quote)
        assert quote.long == beside.long
        if quote.status is Status.OK:
            best = initial(quote)
        assert initial(quote) >= best or quote.status is Status.OK
        assert all(a >= b for a, b in zip(initial(quote), best, strict=True))
        if before is not None and basis is None and before.calculation is not None:
            assert all(a >= b for a, b in zip(initial(quote), initial(before), strict=True))
        assert quote.sequence == (1 if before is None else before.sequence + 1)


@given(events=events)
def test_following_the_quotes_alone_gives_the_same_standing(make_calculation, events):
    standing, replayed, now = Standing(), Standing(), 0
    for basis, long, short, wait, doubted in events:
        now += wait
        if basis is not None:
            calculation = make_calculation(long, short, basis=basis, at=now)
            doubt = "on trial" if doubted else ""
            standing = LADDER.calculated(standing, calculation, doubt=doubt)
        quote = LADDER.quote(standing, "BTC", now=now)
        standing = LADDER.followed(standing, quote, doubt=standing.doubt)
        replayed = LADDER.followed(replayed, quote, doubt=standing.doubt)
    later = now + 3 * HOUR
    assert LADDER.quote(standing, "BTC", now=later) == LADDER.quote(replayed, "BTC", now=later)


def test_differs_ignores_number_and_times(make_calculation):
    quote, standing = quote_of(make_calculation(), now=5)
    again = LADDER.quote(standing, "BTC", now=6)
    assert not differs(again, quote)
    assert differs(again, None)
    assert differs(LADDER.quote(standing, "BTC", now=9 * HOUR), quote)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fixed_initial_bps": 10}, "fixed_maintenance_bps <= fixed_initial_bps, were 4000 and 10"),
        ({"fixed_maintenance_bps": 0}, "0 < fixed_maintenance_bps"),
        ({"stale_after_s": 1e6}, "stale_after_s <= fixed_after_s"),
        ({"stale_after_s": math.nan}, "ages must satisfy"),
        ({"fixed_after_s": math.inf}, "ages must satisfy"),
        ({"add_on_per_hour": -0.1}, "add_on_per_hour and largest_add_on must be finite"),
        ({"largest_add_on": math.inf}, "add_on_per_hour and largest_add_on must be finite"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        Ladder(FallbackSettings(**values))
