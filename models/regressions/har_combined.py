"""The best linear forecast: several regressions averaged in logs, each wrong in its own way.

Pooled regressions know more days, local ones know the instrument; least squares on logs is steady,
QLIKE is what counts; windows and exponential means remember differently. Equal weights are hard to
beat (Timmermann 2006, Handbook of Economic Forecasting 1).
"""

import warnings
from dataclasses import dataclass

import numpy as np

from ...errors import NotEnoughHistoryError
from ...features import History
from ..forecast import Forecast
from .extended_har import ExtendedHar, FittedExtendedHar
from .pooled_har import FittedPooledHar, PooledHar
from .terms import (
    EXPONENTIAL_TERMS,
    LEVERAGE_TERMS,
    MARKET_TERMS,
    OWN_TERMS,
    SEASON_TERMS,
    with_features,
)

QLIKE_PRIOR = 300.0
"""Origins per period of the horizon that the QLIKE-trained regression's start counts as."""

_LEAN_TERMS = (*SEASON_TERMS, *LEVERAGE_TERMS, *MARKET_TERMS)


@dataclass(frozen=True, kw_only=True)
class CombinedHar:
    """The geometric mean of pooled and local regressions.

    Attributes
    ----------
    members : tuple of PooledHar or ExtendedHar
        What is averaged; a member that says nothing is left out where it does.
    more_features : tuple of str
        Features, or sets of them, that the pooled members see beside those of the history.
    refit_days : int
        Calendar days between two fits.
    """

    members: tuple[PooledHar | ExtendedHar, ...] = (
        PooledHar(),
        PooledHar(qlike_prior=QLIKE_PRIOR),
        ExtendedHar(name="log-har-lean", others=_LEAN_TERMS),
        ExtendedHar(
            name="log-hexp-extended", core=EXPONENTIAL_TERMS, others=(*OWN_TERMS, *MARKET_TERMS)
        ),
    )
    more_features: tuple[str, ...] = ("core", "news", "measurement", "illiquidity")
    refit_days: int = 28

    @property
    def name(self) -> str:
        """``har-combined``."""
        return "har-combined"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedCombinedHar":
        """Fit every member.

        Raises
        ------
        NotEnoughHistoryError
            If there is too little history for any of them.
        """
        history = with_features(history, self.more_features)
        fitted: list[FittedPooledHar | FittedExtendedHar] = []
        refusals = []
        for member in self.members:
            try:
                fitted.append(member.fit(history, rng=rng))
            except NotEnoughHistoryError as error:
                refusals.append(error)
        if not fitted:
            raise refusals[0]
        return FittedCombinedHar(spec=self, members=tuple(fitted))


@dataclass(frozen=True, kw_only=True)
class FittedCombinedHar:
    """The fitted members.

    Attributes
    ----------
    spec : CombinedHar
        What was fitted.
    members : tuple of FittedPooledHar or FittedExtendedHar
        Those with enough history.
    """

    spec: CombinedHar
    members: tuple[FittedPooledHar | FittedExtendedHar, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the members note."""
        return tuple(note for member in self.members for note in member.notes)

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Average the logs of the members' variances."""
        history = with_features(history, self.spec.more_features)
        parts = [member.forecast(history, origins=origins) for member in self.members]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # where no member says anything
            mean = np.nanmean([np.log(part.variance) for part in parts], axis=0)
        return Forecast(
            model=self.spec.name,
            origin=parts[0].origin,
            instruments=parts[0].instruments,
            horizons=parts[0].horizons,
            variance=np.exp(mean),
        )
