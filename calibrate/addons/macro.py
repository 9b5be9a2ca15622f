"""Macro regime, and how much of it reaches an asset.

The add-on is stress times exposure times a declared shock: `stress` in [0, 1] says how strained the
macro market is, `beta` how much of a move of the macro factor the asset makes. Both look back only;
what a series knew at its date is for the caller to see to (many are published a day later).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

from ...errors import InputError, ShapeError
from ...markets import SESSIONS_PER_YEAR
from .addon import Addon, Floats, finite, share


@dataclass(frozen=True, kw_only=True, eq=False)
class CoMovement:
    """How an asset has moved with a factor; read-only arrays, shape (n,), NaN before enough pairs.

    Attributes
    ----------
    correlation : ndarray
        Of the last returns, exponentially weighted, in [-1, 1].
    beta : ndarray
        Return of the asset per return of the factor.
    """

    correlation: Floats
    beta: Floats

    def __post_init__(self) -> None:
        for array in (self.correlation, self.beta):
            array.setflags(write=False)


def ewma_co_movement(
    asset_return: NDArray[np.float64],
    factor_return: NDArray[np.float64],
    *,
    half_life: float,
    needed: int = 30,
) -> CoMovement:
    """Estimate correlation and beta from the past, exponentially weighted, means taken as 0.

    Element t uses returns up to and including t.

    Parameters
    ----------
    asset_return, factor_return : ndarray, shape (n,)
        Log returns of the same periods; NaN where one has none: such a period counts for neither,
        and the last estimate stands.
    half_life : float
        Pairs after which a weight has halved, positive.
    needed : int
        Fewest pairs, at least 2; NaN before.

    Returns
    -------
    CoMovement
        One element per period; NaN too while either series has not moved.
    """
    if asset_return.shape != factor_return.shape or asset_return.ndim != 1:
        raise ShapeError(
            "returns must be one-dimensional and equally long, were "
            f"{asset_return.shape} and {factor_return.shape}"
        )
    if np.any(np.isinf(asset_return)) or np.any(np.isinf(factor_return)):
        raise InputError("returns must be finite, or NaN where there is none; found infinite ones")
    if not 0.0 < half_life < math.inf or needed < 2:
        raise InputError(
            f"half_life must be positive and needed at least 2, were {half_life} and {needed}"
        )
    paired = np.isfinite(asset_return) & np.isfinite(factor_return)
    asset, factor = asset_return[paired], factor_return[paired]
    decay = 0.5 ** (1.0 / half_life)
    both, own, market = (
        lfilter([1.0], [1.0, -decay], product)
        for product in (asset * factor, asset * asset, factor * factor)
    )
    moved = (own > 0.0) & (market > 0.0) & (np.arange(1, len(asset) + 1) >= needed)
    beta, correlation = np.full(len(asset), np.nan), np.full(len(asset), np.nan)
    beta[moved] = both[moved] / market[moved]
    # Roots apart: a product of two small sums of squares would underflow.
    correlation[moved] = both[moved] / np.sqrt(own[moved]) / np.sqrt(market[moved])
    last = np.cumsum(paired)
    return CoMovement(
        correlation=np.concatenate([[np.nan], np.clip(correlation, -1.0, 1.0)])[last],
        beta=np.concatenate([[np.nan], beta])[last],
    )


@dataclass(frozen=True, kw_only=True)
class MacroStress:
    """How macro series become a stress in [0, 1]; the larger of two views.

    Attributes
    ----------
    calm_percentile : float
        Percentile of the fear index (VIX) in its own past up to which there is no stress, in
        [0, 1); at the highest value of the window stress is 1.
    mild_shock, full_shock : float
        Change of the interest rate, in standard deviations of its past changes, from which stress
        rises, and at which it is 1; either sign.
    window : int
        Periods of the past that the percentile looks at, itself included.
    half_life : float
        Of the weights behind the standard deviation, periods.
    needed : int
        Fewest values of either; NaN before.
    """

    calm_percentile: float = 0.8
    mild_shock: float = 2.0
    full_shock: float = 5.0
    window: int = 1_260
    half_life: float = 126.0
    needed: int = int(SESSIONS_PER_YEAR)

    def __post_init__(self) -> None:
        if not 0.0 <= self.calm_percentile < 1.0:
            raise InputError(f"calm_percentile must be in [0, 1), was {self.calm_percentile}")
        if not 0.0 <= self.mild_shock < self.full_shock < math.inf:
            raise InputError(
                "shocks must satisfy 0 <= mild_shock < full_shock, were "
                f"{self.mild_shock} and {self.full_shock}"
            )
        if not 2 <= self.needed <= self.window or not 0.0 < self.half_life < math.inf:
            raise InputError(
                "needed must be at least 2 and at most window, and half_life positive, were "
                f"{self.needed}, {self.window} and {self.half_life}"
            )

    def stress(
        self, fear: NDArray[np.float64], interest_rate: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Compute the stress at the end of every period from what was known then.

        Parameters
        ----------
        fear : ndarray, shape (n,)
            Fear index, positive; NaN where it has no value.
        interest_rate : ndarray, shape (n,)
            Interest rate, any unit; NaN where it has no value.

        Returns
        -------
        ndarray, shape (n,)
            In [0, 1]; NaN while either view has too little past. A period without a value keeps
            the last view of that series.
        """
        if fear.shape != interest_rate.shape or fear.ndim != 1:
            raise ShapeError(
                "series must be one-dimensional and equally long, were "
                f"{fear.shape} and {interest_rate.shape}"
            )
        if np.any(np.isinf(fear)) or np.any(np.isinf(interest_rate)):
            raise InputError("series must be finite, or NaN where there is none; found infinite")
        return np.maximum(self._of_fear(fear), self._of_rate(interest_rate))

    def _of_fear(self, fear: NDArray[np.float64]) -> Floats:
        known = pd.Series(fear).dropna()
        percentile = known.rolling(self.window, min_periods=self.needed).rank(pct=True)
        stress = ((percentile - self.calm_percentile) / (1.0 - self.calm_percentile)).clip(0.0, 1.0)
        return np.asarray(stress.reindex(range(len(fear))).ffill().to_numpy())

    def _of_rate(self, interest_rate: NDArray[np.float64]) -> Floats:
        """Change against the deviation of the changes *before* it, so no shock hides itself."""
        change = pd.Series(interest_rate).dropna().diff()
        usual = (change**2).ewm(halflife=self.half_life, min_periods=self.needed).mean()
        before = np.sqrt(usual.shift(1))
        # A rate that never moved before makes any change a full shock, and none at all no shock.
        score = (change.abs() / before).where(before > 0.0, np.where(change == 0.0, 0.0, np.inf))
        score = score.where(before.notna())
        width = self.full_shock - self.mild_shock
        stress = ((score - self.mild_shock) / width).clip(0.0, 1.0)
        return np.asarray(stress.reindex(range(len(interest_rate))).ffill().to_numpy())


def macro_addon(
    stress: ArrayLike, *, beta: ArrayLike, factor_shock: float, most: float = 0.10
) -> Addon:
    """Charge the exposure to a stressed macro market.

    Parameters
    ----------
    stress : array_like
        Of :class:`MacroStress`, in [0, 1].
    beta : array_like
        Return of the asset per return of the factor; its sign does not matter, for the factor may
        move either way and so may the position.
    factor_shock : float
        Move of the factor over the margin period that full stress stands for, in [0, 1]; declared,
        for example 0.05 of an equity index.
    most : float
        Largest add-on, in [0, 1].

    Returns
    -------
    Addon
        ``stress * min(abs(beta) * factor_shock, most)``.
    """
    strained = finite("stress", stress, least=0.0)
    if np.any(strained > 1.0):
        raise InputError(f"stress must be in [0, 1], was {strained.max()} at least once")
    exposure = np.abs(finite("beta", beta)) * share("factor_shock", factor_shock)
    rate = strained * np.minimum(exposure, share("most", most))
    return Addon(name="macro", risk="macro", rate=rate)
