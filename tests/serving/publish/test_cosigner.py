"""The second signer: believes nothing, remembers everything, signs whole batches."""

import msgspec
import pytest

from foremargin.errors import InputError
from foremargin.serving.publish import (
    PREFLIGHT,
    Check,
    CoSigner,
    Ledger,
    Limits,
    Market,
    Publisher,
    PublishRule,
    RegimeLimit,
    SignedBatch,
    Signers,
    UpdateVerifier,
    market_id,
)
from foremargin.serving.publish.signed import batch_of

SECOND = 10**9
WIDE = RegimeLimit(rise_bps=1_000, fall_bps=1_000, period_s=1)
NARROW = RegimeLimit(rise_bps=50, fall_bps=50, period_s=60)
MARKETS = [
    Market(instrument=n, limits=Limits(calm=WIDE), rule=PublishRule()) for n in ("BTC", "ETH")
]


@pytest.fixture
def publisher(domain, signers):
    return Publisher(Ledger(domain), MARKETS, signers[0])


@pytest.fixture
def make(domain, signers):
    """A co-signer with limits of its own."""

    def build(limits=MARKETS[0].limits, ledger=None, **more):
        markets = [msgspec.structs.replace(market, limits=limits) for market in MARKETS]
        publishers = [signers[0].address]
        fresh = ledger or Ledger(domain)
        return CoSigner(fresh, markets, signers[1], publishers=publishers, **more)

    return build


def release(publisher, *quotes, at):
    return publisher.commit(publisher.plan(quotes, now=at * SECOND))


def codes(consent):
    return [(report.instrument, report.code) for report in consent.reports]


def test_two_signatures_satisfy_a_consumer_that_wants_two(
    publisher, make, quote, domain, signers, now
) -> None:
    batch = release(publisher, quote(), quote(name="ETH"), at=now)
    cosigner = make()
    consent = cosigner.consider(batch, now=now)
    assert consent.reports == ()
    whole = batch.joined([cosigner.commit(consent)])
    keys = [signer.address for signer in signers[:2]]
    assert not batch.is_complete(keys, threshold=2)
    assert whole.is_complete(keys, threshold=2)
    verifier = UpdateVerifier(domain, Signers(keys, threshold=2), {"BTC": Limits()})
    pair = whole.updates["BTC"], whole.proof("BTC")
    verifier.accept_from_batch(whole.batch, whole.signatures, [pair], now=now)


def test_its_own_limits_count(publisher, make, quote, now) -> None:
    cosigner = make(Limits(calm=NARROW))
    first = release(publisher, quote(), at=now)
    cosigner.commit(cosigner.consider(first, now=now))
    far = release(publisher, quote((900, 500, 900, 600), at=now + 60), at=now + 60)
    refused = cosigner.consider(far, now=now + 60)
    assert (refused.record, codes(refused)) == (b"", [("BTC", Check.STEP_TOO_LARGE)])
    with pytest.raises(InputError, match="only the consent that is open can be committed"):
        cosigner.commit(refused)


def test_it_signs_the_same_batch_again_and_never_another_of_the_same_number(
    publisher, make, quote, domain, signers, now
) -> None:
    cosigner = make()
    batch = release(publisher, quote(), at=now)
    consent = cosigner.consider(batch, now=now)
    signature = cosigner.commit(consent)
    ledger = Ledger.restored(domain, Ledger(domain).snapshot(), [consent.record])
    restarted = make(ledger=ledger)
    assert restarted.commit(restarted.consider(batch, now=now)) == signature
    twin = Publisher(Ledger(domain), MARKETS, signers[0])  # a publisher that lost its ledger
    other = release(twin, quote((810, 500, 900, 600)), at=now)
    assert codes(restarted.consider(other, now=now)) == [
        ("", Check.REPLAYED),
        ("BTC", Check.REPLAYED),
    ]


def test_a_trial_of_its_own_counts(publisher, make, quote, now) -> None:
    class Doubt:
        def refusals(self, instrument, update, held, *, now):
            return [] if update.long_initial_bps == 700 else ["own calculation says 700"]

    refused = make(preflight=Doubt()).consider(release(publisher, quote(), at=now), now=now)
    assert codes(refused) == [("BTC", PREFLIGHT)]


