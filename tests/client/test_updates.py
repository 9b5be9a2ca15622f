"""Signed updates, and what the client imports."""

import subprocess
import sys
from typing import Any

import pytest

from foremargin.client import SignatureError, SignedUpdate, verified_message
from foremargin.errors import InputError

eth_account = pytest.importorskip("eth_account")

CONTRACT = "0x" + "c0" * 20
KEYS = [bytes([n]) * 32 for n in (1, 2, 3)]
SIGNERS = [eth_account.Account.from_key(key).address for key in KEYS]


def typed(**message: int) -> dict[str, Any]:
    domain = {"chainId": 1, "verifyingContract": CONTRACT, "name": "foremargin", "version": "1"}
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Margin": [{"name": name, "type": "uint64"} for name in ("longBps", "sequence")],
        },
        "primaryType": "Margin",
        "domain": domain,
        "message": {"longBps": 500, "sequence": 7, **message},
    }


def signed(*keys: bytes, **message: int) -> SignedUpdate:
    data = typed(**message)
    signatures = [
        "0x" + eth_account.Account.sign_typed_data(key, full_message=data).signature.hex()
        for key in keys
    ]
    return SignedUpdate(typed_data=data, signatures=signatures)


def check(
    update: SignedUpdate, *signers: str, threshold: int = 1, chain_id: int = 1
) -> dict[str, Any]:
    return verified_message(
        update,
        signers=signers,
        chain_id=chain_id,
        contract=CONTRACT.upper().replace("X", "x"),
        threshold=threshold,
    )


def test_what_the_expected_signers_signed_is_returned():
    update = signed(KEYS[0])
    assert check(update, SIGNERS[0].lower()) == {"longBps": 500, "sequence": 7}
    assert check(signed(*KEYS[:2]), *SIGNERS, threshold=2)["sequence"] == 7


@pytest.mark.parametrize(
    ("update", "signers", "options", "reason"),
    [
        (signed(KEYS[1]), SIGNERS[:1], {}, "must have signed, found 0x"),
        (signed(KEYS[0], KEYS[0]), SIGNERS, {"threshold": 2}, "2 of .* must have signed"),
        (SignedUpdate(typed_data=typed(), signatures=[]), SIGNERS, {}, "found nobody"),
        (
            SignedUpdate(typed_data=typed(), signatures=["0x12"]),
            SIGNERS,
            {},
            "must be signed typed",
        ),
        (signed(KEYS[0]), SIGNERS, {"chain_id": 5}, "for chain 5 and contract"),
        (SignedUpdate(typed_data={}, signatures=[]), SIGNERS, {}, "was for None"),
    ],
)
def test_others_are_refused(update, signers, options, reason):
    with pytest.raises(SignatureError, match=reason):
        check(update, *signers, **options)


def test_a_changed_message_has_another_signer():
    update = signed(KEYS[0])
    changed = SignedUpdate(typed_data=typed(longBps=100), signatures=update.signatures)
    with pytest.raises(SignatureError, match="must have signed"):
        check(changed, SIGNERS[0])


def test_a_threshold_that_cannot_be_met_or_means_nothing_is_refused():
    for threshold in (0, 2):
        with pytest.raises(InputError, match="threshold must be from 1"):
            check(signed(KEYS[0]), SIGNERS[0], threshold=threshold)


def test_an_update_comes_from_the_service_as_it_was_signed(connect, service):
    update = signed(KEYS[0])
    service.extra["updates"] = {"A": update}
    assert check(connect().update("A"), SIGNERS[0])["longBps"] == 500


def test_the_client_stands_alone():
    code = "import foremargin.client, sys; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = set(found.stdout.split())
    heavy = {"numpy", "pandas", "starlette", "fastapi", "uvicorn", "eth_account", "cryptography"}
    assert not heavy & names
    assert not [name for name in names if name.startswith("foremargin.serving")]
