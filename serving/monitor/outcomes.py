"""What became of the margins quoted: each beside the loss that followed.

A margin quoted from data up to the close of a period is judged by the move from that close to the
one `horizon_periods` closes of the instrument later, as in the backtest: a long loses
``1 - last/first`` and a short ``last/first - 1`` of its notional. Missing periods make the move
longer than the margin was for; it counts all the same, for the position was open. Where a margin
was quoted twice at one close, the lower one is judged, side by side. A margin that came only after
the next close, or was made between two, is counted and not judged.
"""

import math
from collections import deque

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ...errors import InputError
from ..quote import Calculation, Quote
from .reactive import Reactive, ReactiveMargin, ReactiveState

_COLUMNS = (
    "long_margin",
    "short_margin",
    "long_reactive",
    "short_reactive",
    "loss",
)


class Judged(Struct, frozen=True, kw_only=True):
    """A margin beside its outcome.

    Attributes
    ----------
    origin, known_at : int
        When the margin was from and when its loss was known, ns UTC.
    long_margin_bps, short_margin_bps : int
        Initial margin, basis points of notional.
    long_loss_bps, short_loss_bps : float
        Loss, basis points of notional, positive if money was lost.
    log_return, sigma : float
        Over the horizon: what happened, and the volatility forecast; decimal.
    tail_probability : float
        Breach rate that the margin aimed at.
    lag : int
        Own periods of the horizon.
    """

    origin: int
    known_at: int
    long_margin_bps: int
    short_margin_bps: int
    long_loss_bps: float
    short_loss_bps: float
    log_return: float
    sigma: float
    tail_probability: float
    lag: int


_SHOWN = (*_COLUMNS[:-1], "long_loss", "short_loss")
_LOSS = _COLUMNS.index("loss")  # of a long; a short's is the same with the other sign
_BEFORE = 400  # closes
_FIRST = 64  # origins that there is room for at first


class _Pending(Struct):
    made_of: Calculation
    origin: int
    close: float
    left: int  # closes until the outcome is known
    long_bps: int
    short_bps: int


class OutcomesState(Struct, frozen=True, kw_only=True):
    """Everything that is remembered of an instrument; columns as bytes, oldest origin first."""

    time: bytes
    rows: bytes
    closes: list[tuple[int, float]]
    pending: list[_Pending]
    reactive: ReactiveState | None
    unjudged: int


