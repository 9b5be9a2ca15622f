"""Signed updates, and what the client imports."""

import math
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from foremargin.client import SignatureError, SignedUpdate, verified_message
from foremargin.errors import InputError

eth_account = pytest.importorskip("eth_account")

CONTRACT = "0x" + "c0" * 20
KEYS = [bytes([n]) * 32 for n in (1, 2, 3)]
SIGNERS = [eth_account.Account.from_key(key).address for key in KEYS]


TYPES = {
    "Margin": [
        {"name": "longBps", "type": "uint32"},
        {"name": "sequence", "type": "uint64"},
        {"name": "market", "type": "bytes32"},
    ]
}
DOMAIN = {"name": "foremargin", "version": "1", "chainId": 1, "verifyingContract": CONTRACT}
MESSAGE = {"longBps": 500, "sequence": 2**60, "market": "0x" + "ab" * 32}


def signed(*keys: bytes, **changes: Any) -> SignedUpdate:
    signatures = [
        "0x" + eth_account.Account.sign_typed_data(key, DOMAIN, TYPES, MESSAGE).signature.hex()
        for key in keys
    ]
    told = {
        "instrument": "A",
        "domain": DOMAIN,
        "primaryType": "Margin",
        "types": TYPES,
        "message": {**MESSAGE, "sequence": str(2**60)},  # more than 53 bits travel as text
        "signatures": signatures,
        **changes,
    }
    return msgspec.convert(told, SignedUpdate)


def check(update: SignedUpdate, *signers: str, **options: Any) -> dict[str, Any]:
    options = {"chain_id": 1, "contract": "0x" + "C0" * 20, **options}
    return verified_message(update, signers=signers, **options)


def test_what_the_expected_signers_signed_is_returned():
    update = signed(KEYS[0])
    assert check(update, SIGNERS[0].lower()) == MESSAGE
    assert check(signed(*KEYS[:2]), *SIGNERS, threshold=2) == MESSAGE
    domain = {"EIP712Domain": [{"name": "name", "type": "string"}]}
    assert check(signed(KEYS[0], types={**TYPES, **domain}), SIGNERS[0]) == MESSAGE


def test_the_caller_may_say_which_types_the_fields_have():
    update = signed(KEYS[0], types=None)
    assert check(update, SIGNERS[0], types=TYPES) == MESSAGE
    with pytest.raises(InputError, match="types of the message must be given"):
        check(update, SIGNERS[0])
    narrow = {"Margin": [{**field, "type": "uint64"} for field in TYPES["Margin"][:2]]}
    narrow["Margin"].append(TYPES["Margin"][2])
    with pytest.raises(SignatureError, match="must have signed"):
        check(signed(KEYS[0]), SIGNERS[0], types=narrow)


@pytest.mark.parametrize(
    ("update", "signers", "options", "reason"),
    [
        (signed(KEYS[1]), SIGNERS[:1], {}, "must have signed, found 0x"),
        (signed(KEYS[0], KEYS[0]), SIGNERS, {"threshold": 2}, "2 of .* must have signed"),
        (signed(), SIGNERS, {}, "found nobody"),
        (signed(signatures=["0x12"]), SIGNERS, {}, "must be signed typed data"),
        (signed(KEYS[0]), SIGNERS, {"chain_id": 5}, "for chain 5 and contract"),
        (signed(KEYS[0]), SIGNERS, {"contract": "0x" + "11" * 20}, "and contract 0x11"),
        (signed(KEYS[0], domain={}), SIGNERS, {}, "was for None"),
        (signed(KEYS[0], domain={**DOMAIN, "name": "other"}), SIGNERS[:1], {}, "must have signed"),
        (signed(KEYS[0], message={"longBps": 500}), SIGNERS, {}, "must have the fields of Margin"),
        (signed(KEYS[0], primaryType="Other"), SIGNERS, {}, "must have the fields of Other"),
        (
            signed(KEYS[0], message={**MESSAGE, "longBps": 100}),
            SIGNERS[:1],
            {},
            "must have signed, found 0x",
        ),
        (signed(KEYS[0], types={**TYPES, "More": TYPES["Margin"]}), SIGNERS, {}, "Margin alone"),
    ],
)
def test_others_are_refused(update, signers, options, reason):
    with pytest.raises(SignatureError, match=reason):
        check(update, *signers, **options)


def test_a_threshold_that_cannot_be_met_or_means_nothing_is_refused():
    for threshold in (0, 2):
        with pytest.raises(InputError, match="threshold must be from 1"):
            check(signed(KEYS[0]), SIGNERS[0], threshold=threshold)


def test_an_update_comes_from_the_service_as_it_was_signed(connect, service):
    service.extra["updates"] = {"A": msgspec.to_builtins(signed(KEYS[0]))}
    assert check(connect().update("A"), SIGNERS[0]) == MESSAGE


def test_next_update_is_waited_for_and_a_known_one_does_not_travel_again(connect, service):
    client, updates = connect(), [signed(key) for key in KEYS[:2]]
    service.extra["updates"] = {"A": [msgspec.to_builtins(update) for update in updates]}
    one = client.update("A")
    assert client.update("A") is one  # nothing travelled
    assert service.extra["preferred"] == ""
    two = client.update("A", wait_s=0.2)
    assert service.extra["preferred"] == "wait=1"
    assert [one, two] == updates
    assert client.update("A", wait_s=1.0) is two  # none came


@pytest.mark.parametrize("wait_s", [-1.0, math.nan, math.inf, 3_601.0])
def test_a_wait_that_is_none_is_refused(connect, wait_s):
    with pytest.raises(InputError, match="wait_s must be in 0 to 3600"):
        connect().update("A", wait_s=wait_s)


def test_the_client_stands_alone():
    code = "import foremargin.client, sys; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = set(found.stdout.split())
    heavy = {"numpy", "pandas", "starlette", "fastapi", "uvicorn", "eth_account", "cryptography"}
    assert not heavy & names
    assert not [name for name in names if name.startswith("foremargin.serving")]
