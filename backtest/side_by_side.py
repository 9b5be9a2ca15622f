"""The forecasts of all models side by side, and the rows on which they can be compared.

A *row* is one origin of one instrument. Models are compared on rows that all of them share, or a
model would look good by being silent when it is hard. What must be shared depends on what is
compared: a model of tails alone has no variance, and must not cost the others their rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..models import REGIMES, TAIL_PROBABILITIES
from .naive_regimes import naive_regimes

TERCILES = ("calm", "middle", "turbulent")
"""Names of the terciles of volatility, from the lowest up."""

_PAST_ORIGINS = 60  # own origins before a quantile of them means something

_TAIL_COLUMNS = tuple(
    f"{kind}_{side}_{tail:g}"
    for tail in TAIL_PROBABILITIES
    for side in ("lower", "upper")
    for kind in ("var", "es")
)


class Family(StrEnum):
    """What a model can forecast; each has rows and models of its own."""

    VARIANCE = "variance"
    TAILS = "tails"
    STRESS = "stress"
    LIQUIDITY_STRESS = "liquidity_stress"
    REGIME = "regime"
    LIQUIDITY_COST = "liquidity_cost"


_FORECASTS: dict[Family, tuple[str, ...]] = {
    Family.VARIANCE: ("variance",),
    Family.TAILS: _TAIL_COLUMNS,
    Family.STRESS: ("stress_probability",),
    Family.LIQUIDITY_STRESS: ("liquidity_stress_probability",),
    Family.REGIME: tuple(f"regime_{regime}_probability" for regime in REGIMES),
    Family.LIQUIDITY_COST: ("liquidity_cost",),
}
_OUTCOMES: dict[Family, str] = {
    Family.VARIANCE: "realized_variance",
    Family.TAILS: "log_return",
    Family.STRESS: "stress",
    Family.LIQUIDITY_STRESS: "liquidity_stress",
    Family.REGIME: "regime",
    Family.LIQUIDITY_COST: "realized_liquidity_cost",
}
_AT_ORIGIN = (
    *("stress_now", "liquidity_stress_now", "regime_now"),
    *("liquidity_cost_level", "liquidity_cost_now"),
)
_RATIOS = (Family.VARIANCE, Family.LIQUIDITY_COST)  # QLIKE of an outcome of zero does not exist
_POSITIVE = (Family.TAILS, Family.LIQUIDITY_COST)  # a loss asks for a forecast above zero


@dataclass(frozen=True, kw_only=True, eq=False)
class SideBySide:
    """All models over one horizon; rows in order of origin, then instrument.

    Attributes
    ----------
    horizon : int
        Own periods ahead.
    models, instruments : tuple of str
        Names, in alphabetical order.
    origin : ndarray of datetime64[ns], shape (n_rows,)
        Last time the models had seen, UTC.
    instrument : ndarray of int, shape (n_rows,)
        Position in `instruments`.
    tercile : ndarray of int, shape (n_rows,)
        Position in :data:`TERCILES`, -1 where there is too little past. It is that of the median
        of all models' variance forecasts, among the instrument's own from the first origin of
        the table up to this one: known at the origin.
    outcome : mapping of str to ndarray, shape (n_rows,)
        Columns of ``forecasts.parquet`` that do not depend on the model.
    forecast : mapping of str to ndarray, shape (n_models, n_rows)
        The other columns; NaN where a model says nothing.
    naive_regimes : mapping of str to ndarray, shape (n_rows, n_regimes)
        Probabilities that need no model (see :func:`~foremargin.backtest.naive_regimes`), from
        the first origin of the table on.
    """

    horizon: int
    models: tuple[str, ...]
    instruments: tuple[str, ...]
    origin: NDArray[np.datetime64]
    instrument: NDArray[np.intp]
    tercile: NDArray[np.intp]
    outcome: Mapping[str, NDArray[np.float64]]
    forecast: Mapping[str, NDArray[np.float64]]
    naive_regimes: Mapping[str, NDArray[np.float64]]

    def known(self, family: Family) -> NDArray[np.bool_]:
        """Tell for which rows the outcome can be scored, shape (n_rows,).

        QLIKE of a realised variance, or cost, of zero does not exist.
        """
        outcome = self.outcome[_OUTCOMES[family]]
        return outcome > 0.0 if family in _RATIOS else np.isfinite(outcome)

    def speaks(self, family: Family) -> NDArray[np.bool_]:
        """Tell where each model has a forecast that can be scored, shape (n_models, n_rows).

        FZ0 needs a value at risk above zero and QLIKE a cost, so one at or below it counts as no
        forecast.
        """
        finite = np.ones((len(self.models), len(self.origin)), dtype=np.bool_)
        for name in _FORECASTS[family]:
            column = self.forecast[name]
            finite &= column > 0.0 if family in _POSITIVE else np.isfinite(column)
        return finite

    def taking_part(self, family: Family) -> NDArray[np.bool_]:
        """Tell which models have at least one row that can be scored, shape (n_models,)."""
        return np.asarray((self.speaks(family) & self.known(family)).any(axis=1))

    def shared(self, family: Family) -> NDArray[np.bool_]:
        """Tell which rows can be scored for every model that takes part, shape (n_rows,)."""
        part = self.taking_part(family)
        if not part.any():
            return np.zeros(len(self.origin), dtype=np.bool_)
        return np.asarray(self.known(family) & self.speaks(family)[part].all(axis=0))

    def comparable(self, family: Family) -> "SideBySide":
        """Return the models that take part in a family, on the rows that they share."""
        part = self.taking_part(family)
        rows = self.at(self.shared(family))
        return replace(
            rows,
            models=tuple(name for name, takes in zip(self.models, part, strict=True) if takes),
            forecast={name: column[part] for name, column in rows.forecast.items()},
        )

    def at(self, rows: NDArray[np.bool_]) -> "SideBySide":
        """Return some of the rows, with all models and instruments."""
        return replace(
            self,
            origin=self.origin[rows],
            instrument=self.instrument[rows],
            tercile=self.tercile[rows],
            outcome={name: column[rows] for name, column in self.outcome.items()},
            forecast={name: column[:, rows] for name, column in self.forecast.items()},
            naive_regimes={name: said[rows] for name, said in self.naive_regimes.items()},
        )

    def per_origin(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average values per model and row over instruments, shape (n_origins, n_models).

        Shocks are shared, so rows of one origin are not independent observations.
        """
        if not len(self.origin):
            return np.empty((0, len(values)))
        first = np.flatnonzero(np.concatenate([[True], self.origin[1:] != self.origin[:-1]]))
        n = np.diff(np.append(first, len(self.origin)))
        return np.asarray((np.add.reduceat(values, first, axis=1) / n).T)


