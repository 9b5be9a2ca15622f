"""What all estimators of the spread from prices share: means of terms, then one formula."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from .log_bars import LogBars

Array = NDArray[np.float64]

BPS = 1e4
"""Basis points in one."""


class NegativeSpread(StrEnum):
    """What becomes of an estimate below zero, which noise produces and no market has."""

    MISSING = "missing"
    """It is NaN: the sample is too noisy to say. The mean of what is left is too high."""
    ZERO = "zero"
    """It is zero, as Corwin and Schultz (2012) and Abdi and Ranaldo (2017) do."""
    SIGNED = "signed"
    """It stays below zero, so that means over many samples are not pushed up."""

    def apply(self, spread: Array) -> Array:
        """Return `spread` with its negative values treated."""
        if self is NegativeSpread.SIGNED:
            return spread
        filling = 0.0 if self is NegativeSpread.ZERO else np.nan
        return np.where(spread < 0.0, filling, spread)


@dataclass(frozen=True, kw_only=True)
class SpreadEstimator:
    """A way from open, high, low and close to the proportional bid-ask spread.

    The spread is the whole distance from bid to ask over the price, not half of it.

    Attributes
    ----------
    name : str
        Short and unique.
    source : str
        Author, year, journal.
    terms : callable
        From :class:`LogBars` to the arrays whose means are needed, each of the bars' shape.
    spread_from_means : callable
        From these means to the signed spread as a decimal fraction of the price.
    """

    name: str
    source: str
    terms: Callable[[LogBars], Sequence[Array]]
    spread_from_means: Callable[[Sequence[Array]], Array]

    def known_terms(self, bars: LogBars) -> list[Array]:
        """Return the terms, all of them NaN where one of them is NaN."""
        terms = [np.asarray(term, dtype=np.float64) for term in self.terms(bars)]
        known = np.isfinite(terms).all(axis=0)
        return [np.where(known, term, np.nan) for term in terms]

    def bps(self, bars: LogBars, *, negative: NegativeSpread = NegativeSpread.MISSING) -> float:
        """Return the spread of one sample of consecutive bars, basis points of the price.

        NaN on fewer than two usable bars.

        Parameters
        ----------
        bars : LogBars, arrays of shape (n,)
            The sample.
        negative : NegativeSpread
            What becomes of a negative estimate.

        Examples
        --------
        >>> from foremargin.features.liquidity import ROLL
        >>> side = np.array([-1, -1, -1, 1, -1, 1, 1, 1] * 50)  # each triple equally often
        >>> price = 100.0 * np.exp(0.0005 * side)
        >>> bars = LogBars.of(open=price, high=price, low=price, close=price)
        >>> round(ROLL.bps(bars), 1)
        10.0
        """
        terms = np.array(self.known_terms(bars))
        usable = np.isfinite(terms[0])
        if usable.sum() < 2:
            return float("nan")
        means = list(terms[:, usable].mean(axis=1, keepdims=True))
        return float(self.bps_from_means(means, negative=negative)[0])

    def rolling_bps(
        self,
        bars: LogBars,
        *,
        window: int,
        min_periods: int | None = None,
        negative: NegativeSpread = NegativeSpread.MISSING,
    ) -> Array:
        """Return the spread of the last `window` bars at each bar, bps, shape (n,).

        The value at row t uses rows up to t only.

        Parameters
        ----------
        bars : LogBars, arrays of shape (n,)
            Consecutive bars of one instrument.
        window : int
            Number of bars, the current one included, at least 2.
        min_periods : int, optional
            NaN on fewer usable bars; by default half the window.
        negative : NegativeSpread
            What becomes of a negative estimate.

        Raises
        ------
        InputError
            If `window` is below 2.
        """
        if window < 2:
            raise InputError(f"window must be at least 2 bars, was {window}")
        needed = max(2, window // 2) if min_periods is None else min_periods
        terms = pd.DataFrame(np.array(self.known_terms(bars)).T)
        means = terms.rolling(window, min_periods=needed).mean().to_numpy().T
        return self.bps_from_means(list(means), negative=negative)

    def bps_from_means(
        self, means: Sequence[Array], *, negative: NegativeSpread = NegativeSpread.MISSING
    ) -> Array:
        """Return the spread from means of :meth:`known_terms`, basis points of the price."""
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = self.spread_from_means(means)
        return BPS * negative.apply(np.asarray(spread, dtype=np.float64))


def signed_root(square: Array) -> Array:
    """Return the root of the absolute value, with the sign of `square`."""
    return np.asarray(np.sign(square) * np.sqrt(np.abs(square)))
