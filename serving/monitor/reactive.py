r"""The margin that everybody else would have set: EWMA volatility and filtered past losses.

The reactive comparison of the page, from closes alone, one at a time. With log returns :math:`r_t`
and weights that add up to one,

.. math:: \sigma_t^2 = \sum_{s \le t} \lambda^{t-s} r_s^2 \Big/ \sum_{s \le t} \lambda^{t-s},

and the margin over :math:`h` periods is the quantile of the last known losses in units of
:math:`\sigma \sqrt h`, times :math:`\sigma_t \sqrt h` (RiskMetrics, 1996; Barone-Adesi,
Giannopoulos and Vosper, 1999). It is what ``ewma-0.94-fhs`` does in the backtest where a panel has
closes alone.
"""

import math
from collections import deque
from typing import Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ...errors import InputError

_WARM_UP = 20  # returns before the average says anything
_MOST_LOG_MARGIN = 20.0


class ReactiveMargin(Struct, frozen=True, kw_only=True):
    """Margin of both sides, basis points of notional rounded up; None while too little is known."""

    long_bps: int | None = None
    short_bps: int | None = None


class ReactiveState(Struct, frozen=True, kw_only=True):
    """Everything that is remembered; losses as float64 bytes, as far as there are any."""

    horizon_periods: int
    tail_probability: float
    total: float
    weight: float
    seen: int
    past: list[tuple[float, float]]
    scores: bytes
    n_scores: int
    log_close: float


class Reactive:
    """EWMA with filtered historical simulation of one instrument.

    Parameters
    ----------
    horizon_periods : int
        Margin period of risk.
    tail_probability : float
        Breach rate aimed at, in (0, 0.5).
    decay : float
        Weight of the average so far, in (0, 1), per period.
    window, needed : int
        Losses that the quantile is of, and fewest.
    """

    def __init__(
        self,
        *,
        horizon_periods: int,
        tail_probability: float,
        decay: float = 0.94,
        window: int = 1_000,
        needed: int = 250,
    ) -> None:
        if not (0.0 < decay < 1.0 and 0.0 < tail_probability < 0.5):
            raise InputError(
                "decay must be in (0, 1) and tail_probability in (0, 0.5), were "
                f"{decay} and {tail_probability}; write 0.94 and 0.01"
            )
        if horizon_periods < 1 or not 1 <= needed <= window:
            raise InputError(
                "horizon_periods must be at least 1 and needed from 1 to window, were "
                f"{horizon_periods}, {needed} and {window}"
            )
        self.horizon_periods, self.tail_probability = horizon_periods, tail_probability
        self._decay, self._needed = decay, needed
        self._total = self._weight = 0.0
        self._seen = 0
        self._past: deque[tuple[float, float]] = deque(maxlen=horizon_periods)
        self._scores: NDArray[np.float64] = np.empty(window)
        self._n_scores = 0
        self._log_close = math.nan

    def update(self, close: float) -> ReactiveMargin:
        """Take the close of the next period, positive; return the margin from then on."""
        log_close = math.log(close)
        self._average(log_close - self._log_close)
        self._log_close = log_close
        scale = self._scale()
        self._score(log_close)
        self._past.append((log_close, scale))
        return self._margin(scale)

    def state(self) -> ReactiveState:
        """Return everything that it remembers."""
        return ReactiveState(
            horizon_periods=self.horizon_periods,
            tail_probability=self.tail_probability,
            total=self._total,
            weight=self._weight,
            seen=self._seen,
            past=list(self._past),
            scores=self._scores[: self._n_scores].tobytes(),
            n_scores=self._n_scores,
            log_close=self._log_close,
        )

    @classmethod
    def restored(cls, state: ReactiveState) -> Self:
        """Return one that goes on from a state."""
        made = cls(horizon_periods=state.horizon_periods, tail_probability=state.tail_probability)
        scores = np.frombuffer(state.scores)
        if len(scores) != min(state.n_scores, len(made._scores)):
            raise InputError(
                f"a state must have {min(state.n_scores, len(made._scores))} losses, had "
                f"{len(scores)}; begin anew"
            )
        made._scores[: len(scores)] = scores
        made._total, made._weight, made._seen = state.total, state.weight, state.seen
        made._past.extend(state.past)
        made._n_scores, made._log_close = state.n_scores, state.log_close
        return made

    def margin(self) -> ReactiveMargin:
        """Return the margin from the last close on."""
        return self._margin(self._scale())

    def _average(self, log_return: float) -> None:
        if math.isnan(log_return):  # there is no close before the first
            return
        self._total = self._decay * self._total + (1.0 - self._decay) * log_return**2
        self._weight = self._decay * self._weight + 1.0 - self._decay
        self._seen += 1

    def _scale(self) -> float:
        if self._seen < _WARM_UP or self._total <= 0.0:
            return math.nan
        return math.sqrt(self._total / self._weight * self.horizon_periods)

    def _score(self, log_close: float) -> None:
        if len(self._past) == self.horizon_periods:
            earlier, scale = self._past[0]
            if math.isfinite(scale):
                self._scores[self._n_scores % len(self._scores)] = (log_close - earlier) / scale
                self._n_scores += 1

    def _margin(self, scale: float) -> ReactiveMargin:
        n = min(self._n_scores, len(self._scores))
        if n < self._needed or not math.isfinite(scale):
            return ReactiveMargin()
        # The quantile at (n + 1)(1 - p), interpolated, within the sample, from both ends.
        place = min((n + 1) * (1.0 - self.tail_probability) - 1.0, n - 1.0)
        low = int(place)
        high = min(low + 1, n - 1)
        part = np.partition(self._scores[:n], [n - 1 - high, n - 1 - low, low, high])
        weight = place - low
        upper = (1.0 - weight) * part[low] + weight * part[high]
        lower = (1.0 - weight) * part[n - 1 - low] + weight * part[n - 1 - high]
        return ReactiveMargin(
            long_bps=_bps(-math.expm1(lower * scale)),
            short_bps=_bps(math.expm1(min(upper * scale, _MOST_LOG_MARGIN))),
        )


def _bps(rate: float) -> int | None:
    # A side that has only gained has no loss to read a margin from.
    return math.ceil(rate * 10_000.0) if rate > 0.0 else None
