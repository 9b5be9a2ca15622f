"""The tests of one series of forecasts; each returns what it saw and how sure it is."""

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrc, ndtr

from .news import News
from .report import LeakTest
from .statistics import Array, mean_of, residual, scores, shifted, without_season
from .table import floored_log

FEWEST_ROWS = 200
"""Rows with forecast and outcome below which nothing is said."""

FARTHEST_OFFSET = 21
"""Later outcomes that are looked at, rows: a centred window of 43 rows still shows."""

_OWN_LAGS = (1, 2, 3)  # a smoothed forecast goes on as it went; three rows say how
_PAST_OFFSETS = (-4, -3, -2, -1)
# Outside knowledge leads too. On the S&P 500 of 2002 to 2020, implied volatility and leverage went
# with the next shock with 0.32 when returns were not taken out and 0.15 when they were.
_SKILL_CEILING = 0.4  # correlation with one later shock
_RESPONSE_MARGIN = 0.1  # by which a reaction to a later shock may exceed that to known ones
_SMALLEST_PEAK = 0.02  # by how much a profile must rise into the future
_LEAST_CORRELATION = 0.1  # a forecast that goes with nothing has no peak
_PROFILE_OFFSETS = (1, 2, 3)
_STILL = 1e-6  # standard deviation of log changes below which a forecast does not move
_JUMP_SCORE = 1.88  # the largest 3 % of shocks
_JUMP_WINDOW = 3  # rows before and after a jump
_FEWEST_JUMPS = 10


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one test saw.

    Attributes
    ----------
    test : LeakTest
        Which test.
    offset : int
        Rows after the forecast's own outcome at which it saw most; 0 is the first unknown period.
    effect : float
        Size in the unit of the test: a correlation, a share, a difference of logs.
    statistic : float
        What the p-value is of.
    p_value : float
        Chance of it under an honest forecast, at most; corrected for the offsets looked at.
    detail : str
        What was seen, for people; follows "it".
    """

    test: LeakTest
    offset: int
    effect: float
    statistic: float
    p_value: float
    detail: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Move:
    """What is new in each forecast, as normal scores, shape (n,); None where nothing is.

    Attributes
    ----------
    change : ndarray or None
        Given the forecast before and what was known before the last complete outcome.
    unexplained_change : ndarray or None
        Given the forecast before and everything complete at the origin.
    unexplained : ndarray or None
        Given everything complete at the origin.
    level : ndarray
        The log forecast without its season.
    """

    change: Array | None
    unexplained_change: Array | None
    unexplained: Array | None
    level: Array


def move_of(log_forecast: Array, news: News) -> Move:
    """Take the explained part out of a log forecast on the rows of `news`."""
    level = without_season(log_forecast, news.slots)
    # How a forecast changed at the same hour a week ago: most of what it thinks of its season.
    n_slots = int(news.slots.max()) + 1
    week = (n_slots, n_slots + 1) if news.slots.shape[1] == 1 and n_slots > 1 else ()
    before = np.column_stack([shifted(level, k) for k in (*_OWN_LAGS, *week)])
    return Move(
        change=_scored(residual(level, np.column_stack([before, news.known_before]))),
        unexplained_change=_scored(residual(level, np.column_stack([before, news.known]))),
        unexplained=_scored(residual(level, news.known)),
        level=level,
    )


def _scored(values: Array) -> Array | None:
    known = values[np.isfinite(values)]
    if len(known) < FEWEST_ROWS // 2 or known.std() < _STILL:
        return None
    return scores(values)


def response_timing(move: Move, news: News, *, what: str = "outcome") -> Evidence | None:
    r"""Compare the reaction to later shocks with the reaction to the last known ones.

    An honest forecast changes because of shocks that it knows. The mean of
    :math:`u_t (n_{t+k} - n_{t+p})`, with change :math:`u`, shock :math:`n`, later offset
    :math:`k` and the past offset :math:`p` of the strongest reaction, is then negative; one that
    is surely above 0.1 is a leak.
    """
    if move.change is None:
        return None
    change = move.change
    past = max((_mean(change * news.shock_at(k)), k) for k in _PAST_OFFSETS)
    reference = news.shock_at(past[1]) if past[0] > 0.0 else np.zeros(len(change))
    best = (1.0, 0.0, 0, 0.0)
    for offset in range(FARTHEST_OFFSET + 1):
        reaction = _mean(change * news.shock_at(offset))
        if reaction > _RESPONSE_MARGIN:
            ahead = mean_of(change * (news.shock_at(offset) - reference))
            best = min(best, (ahead.p_above(_RESPONSE_MARGIN), -ahead.t, offset, reaction))
    p_value, minus_t, offset, reaction = best
    return Evidence(
        test=LeakTest.RESPONSE,
        offset=offset,
        effect=reaction - max(past[0], 0.0),
        statistic=-minus_t,
        p_value=min(1.0, p_value * (FARTHEST_OFFSET + 1)),
        detail=f"reacts to the {what} of {_when(offset)} (correlation {reaction:.2f}) before "
        f"anybody can know it, and to a known one with {max(past[0], 0.0):.2f} at most",
    )


def foresight(move: Move, news: News, *, what: str = "outcome") -> Evidence | None:
    """Ask for more knowledge of one later shock than outside information can give."""
    if move.unexplained_change is None:
        return None
    best = (1.0, 0.0, 0, 0.0)
    for offset in range(FARTHEST_OFFSET + 1):
        product = move.unexplained_change * news.shock_at(offset)
        if _mean(product) > _SKILL_CEILING:
            both = mean_of(product)
            t = (both.mean - _SKILL_CEILING) / both.standard_error
            best = min(best, (both.p_above(_SKILL_CEILING), -t, offset, both.mean))
    p_value, minus_t, offset, correlation = best
    return Evidence(
        test=LeakTest.FORESIGHT,
        offset=offset,
        effect=correlation,
        statistic=-minus_t,
        p_value=min(1.0, p_value * (FARTHEST_OFFSET + 1)),
        detail=f"goes with the {what} of {_when(offset)} with correlation {correlation:.2f} "
        f"after everything known is taken out; {_SKILL_CEILING} is more than skill has shown",
    )


def profile_peak(move: Move, log_outcome: Array, *, overlap: int) -> Evidence:
    """Compare the correlation with later outcomes with that with the forecast's own.

    `log_outcome` is over the horizon of the forecast, without its season, on the same rows.
    """
    forecast, log_outcome = scores(move.level), scores(log_outcome)
    own = _mean(forecast * log_outcome)
    best = (1.0, 0.0, 0, 0.0)
    for offset in _PROFILE_OFFSETS:
        later = shifted(log_outcome, -offset)
        rise = mean_of(forecast * (later - log_outcome), overlap=overlap)
        peak = _mean(forecast * later)
        if rise.mean >= _SMALLEST_PEAK and peak >= _LEAST_CORRELATION:
            best = min(best, (rise.p_above(0.0), -rise.t, offset, peak))
    p_value, minus_t, offset, peak = best
    return Evidence(
        test=LeakTest.PROFILE,
        offset=offset,
        effect=peak - own if offset else 0.0,
        statistic=-minus_t,
        p_value=min(1.0, p_value * len(_PROFILE_OFFSETS)),
        detail=f"correlates with the outcome {offset} later ({peak:.2f}) better than with the one "
        f"that it forecasts ({own:.2f})",
    )


def before_the_jump(move: Move, news: News) -> Evidence | None:
    """Compare its moves in the rows before the largest shocks with those after them.

    Under an honest forecast a rise before the shock is at most as likely to be larger than the
    move after it as to be smaller: a sign test over jumps that lie apart.
    """
    jumps = _apart(np.flatnonzero(news.shock > _JUMP_SCORE), 2 * _JUMP_WINDOW + 2)
    jumps = jumps[(jumps >= _JUMP_WINDOW) & (jumps < len(move.level) - _JUMP_WINDOW)]
    before = move.level[jumps] - move.level[jumps - _JUMP_WINDOW]
    after = move.level[jumps + _JUMP_WINDOW] - move.level[jumps]
    moved = np.isfinite(before) & np.isfinite(after) & (np.abs(before - after) > _STILL)
    n_jumps, n_early = int(moved.sum()), int((before > np.abs(after))[moved].sum())
    if n_jumps < _FEWEST_JUMPS:
        return None
    early, late = float(before[moved].mean()), float(after[moved].mean())
    return Evidence(
        test=LeakTest.ONSET,
        offset=0,
        effect=early - late,
        statistic=n_early / n_jumps,
        p_value=_at_least(n_early, n_jumps),
        detail=f"rose more in the {_JUMP_WINDOW} rows before than it moved after {n_early} of the "
        f"{n_jumps} largest jumps (log changes of {early:.2f} and {late:.2f} on average)",
    )


def exact_fit(log_forecast: Array, outcome: Array) -> Evidence | None:
    r"""Look for a moment of the outcomes that the forecasts fit exactly.

    A regression fitted on these rows leaves residuals of mean zero that are orthogonal to its
    forecasts; a scale fitted on them makes ratios of mean one; standardising on them makes
    spreads equal. Honest forecasts miss each by about its standard error, and those that follow
    the last outcome, whose errors cancel over time, still by :math:`1/n`: the p-value is of that.
    """
    log_outcome = floored_log(outcome)
    known = np.isfinite(log_forecast) & np.isfinite(log_outcome)
    log_forecast, log_outcome, outcome = log_forecast[known], log_outcome[known], outcome[known]
    error = log_outcome - log_forecast
    if len(error) < FEWEST_ROWS:
        return None
    ratio = np.exp(np.clip(error, -50.0, 50.0)) - 1.0
    moments = {
        "the mean of the logs": _misfit(error),
        "the slope of the logs": _misfit(error * (log_forecast - log_forecast.mean())),
        "the mean of outcome over forecast": _misfit(ratio),
        "the mean of the outcomes": _misfit(outcome - np.exp(log_forecast)),
        "the spread of the logs": _spread_misfit(log_forecast, log_outcome),
    }
    name = min(moments, key=lambda key: moments[key])
    p_value = 2 * ndtr(moments[name] * np.sqrt(len(error))) - 1
    return Evidence(
        test=LeakTest.EXACT_FIT,
        offset=0,
        effect=moments[name],
        statistic=moments[name],
        p_value=float(min(1.0, len(moments) * p_value)),
        detail=f"fits {name} of these very outcomes to {moments[name]:.1g} standard errors: it "
        "was fitted, scaled or standardised on them",
    )


def _at_least(n_early: int, n: int) -> float:
    """Return the chance of so many heads or more in `n` throws."""
    return float(bdtrc(n_early - 1, n, 0.5)) if n_early else 1.0


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0


def _misfit(error: Array) -> float:
    """Return the absolute mean in standard errors; infinite for what is zero by definition."""
    size = np.abs(error).max()
    if size == 0.0 or error.std() <= 1e-12 * size:
        return np.inf
    return float(abs(error.mean()) / (error.std() / np.sqrt(len(error))))


def _spread_misfit(log_forecast: Array, log_outcome: Array) -> float:
    spread = log_forecast.std(), log_outcome.std()
    if min(spread) < _STILL:
        return np.inf
    return float(abs(np.log(spread[0] / spread[1])) * np.sqrt(len(log_forecast)))


def _apart(rows: np.ndarray, distance: int) -> np.ndarray:
    """Return the first of the rows, and each that lies `distance` after the one taken last."""
    taken: list[int] = []
    for row in rows:
        if not taken or row - taken[-1] >= distance:
            taken.append(int(row))
    return np.array(taken, dtype=np.intp)


def _when(offset: int) -> str:
    return "the first period that it forecasts" if offset == 0 else f"{offset} periods after it"
