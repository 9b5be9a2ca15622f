"""Signatures: one form only, the same every time, and those of another library."""

import os
import stat

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.serving.publish import LocalSigner, recover, signing
from foremargin.serving.publish.signing import ORDER, in_order

SECRETS = st.integers(1, ORDER - 1).map(lambda n: n.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)


@settings(max_examples=30, deadline=None)
@given(secret=SECRETS, digest=DIGESTS)
def test_signatures_are_those_of_eth_account(secret, digest) -> None:
    account = Account.from_key(secret)
    signer = LocalSigner(secret)
    assert signer.address == account.address.lower()
    expected = account.unsafe_sign_hash(digest).signature
    assert signer.sign(digest) == bytes(expected)
    assert recover(digest, bytes(expected)) == signer.address


@settings(max_examples=5, deadline=None)
@given(secret=SECRETS, digest=DIGESTS)
def test_pure_python_signs_and_recovers_the_same(secret, digest) -> None:
    pure = signing._eth_keys()
    native = signing._coincurve()
    assert pure.public(secret) == native.public(secret)
    signature = native.sign(secret, digest)
    assert pure.sign(secret, digest) == signature
    assert pure.recover(signature, digest) == native.recover(signature, digest)


@settings(max_examples=50, deadline=None)
@given(digest=DIGESTS)
def test_s_is_low_and_the_other_signature_of_the_same_content_is_refused(digest) -> None:
    signer = LocalSigner(b"\7" * 32)
    signature = signer.sign(digest)
    s = int.from_bytes(signature[32:64], "big")
    assert 0 < s <= ORDER // 2
    twin = signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - signature[64]])
    assert recover(digest, signature) == signer.address
    assert recover(digest, twin) is None


@pytest.mark.parametrize("v", [0, 1, 26, 29])
def test_v_is_27_or_28(v) -> None:
    signature = LocalSigner(b"\7" * 32).sign(b"\1" * 32)
    assert recover(b"\1" * 32, signature[:64] + bytes([v])) is None


@pytest.mark.parametrize("content", [b"", b"\1" * 64, b"\1" * 66, bytes(64) + b"\x1b"])
def test_what_is_no_signature_recovers_nobody(content) -> None:
    assert recover(b"\1" * 32, content) is None


@pytest.mark.parametrize("secret", [b"\1" * 31, bytes(32), ORDER.to_bytes(32, "big")])
def test_a_key_must_be_one(secret) -> None:
    with pytest.raises(InputError, match="a key must be 32 bytes, neither zero nor above"):
        LocalSigner(secret)


def test_a_key_is_read_from_a_file_of_its_owner_alone(tmp_path) -> None:
    path = tmp_path / "key"
    path.write_text("0x" + "07" * 32 + "\n")
    path.chmod(0o600)
    assert LocalSigner.from_file(path).address == LocalSigner(b"\7" * 32).address
    path.chmod(0o640)
    with pytest.raises(InputError, match=r"only its owner may read a key, .*; run chmod 600"):
        LocalSigner.from_file(path)


@pytest.mark.parametrize("text", ["", "07" * 31, "zz" * 32, "07" * 40])
def test_no_message_shows_what_is_in_a_file_that_is_no_key(tmp_path, text) -> None:
    path = tmp_path / "key"
    path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    path.write_text(text)
    with pytest.raises(InputError, match="a key must be") as caught:
        LocalSigner.from_file(path)
    assert not text or text not in str(caught.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path) -> None:
    with pytest.raises(InputError, match="a key must be in a readable file, "):
        LocalSigner.from_file(tmp_path / "none")


def test_a_signer_does_not_show_its_key() -> None:
    secret = os.urandom(32)
    assert secret.hex() not in repr(LocalSigner(secret))
    assert repr(secret) not in repr(LocalSigner(secret))


def test_signatures_are_put_in_the_order_of_their_signers(signers) -> None:
    digest = b"\1" * 32
    signatures = [signer.sign(digest) for signer in signers]
    mixed = [signatures[2], signatures[0], signatures[1], signatures[0]]
    assert in_order(digest, mixed) == tuple(signatures)
    with pytest.raises(InputError, match="a signature must be 65 bytes"):
        in_order(digest, [b"\1" * 65])
