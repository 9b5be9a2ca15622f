"""The publisher: what is due, how far it goes, what is written before it is signed."""

import msgspec
import pytest

from foremargin.errors import InputError
from foremargin.serving.publish import (
    LIMITED,
    NOT_CONVERTIBLE,
    PREFLIGHT,
    Check,
    Due,
    Ledger,
    Limits,
    LocalSigner,
    Market,
    Publisher,
    PublishRule,
    RegimeLimit,
    Signers,
    UpdateVerifier,
    market_id,
    verify_update,
)
from foremargin.serving.publish.merkle import root_of
from foremargin.serving.quote import Status

SECOND = 10**9
STEP = RegimeLimit(rise_bps=100, fall_bps=50, period_s=60)
LIMITS = Limits(floor_bps=50, cap_bps=2_000, calm=STEP, elevated=STEP, stressed=STEP, unknown=STEP)
RULE = PublishRule(deviation_bps=10, heartbeat_s=900, quiet_s=60)
MARKETS = [Market(instrument=name, limits=LIMITS, rule=RULE) for name in ("BTC", "ETH", "SOL")]


@pytest.fixture
def publisher(domain, signers):
    return Publisher(Ledger(domain), MARKETS, signers[0])


def publish(publisher, *quotes, at):
    """Plan and commit; return plan and batch."""
    plan = publisher.plan(quotes, now=at * SECOND)
    return plan, publisher.commit(plan)


def number(publisher, name):
    """The number of the last update that may be released."""
    return publisher.signed(name).update.seq


def codes(plan):
    return [(report.instrument, report.code) for report in plan.reports]


def test_a_quote_becomes_a_signed_update_that_a_consumer_accepts(
    publisher, quote, domain, signers, now
) -> None:
    plan, batch = publish(publisher, quote(), quote(name="ETH"), at=now)
    assert plan.due == {"BTC": Due.FIRST, "ETH": Due.FIRST}
    assert list(plan.updates) == ["BTC", "ETH"]
    one = publisher.signed("BTC")
    allowed = Signers([signers[0].address])
    assert verify_update(one, domain, allowed) == plan.updates["BTC"]
    assert one.is_complete(allowed.addresses, threshold=1)
    verifier = UpdateVerifier(domain, allowed, {"BTC": LIMITS, "ETH": LIMITS})
    verifier.accept(one.update, one.signatures, now=now)
    pair = batch.updates["ETH"], batch.proof("ETH")
    verifier.accept_from_batch(batch.batch, batch.signatures, [pair], now=now)
    assert verifier.margins("ETH", now=now) == ((800, 500, 900, 600), False)


def test_sequences_rise_by_one_and_every_update_names_the_one_before(
    publisher, quote, domain, now
) -> None:
    before, seen = None, []
    for k in range(4):
        at = now + 60 * k
        plan, _ = publish(publisher, quote((800 + 20 * k, 500, 900, 600), at=at), at=at)
        update = plan.updates["BTC"]
        seen.append((update.prev_seq, update.seq, plan.batch.batch_seq))
        assert update.prev_digest == (bytes(32) if before is None else domain.digest(before))
        before = update
    assert seen == [(0, 1, 1), (1, 2, 2), (2, 3, 3), (3, 4, 4)]


def test_markets_have_sequences_of_their_own(publisher, quote, now) -> None:
    publish(publisher, quote(), at=now)
    publish(publisher, quote(at=now + 900), at=now + 900)
    plan, _ = publish(publisher, quote(name="ETH", at=now + 901), at=now + 901)
    assert (plan.updates["ETH"].seq, plan.updates["ETH"].prev_digest) == (1, bytes(32))


def test_nothing_is_published_without_need(publisher, quote, now) -> None:
    publish(publisher, quote(), at=now)
    plan, batch = publish(publisher, quote((805, 500, 900, 600), at=now + 60), at=now + 60)
    assert (plan.record, plan.updates, plan.reports, batch) == (b"", {}, (), None)


def test_a_heartbeat_needs_a_quote_that_holds_longer(publisher, quote, now) -> None:
    first = quote()
    publish(publisher, first, at=now)
    assert publish(publisher, first, at=now + 1_000)[0].updates == {}
    plan, _ = publish(publisher, quote(at=now + 990), at=now + 1_000)
    assert plan.due == {"BTC": Due.HEARTBEAT}


