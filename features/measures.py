"""Measures: a chunk of the market, and what the moving parts of features remember.

The whole history is one chunk in a backtest; in a live stream a chunk is one row. A feature is
written once, as a function of :class:`Measures`; it cannot tell the two apart.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..markets import DAYS_PER_YEAR, Panel, next_session
from .moving import (
    DecayedMean,
    ExpandingQuantile,
    Lag,
    RunningTotal,
    TrailingCovariance,
    TrailingMean,
    TrailingQuantile,
    Values,
)
from .variance import best_variance, floored_log_variance, log_variance_level

Part = TypeVar("Part")

_MIN_SHARE = 0.5  # of a window that must be finite unless the caller says otherwise


class Memory:
    """What is kept from one chunk to the next: the moving parts, by who made them, in order."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], Any] = {}
        self._scopes: list[list[Any]] = [["", 0]]

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Count the parts made inside under this name."""
        self._scopes.append([name, 0])
        try:
            yield
        finally:
            self._scopes.pop()

    def remember(self, make: Callable[[], Part]) -> Part:
        """Return the part made at this place of this scope; it is made in the first chunk."""
        current = self._scopes[-1]
        key = (current[0], current[1])
        current[1] += 1
        if key not in self._parts:
            self._parts[key] = make()
        part: Part = self._parts[key]
        return part

    def parts(self) -> list[tuple[tuple[str, int], Any]]:
        """Return every part with its place: the scope, and its number there."""
        return list(self._parts.items())

    def put(self, key: tuple[str, int], part: Any) -> None:
        """Replace the part at a place."""
        self._parts[key] = part


@dataclass(frozen=True, kw_only=True, eq=False)
class Measures:
    """A chunk of the market with its moving parts.

    Every array has shape (n_periods, n_instruments), float64, and is NaN where the instrument is
    not present. Windows are given in calendar days and counted in an instrument's own periods:
    seven days are 7 daily periods of a coin and 5 of a share. The current row is always included.

    Attributes
    ----------
    panel : Panel
        The rows of this chunk.
    memory : Memory
        What earlier chunks left behind; empty before the first.
    """

    panel: Panel
    memory: Memory = field(default_factory=Memory)
    _shared: dict[str, Values] = field(default_factory=dict)

    @property
    def present(self) -> NDArray[np.bool_]:
        """True where the instrument has a price."""
        return self.panel.present

    @property
    def log_return(self) -> Values:
        """Decimal log return since the instrument's previous present period."""
        return self.panel.log_return

    @property
    def close(self) -> Values:
        """Last price of the period, quote currency."""
        return self.panel.close

    @property
    def variance(self) -> Values:
        """Variance per period, decimal squared, from the best data there is for it."""
        return self.once(best_variance)

    @property
    def log_variance(self) -> Values:
        """Log of the floored variance."""
        return self.once(floored_log_variance)

    @property
    def level(self) -> Values:
        """Expanding mean of `log_variance`: the instrument's long-run level known so far."""
        return self.once(log_variance_level)

    def once(self, compute: Callable[["Measures"], Values]) -> Values:
        """Return ``compute(self)``, computed once per chunk whoever asks for it first."""
        name = f"{compute.__module__}.{compute.__qualname__}"
        if name not in self._shared:
            with self.memory.scope(name):
                self._shared[name] = compute(self)
        return self._shared[name]

    def remember(self, make: Callable[[], Part]) -> Part:
        """Return a part that carries state of its own from row to row and chunk to chunk."""
        return self.memory.remember(make)

    def field(self, name: str) -> Values:
        """Return a field of the panel; all NaN if the source has none."""
        return self.panel.values(name)

    def context(self, name: str) -> Values:
        """Return a series of the market as a whole, copied to every present instrument."""
        series = self.panel.context_values(name)
        return np.where(self.present, series[:, None], np.nan)

    def span(self, days: float) -> NDArray[np.int64]:
        """Return how many own periods `days` calendar days hold, at least one, (n_instruments,)."""
        periods = np.rint(days * self.panel.periods_per_year / DAYS_PER_YEAR)
        return np.maximum(periods, 1.0).astype(np.int64)

    def slot_of_next(self) -> NDArray[np.int64]:
        """Return the hour of the week, 0 to 167, of the period that follows each row.

        The follower of a Friday of an exchange is its Monday, or its Tuesday where its listing
        names a calendar that closes on the Monday.
        """
        columns = range(self.panel.n_instruments)
        starts = np.stack([next_session(self.panel, i) for i in columns], axis=1)
        hours = starts.astype("datetime64[h]").astype(np.int64)
        # 1970-01-01 was a Thursday, three days after the Monday that the week begins with.
        return (hours + 3 * 24) % (7 * 24)

    def mean(
        self,
        x: Values,
        *,
        days: float | None = None,
        periods: int | None = None,
        min_periods: int | None = None,
    ) -> Values:
        """Mean of the finite values of a trailing window.

        NaN while fewer than `min_periods` (default: half the window, at least one) are finite.
        """
        window = self._window(days, periods)
        make = lambda: TrailingMean.fresh(window, _needed(window, min_periods))  # noqa: E731
        return self.remember(make).advance(x, self.present)

    def covariance(
        self, x: Values, y: Values, *, days: float | None = None, periods: int | None = None
    ) -> Values:
        """Sample covariance over a trailing window; NaN on less than half a window of pairs."""
        window = self._window(days, periods)
        needed = np.maximum(_needed(window, None), 2)
        part = self.remember(lambda: TrailingCovariance.fresh(window, needed))
        return part.advance(x, y, self.present)

    def std(self, x: Values, *, days: float | None = None, periods: int | None = None) -> Values:
        """Sample standard deviation over a trailing window; NaN on less than half of it."""
        return np.sqrt(np.maximum(self.covariance(x, x, days=days, periods=periods), 0.0))

    def correlation(self, x: Values, y: Values, *, days: float) -> Values:
        """Sample correlation over a trailing window; NaN where one of the two does not vary."""
        both = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(both, x, np.nan), np.where(both, y, np.nan)
        spread = self.std(x, days=days) * self.std(y, days=days)
        covariance = self.covariance(x, y, days=days)
        safe = np.where(spread > 0.0, spread, np.nan)
        return np.clip(covariance / safe, -1.0, 1.0)

    def quantile(
        self,
        x: Values,
        *,
        probability: float,
        days: float | None = None,
        needed_days: float | None = None,
    ) -> Values:
        """Quantile of a trailing window, or of everything so far where `days` is None.

        Linear between ranks. NaN on fewer than `needed_days` of finite values (default: half the
        window, or one value).
        """
        if not 0.0 <= probability <= 1.0:
            raise InputError(
                f"probability must be in [0, 1], was {probability}; write 0.9 for 90 %"
            )
        if days is None:
            least = np.ones(self.panel.n_instruments, dtype=np.int64)
            needed = least if needed_days is None else self.span(needed_days)
            growing = self.remember(lambda: ExpandingQuantile.fresh(needed, probability))
            return growing.advance(x, self.present)
        window = self.span(days)
        needed = _needed(window, None) if needed_days is None else self.span(needed_days)
        least = np.minimum(needed, window)
        part = self.remember(lambda: TrailingQuantile.fresh(window, least, probability))
        return part.advance(x, self.present)

    def ewma(self, x: Values, *, half_life_days: float) -> Values:
        """Exponentially weighted mean of everything so far; weights halve every half-life."""
        half_life = half_life_days * self.panel.periods_per_year / DAYS_PER_YEAR
        part = self.remember(lambda: DecayedMean.fresh(0.5 ** (1.0 / half_life)))
        return part.advance(x, self.present)

    def expanding_mean(self, x: Values) -> Values:
        """Mean of all finite values so far."""
        k = self.panel.n_instruments
        return self.remember(lambda: DecayedMean.fresh(np.ones(k))).advance(x, self.present)

    def running_total(self, x: Values) -> Values:
        """Sum of all finite values so far; zero before the first."""
        k = self.panel.n_instruments
        return self.remember(lambda: RunningTotal.fresh(k)).advance(x, self.present)

    def lag(self, x: Values, *, periods: int | NDArray[np.int64] = 1) -> Values:
        """Value some own periods ago, a number or one per instrument; NaN at the start."""
        steps = np.broadcast_to(np.asarray(periods, dtype=np.int64), self.panel.n_instruments)
        return self.remember(lambda: Lag.fresh(steps)).advance(x, self.present)

    def market(self, x: Values) -> Values:
        """Mean over the instruments that know it in this row, copied to each present one."""
        known = np.isfinite(x)
        count = known.sum(axis=1, keepdims=True)
        total = np.where(known, x, 0.0).sum(axis=1, keepdims=True)
        return np.where(self.present, total / np.where(count > 0, count, np.nan), np.nan)

    def _window(self, days: float | None, periods: int | None) -> NDArray[np.int64]:
        if (days is None) == (periods is None):
            raise InputError(
                f"a window must be given in days or in periods, was days={days}, "
                f"periods={periods}; give one of them"
            )
        if periods is not None:
            return np.full(self.panel.n_instruments, periods, dtype=np.int64)
        assert days is not None
        return self.span(days)


def _needed(window: NDArray[np.int64], min_periods: int | None) -> NDArray[np.int64]:
    if min_periods is None:
        return np.maximum(window // 2, 1)
    return np.minimum(window, min_periods)
