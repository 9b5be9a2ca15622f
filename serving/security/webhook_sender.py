"""Sends what the plan says: with httpx, to the very address that was checked, no redirects."""

import asyncio
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from random import SystemRandom

import httpx

from ...errors import InputError
from ..ports import Clock
from .webhook_addresses import Destinations, Target, check_addresses, read_target
from .webhook_plan import Attempt, Delivery, RetryRule, WebhookPlan
from .webhook_signatures import webhook_headers

_log = logging.getLogger(__name__)
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system knows them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class WebhookSender:
    """Sends messages to URLs on a list, again and again until their deadline.

    What waits is in memory only: a message that must survive a restart belongs into the journal.

    Parameters
    ----------
    allowed : Destinations
        Where to.
    keys : sequence of str
        Secrets, ``whsec_...``; all of them sign.
    clock : Clock
        Wall clock.
    plan : WebhookPlan, optional
        A new one with the usual rule if not given.
    timeout_s : float
        For one attempt.
    resolver : callable
        Names to addresses.
    transport : httpx.AsyncBaseTransport, optional
        For tests.
    """

    def __init__(
        self,
        allowed: Destinations,
        *,
        keys: Sequence[str],
        clock: Clock,
        plan: WebhookPlan | None = None,
        timeout_s: float = 10.0,
        resolver: Resolver = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._allowed, self._keys, self._now = allowed, tuple(keys), clock.now
        self._plan = WebhookPlan(RetryRule(), rng=SystemRandom()) if plan is None else plan
        self._timeout_s, self._resolver = timeout_s, resolver
        self._news = asyncio.Event()
        # No proxy, no netrc: what the environment says must not choose where a body goes.
        self._client = httpx.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=timeout_s
        )

    def post(self, identifier: str, body: bytes, *, urls: Sequence[str]) -> int:
        """Take a message; return for how many URLs it waits.

        Raises
        ------
        InputError
            If a URL is not allowed, or too many messages wait.
        """
        for url in urls:
            read_target(url, allowed=self._allowed)
        taken = self._plan.add(identifier, body, urls=urls, now=self._now())
        self._news.set()
        return taken

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                self._news.clear()
                await self.send_due()
                due = self._plan.next_due()
                wait = None if due is None else max(0.0, (due - self._now()) / 1e9)
                try:
                    await asyncio.wait_for(self._news.wait(), wait)
                except TimeoutError:
                    continue
        finally:
            await self._client.aclose()

    async def send_due(self) -> list[Delivery]:
        """Send everything that is due, and return what became of it."""
        attempts = self._plan.due(now=self._now())
        return list(await asyncio.gather(*(self.send(attempt) for attempt in attempts)))

    async def send(self, attempt: Attempt) -> Delivery:
        """Make one attempt, and return what became of it."""
        retry_after = None
        try:
            async with asyncio.timeout(self._timeout_s):
                status, retry_after = await self._attempt(attempt)
        except InputError as error:
            _log.warning("webhook %s was not sent: %s", attempt.identifier, error)
            status = None
        except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
            _log.warning("webhook %s failed: %s", attempt.identifier, type(error).__name__)
            status = None
        if status is not None and 200 <= status < 300:
            return self._plan.delivered(attempt)
        if status == httpx.codes.GONE:
            return self._plan.refused(attempt)
        return self._plan.failed(attempt, now=self._now(), retry_after_s=retry_after)

    async def _attempt(self, attempt: Attempt) -> tuple[int, float | None]:
        target = read_target(attempt.url, allowed=self._allowed)
        addresses = await self._resolver(target.host, target.port)
        address = check_addresses(addresses, allowed=self._allowed)
        headers = webhook_headers(
            attempt.body, identifier=attempt.identifier, now=self._now(), keys=self._keys
        )
        request = self._client.build_request(
            "POST",
            _pinned(target, address),
            content=attempt.body,
            headers={**headers, "host": _authority(target), "content-type": "application/json"},
            extensions={"sni_hostname": target.host},
        )
        response = await self._client.send(request, stream=True)
        await response.aclose()  # what a receiver writes back is not read
        return response.status_code, _seconds(response.headers.get("retry-after", ""))


def _pinned(target: Target, address: str) -> str:
    """Return the URL with the address that was checked; resolved anew, a name could change."""
    host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    return f"{target.scheme}://{host}:{target.port}{target.path}"


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    default = 443 if target.scheme == "https" else 80
    return host if target.port == default else f"{host}:{target.port}"


def _seconds(retry_after: str) -> float | None:
    return float(retry_after) if re.fullmatch(r"[0-9]{1,6}", retry_after) else None
