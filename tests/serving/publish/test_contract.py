"""The contract, compiled and run: what it accepts, what it refuses and why, what it answers."""

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from foremargin.serving.publish import (
    Check,
    Limits,
    LocalSigner,
    MarginUpdate,
    RegimeLimit,
    SignedBatch,
    Signers,
    UpdateRefused,
    UpdateVerifier,
    market_id,
)
from foremargin.serving.publish.merkle import root_of
from foremargin.serving.publish.signed import batch_of
from foremargin.serving.publish.signing import ORDER

LIMITS = Limits(
    floor_bps=50,
    cap_bps=5_000,
    max_age_s=1_200,
    calm=RegimeLimit(rise_bps=100, fall_bps=50, period_s=60),
    stressed=RegimeLimit(rise_bps=400, fall_bps=10, period_s=60),
)
MARKETS = ("BTC", "ETH", "SOL")


def tuple_of(limits: Limits) -> tuple[Any, ...]:
    values = msgspec.structs.astuple(limits)
    return (*values[:6], [msgspec.structs.astuple(step) for step in values[6:]])


@dataclass
class Both:
    """The contract and the verifier in Python, which must always agree."""

    chain: Any
    verifier: UpdateVerifier
    signers: list[LocalSigner]
    reverted: type[Exception]
    now: int

    @property
    def domain(self) -> Any:
        return self.chain.domain

    def signatures(self, message: Any, keys: Any = None) -> list[bytes]:
        digest = self.domain.digest(message)
        return [key.sign(digest) for key in (self.signers[:1] if keys is None else keys)]

    def accept(self, update: MarginUpdate, signatures: Any = None, *, at: int = 0) -> str:
        """Give both an update at a time; return the check that both say it fails, or nothing."""
        given = self.signatures(update) if signatures is None else signatures
        encoded = msgspec.structs.astuple(update)
        return self.verdict(
            at,
            lambda now: self.verifier.accept(update, given, now=now),
            lambda: self.chain.send("accept", encoded, given),
        )

    def accept_from(self, signed: SignedBatch, names: Any, *, at: int = 0, **changes: Any) -> str:
        proofs = changes.get("proofs") or [signed.proof(name) for name in names]
        updates = [signed.updates[name] for name in names]
        given = changes.get("signatures", signed.signatures)
        encoded = [msgspec.structs.astuple(update) for update in updates]
        batch = msgspec.structs.astuple(signed.batch)
        pairs = list(zip(updates, proofs, strict=True))
        return self.verdict(
            at,
            lambda now: self.verifier.accept_from_batch(signed.batch, given, pairs, now=now),
            lambda: self.chain.send("acceptFromBatch", batch, given, encoded, proofs),
        )

    def verdict(self, at: int, python: Callable[[int], None], solidity: Callable[[], None]) -> str:
        if at > self.chain.now:
            self.chain.at(at)
        verdicts = []
        now = self.chain.now
        for act, error in ((lambda: python(now), UpdateRefused), (solidity, self.reverted)):
            try:
                act()
                verdicts.append("")
            except error as refusal:
                verdicts.append(str(getattr(refusal, "check", refusal)))
        assert verdicts[0] == verdicts[1]
        return verdicts[0]

    def margins(self, name: str = "BTC") -> tuple[tuple[int, ...], bool]:
        bps, stale = self.chain.call("margins", market_id(name))
        assert self.verifier.margins(name, now=self.chain.now) == (tuple(bps), stale)
        return tuple(bps), stale


@pytest.fixture
def both(deploy, signers, reverted, now) -> Callable[..., Both]:
    def make(threshold: int = 1, n: int = 2, limits: Limits = LIMITS) -> Both:
        addresses = [signer.address for signer in signers[:n]]
        chain = deploy(addresses, threshold)
        for name in MARKETS:
            chain.send("setLimits", market_id(name), tuple_of(limits), sender=chain.owner)
        chain.at(now)
        verifier = UpdateVerifier(
            chain.domain,
            Signers(addresses, threshold=threshold),
            dict.fromkeys(MARKETS, limits),
        )
        return Both(chain, verifier, signers, reverted, now)

    return make


@pytest.fixture
def after(domain) -> Callable[..., MarginUpdate]:
    """The update after another, a minute later unless told otherwise."""

    def make(both: Both, before: MarginUpdate, *, after_s: int = 60, **changes: Any):
        at = before.valid_from + after_s
        fields = {
            "seq": before.seq + 1,
            "prev_seq": before.seq,
            "prev_digest": both.domain.digest(before),
            "observation_time": at - 10,
            "valid_from": at,
            "valid_until": at + 3_600,
        }
        return msgspec.structs.replace(before, **{**fields, **changes})

    return make


