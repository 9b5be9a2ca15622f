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


def trust(questions: Questions) -> ssl.SSLContext | bool:
    """Return whom TLS trusts: the usual authorities, and nobody where there is no TLS.

    To read the list of authorities takes 50 ms, which a plain connection does not need.
    """
    if questions.exchange.base.scheme == "https":
        return True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
