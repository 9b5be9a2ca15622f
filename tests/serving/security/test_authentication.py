"""Who asks: bearer tokens, signatures, revocation, replay, skew, and constant time."""

import ast
import inspect
import logging
from pathlib import Path

import pytest

from foremargin.errors import InputError
from foremargin.serving.security import (
    ANONYMOUS,
    LOOPBACK,
    Authenticator,
    KeyStore,
    NonceCache,
    Principal,
    Refusal,
    Scope,
    SignedRequest,
    authentication,
    create_key,
    is_loopback,
    read_signature,
    revoke_key,
    sign_request,
    signing,
    webhook_signatures,
)

REQUEST = SignedRequest(method="POST", target=b"/v1/observations?x=%20", body=b"[1]")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


def test_without_keys_this_machine_reads_and_simulates_and_nobody_else_does_anything(clock):
    authenticator = Authenticator(None, clock=clock)
    for address in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"):
        assert authenticator.authenticate(None, address=address) is LOOPBACK
    for address in ("10.0.0.1", "8.8.8.8", "::", "0.0.0.0", "", "localhost", "::ffff:8.8.8.8"):
        assert authenticator.authenticate(None, address=address) is ANONYMOUS
    assert LOOPBACK.scopes == {Scope.READ, Scope.SIMULATE}
    assert authenticator.authenticate(b"Bearer x", address="127.0.0.1") is Refusal.UNKNOWN


def test_with_keys_this_machine_is_nobody_special(path, clock):
    create_key(path, [Scope.READ], now=clock.now())
    authenticator = Authenticator(KeyStore(path), clock=clock)
    assert authenticator.authenticate(None, address="127.0.0.1") is ANONYMOUS


def test_a_token_gives_its_key_and_one_letter_less_gives_nothing(path, clock):
    record, token = create_key(path, [Scope.READ, Scope.ADMIN], now=clock.now())
    authenticator = Authenticator(KeyStore(path), clock=clock)
    for header in (bearer(token), b"bearer  " + token.encode()):
        found = authenticator.authenticate(header, address="")
        assert isinstance(found, Principal)
        assert (found.id, found.scopes) == (record.id, frozenset({Scope.READ, Scope.ADMIN}))
    other = token[:-1] + ("A" if token[-1] != "A" else "B")
    unknown = token.replace(record.id, "a" * 12)
    assert authenticator.authenticate(bearer(other), address="") is Refusal.UNKNOWN
    assert authenticator.authenticate(bearer(unknown), address="") is Refusal.UNKNOWN
    assert authenticator.authenticate(bearer(token[:-1]), address="") is Refusal.MALFORMED
    assert authenticator.authenticate(b"Basic abc", address="") is Refusal.MALFORMED


def test_a_revoked_key_stops_within_the_time_of_the_cache(path, clock):
    record, token = create_key(path, [Scope.READ], now=clock.now())
    authenticator = Authenticator(KeyStore(path), clock=clock, cache_s=5.0)
    assert isinstance(authenticator.authenticate(bearer(token), address=""), Principal)
    revoke_key(path, record.id, now=clock.now())
    clock.step(4.9)
    assert isinstance(authenticator.authenticate(bearer(token), address=""), Principal)
    clock.step(0.2)
    assert authenticator.authenticate(bearer(token), address="") is Refusal.REVOKED


def test_a_reload_honours_a_revocation_at_once(path, clock):
    record, token = create_key(path, [Scope.READ], now=clock.now())
    authenticator = Authenticator(KeyStore(path), clock=clock)
    assert isinstance(authenticator.authenticate(bearer(token), address=""), Principal)
    revoke_key(path, record.id, now=clock.now())
    authenticator.forget()
    assert authenticator.authenticate(bearer(token), address="") is Refusal.REVOKED