def side_by_side(forecasts: pd.DataFrame, *, test_from: pd.Timestamp) -> tuple[SideBySide, ...]:
    """Put the models of ``forecasts.parquet`` side by side, one entry per horizon.

    Parameters
    ----------
    forecasts : pandas.DataFrame
        Columns of ``forecasts.parquet``, any order of rows. Columns of tails, probabilities and
        what was so at the origin may be missing.
    test_from : pandas.Timestamp
        First origin that is kept, UTC; earlier ones are the past of the terciles.

    Raises
    ------
    InputError
        If a model has two forecasts for one instrument, origin and horizon, or nothing is kept.
    """
    if not (forecasts.origin >= test_from).any():
        raise InputError(
            f"no forecast has an origin from {test_from} on; the last is {forecasts.origin.max()}: "
            "move the test period"
        )
    return tuple(
        _one_horizon(forecasts[forecasts.horizon == horizon], int(horizon), test_from)
        for horizon in np.unique(forecasts.horizon)
    )


def _one_horizon(table: pd.DataFrame, horizon: int, test_from: pd.Timestamp) -> SideBySide:
    model, models = pd.factorize(table.model, sort=True)
    instrument, instruments = pd.factorize(table.instrument, sort=True)
    origin, origins = pd.factorize(table.origin, sort=True)
    cell, cells = pd.factorize(origin * len(instruments) + instrument, sort=True)
    cells = np.asarray(cells)
    if np.bincount(model * len(cells) + cell).max() > 1:
        raise InputError(
            f"a model must have one forecast per instrument, origin and horizon, found several at "
            f"horizon {horizon}; drop the copies"
        )
    forecast = {}
    for name in (column for columns in _FORECASTS.values() for column in columns):
        wide = np.full((len(models), len(cells)), np.nan)
        if name in table:
            wide[model, cell] = table[name].to_numpy(dtype=np.float64)
        forecast[name] = wide
    outcome = {}
    for name in (*_OUTCOMES.values(), *_AT_ORIGIN):
        column = np.full(len(cells), np.nan)
        if name in table:
            column[cell] = table[name].to_numpy(dtype=np.float64)
        outcome[name] = column
    when = pd.DatetimeIndex(origins).tz_convert("UTC").tz_localize(None)
    every = SideBySide(
        horizon=horizon,
        models=tuple(str(name) for name in models),
        instruments=tuple(str(name) for name in instruments),
        origin=when.to_numpy(dtype="datetime64[ns]")[cells // len(instruments)],
        instrument=cells % len(instruments),
        tercile=_terciles(forecast["variance"], cells % len(instruments)),
        outcome=outcome,
        forecast=forecast,
        naive_regimes=naive_regimes(
            outcome["regime"],
            outcome["regime_now"],
            cells % len(instruments),
            horizon=horizon,
        ),
    )
    return every.at(every.origin >= np.datetime64(test_from.tz_convert("UTC").tz_localize(None)))


def _terciles(variance: NDArray[np.float64], instrument: NDArray[np.intp]) -> NDArray[np.intp]:
    """Tercile of every row among its instrument's own up to it; columns in order of origin."""
    typical = pd.DataFrame(variance.T).median(axis=1).to_numpy()
    out = np.full(len(typical), -1, dtype=np.intp)
    for i in np.unique(instrument):
        own = np.flatnonzero((instrument == i) & np.isfinite(typical))
        past = pd.Series(typical[own]).expanding(min_periods=_PAST_ORIGINS)
        low, high = (past.quantile(k / len(TERCILES)).to_numpy() for k in (1, 2))
        rank = (typical[own] > low).astype(np.intp) + (typical[own] > high)
        out[own] = np.where(np.isfinite(low), rank, -1)
    return out


def row_notes(compared: Sequence[SideBySide]) -> tuple[str, ...]:
    """Say which models say nothing, and what it costs the others that one is silent at times.

    Parameters
    ----------
    compared : sequence of SideBySide
        From :func:`side_by_side`.
    """
    notes: dict[str, list[int]] = {}
    for one in compared:
        for note in (*_silent_models(one), *_lost_rows(one)):
            notes.setdefault(note, []).append(one.horizon)
    return tuple(
        f"{note} (horizon{'s' * (len(horizons) > 1)} {', '.join(map(str, horizons))})"
        for note, horizons in notes.items()
    )


def _silent_models(one: SideBySide) -> list[str]:
    variance, tails = one.taking_part(Family.VARIANCE), one.taking_part(Family.TAILS)
    notes = []
    for m, model in enumerate(one.models):
        if not variance[m]:
            what = "no variance: it is scored on what else it says" if tails[m] else "no forecasts"
            notes.append(f"{model} has {what}")
    return notes


def _lost_rows(one: SideBySide) -> list[str]:
    """One sentence per family whose rows are fewer than could be scored."""
    notes = []
    for family in Family:
        part, known = one.taking_part(family), one.known(family)
        kept, possible = int(one.shared(family).sum()), int(known.sum())
        if not part.any() or kept == possible:
            continue
        missing = (~one.speaks(family) & known).sum(axis=1)
        most = sorted(np.flatnonzero(part & (missing > 0)), key=lambda m: -missing[m])
        names = ", ".join(f"{one.models[m]} {missing[m]:,}" for m in most[:3])
        more = f" and {len(most) - 3} more" if len(most) > 3 else ""
        notes.append(
            f"{family.replace('_', ' ')}: {kept:,} of {possible:,} rows are shared by all; "
            f"rows without a forecast: {names}{more}"
        )
    return notes
