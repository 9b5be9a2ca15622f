"""Differences of two forecasts by threshold, and how sure they are."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._checks import check_count, check_longer_than, check_probability
from ..bootstrap import bootstrap_means

_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class MurphyBand:
    """Mean score difference by threshold, with a pointwise interval.

    Attributes
    ----------
    threshold : ndarray of float64, shape (n_thresholds,)
        Unit of the loss, increasing.
    mean_difference : ndarray of float64, shape (n_thresholds,)
        Mean score of *a* minus that of *b*; positive: *a* is worse.
    low, high : ndarray of float64, shape (n_thresholds,)
        Ends of the percentile interval, same unit.
    confidence_level : float
        Nominal coverage in (0, 1) at each threshold alone, not at all of them together.
    """

    threshold: NDArray[np.float64]
    mean_difference: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    confidence_level: float

    def __post_init__(self) -> None:
        _freeze(self, "threshold", "mean_difference", "low", "high")

    def frame(self) -> pd.DataFrame:
        """Return one row per threshold: ``mean_difference``, ``low`` and ``high``."""
        return pd.DataFrame(
            {"mean_difference": self.mean_difference, "low": self.low, "high": self.high},
            index=pd.Index(self.threshold, name="threshold"),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MurphyDiagram:
    """Elementary score of *a* minus that of *b*, by threshold.

    Attributes
    ----------
    threshold : ndarray of float64, shape (n_thresholds,)
        Unit of the loss, increasing.
    difference : ndarray of float64, shape (n, n_thresholds)
        Difference per period; positive: *a* is worse. Dimensionless for quantiles, in the unit
        of the loss for pairs of value at risk and expected shortfall.
    smallest, largest : float
        Extremes of the mean difference over all real thresholds, not only those above.
    """

    threshold: NDArray[np.float64]
    difference: NDArray[np.float64]
    smallest: float
    largest: float

    def __post_init__(self) -> None:
        _freeze(self, "threshold", "difference")

    @property
    def mean_difference(self) -> NDArray[np.float64]:
        """Mean over periods, shape (n_thresholds,). Where positive, *a* is worse."""
        mean: NDArray[np.float64] = self.difference.mean(axis=0)
        return mean

    @property
    def dominant(self) -> Literal["a", "b"] | None:
        """The forecast that is nowhere worse and somewhere better in this sample, if there is one.

        It then has the lower or equal mean of every consistent score. None where the curves
        cross or coincide.
        """
        rounding = _ROUNDING * max(abs(self.smallest), abs(self.largest))
        if self.smallest < -rounding and self.largest <= rounding:
            return "a"
        if self.largest > rounding and self.smallest >= -rounding:
            return "b"
        return None

    def band(
        self,
        *,
        confidence_level: float,
        mean_block: float | None = None,
        n_resamples: int = 1_000,
        rng: np.random.Generator,
    ) -> MurphyBand:
        """Pointwise percentile interval of the mean under the stationary bootstrap.

        Parameters
        ----------
        confidence_level : float
            Nominal coverage in (0, 1), for example 0.95; both tails are cut equally.
        mean_block : float or None
            Mean block length in periods, >= 1; at least the horizon when outcomes overlap.
            None takes the square root of n.
        n_resamples : int
            Number of resamples, >= 1; the ends are noisy below about 1000.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        MurphyBand
            One interval per threshold. Where few periods differ it is too narrow, and where
            none does it is zero to zero.

        Raises
        ------
        InputError
            If an argument is out of range or there is only one period.
        """
        check_probability("confidence_level", confidence_level, example="0.95 for 95 %")
        check_count("n_resamples", n_resamples, minimum=1)
        check_longer_than("loss", self.difference, 1, "a bootstrap")
        means = bootstrap_means(
            self.difference,
            mean_block=np.sqrt(len(self.difference)) if mean_block is None else mean_block,
            n_resamples=n_resamples,
            rng=rng,
        )
        tail = (1.0 - confidence_level) / 2.0
        low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
        return MurphyBand(
            threshold=self.threshold,
            mean_difference=self.mean_difference,
            low=low,
            high=high,
            confidence_level=confidence_level,
        )

    def frame(self) -> pd.DataFrame:
        """Return one row per threshold: ``mean_difference``."""
        return pd.DataFrame(
            {"mean_difference": self.mean_difference},
            index=pd.Index(self.threshold, name="threshold"),
        )


def _freeze(result: object, *names: str) -> None:
    for name in names:
        values = np.array(getattr(result, name), dtype=np.float64)
        values.setflags(write=False)
        object.__setattr__(result, name, values)