def test_of_two_quotes_of_an_instrument_the_later_counts(publisher, quote, now) -> None:
    newer = quote((810, 500, 900, 600), sequence=2)
    plan, _ = publish(publisher, newer, quote(), at=now)
    assert plan.updates["BTC"].long_initial_bps == 810


def test_a_step_beyond_the_limits_goes_as_far_as_allowed_and_the_rest_follows(
    publisher, quote, domain, signers, now
) -> None:
    verifier = UpdateVerifier(domain, Signers([signers[0].address]), {"BTC": LIMITS})
    wanted, seen = (1_050, 700, 900, 600), []
    for k, margins in enumerate([(800, 500, 900, 600), wanted, wanted, wanted, wanted]):
        at = now + 60 * k
        plan, _ = publish(publisher, quote(margins, at=at), at=at)
        one = publisher.signed("BTC")
        verifier_held = one.update.seq
        if plan.updates:
            verifier.accept(one.update, one.signatures, now=at)
        seen.append((verifier_held, one.update.margins[:2], [code for _, code in codes(plan)]))
    assert seen == [
        (1, (800, 500), []),
        (2, (900, 580), [LIMITED]),
        (3, (1_000, 660), [LIMITED]),
        (4, (1_050, 700), []),
        (4, (1_050, 700), []),
    ]


def test_above_the_cap_the_cap_is_published_once(publisher, quote, now) -> None:
    publish(publisher, quote((1_950, 1_000, 900, 600)), at=now)
    high = (2_600, 1_300, 900, 600)
    plan, _ = publish(publisher, quote(high, at=now + 60), at=now + 60)
    assert plan.updates["BTC"].margins == (2_000, 1_024, 900, 600)
    assert codes(plan) == [("BTC", LIMITED)]
    assert "from 50 to 2000 basis points" in plan.reports[0].message
    plan, _ = publish(publisher, quote(high, at=now + 120), at=now + 120)
    assert (plan.updates, codes(plan)) == ({}, [("BTC", Check.OUT_OF_BOUNDS)])
    # It is renewed before it runs out, so that the consumer does not have to fall back.
    plan, _ = publish(publisher, quote(high, at=now + 1_000), at=now + 1_000)
    assert plan.updates["BTC"].margins == (2_000, 1_024, 900, 600)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"margins": (2_001, 500, 900, 600)}, Check.OUT_OF_BOUNDS),
        ({"margins": (800, 49, 900, 600)}, Check.OUT_OF_BOUNDS),
        ({"margins": (800, 801, 900, 600)}, Check.INCONSISTENT),
        ({"calculation": {"sigma": 0.5}}, Check.INCONSISTENT),
        ({"calculation": {"sigma_upper": float("nan")}}, NOT_CONVERTIBLE),
        ({"calculation": {"liquidity_cost": 20.0}}, NOT_CONVERTIBLE),
        ({"regime": "none"}, NOT_CONVERTIBLE),
        ({"observed_at": 0, "status": Status.FALLBACK, "calculation": None}, Check.TOO_OLD),
        ({"valid_until": 0}, Check.BAD_TIMES),
        ({"name": "DOGE"}, Check.UNKNOWN_MARKET),
    ],
)
def test_what_a_consumer_would_refuse_is_reported_and_not_signed(
    publisher, quote, now, changes, code
) -> None:
    plan, batch = publish(publisher, quote(**changes), quote(name="ETH"), at=now)
    assert codes(plan) == [(changes.get("name", "BTC"), code)]
    assert list(plan.updates) == list(batch.updates) == ["ETH"]
    assert publisher.signed("BTC") is None


def test_a_quote_from_the_future_and_one_that_expired_are_not_signed(publisher, quote, now) -> None:
    assert codes(publish(publisher, quote(at=now + 1), at=now)[0]) == [("BTC", Check.NOT_YET_VALID)]
    assert codes(publish(publisher, quote(), at=now + 3_600)[0]) == [("BTC", Check.EXPIRED)]