def test_a_pause_counts_also_between_consent_and_signature(publisher, make, quote, now) -> None:
    cosigner = make()
    batch = release(publisher, quote(), at=now)
    consent = cosigner.consider(batch, now=now)
    with pytest.raises(InputError, match="the consent before must be committed first"):
        cosigner.consider(batch, now=now)
    cosigner.pause("BTC")
    with pytest.raises(InputError, match="no market of a batch may be paused when it is signed"):
        cosigner.commit(consent)
    assert codes(cosigner.consider(batch, now=now)) == [("BTC", Check.PAUSED)]
    with pytest.raises(InputError, match="only a market can be paused or resumed, 'BTCC' is none"):
        cosigner.pause("BTCC")
    cosigner.resume("BTC")
    assert cosigner.consider(batch, now=now).reports == ()


def test_nothing_in_a_batch_is_believed(publisher, make, quote, domain, signers, now) -> None:
    batch = release(publisher, quote(), quote(name="ETH"), at=now)
    cosigner = make()
    replace = msgspec.structs.replace
    forged = replace(batch.updates["BTC"], long_initial_bps=1)
    for wrong in (
        replace(batch, updates={**batch.updates, "BTC": forged}),
        replace(batch, updates={"BTC": batch.updates["BTC"]}),
        replace(batch, digest=b"\1" * 32),
        replace(batch, updates={}),
    ):
        with pytest.raises(InputError, match="a batch must be the root of its updates"):
            cosigner.consider(wrong, now=now)
    swapped = dict(zip(("ETH", "BTC"), batch.updates.values(), strict=True))
    with pytest.raises(InputError, match="every update must be of the instrument"):
        cosigner.consider(replace(batch, updates=swapped), now=now)
    stranger = replace(batch, signatures=(signers[2].sign(batch.digest),))
    with pytest.raises(InputError, match="a batch must be signed by one of"):
        cosigner.consider(stranger, now=now)


def test_a_market_or_an_epoch_that_it_does_not_know_is_refused(
    make, quote, domain, signers, now, update
) -> None:
    cosigner = make()
    updates = {"SOL": update(market_id=market_id("SOL"), epoch=2)}
    digests = [domain.digest(one) for one in updates.values()]
    batch, levels = batch_of(updates, digests, seq=1, now=now)
    digest = domain.digest(batch)
    signed = SignedBatch(
        batch=batch,
        updates=updates,
        domain=domain,
        digest=digest,
        signatures=(signers[0].sign(digest),),
        levels=levels,
    )
    found = codes(cosigner.consider(signed, now=now))
    assert found == [("", Check.WRONG_EPOCH), ("SOL", Check.UNKNOWN_MARKET)]


def test_its_key_is_that_of_its_ledger(domain, make, publisher, quote, now, signers) -> None:
    cosigner = make()
    consent = cosigner.consider(release(publisher, quote(), at=now), now=now)
    ledger = Ledger.restored(domain, Ledger(domain).snapshot(), [consent.record])
    with pytest.raises(InputError, match="the key must be that of 0x"):
        CoSigner(ledger, MARKETS, signers[2], publishers=[signers[0].address])


def test_it_follows_into_a_new_epoch_and_not_back(
    publisher, make, quote, domain, signers, now
) -> None:
    cosigner = make()
    first = cosigner.consider(release(publisher, quote(), at=now), now=now)
    cosigner.commit(first)
    publisher.commit(publisher.rotate())
    batch = release(publisher, quote(at=now + 60), at=now + 60)
    assert codes(cosigner.consider(batch, now=now + 60))[0] == ("", Check.WRONG_EPOCH)
    begun = cosigner.begin(2)
    signature = cosigner.commit(cosigner.consider(batch, now=now + 60))
    ledger = Ledger.restored(domain, Ledger(domain).snapshot(), [first.record, begun])
    restarted = make(ledger=ledger)
    assert restarted.commit(restarted.consider(batch, now=now + 60)) == signature
    with pytest.raises(InputError, match="an epoch must be above 2, the last, was 1"):
        cosigner.begin(1)
