"""Deribit as it stands now: what is listed, tickers, index prices and option chains."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ....errors import InputError
from ...listings import Kind, Listing
from ..answers import item, number, rows, whole_number
from .api import MS_NS, PERCENT, Answer, DeribitApi
from .chain_columns import chain_columns
from .option_chain import OptionChain

_KINDS: Mapping[str, Kind] = {"spot": Kind.SPOT, "option": Kind.OPTION, "future": Kind.FUTURE}
_PERPETUAL = "perpetual"  # what Deribit writes where another future has its date
_LINEAR = "_"  # BTC_USDC-PERPETUAL settles in USDC, BTC-PERPETUAL in BTC
_TICKER = {
    "best_bid_price": "bid",
    "best_ask_price": "ask",
    "mark_price": "mark_price",
    "index_price": "index_price",
}


def listings(api: DeribitApi, currency: str) -> tuple[Listing, ...]:
    """Return everything that trades on a currency now.

    Parameters
    ----------
    api : DeribitApi
        Asks.
    currency : str
        For example ``BTC``.

    Raises
    ------
    SourceError
        If the server fails or answers in another form.
    """
    answer = api.ask("get_instruments", currency=currency, expired="false")
    return tuple(_listing(one, answer.endpoint) for one in rows(answer.result, answer.endpoint))


def ticker(api: DeribitApi, instrument: str) -> pd.DataFrame:
    """Return one instrument as it stands now, as a row of an observation file.

    Parameters
    ----------
    api : DeribitApi
        Asks.
    instrument : str
        For example ``BTC-PERPETUAL`` or an option.

    Returns
    -------
    pandas.DataFrame
        ``time`` (the exchange's), ``known_at`` (when the answer was sent), ``bid``, ``ask``,
        ``mark_price``, ``index_price``; ``open_interest`` in units of the underlying, but
        ``open_interest_value`` in USD for futures that settle in the coin, which the exchange
        counts so; ``implied_vol`` of the mark, decimal per year, for an option. An empty side of
        the book is NaN.

    Raises
    ------
    SourceError
        If the server fails or answers in another form.
    """
    answer = api.ask("ticker", instrument_name=instrument)
    result, endpoint = answer.result, answer.endpoint
    values = {ours: number(result, theirs, endpoint) for theirs, ours in _TICKER.items()}
    for side in ("bid", "ask"):  # a price of zero is how an empty side is written
        values[side] = values[side] if values[side] > 0 else np.nan
    is_option = "mark_iv" in result
    in_units = is_option or _LINEAR in instrument
    values["open_interest" if in_units else "open_interest_value"] = number(
        result, "open_interest", endpoint
    )
    if is_option:
        values["implied_vol"] = number(result, "mark_iv", endpoint) / PERCENT
    return _row(answer, whole_number(result, "timestamp", endpoint) * MS_NS, values)


def index_price(api: DeribitApi, index_name: str) -> pd.DataFrame:
    """Return an index as it stands now, as a row of an observation file.

    Parameters
    ----------
    api : DeribitApi
        Asks.
    index_name : str
        For example ``btc_usd``.

    Returns
    -------
    pandas.DataFrame
        ``time`` and ``known_at`` (when the answer was sent), ``index_price`` in quote currency.

    Raises
    ------
    SourceError
        If the server fails or answers in another form.
    """
    answer = api.ask("get_index_price", index_name=index_name)
    price = number(answer.result, "index_price", answer.endpoint)
    return _row(answer, answer.time, {"index_price": price})


def option_chain(api: DeribitApi, currency: str, *, quotes: bool = False) -> OptionChain:
    """Return the options on a currency as they stand now.

    Parameters
    ----------
    api : DeribitApi
        Asks: twice, and once more per option if `quotes`.
    currency : str
        ``BTC`` or ``ETH``, whose options are priced in the currency itself.
    quotes : bool
        Whether to ask for each option's bid and ask volatility and greeks, which the summary
        lacks; they are NaN otherwise.

    Raises
    ------
    InputError
        If there are no options on the currency.
    SourceError
        If the server fails or answers in another form.
    """
    listed = api.ask("get_instruments", currency=currency, kind="option", expired="false")
    contracts = {
        str(item(one, "instrument_name", listed.endpoint)): one
        for one in rows(listed.result, listed.endpoint)
        if item(one, "base_currency", listed.endpoint) == currency
    }
    if not contracts:
        raise InputError(
            f"{listed.endpoint}: there must be options priced in {currency}, found none; "
            "ask for BTC or ETH"
        )
    summaries = _quotes(api, contracts) if quotes else _summaries(api, currency)
    records = [contracts[name] | one for name, one in summaries.items() if name in contracts]
    origin = f"Deribit {currency} options"
    return OptionChain(origin=origin, **chain_columns(records, origin=origin))


def _summaries(api: DeribitApi, currency: str) -> dict[str, dict[str, Any]]:
    answer = api.ask("get_book_summary_by_currency", currency=currency, kind="option")
    endpoint = answer.endpoint
    unknown = {"bid_iv": None, "ask_iv": None, "greeks": None}
    return {
        str(item(one, "instrument_name", endpoint)): {
            **one,
            "timestamp": whole_number(one, "creation_timestamp", endpoint),
            **unknown,
        }
        for one in rows(answer.result, endpoint)
    }


def _quotes(api: DeribitApi, contracts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: dict(api.ask("ticker", instrument_name=name).result) for name in contracts}


def _row(answer: Answer, time: int, values: Mapping[str, float]) -> pd.DataFrame:
    # The clocks of a server's parts may disagree by some milliseconds.
    known_at = max(answer.time, time)
    stamps = {"time": pd.Timestamp(time, tz="UTC"), "known_at": pd.Timestamp(known_at, tz="UTC")}
    return pd.DataFrame([stamps | dict(values)])


def _listing(raw: Any, endpoint: str) -> Listing:
    perpetual = raw.get("settlement_period") == _PERPETUAL
    kind = _KINDS.get(str(item(raw, "kind", endpoint)), Kind.UNKNOWN)
    expires = kind in (Kind.FUTURE, Kind.OPTION) and not perpetual
    expiry_ns = whole_number(raw, "expiration_timestamp", endpoint) * MS_NS if expires else None
    return Listing(
        instrument=str(item(raw, "instrument_name", endpoint)),
        kind=Kind.PERPETUAL if perpetual else kind,
        underlying=str(item(raw, "base_currency", endpoint)),
        quote=str(item(raw, "quote_currency", endpoint)),
        venue="deribit",
        calendar="24/7",
        expiry=None if expiry_ns is None else pd.Timestamp(expiry_ns, tz="UTC"),
    )
