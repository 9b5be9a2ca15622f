"""Where the service may listen, and how: loopback unless there are keys; TLS with certificates."""

import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from msgspec import Struct

from ...errors import InputError

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # TLS 1.2; those of 1.3 are all sound


class TlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Certificates.

    Attributes
    ----------
    certificate, key : str
        Files of the service's chain and of its private key, PEM.
    client_authority : str
        File of the authority whose certificates clients must have (mutual TLS); empty asks for
        none.
    """

    certificate: str
    key: str
    client_authority: str = ""


def check_listening(host: str, *, has_keys: bool) -> None:
    """Refuse an address that others reach while anybody could ask.

    Raises
    ------
    InputError
        If `host` is not loopback and there are no keys.
    """
    if has_keys or _is_loopback_host(host):
        return
    raise InputError(
        f"without a keys file the service must listen on loopback, found {host!r}; "
        "create a key and name the file in keys_file, or listen on 127.0.0.1"
    )


def uvicorn_arguments(
    host: str,
    port: int,
    *,
    has_keys: bool,
    tls: TlsSettings | None = None,
    connections: int = 1_000,
) -> dict[str, Any]:
    """Return the arguments of :class:`uvicorn.Config` for one worker.

    Headers of proxies are not believed: who trusts one sets `proxy_headers` and
    `forwarded_allow_ips` itself.

    Parameters
    ----------
    host, port : str, int
        Where to listen.
    has_keys : bool
        Whether requests need keys.
    tls : TlsSettings, optional
        Without it, no TLS.
    connections : int
        Most at once; more are answered 503.

    Raises
    ------
    InputError
        If it must not listen there, or a file of `tls` is not there or may be read by others.
    """
    check_listening(host, has_keys=has_keys)
    if not 0 <= port <= 65535:
        raise InputError(f"a port must be from 0 to 65535, found {port}")
    arguments: dict[str, Any] = {
        "host": host,
        "port": port,
        "loop": "uvloop",
        "http": "httptools",
        "ws": "websockets-sansio",
        "ws_max_size": 1_048_576,  # a subscription may name thousands
        "ws_per_message_deflate": False,  # it would be done for every reader anew
        "lifespan": "on",
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "limit_concurrency": connections,
        "timeout_keep_alive": 30,
        "timeout_graceful_shutdown": 10,
    }
    return arguments if tls is None else {**arguments, **_tls_arguments(tls)}


def _tls_arguments(tls: TlsSettings) -> dict[str, Any]:
    for name in filter(None, (tls.certificate, tls.key, tls.client_authority)):
        if not Path(name).is_file():
            raise InputError(f"a file of the TLS settings must be there, found no {name}")
    if Path(tls.key).stat().st_mode & 0o077:
        raise InputError(f"nobody else may open the private key {tls.key}; chmod 600 it")
    arguments: dict[str, Any] = {
        "ssl_certfile": tls.certificate,
        "ssl_keyfile": tls.key,
        "ssl_ciphers": _CIPHERS,
    }
    if tls.client_authority:
        arguments["ssl_ca_certs"] = tls.client_authority
        arguments["ssl_cert_reqs"] = ssl.CERT_REQUIRED
    return arguments


def _is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