@pytest.fixture
def batch(quote) -> Callable[..., SignedBatch]:
    """A batch of the first updates of three markets."""

    def make(both: Both, updates: dict[str, MarginUpdate]) -> SignedBatch:
        digests = [both.domain.digest(update) for update in updates.values()]
        made, levels = batch_of(updates, digests, seq=1, now=both.now)
        return SignedBatch(
            batch=made,
            updates=updates,
            domain=both.domain,
            digest=both.domain.digest(made),
            signatures=tuple(both.signatures(made)),
            levels=levels,
        )

    return make


def test_digests_and_roots_are_the_same(both, update, batch) -> None:
    pair = both()
    first = update()
    assert pair.chain.call("domainSeparator") == pair.domain.separator
    assert pair.chain.call("updateDigest", msgspec.structs.astuple(first)) == pair.domain.digest(
        first
    )
    signed = batch(pair, {name: update(market_id=market_id(name)) for name in MARKETS})
    encoded = msgspec.structs.astuple(signed.batch)
    assert pair.chain.call("batchDigest", encoded) == signed.digest
    for name in MARKETS:
        digest = pair.domain.digest(signed.updates[name])
        assert root_of(digest, signed.proof(name)) == signed.batch.root


def test_updates_are_accepted_in_order_and_kept(both, update, after, capsys) -> None:
    pair = both()
    first = update()
    assert pair.accept(first) == ""
    first_gas = pair.chain.gas
    second = after(pair, first, long_initial_bps=900, short_maintenance_bps=550)
    assert pair.accept(second, at=second.valid_from) == ""
    assert pair.margins() == ((900, 500, 900, 550), False)
    held = pair.chain.call("heldOf", market_id("BTC"))
    assert (held[0], held[1]) == (pair.domain.digest(second), 2)
    with capsys.disabled():
        sys.stdout.write(f"\n[gas] first update {first_gas}, following {pair.chain.gas}\n")
    # Three words of storage: more would show here.
    assert first_gas < 140_000
    assert pair.chain.gas < 95_000


def test_updates_of_a_batch_are_accepted_one_by_one_or_together(
    both, update, batch, capsys
) -> None:
    pair = both()
    signed = batch(pair, {name: update(market_id=market_id(name)) for name in MARKETS})
    assert pair.accept_from(signed, ["ETH"]) == ""
    alone = pair.chain.gas
    assert pair.accept_from(signed, ["BTC", "SOL"]) == ""
    with capsys.disabled():
        sys.stdout.write(
            f"\n[gas] first update out of a batch of 3: {alone}; two more: {pair.chain.gas}\n"
        )
    assert [pair.margins(name)[1] for name in MARKETS] == [False] * 3
    assert pair.accept_from(signed, ["ETH"]) == Check.REPLAYED


def test_a_batch_is_taken_whole_or_not_at_all(both, update, batch) -> None:
    pair = both()
    updates = {name: update(market_id=market_id(name)) for name in MARKETS}
    updates["SOL"] = update(market_id=market_id("SOL"), long_initial_bps=5_001)
    signed = batch(pair, updates)
    assert pair.accept_from(signed, ["BTC", "SOL"]) == Check.OUT_OF_BOUNDS
    assert pair.margins("BTC") == ((5_000,) * 4, True)
    assert pair.accept_from(signed, ["BTC"]) == ""


def test_a_bad_proof_is_refused(both, update, batch) -> None:
    pair = both()
    signed = batch(pair, {name: update(market_id=market_id(name)) for name in MARKETS})
    other = [signed.proof("ETH")]
    assert pair.accept_from(signed, ["BTC"], proofs=other) == Check.BAD_PROOF
    assert pair.accept_from(signed, ["BTC"], proofs=[signed.proof("BTC")[:1]]) == Check.BAD_PROOF
    longer = [(*signed.proof("BTC"), b"\1" * 32)]
    assert pair.accept_from(signed, ["BTC"], proofs=longer) == Check.BAD_PROOF
    assert pair.accept_from(signed, ["BTC"], signatures=()) == Check.TOO_FEW_SIGNERS
    late = signed.batch.valid_until
    assert pair.accept_from(signed, ["BTC"], at=late) == Check.EXPIRED


