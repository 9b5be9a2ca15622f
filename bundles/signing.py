"""Signatures of bundles: Ed25519, with keys in files that environment variables name.

Whoever trains holds the private key, whoever serves only the public one. A pair is made by::

    openssl genpkey -algorithm ed25519 -out signing.pem
    openssl pkey -in signing.pem -pubout -out trusted.pem
"""

import json
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..errors import InputError

SIGNING_VARIABLE = "FOREMARGIN_SIGNING_KEY"
"""Environment variable with the file of the private key (PEM, without a password)."""

TRUSTED_VARIABLE = "FOREMARGIN_TRUSTED_KEY"
"""Environment variable with the file of the public key (PEM)."""

_ALGORITHM = "ed25519"


def signing_key() -> Ed25519PrivateKey | None:
    """Return the private key that the environment names; None if it names none.

    Raises
    ------
    InputError
        If the file holds no such key.
    """
    path = os.environ.get(SIGNING_VARIABLE)
    if not path:
        return None
    content = _read(Path(path), SIGNING_VARIABLE)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(SIGNING_VARIABLE, "private", path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(SIGNING_VARIABLE, "private", path)
    return key


def trusted_key(file: Path | None = None) -> Ed25519PublicKey | None:
    """Return the public key of a file, by default the one that the environment names.

    None if neither is given.

    Raises
    ------
    InputError
        If the file holds no such key.
    """
    path = str(file) if file is not None else os.environ.get(TRUSTED_VARIABLE)
    if not path:
        return None
    content = _read(Path(path), TRUSTED_VARIABLE)
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(TRUSTED_VARIABLE, "public", path) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(TRUSTED_VARIABLE, "public", path)
    return key


def sign(content: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return a signature of `content`, as JSON."""
    signature = {"algorithm": _ALGORITHM, "signature": key.sign(content).hex()}
    return json.dumps(signature).encode()


def is_signed_by(content: bytes, signature: bytes, key: Ed25519PublicKey) -> bool:
    """Tell whether a signature that :func:`sign` made is of this content and by this key."""
    try:
        read = json.loads(signature)
        if read["algorithm"] != _ALGORITHM:
            return False
        key.verify(bytes.fromhex(read["signature"]), content)
    except (InvalidSignature, ValueError, KeyError, TypeError, RecursionError):
        return False
    return True


def _read(path: Path, variable: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{variable} must name a file that can be read, was {path}: {error.strerror}"
        ) from error


def _no_key(variable: str, kind: str, path: str) -> InputError:
    return InputError(
        f"{variable} must name a {kind} Ed25519 key in PEM form without a password, but {path} "
        "holds none; make one with: openssl genpkey -algorithm ed25519"
    )
