r"""How far margin follows volatility: the responsiveness ratio, event by event.

.. math:: R_t = \frac{\ln(M_t / M_{t-w})}{\ln(\sigma_t / \sigma_{t-w})}

with :math:`\sigma_t` the realised volatility of the `w` periods up to t, so that both ends of the
ratio are measured over windows that share no period. 1 follows one for one, 0 does not follow.

The definition is provisional. Supervisors ask for the change of margin over the change of
volatility over the same window (BCBS, CPMI and IOSCO 2025, "Transparency and responsiveness of
initial margin in centrally cleared markets"); window, logs and the choice of events are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...calibrate import SIDES
from ...errors import InputError
from ...features import own_times
from .._checks import as_series, check_count, check_longer_than, check_same_shape
from ..replay import Replay


def responsiveness_ratio(
    margin: ArrayLike, volatility: ArrayLike, *, window: int
) -> NDArray[np.float64]:
    """Return log change of margin over log change of volatility, each over `window` periods.

    Parameters
    ----------
    margin : array_like, shape (n,)
        Margin of one instrument and side through time, any unit; finite and > 0.
    volatility : array_like, shape (n,)
        Realised volatility at the same moments, any unit; finite and > 0.
    window : int
        Periods between the two ends of a change, >= 1.

    Returns
    -------
    ndarray, shape (n,)
        Dimensionless; NaN in the first `window` periods and where volatility did not change.

    Raises
    ------
    InputError
        If an argument is not positive or the two differ in length.

    Examples
    --------
    >>> responsiveness_ratio([1.0, 2.0, 1.0], [1.0, 4.0, 4.0], window=1)
    array([nan, 0.5, nan])
    """
    above = _log_change(margin, "margin", window)
    below = _log_change(volatility, "volatility", window)
    check_same_shape(margin=above, volatility=below)
    return np.where(below != 0.0, above / np.where(below != 0.0, below, 1.0), np.nan)


def volatility_moves(
    volatility: ArrayLike, *, window: int, smallest_move: float = 1.5
) -> NDArray[np.intp]:
    """Find the largest moves of volatility, no two closer than `window` periods.

    Largest first, up and down alike: an event is the period that ends the largest move of its
    neighbourhood, chosen with hindsight, because this describes and predicts nothing.

    Parameters
    ----------
    volatility : array_like, shape (n,)
        Realised volatility, any unit; finite and > 0.
    window : int
        Periods that a move takes, >= 1.
    smallest_move : float
        Ratio that a move up must reach, > 1; a move down its inverse.

    Returns
    -------
    ndarray of int
        Positions of the periods that end a move, increasing.

    Raises
    ------
    InputError
        If an argument is out of range.
    """
    if not smallest_move > 1.0:
        raise InputError(f"smallest_move must be > 1, was {smallest_move}; write 1.5 for +50 %")
    size = np.abs(_log_change(volatility, "volatility", window))
    candidates = np.flatnonzero(size >= np.log(smallest_move))
    taken = np.zeros(len(size), dtype=bool)
    for row in candidates[np.argsort(-size[candidates], kind="stable")]:
        if not taken[max(0, row - window + 1) : row + window].any():
            taken[row] = True
    return np.flatnonzero(taken)


@dataclass(frozen=True, kw_only=True, eq=False)
class Responsiveness:
    """Responsiveness of every policy at every event.

    Attributes
    ----------
    events : pandas.DataFrame
        See :meth:`frame`.
    window_days, smallest_move : float
        How events were found.
    """

    events: pd.DataFrame
    window_days: float
    smallest_move: float

    def frame(self) -> pd.DataFrame:
        """Return one row per policy, instrument, side and event.

        ``time`` (UTC, end of the move), ``direction`` (up or down), ``volatility_change`` and
        ``margin_change`` (log ratios) and ``ratio``.
        """
        return self.events

    def table(self) -> pd.DataFrame:
        """Return one row per policy: events and median ratio up and down, with quartiles.

        ``asymmetry`` is the median up minus the median down: positive if margin rises more
        readily than it falls. NaN where there was no event of a direction.
        """
        grouped = self.events.groupby(["policy", "direction"], sort=False).ratio
        quartiles = grouped.quantile(np.array([0.25, 0.5, 0.75])).unstack().unstack("direction")
        out = pd.DataFrame(index=self.events.policy.drop_duplicates().rename("policy"))
        for direction in ("up", "down"):
            out[f"events_{direction}"] = grouped.size().unstack().get(direction, 0)
            for name, share in (("low", 0.25), ("ratio", 0.5), ("high", 0.75)):
                out[f"{name}_{direction}"] = quartiles.get((share, direction), np.nan)
        return out.assign(asymmetry=out.ratio_up - out.ratio_down)


def measure_responsiveness(
    replayed: Replay,
    *,
    window_days: float = 5.0,
    smallest_move: float = 1.5,
    policies: Sequence[str] | None = None,
) -> Responsiveness:
    """Measure the responsiveness ratio of every policy at the volatility moves of the test period.

    Parameters
    ----------
    replayed : Replay
        Margins over validation and test.
    window_days : float
        Calendar days that a move takes; counted in own periods.
    smallest_move : float
        Ratio of volatilities that makes an event.
    policies : sequence of str, optional
        By default all.

    Raises
    ------
    InputError
        If there is no event.
    """
    names = tuple(replayed.policies if policies is None else policies)
    margins = np.stack([replayed.margin(name) for name in names])
    tables = [
        table
        for own in own_times(replayed.market.history.panel)
        for table in _events(replayed, own.column, own.span(window_days), smallest_move, margins)
    ]
    if not tables:
        raise InputError(
            f"the test period must hold a move of volatility by {smallest_move:g} in "
            f"{window_days:g} days, found none; lower smallest_move"
        )
    events = pd.concat(tables, ignore_index=True)
    policy_names = np.array(names)
    events["policy"] = policy_names[events["policy"].to_numpy()]
    columns = ["policy", "instrument", "side", "time", "direction"]
    return Responsiveness(
        events=events[[*columns, "volatility_change", "margin_change", "ratio"]],
        window_days=window_days,
        smallest_move=smallest_move,
    )


def _events(
    replayed: Replay,
    column: int,
    window: int,
    smallest_move: float,
    margins: NDArray[np.float64],
) -> list[pd.DataFrame]:
    """Events of one instrument, a table per policy and side."""
    history, first = replayed.market.history, replayed.market.first_row
    rows = np.flatnonzero(np.isfinite(history.features.variance[:, column]))
    mean = pd.Series(history.features.variance[rows, column]).rolling(window).mean()
    volatility = np.sqrt(mean.to_numpy())
    # Test origins and the one window before them, where every policy has a margin on both sides.
    known = np.zeros(len(rows), dtype=bool)
    known[rows >= first] = np.isfinite(margins[:, rows[rows >= first] - first, column]).all(
        axis=(0, 2)
    )
    usable = np.flatnonzero(known & (volatility > 0.0))
    if len(usable) <= window:
        return []
    level, at = volatility[usable], rows[usable] - first
    events = volatility_moves(level, window=window, smallest_move=smallest_move)
    events = events[replayed.in_test[at[events]]]
    change = np.log(level[events] / level[events - window])
    tables = []
    for k, s in np.ndindex(len(margins), len(SIDES)):
        margin = margins[k, at, column, s]
        moved = np.log(margin[events] / margin[events - window])
        tables.append(
            pd.DataFrame(
                {
                    "policy": k,
                    "instrument": replayed.instruments[column],
                    "side": SIDES[s],
                    "time": pd.DatetimeIndex(replayed.origin[at[events]], tz="UTC"),
                    "direction": np.where(change > 0.0, "up", "down"),
                    "volatility_change": change,
                    "margin_change": moved,
                    "ratio": moved / change,
                }
            )
        )
    return tables if len(events) else []


def _log_change(values: ArrayLike, name: str, window: int) -> NDArray[np.float64]:
    check_count("window", window, minimum=1)
    series = as_series(name, values)
    if series.min() <= 0.0:
        raise InputError(
            f"{name} must be > 0, the smallest was {series.min():g}; drop such periods"
        )
    check_longer_than(name, series, window, f"changes over {window} periods")
    change = np.full(len(series), np.nan)
    change[window:] = np.log(series[window:] / series[:-window])
    return change