FIRST: tuple[tuple[str, dict[str, Any], int, str], ...] = (
    ("unknown-market", {"market_id": b"\1" * 32}, 0, Check.UNKNOWN_MARKET),
    ("not-yet", {"valid_from": 1}, 0, Check.NOT_YET_VALID),
    ("expired", {}, 3_600, Check.EXPIRED),
    ("last-second", {"observation_time": 3_000}, 3_599, Check.BAD_TIMES),
    ("observed-later", {"observation_time": 1}, 0, Check.BAD_TIMES),
    ("ends-at-once", {"valid_until": 0}, 0, Check.BAD_TIMES),
    ("old", {}, 1_191, Check.TOO_OLD),
    ("not-too-old", {}, 1_190, ""),
    ("epoch", {"epoch": 2}, 0, Check.WRONG_EPOCH),
    ("no-sequence", {"seq": 0}, 0, Check.REPLAYED),
    ("follows-itself", {"prev_seq": 1}, 0, Check.BROKEN_CHAIN),
    ("begins-with-a-digest", {"prev_digest": b"\1" * 32}, 0, Check.BROKEN_CHAIN),
    ("joins-later", {"seq": 9, "prev_seq": 8, "prev_digest": b"\1" * 32}, 0, ""),
    ("floor", {"short_maintenance_bps": 49}, 0, Check.OUT_OF_BOUNDS),
    ("at-floor", {"short_maintenance_bps": 50}, 0, ""),
    ("cap", {"long_initial_bps": 5_001}, 0, Check.OUT_OF_BOUNDS),
    ("at-cap", {"long_initial_bps": 5_000}, 0, ""),
    ("regime", {"regime": 4}, 0, Check.OUT_OF_BOUNDS),
    ("status", {"status": 4}, 0, Check.OUT_OF_BOUNDS),
    ("pair", {"long_maintenance_bps": 801}, 0, Check.INCONSISTENT),
    ("other-pair", {"short_maintenance_bps": 901}, 0, Check.INCONSISTENT),
    ("sigma-low", {"sigma_e18": 1}, 0, Check.INCONSISTENT),
    ("sigma-high", {"sigma_upper_e18": 1}, 0, Check.INCONSISTENT),
)


@pytest.mark.parametrize("case", FIRST, ids=lambda case: case[0])
def test_a_first_update_is_refused(both, update, now, case) -> None:
    _, changes, later, check = case
    pair = both()
    times = ("observation_time", "valid_from", "valid_until")
    changes = {k: v + now if k in times else v for k, v in changes.items()}
    assert pair.accept(update(**changes), at=now + later) == check


NEXT = (
    ("replay", {"seq": 1, "prev_seq": 0}, Check.REPLAYED),
    ("fork", {"prev_digest": b"\1" * 32}, Check.BROKEN_CHAIN),
    ("older-fork", {"prev_seq": 0}, Check.BROKEN_CHAIN),
    ("made-before", {"valid_from": -1, "observation_time": -20}, Check.TIME_REVERSED),
    ("rise", {"long_initial_bps": 901}, Check.STEP_TOO_LARGE),
    ("rise-allowed", {"long_initial_bps": 900}, ""),
    ("rise-stressed", {"long_initial_bps": 1_201, "regime": 3}, Check.STEP_TOO_LARGE),
    ("rise-stressed-allowed", {"long_initial_bps": 1_200, "regime": 3}, ""),
    ("fall", {"short_initial_bps": 849}, Check.STEP_TOO_LARGE),
    ("fall-allowed", {"short_initial_bps": 850}, ""),
    ("fall-stressed", {"short_initial_bps": 889, "regime": 3}, Check.STEP_TOO_LARGE),
    ("fall-stressed-allowed", {"short_initial_bps": 890, "regime": 3}, ""),
    ("maintenance-rise", {"long_maintenance_bps": 601}, Check.STEP_TOO_LARGE),
    ("maintenance-fall", {"short_maintenance_bps": 549}, Check.STEP_TOO_LARGE),
    ("too-soon", {"valid_from": 59, "long_initial_bps": 801}, Check.STEP_TOO_LARGE),
    ("soon-and-same", {"valid_from": 59}, ""),
)