class InstrumentOutcomes:
    """Quotes and closes of one instrument, in the order in which they come.

    Parameters
    ----------
    points : int
        Origins that are kept for the page.
    """

    def __init__(self, *, points: int = 500) -> None:
        self._points, self._n = points, 0
        self._time = np.zeros(0, dtype=np.int64)
        self._rows: NDArray[np.float64] = np.zeros((0, len(_COLUMNS)))
        # Until there is something to compare with, closes are kept to begin from.
        self._closes: deque[tuple[int, float]] = deque(maxlen=_BEFORE)
        self._pending: dict[int, _Pending] = {}
        self._reactive: Reactive | None = None
        self._now_reactive = ReactiveMargin()
        self.unjudged = 0
        """Quotes without an outcome: fixed, made between two closes, or after the next one."""

    def quoted(self, quote: Quote) -> None:
        """Take a quote."""
        made_of = quote.calculation
        if made_of is None or made_of.horizon_periods < 1:
            self.unjudged += 1
            return
        self._begin(made_of.horizon_periods, made_of.tail_probability)
        waiting = self._pending.get(quote.observed_at)
        if waiting is not None:
            waiting.long_bps = min(waiting.long_bps, quote.long.initial_margin_bps)
            waiting.short_bps = min(waiting.short_bps, quote.short.initial_margin_bps)
            self._draw_margin(waiting)
        elif self._closes and self._closes[-1][0] == quote.observed_at:
            self._wait(quote, made_of)
        else:
            self.unjudged += 1

    def closed(self, time: int, close: float) -> list[Judged]:
        """Take the close of a period; return what is judged by it.

        Nothing is done for a close that is not after the last one, or not positive and finite.
        """
        known = self._closes[-1][0] if self._closes else -1
        if time <= known or not (math.isfinite(close) and close > 0.0):
            return []
        self._closes.append((time, close))
        if self._reactive is not None:
            self._now_reactive = self._reactive.update(close)
        judged = []
        for origin in list(self._pending):
            waiting = self._pending[origin]
            waiting.left -= 1
            if waiting.left == 0:
                del self._pending[origin]
                judged.append(self._judge(waiting, time, close))
        return judged

    def series(self) -> dict[str, list[int] | list[float | None]]:
        """Return the last origins as columns, oldest first: ``time`` in ns UTC, the rest in bps.

        What is not known, or not known yet, is None.
        """
        order = self._order()
        out: dict[str, list[int] | list[float | None]] = {"time": self._time[order].tolist()}
        for name, column in zip(_SHOWN, _shown(self._rows[order]).T.tolist(), strict=True):
            out[name + "_bps"] = [None if math.isnan(value) else value for value in column]
        return out

    def heights(self, side: str) -> tuple[int, float]:
        """Return how many of the last origins can be compared, and how high their margins were.

        Parameters
        ----------
        side : str
            ``long`` or ``short``.

        Returns
        -------
        n : int
            Origins whose loss and whose reactive margin are known.
        ratio : float
            Mean margin over the mean reactive one; NaN without any.
        """
        names = (f"{side}_margin", f"{side}_reactive", "loss")
        some = self._rows[: self._n][:, [_COLUMNS.index(name) for name in names]]
        known = some[np.isfinite(some).all(axis=1)]
        if not len(known):
            return 0, math.nan
        margin, reactive, _ = known.mean(axis=0).tolist()
        return len(known), margin / reactive

    def state(self) -> OutcomesState:
        """Return everything that it remembers."""
        order = self._order()
        return OutcomesState(
            time=self._time[order].tobytes(),
            rows=_shown(self._rows[order]).tobytes(),
            closes=list(self._closes),
            pending=list(self._pending.values()),
            reactive=None if self._reactive is None else self._reactive.state(),
            unjudged=self.unjudged,
        )

    def restore(self, state: OutcomesState) -> None:
        """Go on from a state.

        Raises
        ------
        InputError
            If its columns are not of one length, or of more points than are kept.
        """
        time = np.frombuffer(state.time, dtype=np.int64)
        rows = np.frombuffer(state.rows)
        if len(time) > self._points or len(rows) != len(time) * len(_SHOWN):
            raise InputError(
                f"a state must have at most {self._points} origins of {len(_SHOWN)} numbers, "
                f"had {len(time)} and {len(rows)} numbers; begin anew"
            )
        self._n = len(time)
        self._time = time.copy()
        self._rows = rows.reshape(-1, len(_SHOWN))[:, : len(_COLUMNS)].copy()
        if state.reactive is not None:
            self._reactive = Reactive.restored(state.reactive)
            self._now_reactive = self._reactive.margin()
        kept = _BEFORE if self._reactive is None else 1
        self._closes = deque(state.closes, maxlen=kept)
        self._pending = {waiting.origin: waiting for waiting in state.pending}
        self.unjudged = state.unjudged

    def _order(self) -> NDArray[np.intp]:
        return np.arange(max(0, self._n - self._points), self._n) % self._points

    def _make_room(self) -> None:
        """Have a row for the next origin; most instruments of a short run never need them all."""
        have = len(self._time)
        if self._n < have or have == self._points:
            return
        more = min(max(2 * have, _FIRST), self._points) - have
        self._time = np.concatenate([self._time, np.zeros(more, dtype=np.int64)])
        self._rows = np.concatenate([self._rows, np.full((more, len(_COLUMNS)), np.nan)])

    def _begin(self, horizon_periods: int, tail_probability: float) -> None:
        """Start the comparison; again from nothing if the horizon or the aim has changed."""
        old = self._reactive
        if old is None or (old.horizon_periods, old.tail_probability) != (
            horizon_periods,
            tail_probability,
        ):
            self._reactive = Reactive(
                horizon_periods=horizon_periods, tail_probability=tail_probability
            )
            self._now_reactive = ReactiveMargin()
            for _, close in self._closes:
                self._now_reactive = self._reactive.update(close)
            self._closes = deque(self._closes, maxlen=1)

    def _wait(self, quote: Quote, made_of: Calculation) -> None:
        waiting = _Pending(
            made_of=made_of,
            origin=quote.observed_at,
            close=self._closes[-1][1],
            left=made_of.horizon_periods,
            long_bps=quote.long.initial_margin_bps,
            short_bps=quote.short.initial_margin_bps,
        )
        self._pending[quote.observed_at] = waiting
        self._make_room()
        place = self._n % self._points
        self._n += 1
        self._time[place] = quote.observed_at
        self._rows[place] = np.nan
        self._rows[place, 2] = _float(self._now_reactive.long_bps)
        self._rows[place, 3] = _float(self._now_reactive.short_bps)
        self._draw_margin(waiting)

    def _draw_margin(self, waiting: _Pending) -> None:
        place = self._place(waiting.origin)
        if place is not None:
            self._rows[place, :2] = waiting.long_bps, waiting.short_bps

    def _judge(self, waiting: _Pending, time: int, close: float) -> Judged:
        change = close / waiting.close - 1.0
        place = self._place(waiting.origin)
        if place is not None:
            self._rows[place, _LOSS] = -change * 10_000.0
        return Judged(
            origin=waiting.origin,
            known_at=time,
            long_margin_bps=waiting.long_bps,
            short_margin_bps=waiting.short_bps,
            long_loss_bps=-change * 10_000.0,
            short_loss_bps=change * 10_000.0,
            log_return=math.log(close / waiting.close),
            sigma=waiting.made_of.sigma,
            tail_probability=waiting.made_of.tail_probability,
            lag=waiting.made_of.horizon_periods,
        )

    def _place(self, origin: int) -> int | None:
        """Row of an origin; None if it was dropped already."""
        found = np.flatnonzero(self._time == origin)
        return int(found[-1]) if len(found) else None


def _shown(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows with the losses of both sides."""
    return np.column_stack([rows, 0.0 - rows[:, _LOSS]])


def _float(value: int | None) -> float:
    return math.nan if value is None else float(value)
