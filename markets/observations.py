"""Observations: values that arrive at their own times, each known only from some moment on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError, ShapeError
from .fields import field_named
from .findings import Finding


@dataclass(frozen=True, kw_only=True, eq=False)
class Observations:
    """Values of one instrument, or of the market as a whole, at irregular moments.

    Attributes
    ----------
    instrument : str or None
        Whose values; None for the market as a whole (an interest rate, a volatility index).
    origin : str
        Where they came from, as the caller wrote it; messages name it.
    time : ndarray of int64, shape (n,)
        The moment that each value speaks of, nanoseconds since 1970 UTC, increasing.
    known_at : ndarray of int64, shape (n,)
        The moment from which it could be known, never before `time`.
    values : mapping of str to ndarray, shape (n,)
        For an instrument, fields of :data:`foremargin.markets.FIELDS`; for the market, names of its
        own. NaN where unknown.
    max_age : pandas.Timedelta or None
        How long after `known_at` the last value still stands; None for as long as the instrument
        or the series lives.
    findings : tuple of Finding
        What was found while reading.
    """

    instrument: str | None
    origin: str
    time: NDArray[np.int64]
    known_at: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    max_age: pd.Timedelta | None = None
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        for name, values in {"known_at": self.known_at, **self.values}.items():
            if values.shape != self.time.shape:
                raise ShapeError(
                    f"{self.origin}: {name} must have shape {self.time.shape} like time, "
                    f"was {values.shape}"
                )
        if (np.diff(self.time) < 0).any():
            raise InputError(f"{self.origin}: times must not decrease; sort the rows")
        if (self.known_at < self.time).any():
            raise InputError(
                f"{self.origin}: a value must not be known before the moment it speaks of; "
                "give a delay that is not negative"
            )
        unknown = sorted(name for name in self.values if field_named(name) is None)
        if self.instrument is not None and unknown:
            raise InputError(
                f"{self.origin}: values of an instrument must be panel fields, found {unknown}; "
                "rename them, or add the name and its unit to foremargin.markets.FIELDS"
            )
