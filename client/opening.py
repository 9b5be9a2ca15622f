"""From an address to what can be asked there."""

import random
import ssl
from ipaddress import ip_address

import httpx

from ..errors import InputError
from .exchange import Exchange, RetryPolicy
from .questions import Questions
from .signing import BearerToken, Credentials


def opened(
    address: str,
    *,
    credentials: Credentials | None,
    retry: RetryPolicy | None,
    rng: random.Random | None,
) -> Questions:
    """Return the questions for a service.

    Raises
    ------
    InputError
        If the address is none of HTTP, or a key would travel in the clear: a bearer token goes over
        TLS or to this machine.
    """
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, TypeError) as error:
        raise InputError(f"address must be one of HTTP, was {address!r}") from error
    if url.scheme not in {"http", "https"} or not url.host or url.path != "/" or url.query:
        raise InputError(
            f"address must be http(s)://host[:port] and nothing behind it, was {address!r}"
        )
    if isinstance(credentials, BearerToken) and url.scheme == "http" and not _is_here(url.host):
        raise InputError(
            f"a bearer token must travel over https beyond this machine, address was {address!r}; "
            f"use https, or sign requests"
        )
    exchange = Exchange(
        url, credentials=credentials, retry=retry or RetryPolicy(), rng=rng or random.Random()
    )
    return Questions(exchange)


def trust(questions: Questions, tls: ssl.SSLContext | None) -> ssl.SSLContext | bool:
    """Return whom TLS trusts: the usual authorities, and nobody where there is no TLS.

    To read the list of authorities takes 50 ms, which a plain connection does not need.

    Raises
    ------
    InputError
        If `tls` is given for a connection that has none, or does not look whom it talks to.
    """
    if tls is None:
        usual = questions.exchange.base.scheme == "https"
        return True if usual else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if questions.exchange.base.scheme != "https":
        raise InputError("tls must be for an https address, found http; leave it out, or use https")
    if tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname:
        raise InputError(
            "tls must check the service's certificate and name; make it with "
            "ssl.create_default_context(cafile=...)"
        )
    return tls


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
