"""Prices of a synthetic market: states, stochastic variance, one factor, jumps."""

import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ..calendars import weekday
from ..panel import DAYS_PER_YEAR
from ..parsing import DAY_NS
from ..sessions import ALWAYS_OPEN, sessions_of
from .spec import Collapse, InstrumentSpec, MarketSpec

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Backdrop:
    """What all instruments share; one entry per bar of a market that never closes.

    Attributes
    ----------
    start : ndarray of int64, shape (n_bars,)
        Start of each bar, nanoseconds since 1970 UTC.
    regime : ndarray of int8, shape (n_bars,)
        Position in the regimes of the specification.
    variance_multiplier, jump_multiplier, correlation : ndarray, shape (n_bars,)
        Those of the state, the multipliers with a long-run mean of one.
    factor : ndarray, shape (n_bars, steps_per_bar)
        Standard normal.
    jump : ndarray, shape (n_bars,)
        Log return of the common jumps, zero where there is none.
    """

    start: NDArray[np.int64]
    regime: NDArray[np.int8]
    variance_multiplier: Array
    jump_multiplier: Array
    correlation: Array
    factor: Array
    jump: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """One instrument on the bars in which it trades, shape (n,).

    Attributes
    ----------
    rows : ndarray of intp
        Bars of the :class:`Backdrop`.
    open, high, low, close : ndarray
        Prices, quote currency.
    shock : ndarray
        Diffusive return of the bar over its volatility: standard normal.
    sigma : ndarray
        Diffusive volatility of the bar, decimal; without the time it was closed before.
    usual_sigma : ndarray
        What it would be in the long run, season included.
    variance : ndarray
        Diffusive variance since the previous close, decimal squared: known before the bar.
    jump_variance : ndarray
        Variance expected from jumps since the previous close, decimal squared.
    jump : ndarray
        Log return of the jumps since the previous close; zero where there is none.
    """

    rows: NDArray[np.intp]
    open: Array
    high: Array
    low: Array
    close: Array
    shock: Array
    sigma: Array
    usual_sigma: Array
    variance: Array
    jump_variance: Array
    jump: Array


def stream(root: int, consumer: str) -> np.random.Generator:
    """Return the generator of a consumer; another consumer never shifts it."""
    return np.random.default_rng([root, zlib.crc32(consumer.encode())])


def backdrop_of(spec: MarketSpec, *, root: int) -> Backdrop:
    """Draw what all instruments share."""
    n = spec.n_bars
    step = pd.Timedelta(spec.bar).as_unit("ns").value
    first = pd.Timestamp(spec.start, tz="UTC").as_unit("ns").value
    mean_bars = np.array([one.mean_days * spec.bars_per_day for one in spec.regimes])
    occupancy = mean_bars / mean_bars.sum()
    regime = _chain(mean_bars, n, stream(root, "regime"))
    variance = np.array([one.variance_multiplier for one in spec.regimes])
    jumps = np.array([one.jump_multiplier for one in spec.regimes])
    jump_multiplier = (jumps / max(float(occupancy @ jumps), 1e-300))[regime]
    common = spec.jumps.per_year * spec.jumps.common_share
    return Backdrop(
        start=first + step * np.arange(n, dtype=np.int64),
        regime=regime,
        variance_multiplier=(variance / (occupancy @ variance))[regime],
        jump_multiplier=jump_multiplier,
        correlation=np.array([one.correlation for one in spec.regimes])[regime],
        factor=stream(root, "factor").standard_normal((n, spec.steps_per_bar)),
        jump=_jumps(spec, common * jump_multiplier, stream(root, "jumps")),
    )