def test_an_inconsistent_target_is_not_approached(publisher, quote, now) -> None:
    publish(publisher, quote(), at=now)
    plan, _ = publish(publisher, quote((1_000, 1_500, 900, 600), at=now + 60), at=now + 60)
    assert (plan.updates, codes(plan)) == ({}, [("BTC", Check.INCONSISTENT)])


class Trial:
    """Refuses what it is told to; fails if told so."""

    def __init__(self, refused=(), error=None):
        self.refused, self.error, self.seen = refused, error, []

    def refusals(self, instrument, update, held, *, now):
        self.seen.append((instrument, update.margins, held and held.update.seq, now))
        if self.error:
            raise self.error
        return ["it would liquidate somebody"] if instrument in self.refused else []


def test_a_trial_that_fails_or_refuses_keeps_an_update_from_being_signed(
    domain, signers, quote, now
) -> None:
    trial = Trial(refused=("BTC",))
    publisher = Publisher(Ledger(domain), MARKETS, signers[0], preflight=trial)
    plan, _ = publish(publisher, quote(), quote(name="ETH"), at=now)
    assert codes(plan) == [("BTC", PREFLIGHT)]
    assert plan.reports[0].message == "it would liquidate somebody"
    assert list(plan.updates) == ["ETH"]
    assert trial.seen[1] == ("ETH", (800, 500, 900, 600), None, now)
    trial.error = InputError("prices must be known, are not")
    plan, _ = publish(publisher, quote(name="SOL"), at=now)
    assert (plan.updates, codes(plan)) == ({}, [("SOL", PREFLIGHT)])


def test_a_trial_sees_what_would_be_signed(domain, signers, quote, now) -> None:
    trial = Trial()
    publisher = Publisher(Ledger(domain), MARKETS, signers[0], preflight=trial)
    publish(publisher, quote(), at=now)
    publish(publisher, quote((1_000, 500, 900, 600), at=now + 60), at=now + 60)
    assert trial.seen[-1] == ("BTC", (900, 500, 900, 600), 1, now + 60)


def test_a_plan_is_committed_before_the_next(publisher, quote, now) -> None:
    plan = publisher.plan([quote()], now=now * SECOND)
    with pytest.raises(InputError, match="the plan before must be committed first"):
        publisher.plan([quote()], now=now * SECOND)
    with pytest.raises(InputError, match="the plan before must be committed first"):
        publisher.snapshot()
    with pytest.raises(InputError, match="the plan before must be committed first"):
        publisher.rotate()
    with pytest.raises(InputError, match="only the plan that is open can be committed"):
        publisher.commit(msgspec.structs.replace(plan))
    publisher.commit(plan)
    with pytest.raises(InputError, match="only the plan that is open can be committed"):
        publisher.commit(plan)


def test_nothing_is_signed_before_the_commit(domain, quote, now) -> None:
    class Counting(LocalSigner):
        signed = 0

        def sign(self, digest):
            Counting.signed += 1
            return super().sign(digest)

    publisher = Publisher(Ledger(domain), MARKETS, Counting(b"\7" * 32))
    plan = publisher.plan([quote()], now=now * SECOND)
    assert (Counting.signed, publisher.signed("BTC"), publisher.batch()) == (0, None, None)
    publisher.commit(plan)
    assert Counting.signed == 1  # the batch; a single update when somebody asks
    publisher.signed("BTC")
    publisher.signed("BTC")
    assert Counting.signed == 2


def test_a_restart_signs_the_same_again(domain, signers, quote, now) -> None:
    publisher = Publisher(Ledger(domain), MARKETS, signers[0])
    snapshot, records = publisher.snapshot(), []
    for k in range(3):
        at = now + 60 * k
        plan = publisher.plan([quote((800 + 20 * k, 500, 900, 600), at=at)], now=at * SECOND)
        records.append(plan.record)
        publisher.commit(plan)
    ledgers = [
        Ledger.restored(domain, snapshot, records),
        Ledger.restored(domain, publisher.snapshot()),
        Ledger.restored(domain, publisher.snapshot(), records[-1:]),  # the last may come twice
    ]
    for ledger in ledgers:
        again = Publisher(ledger, MARKETS, signers[0])
        assert again.signed("BTC") == publisher.signed("BTC")
        assert again.batch() == publisher.batch()
        assert again.snapshot() == publisher.snapshot()


