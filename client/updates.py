"""Who signed an update.

References
----------
EIP-712: "Typed structured data hashing and signing".
"""

from collections.abc import Collection
from typing import Any

from ..errors import InputError
from .errors import SignatureError
from .types import SignedUpdate


def verified_message(
    update: SignedUpdate,
    *,
    signers: Collection[str],
    chain_id: int,
    contract: str,
    threshold: int = 1,
) -> dict[str, Any]:
    """Return what was signed, if those who may have signed it.

    Use these values and no others: what else the service says of the update is not signed. Whether
    it is the newest, and still valid, the message says and the caller must look.

    Parameters
    ----------
    update : SignedUpdate
        As the service gives it.
    signers : collection of str
        Addresses that may sign, ``0x`` and 40 hexadecimal digits.
    chain_id, contract
        Where the signature must count; the same signers may sign for other chains, such as one for
        tests.
    threshold : int
        How many different ones must have signed.

    Raises
    ------
    SignatureError
        If too few have, or it was signed for another chain or contract.
    InputError
        If ``eth-account`` is not installed, or fewer signers than the threshold are given.
    """
    expected = {signer.lower() for signer in signers}
    if not 1 <= threshold <= len(expected):
        raise InputError(
            f"threshold must be from 1 to the number of signers, {len(expected)}, was {threshold}"
        )
    domain = update.typed_data.get("domain", {})
    found = (domain.get("chainId"), str(domain.get("verifyingContract", "")).lower())
    if found != (chain_id, contract.lower()):
        raise SignatureError(
            f"the update must be for chain {chain_id} and contract {contract}, was for "
            f"{found[0]} and {found[1]}"
        )
    seen = _recovered(update)
    if len(seen & expected) < threshold:
        raise SignatureError(
            f"{threshold} of {', '.join(sorted(expected))} must have signed, found "
            f"{', '.join(sorted(seen)) or 'nobody'}"
        )
    message: dict[str, Any] = update.typed_data["message"]
    return message


def _recovered(update: SignedUpdate) -> set[str]:
    try:
        from eth_account import Account
        from eth_account.messages import encode_typed_data
    except ImportError as error:
        raise InputError(
            "eth-account must be installed to verify signatures; pip install eth-account"
        ) from error
    # The library's errors have many types, from its own to those of the curve; each means that
    # this is no signature of this message.
    try:
        signable = encode_typed_data(full_message=update.typed_data)
        return {
            str(Account.recover_message(signable, signature=signature)).lower()
            for signature in update.signatures
        }
    except Exception as error:
        raise SignatureError(f"an update must be signed typed data, is not: {error}") from error
