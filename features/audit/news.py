"""The news in outcomes: what the past of an instrument did not tell about its next period."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .statistics import Array, residual, scores, shifted, without_season
from .table import floored_log

_ROWS_PER_SLOT = 8  # rows that a slot of the season needs to have a mean of its own
_RETURN_DECAY = 0.94
# In a market that switches, the next outcome depends on the last ones by steps.
_BENDS = (0.5, 0.65, 0.8, 0.9)


@dataclass(frozen=True, kw_only=True, eq=False)
class News:
    """Outcomes of one instrument in the time of their origins, split into known and new.

    Attributes
    ----------
    slots : ndarray of intp, shape (n, n_seasons)
        Season of each origin, one column per season (weekday, time of day, hour of the week).
    known : ndarray, shape (n, n_columns)
        Functions of everything complete at the origin.
    shock : ndarray, shape (n,)
        Normal score of the news in the first period after the origin: unknown at it.
    of_returns : News or None
        The same rows with the size of returns as news; None where there are no returns.
    """

    slots: NDArray[np.intp]
    known: Array
    shock: Array
    of_returns: "News | None" = None

    @property
    def known_before(self) -> Array:
        """What was complete at the origin before."""
        return shifted(self.known, 1)

    def shock_at(self, offset: int) -> Array:
        """Return the news `offset` periods after the first unknown one; -1 is the last known."""
        return shifted(self.shock, -offset)


def build_news(origin: NDArray[np.int64], outcome: Array, log_return: Array) -> News:
    """Split outcomes, shape (n,), into what their own past explains and news.

    `outcome` is of the one period after each origin. Its past is: single outcomes, bends of
    the last one, and averages over 5 to 66 rows (Corsi 2009), and where there are returns,
    their size, sign and exponentially weighted square; season means are taken out.
    """
    slots = season_slots(origin)
    log_outcome = without_season(floored_log(outcome), slots)
    known = shifted(_functions_of_the_past(log_outcome, log_return), 1)
    news = News(slots=slots, known=known, shock=scores(residual(log_outcome, known)))
    if not _has_returns(log_outcome, log_return):
        return news
    size = without_season(floored_log(log_return**2), slots)
    return replace(news, of_returns=replace(news, shock=scores(residual(size, known))))


def season_slots(origin: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return slots of the week, or of the day and the weekday where rows are few, (n, k)."""
    time = pd.DatetimeIndex(origin)
    weekday = np.asarray(time.day_of_week)
    minute = np.asarray(time.hour * 60 + time.minute)
    of_week = _codes(weekday * 1440 + minute)
    if len(origin) >= _ROWS_PER_SLOT * (of_week.max() + 1):
        return of_week[:, None]
    return np.column_stack([_codes(minute), _codes(weekday)])


def _codes(values: NDArray[np.intp]) -> NDArray[np.intp]:
    codes: NDArray[np.intp] = np.unique(values, return_inverse=True)[1].astype(np.intp)
    return codes


def _functions_of_the_past(log_outcome: Array, log_return: Array) -> Array:
    """Return columns in whose row t the outcome of row t is the newest one used."""
    series = pd.Series(log_outcome)
    # Far below any outcome there would be nothing left of the others in a mean of levels.
    bounds = np.nanquantile(log_outcome, [0.001, 0.999])
    level = pd.Series(np.exp(np.clip(log_outcome, *bounds)))
    columns = [log_outcome, *(shifted(log_outcome, k) for k in (1, 2, 3))]
    bends = np.nanquantile(log_outcome, _BENDS)
    columns += [np.maximum(log_outcome - bend, 0.0) for bend in bends]
    columns += [_mean(series, window) for window in (5, 10, 22, 66)]
    columns += [np.log(_mean(level, window)) for window in (5, 22)]
    columns.append(np.log(level.ewm(alpha=1 - _RETURN_DECAY, ignore_na=True).mean().to_numpy()))
    if _has_returns(log_outcome, log_return):
        columns += _functions_of_returns(log_return)
    return np.column_stack(columns)


def _has_returns(log_outcome: Array, log_return: Array) -> bool:
    return bool(np.isfinite(log_return).sum() > 0.5 * np.isfinite(log_outcome).sum())


def _functions_of_returns(log_return: Array) -> list[Array]:
    squared = pd.Series(log_return**2)
    average = squared.ewm(alpha=1 - _RETURN_DECAY, ignore_na=True).mean().to_numpy()
    average = np.where(average > 0.0, average, np.nan)
    relative = log_return / np.sqrt(average)
    week = pd.Series(relative).rolling(5, min_periods=1).mean().to_numpy()
    size = np.log(relative**2 + 0.01)
    return [size, np.log(average), np.abs(relative), np.minimum(relative, 0.0), relative, week]


def _mean(series: pd.Series, window: int) -> Array:
    return np.asarray(series.rolling(window, min_periods=max(1, window // 2)).mean(), np.float64)
