"""Keccak-256 as Ethereum uses it, by the fastest library that is installed."""

from collections.abc import Callable
from functools import lru_cache


def _fastest() -> Callable[[bytes], bytes]:
    try:
        import sha3  # type: ignore[import-untyped]
    except ImportError:
        from Crypto.Hash import keccak as pycryptodome

        return lambda data: pycryptodome.new(data=data, digest_bits=256).digest()
    keccak_256 = sha3.keccak_256
    return lambda data: keccak_256(data).digest()


keccak: Callable[[bytes], bytes] = _fastest()
"""Return the Keccak-256 hash, 32 bytes; it is not SHA3-256, which pads differently."""

ZERO = bytes(32)
"""No hash: what a chain begins with, and what is not claimed."""


@lru_cache(maxsize=65_536)
def market_id(instrument: str) -> bytes:
    """Return the 32 bytes by which contracts know an instrument: the hash of its name in UTF-8."""
    return keccak(instrument.encode())
