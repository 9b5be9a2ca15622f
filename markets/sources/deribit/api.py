"""Deribit's public interface: one request, its errors, and the clock of the server.

Requests are JSON-RPC 2.0 sent by GET to ``/api/v2/public/<method>``.
"""

import re
from dataclasses import dataclass
from typing import Any

from ....errors import SourceError
from ...download.client import Client
from ..answers import item, whole_number

DERIBIT = "https://www.deribit.com"
"""Address of the exchange."""

PERCENT = 100.0
"""Deribit quotes volatilities in percent per year."""

MS_NS = 1_000_000
"""Nanoseconds in a millisecond, the unit of Deribit's times."""

_US_NS = 1_000
_TOO_MANY_REQUESTS = 10028
_FIRST_PAUSE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a method answered.

    Attributes
    ----------
    endpoint : str
        Whose answer it is, for messages.
    result : object
        The JSON value; its form is for the caller to check.
    time : int
        When the server sent it by its own clock, nanoseconds since 1970 UTC.
    """

    endpoint: str
    result: Any
    time: int


@dataclass(frozen=True, kw_only=True)
class DeribitApi:
    """Asks Deribit's public methods.

    Parameters
    ----------
    client : Client
        Sends the requests; its number of tries also bounds those after "too many requests".
    url : str
        Address of the exchange, or of its test network.
    """

    client: Client
    url: str = DERIBIT

    def ask(self, method: str, **params: str | int) -> Answer:
        """Return the answer of a public method.

        Parameters
        ----------
        method : str
            For example ``ticker``.
        **params : str or int
            What the method takes; times in milliseconds since 1970 UTC.

        Raises
        ------
        SourceError
            If the server fails, refuses, is still busy at the last try, or answers in a form
            that is not JSON-RPC.
        """
        endpoint = f"Deribit {method}"
        for attempt in range(1, self.client.tries + 1):
            body = self._body(method, params)
            if body is not None:
                return Answer(
                    endpoint=endpoint,
                    result=item(body, "result", endpoint),
                    time=whole_number(body, "usOut", endpoint) * _US_NS,
                )
            if attempt < self.client.tries:
                pause_s = _FIRST_PAUSE_S * 2 ** (attempt - 1)
                self.client.sleep(min(pause_s, self.client.longest_pause_s))
        raise SourceError(
            f"{endpoint}: the server must have time, and it was asked too much in each of "
            f"{self.client.tries} tries (error {_TOO_MANY_REQUESTS}); wait, or pause longer "
            "between requests"
        )

    def _body(self, method: str, params: dict[str, str | int]) -> Any:
        """Return the whole answer; None where the server asks for a pause."""
        try:
            body = self.client.get_json(f"{self.url}/api/v2/public/{method}", params=params)
        except SourceError as error:
            # An error may come with HTTP status 400, and then its code is in the quoted body only.
            if error.status == 400 and re.search(rf'"code":\s*{_TOO_MANY_REQUESTS}\b', str(error)):
                return None
            raise
        refusal = body.get("error") if isinstance(body, dict) else None
        if refusal is None:
            return body
        code = item(refusal, "code", f"Deribit {method}")
        if code == _TOO_MANY_REQUESTS:
            return None
        raise SourceError(
            f"Deribit {method}: the server must accept the request, and it answered error {code} "
            f"({refusal.get('message', 'no message')}{_because(refusal)}); check what was asked for"
        )


def _because(refusal: dict[str, Any]) -> str:
    data = refusal.get("data")
    return f": {data}" if data else ""