def _chain(mean_bars: Array, n: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw a Markov chain that leaves for any other state with the same probability.

    Leaving for the others alike makes the time in each proportional to its mean duration.
    """
    out = np.zeros(n, dtype=np.int8)
    state, row = int(rng.choice(len(mean_bars), p=mean_bars / mean_bars.sum())), 0
    while row < n:
        until = row + int(rng.geometric(1.0 / mean_bars[state]))
        out[row:until] = state
        others = [one for one in range(len(mean_bars)) if one != state] or [state]
        state, row = int(rng.choice(others)), until
    return out


def _jumps(spec: MarketSpec, per_year: Array, rng: np.random.Generator) -> Array:
    count = rng.poisson(per_year / (DAYS_PER_YEAR * spec.bars_per_day))
    size = rng.standard_normal(len(count))
    jump: Array = count * spec.jumps.mean + np.sqrt(count) * spec.jumps.sd * size
    return jump


def path_of(spec: MarketSpec, instrument: InstrumentSpec, backdrop: Backdrop, *, root: int) -> Path:
    """Draw the prices of one instrument."""
    own = stream(root, f"path {instrument.name}")
    n, steps = backdrop.factor.shape
    noise, news = own.standard_normal((n, steps)), own.standard_normal((n,))
    correlation = backdrop.correlation[:, None]
    moves = np.sqrt(correlation) * backdrop.factor + np.sqrt(1.0 - correlation) * noise
    shock = moves.sum(axis=1) / np.sqrt(steps)
    is_open = _trading(spec, instrument, backdrop.start)
    season = season_of(spec, backdrop.start) * np.where(is_open, 1.0, spec.season.closed_multiplier)
    bar_variance = _bar_variance(spec, instrument, season, is_open)
    deviation = _log_deviation(spec, shock, news)
    multiplier = backdrop.variance_multiplier * np.exp(deviation) * _in_collapse(spec, instrument)
    share = spec.jumps.per_year * (1.0 - spec.jumps.common_share)
    jump = backdrop.jump + _jumps(
        spec, share * backdrop.jump_multiplier, stream(root, f"jumps {instrument.name}")
    )
    sigma = np.sqrt(bar_variance * multiplier)
    inside = moves * (sigma / np.sqrt(steps))[:, None]
    inside += (_drift(spec, instrument) / steps)[:, None]
    return _priced(
        spec, instrument, backdrop, _Moves(inside, jump, shock, sigma, bar_variance, is_open)
    )


@dataclass(frozen=True, eq=False)
class _Moves:
    inside: Array
    jump: Array
    shock: Array
    sigma: Array
    usual_variance: Array
    is_open: NDArray[np.bool_]


def _priced(
    spec: MarketSpec, instrument: InstrumentSpec, backdrop: Backdrop, moves: _Moves
) -> Path:
    """Turn moves on all bars into prices on the bars in which the instrument trades.

    A jump comes with the open of its bar, and so does whatever happened while it was closed.
    """
    start = np.cumsum(moves.inside.sum(axis=1) + moves.jump) - moves.inside.sum(axis=1)
    path = np.log(instrument.price) + start[:, None] + np.cumsum(moves.inside, axis=1)
    last = _end(spec, instrument)
    rows = np.flatnonzero(moves.is_open & (np.arange(len(start)) < last))
    if len(rows) < 2:
        raise InputError(
            f"{instrument.name} must trade in two bars at least, found {len(rows)} in "
            f"{spec.days} days from {spec.start}; lengthen the market"
        )
    jump_rate = spec.jumps.per_year / (DAYS_PER_YEAR * spec.bars_per_day)
    jump_size = spec.jumps.mean**2 + spec.jumps.sd**2
    close = path[rows, -1]
    first = np.log(instrument.price) + start[rows]
    before = np.concatenate([first[:1], close[:-1]])
    # Without a jump or a night the open is the close before, to the last bit.
    gap = np.diff(rows, prepend=rows[0] - 1) > 1
    opened = np.where(gap | (moves.jump[rows] != 0.0), first, before)
    return Path(
        rows=rows,
        open=np.exp(opened),
        high=np.exp(np.maximum(opened, path[rows].max(axis=1))),
        low=np.exp(np.minimum(opened, path[rows].min(axis=1))),
        close=np.exp(close),
        shock=moves.shock[rows],
        sigma=moves.sigma[rows],
        usual_sigma=np.sqrt(moves.usual_variance[rows]),
        variance=_since_the_row_before(moves.sigma**2, rows),
        jump_variance=_since_the_row_before(jump_rate * jump_size * backdrop.jump_multiplier, rows),
        jump=_since_the_row_before(moves.jump, rows),
    )


def _since_the_row_before(values: Array, rows: NDArray[np.intp]) -> Array:
    first = np.concatenate([rows[:1], rows[:-1] + 1])
    sums: Array = np.add.reduceat(values[: rows[-1] + 1], first)
    return sums


def season_of(spec: MarketSpec, start: NDArray[np.int64]) -> Array:
    """Return the multiplier of variance by the clock, mean one over a week that never closes."""
    bars = np.arange(7 * spec.bars_per_day)
    hour = np.asarray(bars % spec.bars_per_day * (24.0 / spec.bars_per_day), dtype=np.float64)
    week = _by_clock(spec, hour, bars >= 5 * spec.bars_per_day)
    step = DAY_NS // spec.bars_per_day
    place = weekday(start) * spec.bars_per_day + start % DAY_NS // step
    return np.asarray(week[place] / week.mean())


def _by_clock(spec: MarketSpec, hour: Array, weekend: NDArray[np.bool_]) -> Array:
    swing = np.cos(2.0 * np.pi * (hour - spec.season.peak_hour) / 24.0)
    factor = np.where(weekend, spec.season.weekend_multiplier, 1.0)
    return np.asarray(np.exp(spec.season.log_amplitude * swing) * factor)


def _trading(
    spec: MarketSpec, instrument: InstrumentSpec, start: NDArray[np.int64]
) -> NDArray[np.bool_]:
    if instrument.calendar == ALWAYS_OPEN:
        return np.ones(len(start), dtype=np.bool_)
    step = pd.Timedelta(spec.bar).as_unit("ns").value
    sessions = sessions_of(instrument.calendar, first=int(start[0]), last=int(start[-1]))
    return sessions.open_periods(start, period=step, by_day=spec.bars_per_day == 1)


def _bar_variance(
    spec: MarketSpec, instrument: InstrumentSpec, season: Array, is_open: NDArray[np.bool_]
) -> Array:
    """Return the usual variance of each bar; a year of them has the annual volatility squared."""
    per_bar = instrument.annual_volatility**2 / (DAYS_PER_YEAR * spec.bars_per_day)
    if is_open.all():
        return per_bar * season
    return np.asarray(per_bar * season / season.mean())


def _log_deviation(spec: MarketSpec, shock: Array, noise: Array) -> Array:
    """Draw the log variance around its state, with a mean of one for its exponential."""
    decay = 0.5 ** (1.0 / (spec.volatility.half_life_days * spec.bars_per_day))
    leverage, sd = spec.volatility.leverage, spec.volatility.log_sd
    news = leverage * shock + np.sqrt(1.0 - leverage**2) * noise
    news = sd * np.sqrt(1.0 - decay**2) * np.concatenate([noise[:1] * 0.0, news[:-1]])
    news[0] = sd * noise[0]
    return reverting(news, decay) - 0.5 * sd**2


def reverting(news: Array, decay: float) -> Array:
    """Return the process that keeps the share `decay` of itself in each bar and adds the news."""
    from scipy.signal import lfilter  # a tenth of a second that only those pay who simulate

    values: Array = lfilter([1.0], [1.0, -decay], news)
    return values


def _collapse_rows(spec: MarketSpec, collapse: Collapse) -> tuple[int, int]:
    first = int(collapse.at * spec.n_bars)
    return first, min(spec.n_bars, first + max(1, round(collapse.days * spec.bars_per_day)))


def _in_collapse(spec: MarketSpec, instrument: InstrumentSpec) -> Array:
    out = np.ones(spec.n_bars)
    if instrument.collapse is not None:
        first, last = _collapse_rows(spec, instrument.collapse)
        out[first:last] = instrument.collapse.variance_multiplier
    return out


def _drift(spec: MarketSpec, instrument: InstrumentSpec) -> Array:
    out = np.zeros(spec.n_bars)
    if instrument.collapse is not None:
        first, last = _collapse_rows(spec, instrument.collapse)
        out[first:last] = np.log(instrument.collapse.remaining) / (last - first)
    return out


def _end(spec: MarketSpec, instrument: InstrumentSpec) -> int:
    """Return the number of bars after which it is delisted."""
    if instrument.collapse is None:
        return spec.n_bars
    return _collapse_rows(spec, instrument.collapse)[1]
