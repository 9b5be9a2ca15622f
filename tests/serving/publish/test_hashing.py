"""Keccak-256: Ethereum's, by either library."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from foremargin.serving.publish import hashing, keccak, market_id, signing

EMPTY = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
ABC = "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"


def test_vectors() -> None:
    assert keccak(b"").hex() == EMPTY
    assert keccak(b"abc").hex() == ABC
    assert market_id("abc").hex() == ABC


@given(data=st.binary(max_size=1_000))
def test_either_library_gives_the_same(data) -> None:
    known = sys.modules.get("sha3")
    sys.modules["sha3"] = None  # type: ignore[assignment]  # makes its import fail
    try:
        other = hashing._fastest()
    finally:
        sys.modules.pop("sha3")
        if known is not None:
            sys.modules["sha3"] = known
    assert other(data) == keccak(data)


def test_without_coincurve_signatures_are_made_by_eth_keys(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "coincurve", None)
    backend = signing._fastest()
    secret, digest = b"\7" * 32, b"\1" * 32
    expected = signing.LocalSigner(secret).sign(digest)
    assert backend.sign(secret, digest)[:64] == expected[:64]