@pytest.mark.parametrize("case", NEXT, ids=lambda case: case[0])
def test_a_following_update_is_refused(both, update, after, now, case) -> None:
    _, changes, check = case
    pair = both()
    first = update()
    assert pair.accept(first) == ""
    times = ("observation_time", "valid_from")
    changes = {k: v + now if k in times else v for k, v in changes.items()}
    assert pair.accept(after(pair, first, **changes), at=now + 60) == check


@pytest.mark.parametrize(("gaps", "check"), [(True, ""), (False, Check.GAP)])
def test_a_gap_is_refused_where_none_is_allowed(both, update, after, gaps, check) -> None:
    pair = both(limits=msgspec.structs.replace(LIMITS, gaps=gaps))
    first = update()
    assert pair.accept(first) == ""
    third = after(pair, after(pair, first))
    assert pair.accept(third, at=third.valid_from) == check


def test_signatures_for_another_chain_contract_or_content_are_of_nobody(both, update) -> None:
    pair = both()
    first, key = update(), pair.signers[0]
    for changes in ({"chain_id": 1}, {"contract": "0x" + "12" * 20}, {"version": "2"}):
        domain = msgspec.structs.replace(pair.domain, **changes)
        assert pair.accept(first, [key.sign(domain.digest(first))]) == Check.UNKNOWN_SIGNER
    other = pair.signatures(update(long_initial_bps=801))
    assert pair.accept(first, other) == Check.UNKNOWN_SIGNER
    assert pair.accept(first, pair.signatures(first, pair.signers[2:])) == Check.UNKNOWN_SIGNER


def test_only_one_form_of_a_signature_counts(both, update) -> None:
    pair = both()
    first = update()
    [good] = pair.signatures(first)
    s = int.from_bytes(good[32:64], "big")
    twin = good[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - good[64]])
    assert pair.accept(first, [twin]) == Check.HIGH_S
    for bad in (b"", good[:64], good + b"\0", good[:64] + b"\0", twin[:64] + b"\0"):
        assert pair.accept(first, [bad]) == Check.MALFORMED_SIGNATURE
    no_point = bytes(32) + good[32:]
    assert pair.accept(first, [no_point]) == Check.MALFORMED_SIGNATURE


def test_enough_signers_must_sign_in_rising_order(both, update) -> None:
    pair = both(threshold=2, n=3)
    first = update()
    a, b, c = pair.signatures(first, pair.signers)
    assert pair.accept(first, []) == Check.TOO_FEW_SIGNERS
    assert pair.accept(first, [b]) == Check.TOO_FEW_SIGNERS
    assert pair.accept(first, [b, a]) == Check.SIGNERS_NOT_ASCENDING
    assert pair.accept(first, [b, b]) == Check.SIGNERS_NOT_ASCENDING
    assert pair.accept(first, [a, c]) == ""


def test_a_rotation_makes_all_that_was_signed_before_void(both, update, after) -> None:
    pair = both()
    first = update()
    assert pair.accept(first) == ""
    second = after(pair, first)
    old, new = pair.signers[0], pair.signers[2]
    pair.chain.send("rotate", [new.address], 1, sender=pair.chain.owner)
    pair.verifier.rotate(Signers([new.address]))
    assert pair.accept(second, at=second.valid_from) == Check.UNKNOWN_SIGNER
    assert pair.accept(second, pair.signatures(second, [new])) == Check.WRONG_EPOCH
    begun = after(pair, first, epoch=2, seq=1, prev_seq=0, prev_digest=bytes(32))
    assert pair.accept(begun, pair.signatures(begun, [old])) == Check.UNKNOWN_SIGNER
    far = msgspec.structs.replace(begun, long_initial_bps=901)  # the old margins still count
    assert pair.accept(far, pair.signatures(far, [new])) == Check.STEP_TOO_LARGE
    assert pair.accept(begun, pair.signatures(begun, [new])) == ""


def test_a_pause_stops_what_is_otherwise_right(both, update) -> None:
    pair = both()
    first, chain = update(), pair.chain
    for name, market in (("", bytes(32)), ("BTC", market_id("BTC"))):
        chain.send("pause", market, sender=chain.guardian)
        pair.verifier.pause(name)
        assert pair.accept(first) == Check.PAUSED
        chain.send("resume", market, sender=chain.owner)
        pair.verifier.resume(name)
    chain.send("pause", market_id("ETH"), sender=chain.guardian)
    pair.verifier.pause("ETH")
    assert pair.accept(first) == ""


