"""How far off a volatility forecast has been: the interval around the next one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...features.moving import TrailingQuantile

Values = NDArray[np.float64]

_WINDOW_SESSIONS = 500
_NEEDED = 100  # own errors; those of all instruments count before
_TAIL = 0.05  # on either side


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorInterval:
    """90 % interval of the realised over the forecast volatility, from the last 500 trading days.

    An error is ``log(realised / forecast) / 2`` of variances over the horizon, known when the
    horizon is over; a realised variance of zero says nothing. Before an instrument has a hundred
    of them it gets the median of the other instruments' quantiles.

    Attributes
    ----------
    realized, forecast : ndarray, shape (n_instruments, horizon)
        Variances of the last own periods, and forecasts of the last own origins, oldest first.
    lower, upper : TrailingQuantile
        Of the errors.
    """

    realized: Values
    forecast: Values
    lower: TrailingQuantile
    upper: TrailingQuantile

    @classmethod
    def fresh(cls, session: NDArray[np.int64], *, horizon: int) -> Self:
        """Return the interval before the first row.

        Parameters
        ----------
        session : ndarray of int, shape (n_instruments,)
            Own periods in a trading day.
        horizon : int
            Own periods.
        """
        window = (_WINDOW_SESSIONS * session).astype(np.int64)
        needed = np.minimum(_NEEDED, window)
        return cls(
            realized=np.full((len(session), horizon), np.nan),
            forecast=np.full((len(session), horizon), np.nan),
            lower=TrailingQuantile.fresh(window, needed, _TAIL),
            upper=TrailingQuantile.fresh(window, needed, 1.0 - _TAIL),
        )

    def advance(
        self, realized: Values, *, present: NDArray[np.bool_], variance: Values
    ) -> tuple[Values, Values]:
        """Take the next row.

        Parameters
        ----------
        realized : ndarray, shape (n_instruments,)
            Variance of the row's period, decimal squared.
        present : ndarray of bool, shape (n_instruments,)
            Which instruments have a price in it.
        variance : ndarray, shape (n_instruments,)
            Forecast from its close, over the horizon, decimal squared.

        Returns
        -------
        lower, upper : ndarray, shape (n_instruments,)
            Factors on the forecast volatility; NaN where nothing is known.
        """
        turn = np.flatnonzero(present)
        self.realized[turn, :-1] = self.realized[turn, 1:]
        self.realized[turn, -1] = realized[turn]
        total = self.realized.sum(axis=1)
        total = np.where(present & (total > 0.0), total, np.nan)
        error = 0.5 * np.log(total / self.forecast[:, 0])
        self.forecast[turn, :-1] = self.forecast[turn, 1:]
        self.forecast[turn, -1] = variance[turn]
        there = present[None]
        return (
            _filled(np.exp(self.lower.advance(error[None], there)[0])),
            _filled(np.exp(self.upper.advance(error[None], there)[0])),
        )

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as arrays of this object."""
        return {
            "realized": self.realized,
            "forecast": self.forecast,
            "ring": self.lower.ring,
            "ordered": self.lower.ordered,
            "counts": self.lower.counts,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what an interval of the same instruments and horizon remembered.

        Raises
        ------
        InputError
            If it does not fit; nothing is changed then.
        """
        for name, own in self.state().items():
            found = saved.get(name)
            if not isinstance(found, np.ndarray) or (found.shape, found.dtype) != (
                own.shape,
                own.dtype,
            ):
                raise InputError(f"{name} of saved errors must be {own.dtype} of {own.shape}")
        counts = saved["counts"]
        if not ((counts >= 0).all() and (counts[:, 1] <= self.lower.window).all()):
            raise InputError("counts of saved errors must lie inside their window; damaged")
        for name, own in self.state().items():
            own[...] = saved[name]
        # Both quantiles are of the same values.
        for name in ("ring", "ordered", "counts"):
            getattr(self.upper, name)[...] = saved[name]


def _filled(factor: Values) -> Values:
    known = np.isfinite(factor)
    if known.all() or not known.any():
        return factor
    return np.where(known, factor, np.median(factor[known]))
