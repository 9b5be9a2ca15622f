"""Who signed an update.

References
----------
EIP-712: "Typed structured data hashing and signing".
"""

import sys
from collections.abc import Collection, Mapping, Sequence
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
    types: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
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
    types : mapping, optional
        Fields of the message as EIP-712 has them, ``{"Name": [{"name": ..., "type": ...}]}``;
        those that the service gives if not given here.

    Returns
    -------
    dict
        The message; numbers that travelled as text are numbers.

    Raises
    ------
    SignatureError
        If too few have, or it was signed for another chain or contract.
    InputError
        If ``eth-account`` is not installed, there are fewer signers than the threshold, or nobody
        says which types the fields have.
    """
    expected = {signer.lower() for signer in signers}
    if not 1 <= threshold <= len(expected):
        raise InputError(
            f"threshold must be from 1 to the number of signers, {len(expected)}, was {threshold}"
        )
    types = update.types if types is None else types
    if not types:
        raise InputError("the types of the message must be given, by the service or the caller")
    found = (_number(update.domain.get("chainId")), update.domain.get("verifyingContract"))
    if found[0] != chain_id or str(found[1]).lower() != contract.lower():
        raise SignatureError(
            f"the update must be for chain {chain_id} and contract {contract}, was for "
            f"{found[0]} and {found[1]}"
        )
    message = _with_numbers(update, types)
    seen = _recovered(update, message, types)
    if len(seen & expected) < threshold:
        raise SignatureError(
            f"{threshold} of {', '.join(sorted(expected))} must have signed, found "
            f"{', '.join(sorted(seen)) or 'nobody'}"
        )
    return message


def _with_numbers(
    update: SignedUpdate, types: Mapping[str, Sequence[Mapping[str, str]]]
) -> dict[str, Any]:
    fields = {field["name"]: field["type"] for field in types.get(update.primary_type, ())}
    if fields.keys() != update.message.keys():
        raise SignatureError(
            f"the message must have the fields of {update.primary_type}, {', '.join(fields)}, had "
            f"{', '.join(update.message)}"
        )
    return {
        name: _number(value) if fields[name].startswith(("uint", "int")) else value
        for name, value in update.message.items()
    }


def _number(value: Any) -> Any:
    """Return a number that travels as decimal text, since many readers of JSON keep 53 bits."""
    whole = isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit()
    return int(value) if whole and len(value) < 80 else value


def _recovered(update: SignedUpdate, message: dict[str, Any], types: Mapping[str, Any]) -> set[str]:
    try:
        limit = sys.getrecursionlimit()
        from eth_account import Account
        from eth_account.messages import encode_typed_data

        # It raises the limit to 100,000 for itself; a process with that dies of nested JSON.
        sys.setrecursionlimit(limit)
    except ImportError as error:
        raise InputError(
            "eth-account must be installed to verify signatures; pip install eth-account"
        ) from error
    domain = {**update.domain, "chainId": _number(update.domain["chainId"])}
    own = {name: list(fields) for name, fields in types.items() if name != "EIP712Domain"}
    # The library's errors have many types, from its own to those of the curve; each means that
    # this is no signature of this message.
    try:
        # The library takes the type that no other refers to for that of the message.
        if set(own) != {update.primary_type}:
            raise ValueError(f"types must be those of {update.primary_type} alone")
        signable = encode_typed_data(domain, own, message)
        return {
            str(Account.recover_message(signable, signature=signature)).lower()
            for signature in update.signatures
        }
    except Exception as error:
        raise SignatureError(f"an update must be signed typed data, is not: {error}") from error
