"""What a signed update costs: of one, of a batch of 5,000, and of the way from quote to signature.

Process time, best of several; ``eth-account`` beside ours for what both do. The tests
of the contract print its gas.
"""

import time
import timeit
from collections.abc import Callable
from functools import partial

from eth_account import Account
from eth_account.messages import encode_typed_data

from foremargin.serving.publish import (
    Domain,
    Ledger,
    LocalSigner,
    MarginUpdate,
    Market,
    Publisher,
    margin_update,
    plain_message,
    recover,
)
from foremargin.serving.publish.merkle import root_of
from foremargin.serving.publish.signed import batch_of
from foremargin.serving.publish.signing import _eth_keys
from foremargin.serving.publish.update import UPDATE_FIELDS
from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status

SECOND = 10**9
NOW = 1_800_000_000
N = 5_000
SECRET = b"\7" * 32
DOMAIN = Domain(chain_id=1, contract="0x" + "11" * 20)


def quote_of(index: int, *, later_s: int = 0, rise_bps: int = 0) -> Quote:
    """Return a quote whose volatilities have 16 and more digits, as real ones do."""
    name, at = f"I{index}", NOW + later_s
    side = SideMargin(
        initial_margin_bps=500 + index % 300 + rise_bps,
        maintenance_margin_bps=400 + index % 300,
        components={},
    )
    sigma = 0.02 + index * 1.234_567_890_123e-7
    calculation = Calculation(
        instrument=name,
        basis=Basis.NETWORK,
        observed_at=(at - 10) * SECOND,
        long=side,
        short=side,
        horizon_periods=1,
        horizon_s=86_400,
        tail_probability=0.01,
        sigma=sigma,
        sigma_lower=sigma / 3,
        sigma_upper=sigma * 3,
        regime="calm",
        stress_probability=sigma / 7,
        liquidity_stress_probability=sigma / 11,
        liquidity_cost=sigma / 500,
        bundle="ab" * 32,
    )
    return Quote(
        instrument=name,
        sequence=1,
        status=Status.OK,
        basis=Basis.NETWORK,
        reason="",
        observed_at=(at - 10) * SECOND,
        quoted_at=at * SECOND,
        valid_until=(at + 3_600) * SECOND,
        long=side,
        short=side,
        calculation=calculation,
    )


def microseconds(act: Callable[[], object], *, number: int) -> float:
    """Return the least process time of one call, µs."""
    timer = timeit.Timer(act, timer=time.process_time)
    return min(timer.repeat(repeat=5, number=number)) / number * 1e6


def digest_by_eth_account(update: MarginUpdate) -> object:
    """Return the same digest by the library."""
    pairs = [field.split() for field in UPDATE_FIELDS]
    message = plain_message(update)
    typed = {
        name: int(value) if kind.startswith("uint") else value
        for (kind, name), value in zip(pairs, message.values(), strict=True)
    }
    domain = {
        "name": DOMAIN.name,
        "version": DOMAIN.version,
        "chainId": DOMAIN.chain_id,
        "verifyingContract": DOMAIN.contract,
    }
    types = {"MarginUpdate": [{"type": kind, "name": name} for kind, name in pairs]}
    return encode_typed_data(domain, types, typed)


def one_update() -> None:
    """Print the parts of a single update."""
    signer, pure = LocalSigner(SECRET), _eth_keys()
    quote = quote_of(1)
    update = margin_update(quote, seq=1, epoch=1)
    digest = DOMAIN.digest(update)
    signature = signer.sign(digest)
    account = Account.from_key(SECRET)
    raw = signature[:64] + bytes([signature[64] - 27])
    rows: list[tuple[str, Callable[[], object], int]] = [
        ("quote to update", lambda: margin_update(quote, seq=1, epoch=1), 2_000),
        ("encode", update.abi, 5_000),
        ("encode and hash", lambda: DOMAIN.digest(update), 2_000),
        ("the same by eth-account", lambda: digest_by_eth_account(update), 100),
        ("sign (coincurve)", lambda: signer.sign(digest), 500),
        ("sign by eth-account", lambda: account.unsafe_sign_hash(digest), 500),
        ("sign (pure Python)", lambda: pure.sign(SECRET, digest), 5),
        ("recover (coincurve)", lambda: recover(digest, signature), 500),
        ("recover (pure Python)", lambda: pure.recover(raw, digest), 5),
    ]
    print("| one update | µs |\n| --- | ---: |")
    for name, act, number in rows:
        print(f"| {name} | {microseconds(act, number=number):,.1f} |")


def batch() -> None:
    """Print the parts of a batch of 5,000."""
    signer = LocalSigner(SECRET)
    quotes = [quote_of(k) for k in range(N)]
    updates = {q.instrument: margin_update(q, seq=1, epoch=1) for q in quotes}
    digests = [DOMAIN.digest(update) for update in updates.values()]
    made, levels = batch_of(updates, digests, seq=1, now=NOW)
    partners = [level[0 ^ 1] for level in levels[:-1] if len(level) > 1]

    def everything() -> None:
        found = {q.instrument: margin_update(q, seq=1, epoch=1) for q in quotes}
        hashed = [DOMAIN.digest(update) for update in found.values()]
        signer.sign(DOMAIN.digest(batch_of(found, hashed, seq=1, now=NOW)[0]))

    rows: list[tuple[str, Callable[[], object], int]] = [
        ("quotes to updates", lambda: [margin_update(q, seq=1, epoch=1) for q in quotes], 1),
        ("encode and hash", lambda: [DOMAIN.digest(update) for update in updates.values()], 1),
        ("tree", lambda: batch_of(updates, digests, seq=1, now=NOW), 1),
        ("sign", lambda: signer.sign(DOMAIN.digest(made)), 200),
        ("all of these", everything, 1),
        ("verify one proof", lambda: root_of(digests[0], partners), 500),
    ]
    print(f"\n| batch of {N:,} | ms |\n| --- | ---: |")
    for name, act, number in rows:
        print(f"| {name} | {microseconds(act, number=number) / 1e3:,.3f} |")


def publish(made: Publisher, quotes: list[Quote], now: int) -> None:
    """Plan and commit; sign one update by itself too."""
    made.commit(made.plan(quotes, now=now))
    made.signed("I1")


def publisher() -> None:
    """Print what the state machine takes: rules, limits, record, signature."""
    markets = [Market(instrument=f"I{k}") for k in range(N)]
    first = [quote_of(k) for k in range(N)]
    moved = [quote_of(k, later_s=60, rise_bps=20) for k in range(N)]
    print(f"\n| publisher, {N:,} markets | ms |\n| --- | ---: |")
    times: dict[str, list[float]] = {}

    def timed(name: str, act: Callable[[], object]) -> None:
        start = time.process_time()
        act()
        times.setdefault(name, []).append((time.process_time() - start) * 1e3)

    begin = NOW * SECOND
    for _ in range(3):
        made = Publisher(Ledger(DOMAIN), markets, LocalSigner(SECRET))
        timed("all due: plan, record and sign", partial(publish, made, first, begin))
        timed("none due", partial(publish, made, first, begin))
        timed("all moved", partial(publish, made, moved, begin + 60 * SECOND))
        one = [quote_of(1, later_s=120, rise_bps=60)]
        timed("one moved: batch and single", partial(publish, made, one, begin + 120 * SECOND))
    for name, found in times.items():
        print(f"| {name} | {min(found):,.3f} |")


if __name__ == "__main__":
    one_update()
    batch()
    publisher()
