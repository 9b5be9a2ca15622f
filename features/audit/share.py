"""How much of a forecast is made of what came later: windows, smoothers, smoothed states."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc

from .evidence import FARTHEST_OFFSET, Evidence, Move
from .news import News
from .report import LeakTest
from .statistics import Array, mean_of, scores, shifted

# Implied volatility and leverage on the S&P 500 of 2002 to 2020: later shocks for 15 %.
_SHARE_CEILING = 0.25  # share of later shocks in what the past does not explain
_SHARE_CEILING_BLIND = 0.4  # the same where past returns, which an honest forecast knows, are not
_ABOVE_CHANCE = 1.5  # times the largest share in windows that have nothing to do with each other
# Its changes go with the size of later returns for 0.6 % at most, those of smoothed states on the
# S&P 500, the NASDAQ and WTI of 2003 to 2018 for 3 % and more.
_SMOOTHED_CEILING = 0.012
_FIRST_SMOOTHED = 1  # the next shock alone is what a calendar of events knows too
_WEEK = 5  # one offset alone is chance, a smoothed state goes with all of the nearest


def future_share(move: Move, news: News) -> Evidence | None:
    """Measure how much of what the past does not explain consists of later shocks.

    The sum of squared correlations with the next shocks is compared with the same sum over
    windows far away in time, which have the same persistence and no connection.
    """
    if move.unexplained is None:
        return None
    ceiling = _SHARE_CEILING_BLIND if news.of_returns is None else _SHARE_CEILING
    seen = _share_of(_correlation_at_every_lag(move.unexplained, news.shock), first=0)
    # Slow forecasts on few rows have few independent windows; chance reaches some of them.
    by_chance = seen.total <= _ABOVE_CHANCE * seen.largest_by_chance
    return Evidence(
        test=LeakTest.FUTURE_SHARE,
        offset=seen.offset,
        effect=seen.share,
        statistic=seen.statistic(ceiling),
        p_value=1.0 if by_chance else seen.p_above(ceiling),
        detail=f"consists of later outcomes for {100 * seen.share:.0f} % of what the past does "
        "not explain, as centred windows, smoothed states and values filled backwards do",
    )


def smoothed_changes(move: Move, returns: News) -> Evidence | None:
    """Measure how far changes go with the size of returns from the second later period on.

    A smoothed state of the last known period changes because of what came in the weeks after it.
    Information from outside, implied volatility too, hardly leads the size of single returns
    beyond the next one once returns and outcomes of the past are taken out.
    """
    change = move.unexplained_change
    if change is None:
        return None
    at_lag = np.maximum(_correlation_at_every_lag(change, returns.shock), 0.0)
    seen = _share_of(at_lag, first=_FIRST_SMOOTHED)
    by_share = seen.p_above(_SMOOTHED_CEILING)
    by_chance = seen.total <= _ABOVE_CHANCE * seen.largest_by_chance
    return Evidence(
        test=LeakTest.SMOOTHED,
        offset=seen.offset,
        effect=seen.share,
        statistic=seen.statistic(_SMOOTHED_CEILING),
        p_value=1.0 if by_chance else max(by_share, _p_of_the_week(change, returns)),
        detail=f"changes with the size of returns 1 to {FARTHEST_OFFSET} periods after the first "
        f"unknown one for {100 * seen.share:.1f} % of what is new in it, as smoothed states do; "
        f"{100 * _SMOOTHED_CEILING:.1f} % is more than outside information has shown",
    )


def _p_of_the_week(change: Array, returns: News) -> float:
    """Chance that the size of returns goes so with the changes 1 to 5 rows before its origin."""
    # Products of a shock with earlier changes do not overlap: under an honest forecast their
    # errors are independent.
    last = _FIRST_SMOOTHED + _WEEK
    changes = np.sum([shifted(change, k) for k in range(_FIRST_SMOOTHED, last)], axis=0)
    return mean_of(scores(changes) * returns.shock).p_above(0.0)


@dataclass(frozen=True, kw_only=True)
class _Share:
    """A sum of squared correlations, and how such sums come out by chance."""

    total: float
    offset: int
    mean_by_chance: float
    variance_by_chance: float
    largest_by_chance: float

    @property
    def share(self) -> float:
        return self.total - self.mean_by_chance

    def statistic(self, ceiling: float) -> float:
        return float((self._excess(ceiling) - self.mean_by_chance) / self.variance_by_chance**0.5)

    def p_above(self, ceiling: float) -> float:
        """Chance of so much beyond the ceiling: a sum of squares is nearly a gamma variable."""
        mean, variance = self.mean_by_chance, self.variance_by_chance
        return float(gammaincc(mean**2 / variance, self._excess(ceiling) * mean / variance))

    def _excess(self, ceiling: float) -> float:
        return max(self.total - ceiling, 1e-12)


def _share_of(at_lag: Array, *, first: int) -> _Share:
    """Sum squared correlations with the shocks `first` to 21 periods after the first unknown."""
    squared = np.r_[at_lag, at_lag[:FARTHEST_OFFSET]] ** 2
    n_later = FARTHEST_OFFSET + 1
    sums = np.convolve(squared, np.ones(n_later - first), mode="valid")[first:]
    far = sums[2 * n_later : len(at_lag) - 3 * n_later]
    return _Share(
        total=float(sums[0]),
        offset=first + int(np.argmax(at_lag[first:n_later])),
        mean_by_chance=float(far.mean()),
        variance_by_chance=max(float(far.var()), 1e-12),
        largest_by_chance=float(far.max()),
    )


def _correlation_at_every_lag(values: Array, later: Array) -> Array:
    """Return the mean of ``values[t] * later[t + lag]`` at lags 0, 1, ..., -1, circular."""
    left, right = np.nan_to_num(values), np.nan_to_num(later)
    n = int((np.isfinite(values) & np.isfinite(later)).sum())
    spectrum = np.conj(np.fft.rfft(left)) * np.fft.rfft(right)
    at_lag: Array = np.fft.irfft(spectrum, n=len(left)) / n
    return at_lag
