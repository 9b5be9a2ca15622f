"""What-if: laws of a coherent measure, rounding towards safety, how scenarios are made."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.errors import InputError, ShapeError
from foremargin.serving.http import HttpSettings, Simulation
from foremargin.serving.http.scenarios import ANGLES, DISTANCES, forecast_scenarios
from foremargin.serving.http.whatif import ScenarioBook, TableScenarios
from foremargin.serving.quote import Basis, Quote, SideMargin, Status
from foremargin.serving.table import QuoteTable

NAMES = ["A", "B", "C", "D"]
CENT = 0.01 + 1e-9


def side(initial: int, maintenance: int) -> SideMargin:
    return SideMargin(initial_margin_bps=initial, maintenance_margin_bps=maintenance, components={})


def quote(name: str, long: SideMargin, short: SideMargin, status: Status = Status.OK) -> Quote:
    return Quote(
        instrument=name,
        sequence=1,
        status=status,
        basis=Basis.LINEAR,
        reason="",
        observed_at=5 + ord(name[0]),
        quoted_at=7,
        valid_until=100 - ord(name[0]),
        long=long,
        short=short,
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[ScenarioBook, dict[str, Quote]]:
    n, s = len(NAMES) - 1, draw(st.integers(2, 12))
    seed, offset = draw(st.integers(0, 10**6)), draw(st.sampled_from([0.0, 0.5, 0.8, 1.0]))
    returns = np.random.default_rng(seed).normal(0, 0.1, (n, s)).clip(-0.9, None)
    returns[:, 0], returns[:, 1] = -abs(returns[:, 0]) - 0.01, abs(returns[:, 1]) + 0.01
    book = ScenarioBook(NAMES[:n], [f"s{i}" for i in range(s)], returns, largest_offset=offset)
    quotes = {}
    for name in NAMES:  # the last has a margin and no scenarios
        sides = []
        for _ in range(2):
            initial = draw(st.integers(1, 10_000))
            sides.append(side(initial, draw(st.integers(0, initial))))
        quotes[name] = quote(name, sides[0], sides[1])
    return book, quotes


amounts = st.floats(-1e9, 1e9, allow_nan=False)
portfolios = st.dictionaries(st.sampled_from(NAMES), amounts, min_size=1)
usual = settings(max_examples=40, deadline=None)


@usual
@given(world=worlds(), positions=portfolios)
def test_a_portfolio_never_needs_more_than_its_parts_and_never_less_than_nothing(world, positions):
    book, quotes = world
    found = book.simulate(positions, quotes)
    assert 0.0 <= found.maintenance_margin <= found.initial_margin <= found.sum_of_margins
    assert found.diversification >= 0.0
    singles = math.fsum(part.single_margin for part in found.parts)
    assert found.sum_of_margins <= singles + 1e-6
    assert found.expected_shortfall <= found.worst_loss or found.worst_loss == 0.0


@usual
@given(world=worlds(), name=st.sampled_from(NAMES), notional=amounts)
def test_a_position_by_itself_needs_exactly_its_margin(world, name, notional):
    book, quotes = world
    one = quotes[name]
    found = book.simulate({name: notional}, quotes)
    held = one.long if notional >= 0 else one.short
    exact = abs(notional) * held.initial_margin_bps / 1e4
    assert exact - 1e-9 * exact <= found.initial_margin <= exact * (1 + 1e-12) + CENT
    lower = abs(notional) * held.maintenance_margin_bps / 1e4
    assert lower - 1e-9 * lower <= found.maintenance_margin <= lower * (1 + 1e-12) + CENT


@usual
@given(world=worlds(), one=portfolios, other=portfolios)
def test_two_portfolios_together_never_need_more_than_apart(world, one, other):
    book, quotes = world
    both = {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}
    apart = book.simulate(one, quotes).initial_margin + book.simulate(other, quotes).initial_margin
    # Each of the two may have been rounded up by a cent, the whole by one more.
    assert book.simulate(both, quotes).initial_margin <= apart * (1 + 1e-12) + 2 * CENT


@usual
@given(world=worlds(), positions=portfolios, scale=st.floats(1.0, 50.0))
def test_margin_grows_with_the_size_of_a_portfolio(world, positions, scale):
    book, quotes = world
    larger = {name: scale * notional for name, notional in positions.items()}
    once = book.simulate(positions, quotes).initial_margin
    many = book.simulate(larger, quotes).initial_margin
    assert many == pytest.approx(scale * once, rel=1e-9, abs=(1 + scale) * CENT)


@usual
@given(world=worlds(), positions=portfolios)
def test_shares_and_rounding_add_up_and_rounding_is_upwards(world, positions):
    book, quotes = world
    found = book.simulate(positions, quotes)
    shares = math.fsum(part.share for part in found.parts)
    size = 1.0 + math.fsum(part.single_margin for part in found.parts)
    assert shares + found.rounding == pytest.approx(found.initial_margin, abs=1e-12 * size)
    assert -1e-12 * size <= found.rounding <= CENT + 1e-12 * size


@usual
@given(world=worlds(), positions=portfolios)
def test_the_margin_is_what_a_plain_loop_over_scenarios_finds(world, positions):
    book, quotes = world
    found = book.simulate(positions, quotes)
    losses = []
    for s in range(len(book.names)):
        loss = 0.0
        for name, notional in positions.items():
            one = quotes[name]
            long, short = one.long.initial_margin_bps / 1e4, one.short.initial_margin_bps / 1e4
            if name not in book.instruments:
                loss += notional * long if notional >= 0 else -notional * short
                continue
            fall, rise = book._moves[book.instruments.index(name), :, s]
            loss += notional * (long * fall - short * rise)
        losses.append(loss)
    size = 1.0 + sum(part.single_margin for part in found.parts)
    assert found.worst_loss == pytest.approx(max(*losses, 0.0), abs=CENT + 1e-12 * size)
    assert losses[book.names.index(found.worst_scenario)] == pytest.approx(
        max(losses), abs=1e-12 * size
    )


@usual
@given(world=worlds(), positions=portfolios, step=st.floats(1e-7, 1e-6))
def test_a_share_is_what_a_little_more_of_a_position_costs(world, positions, step):
    book, quotes = world
    base = book.simulate(positions, quotes)
    for part in base.parts:
        changed = dict(positions)
        changed[part.instrument] *= 1.0 + step
        more = book.simulate(changed, quotes)
        # Convexity: the margin of the changed portfolio lies above its tangent.
        tangent = base.initial_margin + step * part.share
        size = 1.0 + base.sum_of_margins
        assert more.initial_margin >= tangent - 2 * CENT - 1e-12 * size


def test_a_hedge_has_a_negative_share_and_a_perfect_one_pays_what_is_not_granted():
    returns = np.array([[-0.1, 0.1], [-0.1, 0.1]])
    quotes = {name: quote(name, side(1_000, 800), side(1_000, 800)) for name in "AB"}
    book = ScenarioBook(["A", "B"], ["down", "up"], returns, largest_offset=0.8)
    found = book.simulate({"A": 1e6, "B": -1e6}, quotes)
    assert found.initial_margin == pytest.approx(0.2 * 200_000, abs=CENT)
    small = book.simulate({"A": 1e6, "B": -1e5}, quotes)
    assert small.parts[1].share < 0.0
    assert small.worst_scenario == "down"


def test_what_has_no_scenarios_is_added_in_full():
    returns = np.array([[-0.1, 0.1]])
    quotes = {name: quote(name, side(1_000, 800), side(500, 400)) for name in "AB"}
    book = ScenarioBook(["A"], ["down", "up"], returns, largest_offset=1.0)
    found = book.simulate({"A": 1e6, "B": -1e6}, quotes)
    assert found.initial_margin == found.sum_of_margins == 150_000.0
    assert [part.offset for part in found.parts] == [True, False]


def test_the_answer_is_as_old_and_as_doubtful_as_its_worst_quote():
    returns = np.array([[-0.1, 0.1], [-0.2, 0.2]])
    quotes = {
        "A": quote("A", side(10, 8), side(10, 8)),
        "B": quote("B", side(10, 8), side(10, 8), Status.STALE),
    }
    found = ScenarioBook(["A", "B"], ["d", "u"], returns).simulate({"A": 1.0, "B": 1.0}, quotes)
    assert found.status == "stale"
    assert (found.observed_at, found.valid_until) == (
        quotes["A"].observed_at,
        quotes["B"].valid_until,
    )


@pytest.mark.parametrize("notional", [math.nan, math.inf, -math.inf, 1.1e15])
def test_an_amount_that_is_none_is_refused(notional):
    book = ScenarioBook(["A"], ["d", "u"], np.array([[-0.1, 0.1]]))
    with pytest.raises(InputError, match="must be finite and at most"):
        book.simulate({"A": notional}, {"A": quote("A", side(10, 8), side(10, 8))})
    with pytest.raises(InputError, match="found no position"):
        book.simulate({}, {})
    with pytest.raises(InputError, match="found A"):
        book.simulate({"A": 1.0}, {})


def test_a_book_that_cannot_be_scaled_is_refused():
    fine = np.array([[-0.1, 0.1], [-0.1, 0.1]])
    with pytest.raises(ShapeError, match=r"must have shape \(2, 3\)"):
        ScenarioBook(["A", "B"], ["x", "y", "z"], fine)
    with pytest.raises(InputError, match=r"must be finite.* B"):
        ScenarioBook(["A", "B"], ["x", "y"], np.array([[-0.1, 0.1], [-0.1, np.nan]]))
    with pytest.raises(InputError, match="must fall in a scenario and rise in one, B does not"):
        ScenarioBook(["A", "B"], ["x", "y"], np.array([[-0.1, 0.1], [0.1, 0.0]]))
    with pytest.raises(InputError, match="found one twice"):
        ScenarioBook(["A", "A"], ["x", "y"], fine)
    with pytest.raises(InputError, match="largest_offset must be"):
        ScenarioBook(["A", "B"], ["x", "y"], fine, largest_offset=1.2)


def test_live_scenarios_follow_the_table():
    table = QuoteTable()
    table.write([quote("A", side(1_000, 800), side(1_000, 800))])
    live = TableScenarios(ScenarioBook(["A"], ["d", "u"], np.array([[-0.1, 0.1]])), table)
    assert live.simulate({"A": 100.0})["initial_margin"] == 10.0
    table.write([quote("A", side(2_000, 800), side(1_000, 800))])
    assert live.simulate({"A": 100.0})["initial_margin"] == 20.0
    with pytest.raises(InputError, match="found B"):
        live.simulate({"B": 1.0})


def covariance(n: int, correlation: float) -> np.ndarray:
    sigma = np.linspace(0.01, 0.05, n)
    mixed = np.full((n, n), correlation) + (1 - correlation) * np.eye(n)
    return np.outer(sigma, sigma) * mixed


def test_there_are_sixty_four_scenarios_in_mirrored_pairs():
    book = forecast_scenarios(NAMES, covariance(4, 0.6))
    assert len(book.names) == len(set(book.names)) == 64 == 2 * len(DISTANCES) * len(ANGLES)
    up, down = book._moves[..., 0::2], book._moves[..., 1::2]
    assert ((up[:, 0] > 0) == (down[:, 1] > 0)).all()
    assert ((up[:, 1] > 0) == (down[:, 0] > 0)).all()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 6), correlation=st.floats(0.0, 0.95), seed=st.integers(0, 99))
def test_a_move_of_distance_r_is_at_most_r_sigma_and_the_own_parts_are_uncorrelated_with_it(
    n, correlation, seed
):
    names = [f"{seed}-{i}" for i in range(n)]
    matrix = covariance(n, correlation)
    sigma = np.sqrt(np.diagonal(matrix))
    seen = {}

    class Spy(ScenarioBook):
        def __init__(self, instruments, labels, returns, **rest):
            seen["log"] = np.log1p(returns)
            super().__init__(instruments, labels, returns, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foremargin.serving.http.scenarios.ScenarioBook", Spy)
        forecast_scenarios(names, matrix)
    log = seen["log"].reshape(n, len(DISTANCES), len(ANGLES), 2)
    largest = np.abs(log).max(axis=(2, 3))
    assert (largest <= np.outer(sigma, DISTANCES) * (1 + 1e-9)).all()
    np.testing.assert_allclose(log[..., 0], -log[..., 1], rtol=1e-9, atol=1e-15)
    # The factor alone and the own part alone make up the whole variance.
    alone = log[:, 0, 0, 0] ** 2 + log[:, 0, -1, 0] ** 2
    np.testing.assert_allclose(alone, sigma**2, rtol=1e-9)


def test_an_instrument_keeps_its_signs_when_others_come():
    one = forecast_scenarios(["A", "B"], covariance(2, 0.0))
    two = forecast_scenarios(["A", "B", "C"], covariance(3, 0.0)[:3, :3])
    own = [i for i, name in enumerate(one.names) if "90 degrees" in name]
    np.testing.assert_array_equal(
        np.sign(one._moves[:2, 0][:, own]), np.sign(two._moves[:2, 0][:, own])
    )


def test_a_spread_between_any_two_of_two_hundred_instruments_loses_in_some_scenario():
    n = 200
    book = forecast_scenarios([f"I{i}" for i in range(n)], covariance(n, 0.9))
    units = book._moves[:, 0] - book._moves[:, 1]  # loss of a long with a margin of one
    worst = np.array([(units - units[i]).max(axis=1) for i in range(n)])
    worst[np.diag_indices(n)] = np.nan
    # Own parts are a third of the move at this correlation, and a spread has two of them.
    assert np.nanmin(worst) > 0.2
    assert np.nanmean(worst) > 0.5


def test_a_covariance_that_is_none_is_refused():
    with pytest.raises(ShapeError, match=r"must have shape \(2, 2\)"):
        forecast_scenarios(["A", "B"], np.eye(3))
    for wrong in (np.diag([1.0, 0.0]), np.array([[1.0, 0.5], [0.4, 1.0]]), np.diag([1.0, np.nan])):
        with pytest.raises(InputError, match="must be finite and symmetric"):
            forecast_scenarios(["A", "B"], wrong)


def test_over_http_positions_of_one_instrument_net(build, call, tokens):
    app = build()

    def ask(*positions: tuple[str, float]):
        body = {"positions": [{"instrument": i, "notional": n} for i, n in positions]}
        return call(app, "POST", "/v1/portfolios:simulate", token=tokens["simulate"], json=body)

    apart = ask(("BTC-PERP", 100.0), ("ETH-PERP", -30.0), ("BTC-PERP", -40.0))
    assert apart.content == ask(("BTC-PERP", 60.0), ("ETH-PERP", -30.0)).content
    found = msgspec.json.decode(apart.content, type=Simulation)
    assert found.initial_margin < found.sum_of_margins
    unknown = ask(("BTC-PERP", 1.0), ("NONE", 1.0))
    assert unknown.status_code == 422
    assert "NONE" in unknown.json()["detail"]
    assert ask(("BTC-PERP", 1.1e15)).status_code == 422


def test_over_http_both_paths_answer_the_same(build, call, tokens):
    bodies = [
        b'{"positions":[{"instrument":"BTC-PERP","notional":1e6}]}',
        *(b"", b"{}", b"[", b'{"positions":[]}', b'{"positions":[{"instrument":"BTC-PERP"}]}'),
        *(b'{"positions":[{"instrument":"BTC-PERP","notional":NaN}]}', b"[" * 5_000),
        b'{"positions":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"positions":[%s]}' % b",".join([b'{"instrument":"A","notional":1}'] * 12),
    ]
    apps = [build(settings=HttpSettings(fast_path=fast, positions=10)) for fast in (True, False)]
    for body in bodies:
        fast, slow = (
            call(
                app,
                "POST",
                "/v1/portfolios:simulate",
                token=tokens["simulate"],
                content=body,
                headers={"content-type": "application/json"},
            )
            for app in apps
        )
        assert fast.status_code == slow.status_code < 500
        assert fast.content == slow.content
        assert sorted(fast.headers.multi_items()) == sorted(slow.headers.multi_items())
