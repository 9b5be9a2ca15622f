"""The text of a batch that is written at once is the text of its plain form."""

import msgspec
import pytest

from foremargin.serving.publish import Domain, LocalSigner, SignedBatch, batch_json, updates_json
from foremargin.serving.publish.signed import batch_of
from foremargin.serving.publish.update import UNKNOWN_64, UNKNOWN_128, MarginUpdate

DOMAIN = Domain(chain_id=1, contract="0x" + "11" * 20, name='with "quotes"')


def signed(n: int) -> SignedBatch:
    """Return a batch of n updates, some of whose numbers are the largest of their fields."""
    updates = {
        f"I{k}": MarginUpdate(
            market_id=bytes([k % 256]) * 32,
            long_initial_bps=500 + k,
            long_maintenance_bps=400,
            short_initial_bps=2**32 - 1,
            short_maintenance_bps=0,
            sigma_e18=10**16 + k,
            sigma_lower_e18=0,
            sigma_upper_e18=UNKNOWN_128,
            stress_e18=UNKNOWN_64,
            liquidity_stress_e18=k,
            liquidity_cost_e18=UNKNOWN_64,
            regime=k % 4,
            status=k % 4,
            horizon_s=86_400,
            observation_time=1_800_000_000,
            valid_from=1_800_000_001,
            valid_until=1_800_003_600,
            prev_seq=k,
            seq=k + 1,
            epoch=1,
            prev_digest=b"\1" * 32,
        )
        for k in range(n)
    }
    digests = [DOMAIN.digest(update) for update in updates.values()]
    batch, levels = batch_of(updates, digests, seq=3, now=1_800_000_002)
    digest = DOMAIN.digest(batch)
    return SignedBatch(
        batch=batch,
        updates=updates,
        domain=DOMAIN,
        digest=digest,
        signatures=(LocalSigner(b"\7" * 32).sign(digest),),
        levels=levels,
    )


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 8, 33, 100])
def test_text_is_that_of_the_plain_form(n: int) -> None:
    batch = signed(n)
    assert batch_json(batch) == msgspec.json.encode(batch.plain())


def test_updates_may_be_written_before_the_signature() -> None:
    batch = signed(6)
    assert batch_json(batch, updates_json(batch.updates, batch.levels)) == batch_json(batch)