def test_a_new_key_needs_a_new_epoch(domain, signers, quote, now) -> None:
    publisher = Publisher(Ledger(domain), MARKETS, signers[0])
    publish(publisher, quote(), at=now)
    snapshot = publisher.snapshot()
    with pytest.raises(InputError, match="start with the old key and rotate"):
        Publisher(Ledger.restored(domain, snapshot), MARKETS, signers[1])
    plan = publisher.rotate(signers[1])
    assert publisher.epoch == 1
    assert publisher.commit(plan) is None
    assert (publisher.epoch, publisher.batch(), publisher.signed("BTC")) == (2, None, None)
    made, batch = publish(publisher, quote((1_200, 500, 900, 600), at=now + 60), at=now + 60)
    update = made.updates["BTC"]
    assert (update.epoch, update.seq, update.prev_seq, update.prev_digest) == (2, 1, 0, bytes(32))
    assert update.long_initial_bps == 900  # limits hold on over the epochs
    assert batch.is_complete([signers[1].address], threshold=1)
    restored = Ledger.restored(domain, snapshot, [plan.record, made.record])
    assert Publisher(restored, MARKETS, signers[1]).batch() == batch
    with pytest.raises(InputError, match="start with the old key and rotate"):
        Publisher(restored, MARKETS, signers[0])


def test_a_pause_holds_at_once_over_a_restart_and_until_it_is_taken_back(
    domain, signers, quote, now
) -> None:
    publisher = Publisher(Ledger(domain), MARKETS, signers[0])
    empty = publisher.snapshot()
    plan = publisher.plan([quote(), quote(name="ETH")], now=now * SECOND)
    record = publisher.pause("BTC")  # between writing and signing
    assert publisher.commit(plan) is None
    assert (publisher.signed("BTC"), publisher.batch()) == (None, None)
    assert number(publisher, "ETH") == 1
    again = Publisher(Ledger.restored(domain, empty, [plan.record, record]), MARKETS, signers[0])
    assert again.signed("BTC") is None
    later, _ = publish(again, quote((850, 500, 900, 600), at=now + 60), at=now + 60)
    assert codes(later) == [("BTC", Check.PAUSED)]
    again.resume("BTC")
    assert number(again, "BTC") == 1
    again.pause()
    assert (again.signed("ETH"), again.batch()) == (None, None)
    again.resume()
    assert number(again, "ETH") == 1
    assert again.batch() is not None


def test_a_batch_that_was_held_back_is_not_replaced_by_the_one_before(
    publisher, quote, now
) -> None:
    publish(publisher, quote(), at=now)
    moved = quote((850, 500, 900, 600), at=now + 60)
    plan = publisher.plan([moved], now=(now + 60) * SECOND)
    publisher.pause("BTC")
    assert (publisher.commit(plan), publisher.batch()) == (None, None)
    publisher.resume("BTC")
    assert publisher.batch().batch == plan.batch


def test_a_pause_of_something_that_is_no_market_is_an_error(publisher) -> None:
    with pytest.raises(InputError, match="only a market can be paused or resumed, 'BTCC' is none"):
        publisher.pause("BTCC")
    with pytest.raises(InputError, match="only a market can be paused or resumed, 'BTCC' is none"):
        publisher.resume("BTCC")


def test_another_regime_is_said_at_once_though_margins_must_wait(publisher, quote, now) -> None:
    publish(publisher, quote(), at=now)
    stressed = quote((1_000, 500, 900, 600), at=now + 1, regime="stressed")
    plan, _ = publish(publisher, stressed, at=now + 1)
    assert (plan.updates["BTC"].regime, plan.updates["BTC"].margins) == (3, (800, 500, 900, 600))
    assert (plan.due, codes(plan)) == ({"BTC": Due.REGIME}, [("BTC", LIMITED)])
    plan, _ = publish(publisher, stressed, at=now + 2)
    assert (plan.updates, codes(plan)) == ({}, [("BTC", Check.STEP_TOO_LARGE)])


