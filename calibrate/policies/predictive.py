"""Fourth generation: margins from a forecast, calibrated on its own errors.

The forecast sets the volatility. The multiple that holds the breach rate is the tail of past losses
over it, the instrument's own and that of all instruments and both sides (:mod:`..pooling`), read at
a level that coverage control moves (:mod:`..coverage`). How far the margin follows the forecast is
learned: the scale is

    sigma_usual * (sigma_forecast / sigma_usual) ** r

with `sigma_usual` the geometric mean of the forecasts of the last 500 trading days, and one r for
volatility above the usual and one for volatility below. The tail does not move one for one with
the variance (less so the longer the horizon), and a margin that follows less also lurches less. The
two exponents are the ones with the smallest quantile loss so far, over all instruments and sides,
chosen anew every 28 days of periods from outcomes that were known by then. Tail outcomes are few,
so that it leaves three quarters only for exponents that were clearly better.
"""

from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..coverage import AdaptiveConformal, CoverageRule
from ..laws import ScoreLaw, rolling_law
from ..market import MarginMarket, SideSeries
from ..pooling import PooledTail, pooled_tail
from ..schedule import Generation

RESPONSIVENESS = (
    (0.0, 0.0),
    (0.25, 0.25),
    *product((0.5, 0.75, 1.0), (0.25, 0.5, 0.75, 1.0)),
)
"""Exponents to choose from, above and below the usual volatility: 0 ignores the forecast, 1 follows
it one for one."""

_START = (0.75, 0.75)  # exponents before there is enough evidence
_EVIDENCE_SESSIONS = 250  # trading days of one instrument's outcomes before evidence counts
_CHOOSE_DAYS = 28  # days of panel rows between two choices
_RELUCTANCE = 0.01  # how much better an exponent 0.25 away must have been, relative

USUAL_SESSIONS = 500
"""Trading days whose mean log volatility is the usual one."""

WINDOW_SESSIONS = 1_000
"""Trading days of own scores that are kept, and of panel rows whose scores are pooled."""

POOL_DAYS = 7
"""Days of panel rows between two readings of the pooled tail."""

NEEDED_SCORES = 250
"""Fewest own scores; the pooled tail stands alone before."""


