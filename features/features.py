"""Features: everything a model may look at, on the panel's axes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..markets import Panel
from .adjusted import ADJUSTED_FEATURES
from .feature import Feature
from .har import HAR_FEATURES
from .implied import IMPLIED_CHANGE_FEATURES, IMPLIED_FEATURES
from .leverage import FALL_FEATURES, LEVERAGE_FEATURES
from .liquidity import (
    BOOK_FEATURES,
    CROWDING_FEATURES,
    ILLIQUIDITY_FEATURES,
    LIQUIDITY_FEATURES,
    SPREAD_FEATURES,
)
from .market import MARKET_FEATURES
from .measurement import MEASUREMENT_FEATURES
from .measures import Measures
from .regimes import REGIME_FEATURES
from .season import SEASON_FEATURES
from .state import STATE_FEATURES

CORE_FEATURES: tuple[Feature, ...] = (
    *HAR_FEATURES,
    *LEVERAGE_FEATURES,
    *LIQUIDITY_FEATURES,
    *MARKET_FEATURES,
    *SEASON_FEATURES,
    *IMPLIED_FEATURES,
    *ADJUSTED_FEATURES,
)
"""What the models use unless an experiment names others: measured, and few."""

FEATURE_SETS: Mapping[str, tuple[Feature, ...]] = {
    "core": CORE_FEATURES,
    "news": (*IMPLIED_CHANGE_FEATURES, *FALL_FEATURES),
    "illiquidity": ILLIQUIDITY_FEATURES,
    "measurement": MEASUREMENT_FEATURES,
    "spreads": SPREAD_FEATURES,
    "books": BOOK_FEATURES,
    "crowding": CROWDING_FEATURES,
    "state": STATE_FEATURES,
    "regimes": REGIME_FEATURES,
}
"""Features by what they are about; an experiment names sets, or single features."""

ALL_FEATURES: tuple[Feature, ...] = tuple(
    feature for one_set in FEATURE_SETS.values() for feature in one_set
)
"""Every registered feature; a new one is one entry in a set (its file may hold several)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What was known at the close of each period; read-only arrays.

    Attributes
    ----------
    time : ndarray of datetime64[ns], shape (n_periods,)
        End of the period, UTC: the moment from which the row is known.
    instruments : tuple of str
        Names, in column order.
    names : tuple of str, length n_features
        Feature names; units and meanings stand in :data:`ALL_FEATURES`.
    values : ndarray, shape (n_periods, n_instruments, n_features)
        NaN where a feature cannot be known; never filled.
    variance : ndarray, shape (n_periods, n_instruments)
        Variance of the period, decimal squared (see :mod:`foremargin.features.variance`).
    level : ndarray, shape (n_periods, n_instruments)
        Expanding mean of the log of the floored variance: the long-run level known so far.
    """

    time: NDArray[np.datetime64]
    instruments: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    variance: NDArray[np.float64]
    level: NDArray[np.float64]

    def __post_init__(self) -> None:
        for array in (self.values, self.variance, self.level):
            array.setflags(write=False)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one feature, shape (n_periods, n_instruments)."""
        if name not in self.names:
            raise InputError(f"a feature must be one of {list(self.names)}, was {name!r}")
        return self.values[:, :, self.names.index(name)]

    def upto(self, stop: int) -> "Features":
        """Return the first `stop` periods."""
        return Features(
            time=self.time[:stop],
            instruments=self.instruments,
            names=self.names,
            values=self.values[:stop],
            variance=self.variance[:stop],
            level=self.level[:stop],
        )

    def frame(self) -> pd.DataFrame:
        """Return a tidy table: one row per period and instrument, one column per feature."""
        index = pd.MultiIndex.from_product(
            [pd.DatetimeIndex(self.time, tz="UTC"), list(self.instruments)],
            names=["time", "instrument"],
        )
        flat = self.values.reshape(-1, len(self.names))
        return pd.DataFrame(flat, index=index, columns=list(self.names))


def build_features(panel: Panel, *, names: Sequence[str] | None = None) -> Features:
    """Compute features of a panel.

    Parameters
    ----------
    panel : Panel
        The market.
    names : sequence of str, optional
        Names of :data:`ALL_FEATURES` or of :data:`FEATURE_SETS`; by default the core set.

    Raises
    ------
    InputError
        If a name is not registered.
    """
    return compute_features(Measures(panel=panel), chosen_features(panel, names))


def compute_features(measures: Measures, chosen: Sequence[Feature]) -> Features:
    """Compute features of a chunk of the market, carrying on where the last chunk stopped."""
    panel = measures.panel
    values = np.empty((panel.n_periods, panel.n_instruments, len(chosen)))
    for k, feature in enumerate(chosen):
        with measures.memory.scope(feature.name):
            computed = feature.compute(measures)
            wait = math.ceil(feature.available_after / panel.period)
            values[:, :, k] = measures.lag(computed, periods=wait) if wait else computed
    # A measure may divide by a tiny number; what is not a number is missing, and stays visible.
    values[~np.isfinite(values)] = np.nan
    return Features(
        time=panel.time,
        instruments=panel.instruments,
        names=tuple(feature.name for feature in chosen),
        values=values,
        variance=measures.variance,
        level=measures.level,
    )


def chosen_features(panel: Panel, names: Sequence[str] | None) -> list[Feature]:
    """Look up features and sets of them by name; None gives the core set.

    A set gives those of its features that say something at this period length.

    Raises
    ------
    InputError
        If a name is not registered.
    """
    intraday = panel.periods_per_day > 1.0
    by_name = {feature.name: (feature,) for feature in ALL_FEATURES} | {
        name: tuple(f for f in one_set if intraday or not f.intraday_only)
        for name, one_set in FEATURE_SETS.items()
    }
    wanted = ["core"] if names is None else list(names)
    unknown = sorted(set(wanted) - set(by_name))
    if unknown:
        raise InputError(f"features must be among {sorted(by_name)}, found {unknown}")
    return list(dict.fromkeys(feature for name in wanted for feature in by_name[name]))
