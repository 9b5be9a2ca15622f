"""A live market: bars or trades come in, whole periods come out, as a backtest would see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from .assembly.attaching import Axis, attach
from .bars.aggregation import Periods, aggregate, with_covariation
from .bars.cleaning import Bars
from .bars.ticks import bars_from_ticks
from .columns import COLUMNS
from .observations import Observations
from .panel import Missing, Panel
from .parsing import nanoseconds, to_utc


@dataclass(kw_only=True, eq=False)
class _Open:
    """What an instrument has shown since its last closed period."""

    every_day: bool
    last_start: int  # of the last bar of the periods that have closed, nanoseconds
    last_close: float
    bars: list[pd.DataFrame]
    ticks: list[pd.DataFrame]


@dataclass(kw_only=True, eq=False)
class LivePanel:
    """Periods of a live market, closed one after the other from bars or trades.

    The rows it returns hold the numbers that :func:`load_panel` would compute from the same bars,
    bit for bit; they can be handed to a stream of features as they come.

    Attributes
    ----------
    instruments : tuple of str
        Names, in column order.
    period, bar_length : pandas.Timedelta
        Length of a period, and of the bars that it is made of.
    """

    instruments: tuple[str, ...]
    period: pd.Timedelta
    bar_length: pd.Timedelta
    _history: Panel
    _closed: pd.Timestamp
    _open: dict[str, _Open]

    @classmethod
    def after(cls, panel: Panel, *, bar_length: str | pd.Timedelta) -> Self:
        """Return a live market that goes on where a panel ends.

        Parameters
        ----------
        panel : Panel
            What has happened so far: every instrument with at least one price. The last bar of
            each is taken to have ended with its last period.
        bar_length : str or pandas.Timedelta
            Length of the bars to come; the period is a whole multiple of it.

        Raises
        ------
        InputError
            If an instrument has no price yet, or the bar length does not fit the period.
        """
        length = pd.Timedelta(bar_length)
        if length <= pd.Timedelta(0) or panel.period % length:
            raise InputError(
                f"bar_length must divide the period of {panel.period}, was {length}; "
                "choose a finer one"
            )
        silent = [name for i, name in enumerate(panel.instruments) if not panel.present[:, i].any()]
        if silent:
            raise InputError(
                f"every instrument must have a price to go on from, found none of {silent}; "
                "leave them out with Panel.select, or add history"
            )
        return cls(
            instruments=panel.instruments,
            period=panel.period,
            bar_length=length,
            _history=panel.rows(panel.n_periods - 1, panel.n_periods),
            _closed=pd.Timestamp(panel.time[-1], tz="UTC"),
            _open={
                name: _last_seen(panel, i, length.value) for i, name in enumerate(panel.instruments)
            },
        )

    def add_bars(self, instrument: str, bars: pd.DataFrame) -> None:
        """Take bars of one instrument, in the canonical columns of a bar file.

        Raises
        ------
        InputError
            If the instrument is unknown, a bar is of a period that has closed, comes twice or is
            off the grid of the bar length, or a price is not a positive number; nothing is taken.
        """
        kept = self._known(instrument)
        bars = _utc(bars, "open_time")
        times = bars["open_time"]
        self._require_open(times, instrument)
        if (nanoseconds(times) % self.bar_length.value).any():
            raise InputError(
                f"{instrument}: bars must start at multiples of {self.bar_length}; "
                "give the bar length that they have"
            )
        seen = pd.concat([*(one["open_time"] for one in kept.bars), times])
        if seen.duplicated().any():
            raise InputError(
                f"{instrument}: a bar must come once, found {seen[seen.duplicated()].iloc[0]} "
                "again; leave out what was sent before"
            )
        if not (np.isfinite(bars["close"]) & (bars["close"] > 0.0)).all():
            raise InputError(
                f"{instrument}: every close must be a positive number; correct the bar"
            )
        kept.bars.append(bars)

    def add_ticks(self, instrument: str, ticks: pd.DataFrame) -> None:
        """Take trades of one instrument, as :func:`bars_from_ticks` reads them, in order.

        Raises
        ------
        InputError
            If the instrument is unknown, a trade is of a period that has closed or earlier than
            the last one, or a value is not a positive number; nothing is taken.
        """
        kept = self._known(instrument)
        bars_from_ticks(ticks, length=self.bar_length)  # complains about what it cannot read
        ticks = _utc(ticks, "time")
        self._require_open(ticks["time"], instrument)
        last = kept.ticks[-1]["time"].iloc[-1] if kept.ticks else None
        if last is not None and len(ticks) and ticks["time"].iloc[0] < last:
            raise InputError(
                f"{instrument}: trades must come in order, found {ticks['time'].iloc[0]} after "
                f"{last}; sort them before sending"
            )
        kept.ticks.append(ticks)

    def close(self, now: pd.Timestamp, *, observations: Sequence[Observations] = ()) -> Panel:
        """Return the periods that have ended by `now`; later bars stay for the next call.

        A period in which no instrument has a bar gives a row only if one of them trades every
        day, as in a panel that was loaded.

        Parameters
        ----------
        now : pandas.Timestamp
            Zoned; everything that belongs before it has been added.
        observations : sequence of Observations
            What became known since the last call, and the last value before it of each level that
            still stands; joined as they would be in a panel that is loaded. What is not handed
            over is unknown.

        Raises
        ------
        InputError
            If `now` has no time zone, or an observation may mean several instruments; nothing is
            closed then.
        """
        if now.tzinfo is None:
            raise InputError(f"now must carry a time zone, was {now}; write UTC")
        nothing = np.zeros((0, len(self.instruments)), dtype=np.int8)
        attach(observations, {}, axis=self._axis(np.zeros(0, dtype=np.int64), nothing))
        until = now.floor(self.period)
        if until <= self._closed:
            return self._history.rows(0, 0)
        pieces = self._pieces(until)
        starts = self._starts(pieces, until)
        self._closed = until
        rows = self._assemble(starts, pieces, observations)
        if rows.n_periods:
            self._history = rows.rows(rows.n_periods - 1, rows.n_periods)
        return rows

    def _known(self, instrument: str) -> _Open:
        if instrument not in self._open:
            raise InputError(
                f"an instrument must be one of {list(self.instruments)}, was {instrument!r}; "
                "start a new live market to add one"
            )
        return self._open[instrument]

    def _require_open(self, times: pd.Series, instrument: str) -> None:
        if (times < self._closed).any():
            raise InputError(
                f"{instrument}: values must be of a period that is still open, from "
                f"{self._closed}, found {times.min()}; a closed period is not rewritten"
            )

    def _pieces(self, until: pd.Timestamp) -> dict[str, Periods | None]:
        """Aggregate what every instrument has shown before `until`; None where that is nothing."""
        shown = {
            name: bars for name in self.instruments if (bars := self._due(name, until)) is not None
        }
        length = self.period.value
        periods = [aggregate(bars, period=length) for bars in shown.values()]
        found = with_covariation(periods, list(shown.values()), period=length)
        return dict.fromkeys(self.instruments) | dict(zip(shown, found, strict=True))

    def _due(self, name: str, until: pd.Timestamp) -> Bars | None:
        """Take the bars of one instrument that end its open periods; None if there are none."""
        kept = self._open[name]
        ticks = pd.concat(kept.ticks) if kept.ticks else None
        tables = list(kept.bars)
        if ticks is not None and (due := ticks["time"] < until).any():
            tables.append(bars_from_ticks(ticks[due], length=self.bar_length))
            kept.ticks = [ticks[~due]] if (~due).any() else []
        if not tables:
            return None
        table = pd.concat(tables).sort_values("open_time", kind="stable")
        due = table["open_time"] < until
        kept.bars = [table[~due]] if (~due).any() else []
        if not due.any():
            return None
        bars = self._bars(name, kept, table[due])
        kept.last_start = int(nanoseconds(table.loc[due, "open_time"])[-1])
        kept.last_close = float(table.loc[due, "close"].iloc[-1])
        return bars

    def _bars(self, name: str, kept: _Open, table: pd.DataFrame) -> Bars:
        """Return bars behind the last one before them, from which the first return runs."""
        columns = {
            column: np.concatenate([[np.nan], table[column].to_numpy(dtype=np.float64)])
            for column in COLUMNS
            if column in table
        }
        columns["close"][0] = kept.last_close
        start = np.concatenate([[kept.last_start], nanoseconds(table["open_time"])])
        return Bars(
            instrument=name,
            origin=f"live: {name}",
            start=start,
            length=self.bar_length.value,
            every_day=False,  # the first and last period are whole: time has passed beyond them
            columns=columns,
        )

    def _starts(
        self, pieces: Mapping[str, Periods | None], until: pd.Timestamp
    ) -> NDArray[np.int64]:
        first, stop = self._closed.value, until.value
        if any(kept.every_day for kept in self._open.values()):
            return np.arange(first, stop, self.period.value)
        known = [one.start for one in pieces.values() if one is not None]
        starts = np.unique(np.concatenate([np.array([], dtype=np.int64), *known]))
        return starts[starts >= first]

    def _axis(self, ends: NDArray[np.int64], missing: NDArray[np.int8]) -> Axis:
        listings = self._history.listings
        return Axis(ends=ends, period=self.period.value, missing=missing, listings=listings)

    def _assemble(
        self,
        starts: NDArray[np.int64],
        pieces: Mapping[str, Periods | None],
        observations: Sequence[Observations],
    ) -> Panel:
        shape = (len(starts), len(self.instruments))
        missing = np.full(shape, Missing.NO_DATA, dtype=np.int8)
        names = {"close", "log_return"}.union(*(p.values for p in pieces.values() if p))
        columns = {name: np.full(shape, np.nan) for name in names}
        for i, name in enumerate(self.instruments):
            piece = pieces[name]
            if piece is None:
                continue
            new = piece.start >= starts[0] if len(starts) else np.zeros(0, dtype=np.bool_)
            rows = np.searchsorted(starts, piece.start[new])
            missing[rows, i] = np.where(piece.traded[new], Missing.PRESENT, Missing.HALTED)
            for field, values in piece.values.items():
                columns[field][rows, i] = values[new]
        close, log_return = columns.pop("close"), columns.pop("log_return")
        axis = self._axis(starts + self.period.value, missing)
        context, findings = attach(observations, columns, axis=axis)
        return Panel(
            time=axis.ends.view("datetime64[ns]"),
            period=self.period,
            instruments=self.instruments,
            close=close,
            log_return=log_return,
            missing=missing,
            periods_per_year=self._history.periods_per_year,
            fields=columns,
            context=context,
            listings=axis.listings,
            findings=tuple(findings),
            source="live",
        )


def _last_seen(panel: Panel, column: int, bar_length: int) -> _Open:
    row = int(np.flatnonzero(panel.present[:, column])[-1])
    return _Open(
        every_day=bool(panel.trades_every_day[column]),
        last_start=int(panel.time[row].astype("datetime64[ns]").astype(np.int64)) - bar_length,
        last_close=float(panel.close[row, column]),
        bars=[],
        ticks=[],
    )


def _utc(table: pd.DataFrame, name: str) -> pd.DataFrame:
    if name not in table or not isinstance(table[name].dtype, pd.DatetimeTZDtype):
        raise InputError(
            f"a live table must have the column {name!r} with a time zone, found "
            f"{dict(table.dtypes.astype(str))}; add or localise it"
        )
    return table.assign(**{name: to_utc(table[name])})