def test_a_key_expires_to_the_nanosecond_in_spite_of_the_cache(path, clock):
    expires = clock.now() + 3_000_000_000
    _, token = create_key(path, [Scope.READ], now=clock.now(), expires=expires)
    authenticator = Authenticator(KeyStore(path), clock=clock, cache_s=60.0)
    clock.time = expires - 1
    assert isinstance(authenticator.authenticate(bearer(token), address=""), Principal)
    clock.time = expires
    assert authenticator.authenticate(bearer(token), address="") is Refusal.EXPIRED


def test_a_clock_that_is_set_back_makes_the_cache_look_again(path, clock):
    record, token = create_key(path, [Scope.READ], now=clock.now())
    authenticator = Authenticator(KeyStore(path), clock=clock)
    assert isinstance(authenticator.authenticate(bearer(token), address=""), Principal)
    revoke_key(path, record.id, now=clock.now())
    clock.step(-3600)
    assert authenticator.authenticate(bearer(token), address="") is Refusal.REVOKED


def test_a_damaged_file_keeps_the_keys_and_is_written_to_the_log(path, clock, caplog):
    _, token = create_key(path, [Scope.READ], now=clock.now())
    authenticator = Authenticator(KeyStore(path), clock=clock)
    path.write_text("nonsense")
    with caplog.at_level(logging.ERROR):
        assert isinstance(authenticator.authenticate(bearer(token), address=""), Principal)
    assert "keys were not read again" in caplog.text
    assert token not in caplog.text


@pytest.fixture
def signed(path, clock):
    record, token = create_key(path, [Scope.PUBLISH], now=clock.now(), signs=True)
    return record, token, Authenticator(KeyStore(path), clock=clock)


def test_a_signed_request_is_believed_once(signed, clock):
    record, token, authenticator = signed
    header = sign_request(REQUEST, token=token, now=clock.now()).encode()
    found = authenticator.authenticate(header, address="", request=REQUEST)
    assert isinstance(found, Principal)
    assert found.id == record.id
    again = authenticator.authenticate(header, address="", request=REQUEST)
    assert again is Refusal.REPLAY


def test_a_key_that_signs_cannot_send_its_secret_and_one_that_does_not_cannot_sign(
    signed, path, clock
):
    _, token, authenticator = signed
    assert authenticator.authenticate(bearer(token), address="") is Refusal.MUST_SIGN
    _, plain = create_key(path, [Scope.PUBLISH], now=clock.now())
    header = sign_request(REQUEST, token=plain, now=clock.now()).encode()
    authenticator.forget()
    assert authenticator.authenticate(header, address="", request=REQUEST) is Refusal.UNKNOWN


@pytest.mark.parametrize(
    "other",
    [
        SignedRequest(method="PUT", target=REQUEST.target, body=REQUEST.body),
        SignedRequest(method="POST", target=b"/v1/observations?x=%21", body=REQUEST.body),
        SignedRequest(method="POST", target=b"/v1/observations", body=REQUEST.body),
        SignedRequest(method="POST", target=REQUEST.target, body=b"[2]"),
        SignedRequest(method="POST", target=REQUEST.target, body=b""),
    ],
)
def test_a_signature_is_of_one_request_alone(signed, clock, other):
    _, token, authenticator = signed
    header = sign_request(REQUEST, token=token, now=clock.now()).encode()
    assert authenticator.authenticate(header, address="", request=other) is Refusal.SIGNATURE
    # What did not hold used nothing up.
    assert isinstance(authenticator.authenticate(header, address="", request=REQUEST), Principal)


@pytest.mark.parametrize("field", [b"time", b"nonce"])
def test_time_and_nonce_are_signed_too(signed, clock, field):
    _, token, authenticator = signed
    header = sign_request(REQUEST, token=token, now=clock.now(), nonce="n" * 20).encode()
    seconds = clock.now() // 10**9
    changed = {b"time": str(seconds + 1).encode(), b"nonce": b"m" * 20}[field]
    was = {b"time": str(seconds).encode(), b"nonce": b"n" * 20}[field]
    header = header.replace(field + b"=" + was, field + b"=" + changed)
    assert authenticator.authenticate(header, address="", request=REQUEST) is Refusal.SIGNATURE