@dataclass(frozen=True, kw_only=True)
class Predictive:
    """Calibrated margin from the forecasts of one model.

    Attributes
    ----------
    model : str
        Name of the forecaster.
    name : str
        Name of the policy.
    generation : Generation
        Predictive, or control when the forecast is not one that anybody could have.
    exponents : tuple of pairs of float
        Exponents to choose from, above and below the usual volatility; ``((1.0, 1.0),)`` takes the
        forecast at its word.
    law : ScoreLaw, optional
        Law whose quantile of past scores the scale is multiplied by, before coverage control reads
        the multiple of that. Without one, coverage control reads the whole multiple.
    coverage : CoverageRule
        What holds the breach rate; it keeps the scores of 1,000 trading days.
    pooled_sessions : float
        Trading days of own scores that the tail of all instruments and sides counts as; 0 leaves
        each side to its own.
    """

    model: str
    name: str = "predictive"
    generation: Generation = Generation.PREDICTIVE
    exponents: tuple[tuple[float, float], ...] = RESPONSIVENESS
    law: ScoreLaw | None = None
    coverage: CoverageRule = field(default_factory=AdaptiveConformal)
    pooled_sessions: float = 500.0

    @property
    def models(self) -> tuple[str, ...]:
        """The one model."""
        return (self.model,)

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        """Compute the margin of every pair of exponents, then follow the best of the past."""
        candidates = np.stack([self._candidate(market, pair) for pair in self.exponents])
        chosen = self._chosen(candidates, market)
        margin: NDArray[np.float64] = candidates[chosen, np.arange(len(chosen))]
        return margin

    def followed(self, market: MarginMarket) -> NDArray[np.float64]:
        """Return the exponents in force at each row, above and below, shape (n_periods, 2)."""
        candidates = np.stack([self._candidate(market, pair) for pair in self.exponents])
        return np.array(self.exponents)[self._chosen(candidates, market)]

    def _chosen(self, candidates: NDArray[np.float64], market: MarginMarket) -> NDArray[np.intp]:
        distance = np.abs(np.array(self.exponents) - _START).sum(axis=1)
        return choose_candidate(
            candidates,
            market,
            handicap=1.0 + _RELUCTANCE * distance / 0.25,
            default=int(np.argmin(distance)),
        )

    def _candidate(
        self, market: MarginMarket, responsiveness: tuple[float, float]
    ) -> NDArray[np.float64]:
        base = market.each_side(partial(self.scale, responsiveness=responsiveness))
        score = market.log_loss() / base
        if self.law is not None:
            tails = rolling_law(
                score,
                market.known_at(),
                self.law,
                panel=market.history.panel,
                tail_probabilities=(market.tail_probability,),
            )
            multiple = tails[0][..., 0]
            base, score = base * multiple, score / multiple
        pooled = self._pooled(score, market)
        out = np.full(market.shape, np.nan)
        for series, i, s in market.sides():
            quantile = self._quantile(score[series.rows, i, s], series, pooled)
            log_margin = quantile * base[series.rows, i, s]
            out[series.rows, i, s] = series.rate(np.where(log_margin > 0.0, log_margin, np.nan))
        return out

    def _pooled(self, score: NDArray[np.float64], market: MarginMarket) -> PooledTail:
        if self.pooled_sessions == 0.0:
            return PooledTail.none(len(score))
        panel = market.history.panel
        session = int(panel.periods_per_session.max())
        return pooled_tail(
            score,
            market.known_at(),
            tail_probability=market.tail_probability,
            window=WINDOW_SESSIONS * session,
            step=max(1, round(POOL_DAYS * panel.periods_per_day)),
            weight=float(self.pooled_sessions * session),
        )

    def _quantile(
        self, score: NDArray[np.float64], series: SideSeries, pooled: PooledTail
    ) -> NDArray[np.float64]:
        window = WINDOW_SESSIONS * series.session
        rule = self.coverage.resized(window=window, needed=min(NEEDED_SCORES, window))
        run = rule.run(
            score,
            tail_probability=series.tail_probability,
            lag=series.horizon,
            pooled=pooled.at(series.rows),
            regime=self._usual(series)[1][:, None] if rule.n_regimes else None,
        )
        return run.quantile

    def scale(
        self, series: SideSeries, *, responsiveness: tuple[float, float]
    ) -> NDArray[np.float64]:
        """Return the volatility that losses are measured in, decimal, shape (n,)."""
        usual, apart = self._usual(series)
        above, below = responsiveness
        return np.asarray(np.exp(usual + np.where(apart > 0.0, above, below) * apart))

    def _usual(self, series: SideSeries) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the usual log volatility, and how far the forecast is above it, shape (n,).

        The second is the regime for rules that weigh scores by one.
        """
        log_sigma = pd.Series(np.log(series.sigma(self.model)))
        usual = log_sigma.rolling(USUAL_SESSIONS * series.session, min_periods=1).mean()
        return usual.to_numpy(), (log_sigma - usual).to_numpy()


def choose_candidate(
    candidates: NDArray[np.float64],
    market: MarginMarket,
    *,
    handicap: NDArray[np.float64],
    default: int,
) -> NDArray[np.intp]:
    """Return which candidate to follow at each row, shape (n_periods,).

    The one with the smallest total quantile loss, times its handicap, among the outcomes known
    by then.

    Parameters
    ----------
    candidates : ndarray, shape (n_candidates, n_periods, n_instruments, 2)
        Margin rates.
    market : MarginMarket
        For the losses and the moments they became known.
    handicap : ndarray, shape (n_candidates,)
        Factors on the losses, at least one, dimensionless.
    default : int
        Which to follow before there are as many outcomes as one instrument gives in 250 trading
        days on both sides.
    """
    panel = market.history.panel
    known_at = market.known_at()
    loss = market.loss()
    score = candidates + np.maximum(loss - candidates, 0.0) / market.tail_probability
    usable = np.isfinite(score).all(axis=0) & (known_at < panel.n_periods)[..., None]
    gained = np.zeros((len(candidates), panel.n_periods))  # by the row it became known at
    count = np.zeros(panel.n_periods)
    rows = np.broadcast_to(known_at[..., None], usable.shape)[usable]
    np.add.at(count, rows, 1.0)
    for k, each in enumerate(score):
        np.add.at(gained[k], rows, each[usable])
    best = (handicap[:, None] * np.cumsum(gained, axis=1)).argmin(axis=0)
    evidence = np.cumsum(count) >= _EVIDENCE_SESSIONS * 2 * panel.periods_per_session.max()
    step = max(1, round(_CHOOSE_DAYS * panel.periods_per_day))
    held = (np.arange(panel.n_periods) // step) * step
    return np.asarray(np.where(evidence[held], best[held], default), dtype=np.intp)
