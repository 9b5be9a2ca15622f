"""Calling an exchange through ccxt: opened once, tried again, every failure in our own words."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from ....errors import ForemarginError, InputError, SourceError
from ...download.client import Client

_MS_PER_SECOND = 1000
_FIRST_PAUSE_S = 1.0
_SHOWN_CHARACTERS = 200  # of an exchange's own words, in a message

# What ccxt's readers raise where an answer has another form than they expect.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One exchange, open for public questions.

    Attributes
    ----------
    api : ccxt.Exchange
        The exchange as ccxt has it; untyped, because ccxt is an extra.
    tries : int
        How often a question is asked at most, at least 1.
    longest_pause_s : float
        Longest time between two tries, seconds.
    sleep : callable
        Waits a number of seconds; a test passes its own.
    """

    api: Any
    tries: int = 5
    longest_pause_s: float = 120.0
    sleep: Callable[[float], object] = time.sleep

    @property
    def id(self) -> str:
        """The exchange's name in ccxt, for example ``binanceusdm``."""
        return str(self.api.id)

    def now(self) -> int:
        """Return the time of this machine, milliseconds since 1970 UTC."""
        return int(self.api.milliseconds())

    def market(self, symbol: str) -> dict[str, Any]:
        """Return ccxt's description of a market, by its unified symbol.

        Raises
        ------
        InputError
            If the exchange does not list it.
        SourceError
            If the exchange fails.
        """
        self.call("load_markets")
        market: dict[str, Any] = self.call("market", symbol)
        return market

    def call(self, method: str, *args: object) -> Any:
        """Return what a method of ccxt returns.

        A failure that may be gone at the next try (no connection, too many requests,
        maintenance, an answer that ends early) is tried again after a pause that doubles.

        Raises
        ------
        InputError
            If the exchange does not know the symbol or does not offer this.
        SourceError
            If the exchange refuses, still fails at the last try, or answers in another form.
        """
        ccxt = require_ccxt()
        for attempt in range(1, self.tries + 1):
            try:
                return getattr(self.api, method)(*args)
            except (ccxt.BaseError, *_UNREADABLE, OSError) as error:
                if not _is_passing(error, ccxt) or attempt == self.tries:
                    asked = f"{self.id} {method}({', '.join(map(str, args))})"
                    raise translated(error, asked=asked, tries=attempt) from error
            self.sleep(min(_FIRST_PAUSE_S * 2 ** (attempt - 1), self.longest_pause_s))
        raise SourceError(f"{self.id}: tries must be at least 1, was {self.tries}; allow one try")


def open_exchange(exchange_id: str, client: Client) -> Exchange:
    """Return an exchange, with the patience of a client; nothing is asked yet.

    Parameters
    ----------
    exchange_id : str
        Name in ccxt, for example ``binanceusdm``.
    client : Client
        Lends its number of tries, its timeout and its pauses. The requests themselves are sent
        by ccxt, which keeps the exchange's rate limit.

    Raises
    ------
    InputError
        If ccxt is not installed or knows no such exchange.
    """
    ccxt = require_ccxt()
    if exchange_id not in ccxt.exchanges:
        raise InputError(
            f"an exchange must be one of the {len(ccxt.exchanges)} that ccxt knows, was "
            f"{exchange_id!r}; write for example 'binanceusdm'"
        )
    options = {"enableRateLimit": True, "timeout": int(client.timeout_s * _MS_PER_SECOND)}
    api = getattr(ccxt, exchange_id)(options)
    api.fetch = _only_json(api.fetch, ccxt)
    return Exchange(
        api=api,
        tries=client.tries,
        longest_pause_s=client.longest_pause_s,
        sleep=client.sleep,
    )


def _only_json(fetch: Callable[..., Any], ccxt: ModuleType) -> Callable[..., Any]:
    """Return ccxt's sender of requests, strict about what comes back.

    ccxt hands on a body that is no JSON (cut short, or a page for people) as text, and its readers
    make an empty list of that: data would be missing in silence.
    """

    def checked(*args: object, **options: object) -> Any:
        answer = fetch(*args, **options)
        if isinstance(answer, dict | list):
            return answer
        raise ccxt.BadResponse(f"the answer is no JSON: {str(answer)[:_SHOWN_CHARACTERS]!r}")

    return checked


def require_ccxt() -> ModuleType:
    """Return the module ccxt.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        return import_module("ccxt")
    except ImportError as error:
        raise InputError(
            "the exchange source needs ccxt, and it is not installed; install foremargin[exchange]"
        ) from error


def translated(error: Exception, *, asked: str, tries: int = 1) -> ForemarginError:
    """Return the error of this project that says what one of ccxt says.

    Parameters
    ----------
    error : Exception
        What ccxt raised.
    asked : str
        Exchange, method and arguments, for the message.
    tries : int
        How often it was asked.
    """
    ccxt = require_ccxt()
    said = f"({type(error).__name__}: {_said(error)})"
    if isinstance(error, ccxt.BadSymbol):
        return InputError(
            f"{asked}: the symbol must be one that the exchange lists {said}; write it as ccxt "
            "does, for example BTC/USDT, or BTC/USDT:USDT for a perpetual"
        )
    if isinstance(error, ccxt.NotSupported):
        return InputError(
            f"{asked}: the exchange must offer what is asked for, and it does not {said}; choose "
            "another data set or exchange"
        )
    if isinstance(error, ccxt.AuthenticationError):
        return SourceError(
            f"{asked}: the answer must be public, and the exchange asks for an account {said}; "
            "choose another data set or exchange"
        )
    if _is_passing(error, ccxt):
        count = "one try" if tries == 1 else f"{tries} tries"
        return SourceError(
            f"{asked}: the exchange must answer, and after {count} it did not {said}; check the "
            "connection, or try again later"
        )
    if isinstance(error, ccxt.BaseError):
        return SourceError(
            f"{asked}: the exchange must accept the request, and it refused {said}; check what was "
            "asked for"
        )
    return SourceError(
        f"{asked}: the answer must have the form that ccxt expects, and it has not {said}; the "
        "exchange may have changed it: update ccxt",
        damaged=True,
    )


def _is_passing(error: BaseException, ccxt: ModuleType) -> bool:
    """Whether a failure may be gone at the next try."""
    return isinstance(error, (ccxt.NetworkError, ccxt.BadResponse, ConnectionError, TimeoutError))


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:_SHOWN_CHARACTERS] if text else "no reason given"
