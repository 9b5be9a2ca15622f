"""How far margins follow volatility, on the page."""

import numpy as np
import pandas as pd

from ...errors import InputError
from ..responsiveness import measure_responsiveness
from ..verdict import Verdict
from .tables import NOT_KNOWN, Table, frame_rows


def responsiveness_rows(verdict: Verdict) -> Table | None:
    """Return the responsiveness ratio of every policy without a tool; None without an event.

    The relative change of the margin over that of volatility, in logs, at every move of volatility
    by half within five days: its median, and the middle half of the events.
    """
    shown = [s.policy for s in verdict.replay.schedules if "+" not in s.policy]
    names = list(dict.fromkeys([*shown, verdict.reference]))
    try:
        table = measure_responsiveness(verdict.replay, policies=names).table()
    except InputError:  # volatility did not move by half within the test period
        return None
    table = table.sort_values("ratio_up", ascending=False, kind="stable")
    rows = {"Policy": table.index.to_numpy()}
    for direction, title in (("up", "rise"), ("down", "fall")):
        rows[f"Events, {title}"] = table[f"events_{direction}"].map(_count).to_numpy()
        rows[f"Ratio, {title}"] = table[f"ratio_{direction}"].map(_ratio).to_numpy()
        rows[f"Middle half, {title}"] = np.array(
            [
                f"{_ratio(low)} to {_ratio(high)}"
                for low, high in zip(
                    table[f"low_{direction}"], table[f"high_{direction}"], strict=True
                )
            ]
        )
    rows["Rise less fall"] = table.asymmetry.map(_ratio).to_numpy()
    return frame_rows(pd.DataFrame(rows))


def _count(value: float) -> str:
    return f"{value:,.0f}" if np.isfinite(value) else "0"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else NOT_KNOWN
