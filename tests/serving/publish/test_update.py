"""Messages: their encoding and hashes are those of EIP-712, as another library has them."""

import msgspec
import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.serving.publish import (
    Domain,
    MarginBatch,
    MarginUpdate,
    keccak,
    plain_message,
    read_update,
)
from foremargin.serving.publish.update import BATCH_FIELDS, UPDATE_FIELDS

KINDS = {
    "bytes32": st.binary(min_size=32, max_size=32),
    **{f"uint{n}": st.integers(0, 2**n - 1) for n in (8, 32, 64, 128)},
}


def messages(cls, fields):
    values = [KINDS[field.split()[0]] for field in fields]
    return st.builds(cls, **dict(zip(cls.__struct_fields__, values, strict=True)))


UPDATES = messages(MarginUpdate, UPDATE_FIELDS)
BATCHES = messages(MarginBatch, BATCH_FIELDS)
DOMAINS = st.builds(
    Domain,
    chain_id=st.integers(1, 2**256 - 1),
    contract=st.binary(min_size=20, max_size=20).map(lambda b: "0x" + b.hex()),
    name=st.text(max_size=20),
    version=st.text(max_size=5),
)


def digest_by_eth_account(domain, message):
    fields = UPDATE_FIELDS if isinstance(message, MarginUpdate) else BATCH_FIELDS
    pairs = [field.split() for field in fields]
    values = dict(zip([name for _, name in pairs], msgspec.structs.astuple(message), strict=True))
    kind = type(message).__name__
    signable = encode_typed_data(
        {
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        {kind: [{"type": a, "name": b} for a, b in pairs]},
        values,
    )
    assert signable.header == domain.separator
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@settings(max_examples=60, deadline=None)
@given(domain=DOMAINS, message=UPDATES | BATCHES)
def test_digests_are_those_of_eth_account(domain, message) -> None:
    assert domain.digest(message) == digest_by_eth_account(domain, message)


@settings(max_examples=60, deadline=None)
@given(update=UPDATES)
def test_nothing_is_lost_in_the_encoding_nor_in_the_json(update) -> None:
    assert MarginUpdate.from_abi(update.abi()) == update
    assert read_update(msgspec.json.decode(msgspec.json.encode(plain_message(update)))) == update


@given(domain=DOMAINS, update=UPDATES)
def test_an_update_that_was_encoded_already_has_the_same_digest(domain, update) -> None:
    assert domain.digests_of_abi([update.abi()]) == (domain.digest(update),)


def test_a_batch_is_read_as_it_was_written(now) -> None:
    batch = MarginBatch(
        root=b"\1" * 32, count=3, epoch=2, batch_seq=9, valid_from=now, valid_until=now + 60
    )
    assert MarginBatch.from_abi(batch.abi()) == batch


def test_every_field_changes_the_digest(domain, update) -> None:
    base = update()
    seen = {domain.digest(base)}
    for name in MarginUpdate.__struct_fields__:
        value = getattr(base, name)
        other = bytes(31) + b"\1" if isinstance(value, bytes) else value ^ 1
        seen.add(domain.digest(update(**{name: other})))
    assert len(seen) == 1 + len(MarginUpdate.__struct_fields__)


def test_the_digest_of_one_update_is_pinned(domain, update) -> None:
    assert domain.separator.hex() == SEPARATOR
    assert domain.digest(update()).hex() == DIGEST


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("long_initial_bps", 2**32, r"longInitialBps \(uint32\) was 4294967296"),
        ("short_maintenance_bps", -1, r"shortMaintenanceBps \(uint32\) was -1"),
        ("sigma_upper_e18", 2**128, r"sigmaUpperE18 \(uint128\) was 340282366920938"),
        ("sigma_e18", -1, r"sigmaE18 \(uint128\) was -1"),
        ("regime", 256, r"regime \(uint8\) was 256"),
        ("seq", 2**64, r"seq \(uint64\) was 18446744073709551616"),
        ("market_id", b"\1" * 31, r"marketId \(bytes32\) was b'"),
        ("evidence_root", b"\1" * 33, r"evidenceRoot \(bytes32\) was b'"),
        ("horizon_s", 1.0, r"horizonSec \(uint32\) was 1.0"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_named(update, name, value, message) -> None:
    with pytest.raises(InputError, match=f"every value must fit its field: {message}"):
        update(**{name: value}).abi()


def test_bytes_with_anything_between_the_fields_are_no_update(update) -> None:
    encoded = bytearray(update().abi())
    encoded[32] = 1
    with pytest.raises(InputError, match="736 bytes with zeros between its fields"):
        MarginUpdate.from_abi(bytes(encoded))
    with pytest.raises(InputError, match="736 bytes with zeros between its fields"):
        MarginUpdate.from_abi(update().abi()[:-1])


def test_a_message_in_json_must_have_all_fields_and_no_other(update) -> None:
    plain = plain_message(update())
    with pytest.raises(InputError, match=r"must have the fields marketId, .* and no other"):
        read_update({**plain, "more": 1})
    with pytest.raises(InputError, match=r"a uint64 must be a whole number .* was 1.5"):
        read_update({**plain, "seq": 1.5})
    with pytest.raises(InputError, match=r"a uint32 must be a whole number .* was True"):
        read_update({**plain, "longInitialBps": True})
    with pytest.raises(InputError, match="a bytes32 must be hexadecimal text, was '0xzz'"):
        read_update({**plain, "marketId": "0xzz"})


@pytest.mark.parametrize("contract", ["0x12", "11" * 20, "0x" + "g" * 40, ""])
def test_a_contract_must_have_an_address(contract) -> None:
    with pytest.raises(InputError, match="an address must be 0x and 40 hexadecimal digits"):
        Domain(chain_id=1, contract=contract)


@pytest.mark.parametrize("chain_id", [0, -1, 2**256])
def test_a_chain_must_have_a_number(chain_id) -> None:
    with pytest.raises(InputError, match="chain_id must be from 1 to"):
        Domain(chain_id=chain_id, contract="0x" + "11" * 20)


SEPARATOR = "ba7f2b6f9ab6e44cb76c33a28b2508da3715069b5cbf9f7ba92493b0be71d648"
DIGEST = "63cd8a4b0c8b40e7434e174b48e41974f1d9ff67f93c88f1e020d59e51b4343e"
