"""A chain of options at one moment, and the volatilities that can be read off it."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from ....errors import InputError, NotEnoughHistoryError, ShapeError
from ...panel import DAYS_PER_YEAR
from ...parsing import DAY_NS
from .chain_columns import file_columns

_YEAR_NS = DAYS_PER_YEAR * DAY_NS


@dataclass(frozen=True, kw_only=True, eq=False)
class OptionChain:
    """Options on one underlying, each array of shape (n_options,).

    Attributes
    ----------
    origin : str
        Where it came from; messages name it.
    instrument : ndarray of str
        Name of the option.
    expiry, time : ndarray of int64
        When it expires and when its values were sent, nanoseconds since 1970 UTC.
    is_call : ndarray of bool
        Whether it is a call; else it is a put.
    strike, underlying_price : ndarray of float64
        Strike, and forward price of the underlying for this expiry, quote currency.
    mark_price : ndarray of float64
        Price by the exchange's model, in units of the underlying.
    mark_iv, bid_iv, ask_iv : ndarray of float64
        Implied volatility of mark, bid and ask, decimal per year; NaN where there is none. An ask
        far above the mark may stand at the exchange's largest value, 500 %.
    open_interest : ndarray of float64
        Units of the underlying.
    delta, gamma, vega, theta : ndarray of float64
        As the exchange sends them: per unit of the underlying price; vega per volatility point
        and theta per day, in quote currency; NaN where it sends none.
    """

    origin: str
    instrument: NDArray[np.str_]
    expiry: NDArray[np.int64]
    time: NDArray[np.int64]
    is_call: NDArray[np.bool_]
    strike: NDArray[np.float64]
    underlying_price: NDArray[np.float64]
    mark_price: NDArray[np.float64]
    mark_iv: NDArray[np.float64]
    bid_iv: NDArray[np.float64]
    ask_iv: NDArray[np.float64]
    open_interest: NDArray[np.float64]
    delta: NDArray[np.float64]
    gamma: NDArray[np.float64]
    vega: NDArray[np.float64]
    theta: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in self._columns():
            found = getattr(self, name).shape
            if found != self.instrument.shape:
                raise ShapeError(
                    f"{self.origin}: {name} must have shape {self.instrument.shape} like "
                    f"instrument, was {found}"
                )
        if not len(self.instrument):
            raise InputError(f"{self.origin}: an option chain must have options, found none")

    @classmethod
    def from_file(cls, path: str | Path) -> "OptionChain":
        """Return the chain of a Parquet file, a row per option.

        Parameters
        ----------
        path : str or Path
            Columns as the methods ``get_instruments`` and ``ticker`` of Deribit name them, with
            ``greeks`` as the text of a JSON or Python object; or those of :meth:`frame`.

        Raises
        ------
        InputError
            If the file cannot be read or has no row.
        SourceError
            If it lacks a column, or one holds something else.
        """
        return cls(origin=str(path), **file_columns(path))

    @property
    def as_of(self) -> int:
        """When the last value of the chain was sent: from then it is known, nanoseconds."""
        return int(self.time.max())

    def frame(self) -> pd.DataFrame:
        """Return one row per option, columns and units as the attributes; times in UTC."""
        columns = {name: getattr(self, name) for name in self._columns()}
        times = {name: pd.to_datetime(columns[name], utc=True) for name in ("expiry", "time")}
        return pd.DataFrame(columns | times)

    def black_delta(self) -> NDArray[np.float64]:
        """Return the delta of each option at its own mark volatility, shape (n_options,).

        The delta by the forward of Black (1976), "The pricing of commodity contracts", Journal of
        Financial Economics 3(1-2), without interest: positive for calls, negative for puts.
        """
        years = (self.expiry - self.time) / _YEAR_NS
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation = self.mark_iv * np.sqrt(years)
            distance = np.log(self.underlying_price / self.strike) / deviation + deviation / 2
        return np.asarray(ndtr(distance) - ~self.is_call, dtype=np.float64)

    def term_structure(self) -> pd.DataFrame:
        """Return the at-the-money volatility of each expiry.

        At the money is where the strike is the forward: the mark volatilities, averaged over call
        and put of a strike, are interpolated linearly in the log of the strike.

        Returns
        -------
        pandas.DataFrame
            A row per expiry that lies ahead, the nearest first: ``expiry`` (UTC), ``days`` from
            :attr:`as_of`, ``underlying_price`` (median over its options, quote currency),
            ``strikes`` (count), ``atm_vol`` (decimal per year; NaN where the strikes do not
            enclose the forward).
        """
        columns = ["expiry", "days", "underlying_price", "strikes", "atm_vol"]
        return pd.DataFrame(
            [
                [
                    pd.Timestamp(expiry, tz="UTC"),
                    (expiry - self.as_of) / DAY_NS,
                    np.median(self.underlying_price[self.expiry == expiry]),
                    len(np.unique(self.strike[self.expiry == expiry])),
                    self._atm_vol(expiry),
                ]
                for expiry in self._expiries()
            ],
            columns=columns,
        )

    def atm_implied_vol(self, days: float) -> float:
        """Return the at-the-money volatility a number of days ahead, decimal per year.

        Between two expiries the total variance, volatility squared times time, is interpolated
        linearly in time, as an index of constant maturity does.

        Parameters
        ----------
        days : float
            Calendar days from :attr:`as_of`.

        Raises
        ------
        NotEnoughHistoryError
            If `days` does not lie between two expiries with an at-the-money volatility.
        """
        expiries = self._expiries()
        return self._at(days, expiries, np.array([self._atm_vol(one) for one in expiries]))

    def risk_reversal(self, delta: float = 0.25, *, days: float) -> float:
        """Return how much dearer calls are than puts, as a difference of volatilities.

        The volatility of the call whose delta is `delta`, less that of the put whose delta is
        ``-delta``: negative where the market pays up for protection from a fall. Per expiry the
        mark volatilities are interpolated linearly in :meth:`black_delta`; between expiries, as
        in :meth:`atm_implied_vol`.

        Parameters
        ----------
        delta : float
            In (0, 0.5], for example 0.25.
        days : float
            Calendar days from :attr:`as_of`.

        Returns
        -------
        float
            Decimal per year; -0.03 is three volatility points.

        Raises
        ------
        InputError
            If `delta` is outside (0, 0.5].
        NotEnoughHistoryError
            If `days` does not lie between two expiries whose options enclose these deltas.
        """
        if not 0 < delta <= 0.5:
            raise InputError(f"delta must be in (0, 0.5], was {delta}; write 0.25, not 25")
        expiries = self._expiries()
        call, put = (
            self._at(days, expiries, np.array([self._vol_at(one, target) for one in expiries]))
            for target in (delta, -delta)
        )
        return call - put

    @classmethod
    def _columns(cls) -> list[str]:
        return [one.name for one in fields(cls) if one.name != "origin"]

    def _expiries(self) -> NDArray[np.int64]:
        return np.unique(self.expiry[self.expiry > self.as_of])

    def _atm_vol(self, expiry: int) -> float:
        rows = (self.expiry == expiry) & np.isfinite(self.mark_iv)
        strikes, place = np.unique(self.strike[rows], return_inverse=True)
        if not len(strikes):
            return np.nan
        vol = np.bincount(place, self.mark_iv[rows]) / np.bincount(place)
        forward = np.median(self.underlying_price[self.expiry == expiry])
        return _between(np.log(forward), np.log(strikes), vol)

    def _vol_at(self, expiry: int, delta: float) -> float:
        own = self.black_delta()
        rows = (self.expiry == expiry) & (self.is_call == (delta > 0)) & np.isfinite(own)
        order = np.argsort(own[rows])
        return _between(delta, own[rows][order], self.mark_iv[rows][order])

    def _at(self, days: float, expiries: NDArray[np.int64], vol: NDArray[np.float64]) -> float:
        known = np.isfinite(vol)
        ahead = (expiries[known] - self.as_of) / DAY_NS
        variance = _between(days, ahead, vol[known] ** 2 * ahead)
        if np.isfinite(variance):
            return float(np.sqrt(variance / days))
        reach = f"{ahead[0]:.2f} to {ahead[-1]:.2f} days" if len(ahead) else "no expiry"
        raise NotEnoughHistoryError(
            f"{self.origin}: days must lie between two expiries with such volatilities "
            f"({reach}), was {days:g}; choose another maturity"
        )


def _between(at: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return y at a place by linear interpolation; NaN where x, increasing, does not enclose it."""
    if not len(x):
        return np.nan
    return float(np.interp(at, x, y, left=np.nan, right=np.nan))