def test_margins_that_are_not_renewed_rise_and_never_fall(both, update, now) -> None:
    pair = both()
    assert pair.margins() == ((5_000,) * 4, True)  # nothing is known: the cap
    assert pair.accept(update()) == ""
    last = pair.margins()
    assert last == ((800, 500, 900, 600), False)
    for later in (1_190, 1_191, 1_192, 4_791, 8_391, 100_000, 10_000_000):
        pair.chain.at(now + later)
        bps, stale = pair.margins()
        assert stale == (later > 1_190)
        assert all(a <= b <= 5_000 for a, b in zip(last[0], bps, strict=True))
        last = bps, stale
    assert last[0] == (1_600, 1_000, 1_800, 1_200)


def test_only_the_owner_changes_things_and_the_guardian_only_stops(
    deploy, signers, reverted
) -> None:
    chain = deploy([signers[0].address])
    market, limits = market_id("BTC"), tuple_of(LIMITS)
    calls = {
        "rotate": ([signers[1].address], 1),
        "setLimits": (market, limits),
        "resume": (market,),
        "setGuardian": (chain.stranger,),
        "offerOwnership": (chain.stranger,),
        "takeOwnership": (),
        "pause": (market,),
    }
    for name, arguments in calls.items():
        with pytest.raises(reverted, match="NotAllowed"):
            chain.send(name, *arguments, sender=chain.stranger)
        if name != "pause":
            with pytest.raises(reverted, match="NotAllowed"):
                chain.send(name, *arguments, sender=chain.guardian)
    chain.send("offerOwnership", chain.stranger, sender=chain.owner)
    chain.send("takeOwnership", sender=chain.stranger)
    assert chain.call("owner") == chain.stranger.lower()
    with pytest.raises(reverted, match="NotAllowed"):
        chain.send("setLimits", market, limits, sender=chain.owner)


def test_settings_that_make_no_sense_are_refused(deploy, signers, reverted) -> None:
    chain = deploy([signers[0].address])
    market, own = market_id("BTC"), chain.owner
    good = tuple_of(LIMITS)
    zero_period = (*good[:6], [(1, 1, 0)] * 4)
    for wrong in ((0, *good[1:]), (6_000, *good[1:]), zero_period):
        with pytest.raises(reverted, match="BadSettings"):
            chain.send("setLimits", market, wrong, sender=own)
    with pytest.raises(reverted, match="BadSettings"):
        chain.send("setLimits", bytes(32), good, sender=own)
    a, b = signers[0].address, signers[1].address
    for keys, threshold in (([], 0), ([a], 0), ([a], 2), ([a, a], 1), (["0x" + "00" * 20, b], 1)):
        with pytest.raises(reverted, match="BadSettings"):
            chain.send("rotate", keys, threshold, sender=own)


TOUCHED = (
    *("long_initial_bps", "short_initial_bps", "long_maintenance_bps", "short_maintenance_bps"),
    *("regime", "status", "observation_time", "valid_from", "valid_until", "prev_seq", "seq"),
    *("epoch", "sigma_e18", "market_id", "prev_digest", "evidence_root"),
)


def test_both_agree_on_random_updates(both, update, after) -> None:
    rng = random.Random(20_260_310)
    pair = both(threshold=2, n=3)
    seen: Counter[str] = Counter()
    last = update()
    assert pair.accept(last, pair.signatures(last, pair.signers[:2])) == ""
    for _ in range(120):
        later = max(pair.chain.now - last.valid_from + rng.choice((-90, 0, 60, 600)), 0)
        asked = after(pair, last, after_s=later, regime=rng.choice((0, 1, 2, 3)))
        for name in rng.sample(TOUCHED, rng.choice((0, 1, 1, 2, 3))):
            value = getattr(asked, name)
            if isinstance(value, int):
                value = max(value + rng.choice((-(10**17), -600, -60, -1, 1, 30, 90, 5_000)), 0)
            else:
                value = rng.randbytes(32)
            asked = msgspec.structs.replace(asked, **{name: value})
        asked = msgspec.structs.replace(asked, regime=asked.regime & 7, status=asked.status & 3)
        keys = rng.choice((pair.signers[:2],) * 15 + (pair.signers[:1],))
        verdict = pair.accept(asked, pair.signatures(asked, keys), at=asked.valid_from)
        seen[verdict] += 1
        last = last if verdict else asked
    assert pair.margins()[0] == last.margins
    # The test is worth something only if it came to many of the checks.
    assert seen[""] > 10
    assert len(seen) > 8, seen
