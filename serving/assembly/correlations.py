"""Scenarios of portfolio what-if, kept up with the market.

Volatilities are those of the forecasts; correlations are exponentially weighted means of products
of returns, each divided by its own volatility (J.P. Morgan and Reuters 1996, RiskMetrics).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...bundles import MOST_CORRELATED, PRIOR_CORRELATION
from ...errors import InputError
from ..http.scenarios import forecast_scenarios
from ..http.whatif import ScenarioBook, TableScenarios
from ..observations import Bar, Observation
from ..quote import Quote
from ..table import QuoteTable

Array = NDArray[np.float64]

DECAY = 0.97
"""Weight of the mean before, a period."""

MOST_INSTRUMENTS = MOST_CORRELATED
"""Correlations of more are not kept; their what-if is a sum of margins."""


class LiveScenarios:
    """What-if with the volatilities that are forecast now; a ``ScenarioPort``.

    An instrument without a forecast has no scenarios: its margin is added in full.

    Parameters
    ----------
    instruments : sequence of str
        Names, n of them.
    table : QuoteTable
        Margins.
    correlation : array, shape (m, m), optional
        To begin with, of the first m = min(n, :data:`MOST_INSTRUMENTS`) of them; by default every
        pair has :data:`~foremargin.bundles.PRIOR_CORRELATION`.

    Attributes
    ----------
    began_with : str
        ``bundle`` or ``prior``: where the correlations came from that were learned on from.
    """

    def __init__(
        self, instruments: Sequence[str], table: QuoteTable, *, correlation: Array | None = None
    ) -> None:
        self._names = tuple(instruments)[:MOST_INSTRUMENTS]
        self._place = {name: i for i, name in enumerate(self._names)}
        n = len(self._names)
        self.began_with = "prior" if correlation is None else "bundle"
        if correlation is None:
            correlation = np.full((n, n), PRIOR_CORRELATION)
            np.fill_diagonal(correlation, 1.0)
        elif np.shape(correlation) != (n, n):
            raise InputError(
                f"correlation must be {n} by {n}, of the first instruments that are served, was "
                f"{np.shape(correlation)}"
            )
        self._products: Array = np.array(correlation, dtype=np.float64)
        self._sigma = np.full(n, math.nan)  # over the horizon
        self._per_period = np.full(n, math.nan)
        self._close = np.full(n, math.nan)
        self._row, self._scores = 0, np.full(n, math.nan)
        self._scenarios: TableScenarios | None = None
        self._table = table

    def observed(self, observations: Iterable[Observation]) -> None:
        """Take accepted observations; bars of one close time make one row."""
        for seen in observations:
            place = self._place.get(seen.instrument) if isinstance(seen, Bar) else None
            if place is None or not isinstance(seen, Bar):
                continue
            if seen.time != self._row:
                self._close_row()
                self._row = seen.time
            if self._close[place] > 0.0:
                # The volatility quoted now is of the close before; the next one has seen this bar.
                change = math.log(seen.close / self._close[place])
                self._scores[place] = change / self._per_period[place]
            self._close[place] = seen.close

    def quoted(self, quotes: Iterable[Quote]) -> None:
        """Take new quotes: their volatilities count from now on."""
        for quote in quotes:
            place, made_of = self._place.get(quote.instrument), quote.calculation
            if place is not None and made_of is not None and made_of.sigma > 0.0:
                self._sigma[place] = made_of.sigma
                periods = max(made_of.horizon_periods, 1)
                self._per_period[place] = made_of.sigma / math.sqrt(periods)
                self._scenarios = None

    def simulate(self, positions: Mapping[str, float]) -> dict[str, Any]:
        """Return the margin of signed notionals by instrument, as plain data.

        Raises
        ------
        InputError
            If a position cannot be valued.
        """
        if self._scenarios is None:
            self._scenarios = TableScenarios(self._book(), self._table)
        return self._scenarios.simulate(positions)

    def _book(self) -> ScenarioBook:
        known = np.flatnonzero(np.isfinite(self._sigma))
        if not len(known):
            raise InputError("what-if needs a forecast of one instrument at least, there is none")
        products = self._products[np.ix_(known, known)]
        scale = np.sqrt(np.diagonal(products))
        sigma = self._sigma[known]
        covariance = products / np.outer(scale, scale) * np.outer(sigma, sigma)
        return forecast_scenarios(
            [self._names[i] for i in known], (covariance + covariance.T) / 2.0
        )

    def _close_row(self) -> None:
        """Take the products of a row; a pair of which one is missing keeps its mean."""
        score = self._scores
        seen = np.flatnonzero(np.isfinite(score))
        if len(seen) > 1:
            pairs = np.ix_(seen, seen)
            new = np.outer(score[seen], score[seen])
            self._products[pairs] = DECAY * self._products[pairs] + (1.0 - DECAY) * new
            self._scenarios = None
        self._scores[:] = math.nan
