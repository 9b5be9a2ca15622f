"""Loopback unless there are keys; TLS with client certificates, tried with real ones."""

import ssl

import pytest
import uvicorn

from foremargin.errors import InputError
from foremargin.serving.security import TlsSettings, check_listening, uvicorn_arguments


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "8.8.8.8"])
def test_without_keys_only_loopback_is_listened_on(host):
    with pytest.raises(InputError, match="without a keys file the service must listen on loopback"):
        check_listening(host, has_keys=False)
    check_listening(host, has_keys=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_keys(host):
    check_listening(host, has_keys=False)


def test_the_arguments_believe_no_proxy_and_fit_uvicorn():
    arguments = uvicorn_arguments("127.0.0.1", 8750, has_keys=False)
    assert arguments["proxy_headers"] is False
    assert arguments["server_header"] is False
    config = uvicorn.Config(lambda: None, **arguments)
    config.load()
    assert not config.is_ssl
    with pytest.raises(InputError, match="must listen on loopback"):
        uvicorn_arguments("0.0.0.0", 8750, has_keys=False)
    with pytest.raises(InputError, match="a port must be"):
        uvicorn_arguments("127.0.0.1", 70_000, has_keys=False)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Let both talk over memory; return the version, or raise what the server saw."""
    ends = [ssl.MemoryBIO() for _ in range(4)]
    one = server.wrap_bio(ends[0], ends[1], server_side=True)
    other = client.wrap_bio(ends[1], ends[0], server_hostname="localhost")
    done = set()
    for _ in range(10):
        for name, side in (("client", other), ("server", one)):
            try:
                side.do_handshake()
                done.add(name)
            except ssl.SSLWantReadError:
                continue
        if len(done) == 2:
            return str(one.version())
    raise AssertionError("the handshake did not end")


def test_mutual_tls_takes_a_client_with_a_certificate_and_refuses_one_without(certificates):
    tls = TlsSettings(
        certificate=str(certificates / "server.pem"),
        key=str(certificates / "server.key"),
        client_authority=str(certificates / "ca.pem"),
    )
    arguments = uvicorn_arguments("127.0.0.1", 0, has_keys=True, tls=tls)
    config = uvicorn.Config(lambda: None, **arguments)
    config.load()
    server = config.ssl
    assert server is not None
    client = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # its refusal comes inside the handshake
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        handshake(server, client)
    client.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    assert handshake(server, client) == "TLSv1.2"
    client.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert handshake(server, client) == "TLSv1.3"


def test_a_private_key_that_others_may_read_and_missing_files_are_refused(certificates):
    loose = certificates / "loose.key"
    loose.write_bytes((certificates / "server.key").read_bytes())
    loose.chmod(0o644)
    tls = TlsSettings(certificate=str(certificates / "server.pem"), key=str(loose))
    with pytest.raises(InputError, match="nobody else may open the private key"):
        uvicorn_arguments("127.0.0.1", 0, has_keys=True, tls=tls)
    tls = TlsSettings(certificate="none.pem", key=str(loose))
    with pytest.raises(InputError, match=r"found no none\.pem"):
        uvicorn_arguments("127.0.0.1", 0, has_keys=True, tls=tls)
