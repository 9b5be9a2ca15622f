"""Mixtures: several forecasts made one, by weights learned on what each had forecast before.

A weighted geometric mean of the members' variances (Bates and Granger 1969 combined in levels;
the errors of a variance are multiplicative, so that logs are averaged here). The weights are not
negative, sum to one, and minimise the QLIKE of past forecasts whose outcomes were known, with a
prior on equal weights (Timmermann 2006, Handbook of Economic Forecasting 1). The level is left
alone: a factor learned with the weights was tried, and follows the last storm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..features import History
from .forecast import Forecast, empty_variance

Values = NDArray[np.float64]

WEIGHT_COLUMNS = ("model", "known_from", "horizon", "member", "weight", "n_rows")
"""Columns of the table of weights."""

_CLIP = 4.0  # logs by which a realised variance may exceed its forecast before it is cut
_STEPS = 500
_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class MixtureWeights:
    """Weights of a mixture from one moment on.

    Attributes
    ----------
    members : tuple of str
        Models, in the order of the weights.
    horizons : tuple of int
        Numbers of own periods.
    weight : ndarray, shape (n_horizons, n_members)
        Not negative; each row sums to one.
    n_rows : ndarray of int, shape (n_horizons,)
        Past forecasts they were learned on; 0 gives equal weights.
    """

    members: tuple[str, ...]
    horizons: tuple[int, ...]
    weight: Values
    n_rows: NDArray[np.intp]

    def __post_init__(self) -> None:
        self.weight.setflags(write=False)
        self.n_rows.setflags(write=False)

    def mix(self, log_variance: Values) -> Values:
        """Combine logs of shape (..., n_horizons, n_members) into shape (..., n_horizons).

        Where a member says nothing, the weights of the others are scaled up; NaN where none does.
        """
        known = np.isfinite(log_variance)
        used = np.where(known, self.weight, 0.0)
        # Members without any weight still speak where no other does.
        silent = known.any(axis=-1, keepdims=True) & (used.sum(axis=-1, keepdims=True) <= 0.0)
        used = np.where(silent, known.astype(float), used)
        total = used.sum(axis=-1)
        summed = np.where(known, used * np.where(known, log_variance, 0.0), 0.0).sum(axis=-1)
        spoken = np.where(total > 0.0, total, np.nan)
        return np.asarray(summed / spoken)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Specification of a mixture.

    Attributes
    ----------
    name : str
        The value of the column ``model``.
    members : tuple of str
        Names of the models whose variances it mixes.
    tellers : tuple of str
        Names of the models whose probabilities and liquidity costs it averages; the members by
        default.
    refit_days : int
        Calendar days between two estimates of the weights.
    window_days : int
        Calendar days of past forecasts that they are learned on.
    prior_days : float
        Weight of "all members are equally good", in origins of all instruments together.
    min_days : int
        Calendar days of known outcomes before weights are learned.
    """

    name: str
    members: tuple[str, ...]
    tellers: tuple[str, ...] = ()
    refit_days: int = 28
    window_days: int = 1_460
    prior_days: float = 20.0
    min_days: int = 120

    def __post_init__(self) -> None:
        if len(self.members) < 2 or len(set(self.members)) != len(self.members):
            raise InputError(
                f"a mixture must have at least two different members, was {list(self.members)}"
            )

    @property
    def sources(self) -> tuple[str, ...]:
        """All models that it is made of: the members, then the tellers that are none."""
        return tuple(dict.fromkeys((*self.members, *self.tellers)))

    def combine(
        self, forecasts: Mapping[str, Forecast], history: History, *, first_row: int
    ) -> tuple[Forecast, pd.DataFrame]:
        """Mix the members' forecasts, each origin by weights known at it.

        Parameters
        ----------
        forecasts : mapping of str to Forecast
            Of all sources, over the same consecutive panel rows.
        history : History
            The outcomes, of which each origin uses those known at it.
        first_row : int
            Panel row of the first origin.

        Returns
        -------
        forecast : Forecast
            Variances; probabilities and costs are means of those the tellers have.
        weights : pandas.DataFrame
            One row per estimate, horizon and member: :data:`WEIGHT_COLUMNS`; ``known_from`` is
            the first origin that uses the weights.

        Raises
        ------
        InputError
            If a source is missing.
        """
        missing = sorted(set(self.sources) - set(forecasts))
        if missing:
            raise InputError(f"{self.name} needs the forecasts of {missing}; name these models too")
        logs = stacked_logs([forecasts[member] for member in self.members])
        variance = empty_variance(*logs.shape[:3])
        tables = []
        for block in self._blocks(history, first_row, len(logs)):
            weights = self.learn(logs, history, first_row=first_row, known_row=block.start)
            inside = slice(block.start - first_row, block.stop - first_row)
            variance[inside] = np.exp(weights.mix(logs[inside]))
            tables.append(_table(self.name, weights, history.panel.time[block.start]))
        return self.told(forecasts, variance=variance), pd.concat(tables, ignore_index=True)

    def told(self, forecasts: Mapping[str, Forecast], *, variance: Values) -> Forecast:
        """Return a forecast of these variances with the means of what the tellers say."""
        parts = [forecasts[teller] for teller in self.tellers or self.members]
        one = parts[0]
        mixed = Forecast(
            model=self.name,
            origin=one.origin,
            instruments=one.instruments,
            horizons=one.horizons,
            variance=variance,
            regime_probability=_mean(parts, "regime_probability"),
            liquidity_stress_probability=_mean(parts, "liquidity_stress_probability"),
            liquidity_cost=_mean(parts, "liquidity_cost"),
        )
        stress = _mean(parts, "stress_probability")
        return mixed if stress is None else mixed.with_stress(stress)

    def learn(
        self, log_variance: Values, history: History, *, first_row: int, known_row: int
    ) -> MixtureWeights:
        """Estimate the weights on what was known at the close before `known_row`.

        Parameters
        ----------
        log_variance : ndarray, shape (n_origins, n_instruments, n_horizons, n_members)
            Logs of the members' forecasts from `first_row` on.
        history : History
            The outcomes.
        first_row, known_row : int
            Panel rows of the first forecast and of the first origin that uses the weights.
        """
        time = history.panel.time
        earliest = time[min(known_row, len(time) - 1)] - np.timedelta64(self.window_days, "D")
        begin = max(first_row, int(np.searchsorted(time, earliest)))
        rows = slice(begin, known_row)
        logs = log_variance[begin - first_row : known_row - first_row]
        targets = history.targets
        n_horizons, n_members = logs.shape[2:]
        weight = np.full((n_horizons, n_members), 1.0 / n_members)
        n_rows = np.zeros(n_horizons, dtype=np.intp)
        per_origin = max(1.0, float(history.panel.present[rows].sum()) / max(1, len(logs)))
        per_day = max(1.0, history.panel.periods_per_day) * per_origin
        for k in range(n_horizons):
            outcome = targets.variance[rows, :, k]
            known = (targets.known_at[rows, :, k] < known_row) & (outcome > 0.0)
            used = known & np.isfinite(logs[:, :, k]).all(axis=-1)
            if used.sum() < self.min_days * per_day:
                continue
            n_rows[k] = int(used.sum())
            x, y = logs[:, :, k][used], np.log(outcome[used])
            weight[k] = _simplex_qlike(x, y, prior=self.prior_days * per_day / len(y))
        return MixtureWeights(
            members=self.members,
            horizons=history.horizons,
            weight=weight,
            n_rows=n_rows,
        )

    def _blocks(self, history: History, first_row: int, n_origins: int) -> list[slice]:
        time = history.panel.time[first_row : first_row + n_origins]
        index = (time - time[0]) // np.timedelta64(self.refit_days, "D")
        starts = np.flatnonzero(np.diff(index, prepend=-1)) + first_row
        stops = [*starts[1:], first_row + n_origins]
        return [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def stacked_logs(parts: Sequence[Forecast]) -> Values:
    """Return logs of the variances, shape (n_origins, n_instruments, n_horizons, n_members)."""
    return np.stack([np.log(part.variance) for part in parts], axis=-1)


def _mean(parts: Sequence[Forecast], name: str) -> Values | None:
    """Mean over the parts that have a value; None if no part has the field."""
    arrays = [array for part in parts if (array := getattr(part, name)) is not None]
    if not arrays:
        return None
    stacked = np.stack(arrays)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _table(name: str, weights: MixtureWeights, moment: np.datetime64) -> pd.DataFrame:
    n_horizons, n_members = weights.weight.shape
    return pd.DataFrame(
        {
            "model": name,
            "known_from": pd.Timestamp(moment, tz="UTC"),
            "horizon": np.repeat(weights.horizons, n_members),
            "member": np.tile(weights.members, n_horizons),
            "weight": weights.weight.ravel(),
            "n_rows": np.repeat(weights.n_rows, n_members),
        }
    )


def _simplex_qlike(x: Values, y: Values, *, prior: float) -> Values:
    """Weights on the simplex that minimise mean QLIKE, by exponentiated gradient.

    Kivinen and Warmuth (1997), Information and Computation 132(1): steps in the logs of the
    weights keep them positive and normalised. The problem is convex; a step that does not help
    is halved.

    Parameters
    ----------
    x : ndarray, shape (n, n_members)
        Log forecasts.
    y : ndarray, shape (n,)
        Log outcomes.
    prior : float
        Weight of the squared distance from equal weights, relative to the mean loss.
    """
    n_members = x.shape[1]
    equal = np.full(n_members, 1.0 / n_members)

    def value(weight: Values) -> tuple[float, Values]:
        u = y - x @ weight
        ratio = np.exp(np.minimum(u, _CLIP))
        gap = weight - equal
        loss = float((ratio - u).mean() + prior * gap @ gap)
        slope = np.where(u < _CLIP, ratio, 0.0) - 1.0
        return loss, -(slope @ x) / len(y) + 2.0 * prior * gap

    weight, step = equal, 1.0
    loss, gradient = value(weight)
    for _ in range(_STEPS):
        moved = weight * np.exp(-step * (gradient - gradient @ weight))
        moved /= moved.sum()
        new_loss, new_gradient = value(moved)
        if new_loss > loss:
            step /= 2.0
            if step < 1e-6:
                break
            continue
        done = loss - new_loss < _TOLERANCE and step >= 1.0
        weight, loss, gradient, step = moved, new_loss, new_gradient, step * 1.5
        if done:
            break
    return weight