def test_damaged_or_foreign_records_are_refused(domain, signers, quote, now) -> None:
    publisher = Publisher(Ledger(domain), MARKETS, signers[0])
    empty = publisher.snapshot()
    first, _ = publish(publisher, quote(), at=now)
    second, _ = publish(publisher, quote((850, 500, 900, 600), at=now + 60), at=now + 60)
    other = msgspec.structs.replace(domain, chain_id=5)
    with pytest.raises(InputError, match="a snapshot must be of the same chain and contract"):
        Ledger.restored(other, empty)
    with pytest.raises(InputError, match="a record must be of this chain and contract"):
        Ledger(other).replay(first.record)
    with pytest.raises(InputError, match="a record must be what a ledger wrote"):
        Ledger.restored(domain, empty, [first.record[:-2]])
    with pytest.raises(InputError, match="a snapshot must be what a ledger wrote"):
        Ledger.restored(domain, first.record)
    with pytest.raises(InputError, match="of epoch 1 and above number 2, was 1 of epoch 1"):
        Ledger.restored(domain, empty, [first.record, second.record, first.record])
    forged = msgspec.json.decode(publisher.snapshot())
    forged["in_batch"] = []
    with pytest.raises(InputError, match="a batch must have at least one update"):
        Ledger.restored(domain, msgspec.json.encode(forged))
    sent = msgspec.json.decode(publisher.snapshot())
    sent["held"]["ETH"] = sent["held"]["BTC"]
    sent["in_batch"] = ["BTC", "ETH"]
    with pytest.raises(InputError, match="a snapshot must hold the updates of its batch"):
        Ledger.restored(domain, msgspec.json.encode(sent))


def test_a_second_history_is_not_taken_up(domain, signers, quote, now) -> None:
    a, b = (Publisher(Ledger(domain), MARKETS, signers[0]) for _ in range(2))
    empty = a.snapshot()
    one, _ = publish(a, quote(), at=now)
    publish(b, quote((810, 500, 900, 600)), at=now)
    other, _ = publish(b, quote((850, 500, 900, 600), at=now + 60), at=now + 60)
    with pytest.raises(InputError, match="an update of BTC must follow number 1, does not"):
        Ledger.restored(domain, empty, [one.record, other.record])


def test_released_json_is_what_wallets_take(publisher, quote, domain, now) -> None:
    _, batch = publish(publisher, quote(), quote(name="ETH"), at=now)
    plain = msgspec.json.decode(msgspec.json.encode(publisher.signed("BTC").plain()))
    assert plain["domain"]["verifyingContract"] == domain.contract
    assert plain["message"]["marketId"] == "0x" + market_id("BTC").hex()
    assert (plain["message"]["longInitialBps"], plain["message"]["seq"]) == (800, "1")
    listed = batch.plain(["ETH"])["updates"]
    [partner] = listed[0]["proof"]
    root = root_of(domain.digest(batch.updates["ETH"]), [bytes.fromhex(partner[2:])])
    assert "0x" + root.hex() == batch.plain()["message"]["root"]
    with pytest.raises(InputError, match="'SOL' must be in the batch, and is not"):
        batch.proof("SOL")


def test_a_forged_update_is_refused_by_its_reader(publisher, quote, domain, signers, now) -> None:
    publish(publisher, quote(), at=now)
    one = publisher.signed("BTC")
    allowed = Signers([signers[0].address])
    forged = msgspec.structs.replace(one.update, long_initial_bps=1)
    with pytest.raises(InputError, match="UnknownSigner: signed by 0x"):
        verify_update(msgspec.structs.replace(one, update=forged), domain, allowed)
    with pytest.raises(InputError, match="UnknownMarket: the update must be of ETH"):
        verify_update(msgspec.structs.replace(one, instrument="ETH"), domain, allowed)
    two = Signers([signers[0].address, signers[1].address], threshold=2)
    with pytest.raises(InputError, match="TooFewSigners: 2 signers must sign, 1 did"):
        verify_update(one, domain, two)
    both = one.joined([signers[1].sign(one.digest)])
    assert verify_update(both, domain, two) == one.update
    with pytest.raises(InputError, match="threshold must be from 1 to 1, the signers, was 2"):
        Signers([signers[0].address], threshold=2)
