"""Where a webhook may go: hosts on a list, and addresses that are not of our own network."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from msgspec import Struct

from ...errors import InputError

_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class Destinations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be reached.

    Attributes
    ----------
    hosts : list of str
        Names, exactly; ``name:port`` for a port that is not 443.
    networks : list of str
        Networks of private addresses that are meant, such as ``10.1.2.0/24``; with one of them
        plain HTTP is allowed too.
    """

    hosts: list[str] = []
    networks: list[str] = []


class Target(Struct, frozen=True, kw_only=True):
    """A URL in parts.

    Attributes
    ----------
    scheme, host, port, path : str, str, int, str
        The path has the query, and starts with a slash.
    """

    scheme: str
    host: str
    port: int
    path: str


def read_target(url: str, *, allowed: Destinations) -> Target:
    """Return the parts of a URL whose host is on the list.

    Raises
    ------
    InputError
        If it is no plain https URL (http only beside a listed network) or its host is not listed.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"a webhook must go to a URL, found {url!r}: {error}") from None
    schemes = ("https", "http") if allowed.networks else ("https",)
    host = (parts.hostname or "").rstrip(".")
    plain = all(" " < letter < "\x7f" for letter in url)
    if parts.scheme not in schemes or not host or "@" in parts.netloc or not plain:
        raise InputError(
            f"a webhook must go to {' or '.join(schemes)}://host/path without user or password"
        )
    default = 443 if parts.scheme == "https" else 80
    port = default if port is None else port
    names = {host} if port == default else set()
    listed = {name.lower() for name in allowed.hosts}
    if not (names | {f"{host}:{port}"}) & listed:
        raise InputError(f"a webhook must go to a listed host, found {host}:{port}; list it")
    query = f"?{parts.query}" if parts.query else ""
    return Target(scheme=parts.scheme, host=host, port=port, path=(parts.path or "/") + query)


def check_addresses(addresses: Sequence[str], *, allowed: Destinations) -> str:
    """Return the address to connect to, after every one of them was checked.

    One bad address among good ones refuses all: who answers for the name chooses which is used.

    Raises
    ------
    InputError
        If there is none, or one is private, loopback, link-local or otherwise not public, and not
        in a listed network.
    """
    networks = [ip_network(network) for network in allowed.networks]
    for text in addresses:
        address = ip_address(text.split("%")[0])
        plain = getattr(address, "ipv4_mapped", None) or address
        if any(plain in network for network in networks if network.version == plain.version):
            continue
        if not _is_public(plain):
            raise InputError(
                f"a webhook must go to public addresses, found {text}; "
                "list its network if it is meant"
            )
    if not addresses:
        raise InputError("a webhook must go to a host that has an address, found none")
    return addresses[0]


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return True
    # An IPv4 address may hide in these, and a gateway would unpack it.
    hidden = address.sixtofour is not None or address.teredo is not None
    return not hidden and not any(address in network for network in _TRANSLATED)
