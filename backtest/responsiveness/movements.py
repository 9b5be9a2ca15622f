"""How violently margins move, by the clock and by episode."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...calibrate import SIDES
from ...errors import InputError
from ..cells import make_cells
from ..metrics import INCREASE_PERIODS
from ..procyclicality import large_increase_share, largest_increase, peak_to_trough
from ..replay import Replay

INCREASE_HOURS = (1.0, 4.0, 24.0)
"""Hours over which the largest increase of a margin is measured within the day."""

_CALL_PERIODS, _CALL_RATIO = 5, 1.25  # a large call: +25 % in five periods


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A stretch of time with a name.

    Attributes
    ----------
    name : str
        How tables call it.
    first, last : pandas.Timestamp
        First and last origin, UTC.
    """

    name: str
    first: pd.Timestamp
    last: pd.Timestamp

    def __post_init__(self) -> None:
        for end in (self.first, self.last):
            if end.tzinfo is None:
                raise InputError(
                    f"{self.name}: first and last must have a time zone, was {end}; write "
                    'pd.Timestamp("2024-08-01", tz="UTC")'
                )
        if self.last < self.first:
            raise InputError(
                f"{self.name}: last must not be before first, was {self.last} before {self.first}"
            )


def margin_movements(
    replayed: Replay,
    *,
    episodes: Sequence[Episode] = (),
    hours: Sequence[float] = INCREASE_HOURS,
) -> pd.DataFrame:
    """Measure every margin series over the test period and within each episode.

    Parameters
    ----------
    replayed : Replay
        Margins over validation and test.
    episodes : sequence of Episode
        Stretches of the test period to look at by themselves; they may overlap.
    hours : sequence of float
        Clock times of increases.

    Returns
    -------
    pandas.DataFrame
        One row per ``episode`` (``test`` is all of it), ``policy``, ``instrument`` and ``side``,
        over the judged origins: ``n``; ``peak_to_trough`` and ``peak_to_trough_ordered``
        (ratios); ``largest_increase_1`` to ``_30`` (ratio, own periods);
        ``largest_increase_1h`` to ``_24h`` (ratio, between origins exactly so far apart; NaN if
        the period is longer, or no two origins are); ``large_increase_share`` (of rises over five
        periods those above 25 %) and ``large_calls_per_year``, such rises begun anew after five
        periods without. NaN where an episode is too short.

    Raises
    ------
    InputError
        If an episode holds no judged origin, or is called ``test``.
    """
    cells = make_cells(replayed, test=True)
    time = pd.DatetimeIndex(replayed.origin, tz="UTC")
    year = replayed.market.history.panel.periods_per_year
    rows = []
    for name, inside in _stretches(time, episodes, cells.origin):
        for i, s, at in cells.series():
            kept = at[inside[at]]
            if not len(kept):
                continue
            for policy in cells.policies:
                margin = cells.of(policy)[kept]
                rows.append(
                    {
                        "episode": name,
                        "policy": policy,
                        "instrument": replayed.instruments[i],
                        "side": SIDES[s],
                        **_movements(margin, time[cells.origin[kept]], hours),
                        "large_calls_per_year": _calls(margin) * year[i] / len(margin),
                    }
                )
    return pd.DataFrame(rows)


def typical_movements(table: pd.DataFrame) -> pd.DataFrame:
    """Return the medians over series of :func:`margin_movements`: what a typical account sees.

    One row per ``episode`` and ``policy``.
    """
    measures = table.columns.drop(["episode", "policy", "instrument", "side"])
    return table.groupby(["episode", "policy"], sort=False)[list(measures)].median()


def clock_increase(margin: NDArray[np.float64], time: pd.DatetimeIndex, *, hours: float) -> float:
    """Return the largest ratio of a margin to itself exactly `hours` before; NaN if none is.

    Parameters
    ----------
    margin : ndarray, shape (n,)
        Any unit, > 0.
    time : pandas.DatetimeIndex, shape (n,)
        When each was set, increasing.
    hours : float
        Length of the rise, > 0.
    """
    if not hours > 0.0:
        raise InputError(f"hours must be > 0, was {hours}")
    before = pd.Series(margin, index=time).reindex(time - pd.Timedelta(hours=hours)).to_numpy()
    known = np.isfinite(before)
    return float((margin[known] / before[known]).max()) if known.any() else float("nan")


def _stretches(
    time: pd.DatetimeIndex, episodes: Sequence[Episode], origin: NDArray[np.intp]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return the name of every stretch and the cells inside."""
    at = time[origin]
    out = [("test", np.full(len(at), True))]
    for episode in episodes:
        inside = np.asarray((at >= episode.first) & (at <= episode.last))
        if episode.name == "test" or not inside.any():
            raise InputError(
                f"an episode must hold judged origins between {at.min()} and {at.max()} and have "
                f'a name other than "test", was {episode}'
            )
        out.append((episode.name, inside))
    return out


def _movements(
    margin: NDArray[np.float64], time: pd.DatetimeIndex, hours: Sequence[float]
) -> dict[str, float]:
    n = len(margin)
    out: dict[str, float] = {
        "n": n,
        "peak_to_trough": peak_to_trough(margin),
        "peak_to_trough_ordered": peak_to_trough(margin, ordered=True),
    }
    for k in INCREASE_PERIODS:
        enough = n > k
        out[f"largest_increase_{k}"] = largest_increase(margin, periods=k) if enough else np.nan
    for h in hours:
        out[f"largest_increase_{h:g}h"] = clock_increase(margin, time, hours=h)
    out["large_increase_share"] = (
        large_increase_share(margin, periods=_CALL_PERIODS, threshold=_CALL_RATIO)
        if n > _CALL_PERIODS
        else np.nan
    )
    return out


def _calls(margin: NDArray[np.float64]) -> float:
    """Count large calls, those that overlap once; NaN where there is no rise to look at."""
    if len(margin) <= _CALL_PERIODS:
        return float("nan")
    large = margin[_CALL_PERIODS:] / margin[:-_CALL_PERIODS] > _CALL_RATIO
    rows = np.flatnonzero(large)
    return float(np.sum(np.diff(rows, prepend=-_CALL_PERIODS - 1) > _CALL_PERIODS))