@pytest.mark.parametrize(("seconds", "fine"), [(-30, True), (30, True), (-31, False), (31, False)])
def test_thirty_seconds_of_skew_are_borne(signed, clock, seconds, fine):
    _, token, authenticator = signed
    header = sign_request(REQUEST, token=token, now=clock.now() + seconds * 10**9).encode()
    assert authenticator.precheck(header) is (None if fine else Refusal.SKEW)
    found = authenticator.authenticate(header, address="", request=REQUEST)
    assert isinstance(found, Principal) is fine
    assert fine or found is Refusal.SKEW


def test_a_replay_is_refused_for_as_long_as_its_time_is_borne(signed, clock):
    _, token, authenticator = signed
    header = sign_request(REQUEST, token=token, now=clock.now() + 30 * 10**9).encode()
    assert isinstance(authenticator.authenticate(header, address="", request=REQUEST), Principal)
    for _ in range(60):
        clock.step(1.0)
        found = authenticator.authenticate(header, address="", request=REQUEST)
        assert found in (Refusal.REPLAY, Refusal.SKEW)


def test_a_revoked_key_cannot_sign(signed, path, clock):
    record, token, authenticator = signed
    revoke_key(path, record.id, now=clock.now())
    clock.step(6)
    header = sign_request(REQUEST, token=token, now=clock.now()).encode()
    assert authenticator.authenticate(header, address="", request=REQUEST) is Refusal.REVOKED


def test_a_full_nonce_cache_refuses_instead_of_forgetting(signed, clock):
    _, token, _ = signed
    cache = NonceCache(capacity=2)
    headers = [sign_request(REQUEST, token=token, now=clock.now()).encode() for _ in range(3)]
    signatures = [one for one in map(read_signature, headers) if one is not None]
    used = [cache.use(one, now=clock.now()) for one in signatures]
    assert used == [None, None, Refusal.BUSY]
    assert cache.use(signatures[0], now=clock.now()) is Refusal.REPLAY
    clock.step(61)
    assert cache.use(signatures[2], now=clock.now()) is None
    assert len(cache) == 1


def test_a_reference_vector_of_the_signature():
    token = "fm_abcdefghijkl_" + "s" * 43
    said = sign_request(REQUEST, token=token, now=1_700_000_000 * 10**9, nonce="nonce-nonce-nonce")
    # HMAC-SHA256(HMAC-SHA256(secret, "foremargin request signing v1"), seven lines), by openssl.
    assert said == (
        "FM1-HMAC-SHA256 key=abcdefghijkl,time=1700000000,nonce=nonce-nonce-nonce,"
        "signature=f5764533447e577dae6b56617d1bac0780332c65cfc4d6cedcdd04bfb4c61f7c"
    )


def test_a_token_that_is_none_signs_nothing(clock):
    with pytest.raises(InputError, match="a token must be fm_"):
        sign_request(REQUEST, token="fm_x", now=clock.now())


@pytest.mark.parametrize("address", ["", "nonsense", "127.0.0.1.evil.example", "0", "1.2.3.4"])
def test_what_is_not_this_machine_is_not_loopback(address):
    assert not is_loopback(address)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (authentication, "_verify"),
        (signing, "signature_holds"),
        (webhook_signatures, "verify_webhook"),
    ],
)
def test_secrets_are_compared_in_constant_time(module, name):
    tree = ast.parse(inspect.getsource(module))
    function = next(
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name
    )
    calls = {
        node.func.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert "compare_digest" in calls
    secret = {"kept", "expected", "offered", "secret"}
    plain = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Compare)
        and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        and any(isinstance(part, ast.Name) and part.id in secret for part in ast.walk(node))
    ]
    assert not plain
