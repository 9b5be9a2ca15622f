"""From Deribit's records of options, of its interface or of a file, to the columns of a chain."""

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ....errors import InputError, SourceError
from ...parsing import nanoseconds, to_utc
from ..answers import item, number, whole_number
from .api import MS_NS, PERCENT

NUMBERS: Mapping[str, str] = {
    "strike": "strike",
    "underlying_price": "underlying_price",
    "mark_price": "mark_price",
    "mark_iv": "mark_iv",
    "bid_iv": "bid_iv",
    "ask_iv": "ask_iv",
    "open_interest": "open_interest",
}
"""Numeric columns of a chain, and Deribit's names of them."""

GREEKS = ("delta", "gamma", "vega", "theta")
"""Greeks of a chain, under Deribit's names."""

_TIMES = ("expiry", "time")
_OWN = ("instrument", *_TIMES, "is_call", *NUMBERS, *GREEKS)
_VOLATILITIES = ("mark_iv", "bid_iv", "ask_iv")
_SIDES = ("call", "put")


def chain_columns(records: Sequence[Mapping[str, Any]], *, origin: str) -> dict[str, NDArray[Any]]:
    """Return the columns of :class:`.option_chain.OptionChain`, a row per record.

    Volatilities in percent become decimals; a volatility of zero, by which Deribit says that
    there is none (no quote, or a bid below the intrinsic value), becomes NaN.

    Parameters
    ----------
    records : sequence of mapping
        Each with ``instrument_name``, ``strike``, ``option_type``, ``expiration_timestamp``,
        ``timestamp``, ``greeks`` (an object, or the text of one) and the values of
        :data:`NUMBERS`; times in milliseconds, or as timestamps.
    origin : str
        Where they came from; messages name it.

    Raises
    ------
    SourceError
        If a record lacks a key or holds something else in it.
    """
    columns: dict[str, NDArray[Any]] = {
        "instrument": np.array([str(item(one, "instrument_name", origin)) for one in records]),
        "expiry": _times(records, "expiration_timestamp", origin),
        "time": _times(records, "timestamp", origin),
        "is_call": np.array([_is_call(one, origin) for one in records], dtype=np.bool_),
    }
    for ours, theirs in NUMBERS.items():
        values = np.array([number(one, theirs, origin) for one in records], dtype=np.float64)
        if ours in _VOLATILITIES:
            values = np.where(values > 0, values / PERCENT, np.nan)
        columns[ours] = values
    greeks = [_greeks(one, origin) for one in records]
    for name in GREEKS:
        columns[name] = np.array([number(one, name, origin) for one in greeks], dtype=np.float64)
    return columns


def file_columns(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return the columns of a chain from a Parquet file, Deribit's own or one of ours.

    Raises
    ------
    InputError
        If the file cannot be read.
    SourceError
        If it lacks a column, or one holds something else.
    """
    origin = str(path)
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{origin}: an option chain must be a Parquet file, and reading it failed ({error}); "
            "check the path"
        ) from error
    if set(_OWN) <= set(frame.columns):
        columns = {name: frame[name].to_numpy() for name in _OWN}
        return columns | {name: nanoseconds(to_utc(frame[name])) for name in _TIMES}
    rows = frame.to_dict("records")
    return chain_columns(
        [{str(k): value for k, value in row.items()} for row in rows], origin=origin
    )


def _times(records: Sequence[Mapping[str, Any]], key: str, origin: str) -> NDArray[np.int64]:
    times = []
    for one in records:
        value = item(one, key, origin)
        is_stamp = isinstance(value, pd.Timestamp)
        times.append(value.value if is_stamp else whole_number(one, key, origin) * MS_NS)
    return np.array(times, dtype=np.int64)


def _is_call(record: Mapping[str, Any], origin: str) -> bool:
    side = item(record, "option_type", origin)
    if side not in _SIDES:
        raise SourceError(
            f"{origin}: option_type must be 'call' or 'put', was {side!r}; the server may have "
            "changed its form",
            damaged=True,
        )
    return bool(side == "call")


def _greeks(record: Mapping[str, Any], origin: str) -> Any:
    """Return the greeks as an object: a file holds the text of one, of Python or of JSON."""
    greeks = item(record, "greeks", origin)
    if greeks is None:
        return dict.fromkeys(GREEKS)
    if not isinstance(greeks, str):
        return greeks
    try:
        return json.loads(greeks)
    except json.JSONDecodeError:
        pass
    try:
        return ast.literal_eval(greeks)
    except (ValueError, SyntaxError) as error:
        raise SourceError(
            f"{origin}: greeks must be an object or the text of one, found {greeks[:60]!r}; write "
            "the file again",
            damaged=True,
        ) from error
