"""What a data set of the archive is: its columns as data, and the way from them to ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .archive_files import ArchiveFile, Market

_MICROSECONDS_FROM = 10**14  # in milliseconds that is the year 5138, in microseconds 1973

Convert = Callable[[pd.DataFrame, ArchiveFile], pd.DataFrame]
"""From the archive's columns to those of a canonical bar or observation file."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One data set of the archive.

    Attributes
    ----------
    name : str
        Its folder in the archive.
    markets : tuple of Market
        Where it is offered.
    headers : tuple of tuple of str
        Every header row that its files have had; files without one have the columns of the
        header that is as long.
    types : mapping of str to type
        The columns that are used, and what they hold.
    convert : callable
        From those columns to ours.
    gives : tuple of str
        Panel fields that it fills.
    history, notes : str
        For people: since when, and what else to know.
    intervals : mapping of Market to tuple of str
        Bar lengths to choose from; empty where there are no bars.
    monthly, daily : bool
        Which files the archive has.
    bars : bool
        Whether it holds bars; otherwise observations.
    of_pairs : bool
        Whether the archive keeps it under the pair (``BTCUSD``) rather than the contract.
    rows_at_once : int or None
        Rows that are read before they are converted; None for all.
    """

    name: str
    markets: tuple[Market, ...]
    headers: tuple[tuple[str, ...], ...]
    types: Mapping[str, type]
    convert: Convert
    gives: tuple[str, ...]
    history: str
    notes: str = ""
    intervals: Mapping[Market, tuple[str, ...]] = field(default_factory=dict)
    monthly: bool = True
    daily: bool = True
    bars: bool = False
    of_pairs: bool = False
    rows_at_once: int | None = None


def utc_times(stamps: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return milliseconds or microseconds since 1970, told apart by their size, as UTC times.

    Spot files count microseconds from 2025-01-01 on; all others count milliseconds.

    Examples
    --------
    >>> utc_times(np.array([1735689599999, 1735689600000000])).strftime("%Y-%m-%d %H:%M:%S.%f")[1]
    '2025-01-01 00:00:00.000000'
    """
    scale = np.where(stamps >= _MICROSECONDS_FROM, 1_000, 1_000_000)
    return pd.DatetimeIndex(pd.to_datetime(stamps * scale, unit="ns", utc=True))


def text_times(text: pd.Series) -> pd.DatetimeIndex:
    """Return times that are written without a zone, which is UTC.

    Raises
    ------
    ValueError
        If one is no time.
    """
    return pd.DatetimeIndex(pd.to_datetime(text, utc=True, format="ISO8601")).as_unit("ns")


def observed(
    time: pd.DatetimeIndex, values: pd.DataFrame, *, known_at: pd.DatetimeIndex | None = None
) -> pd.DataFrame:
    """Return the rows of an observation file; known at once unless `known_at` says otherwise.

    Parameters
    ----------
    time : pandas.DatetimeIndex, shape (n,)
        What each row speaks of, UTC.
    values : pandas.DataFrame, shape (n, n_fields)
        Columns named as panel fields, rows in the order of `time`; the index is not used.
    known_at : pandas.DatetimeIndex or None, shape (n,)
        From when each row is known, UTC.
    """
    rows = values.reset_index(drop=True)
    rows.insert(0, "time", time)
    rows.insert(1, "known_at", time if known_at is None else known_at)
    return rows
