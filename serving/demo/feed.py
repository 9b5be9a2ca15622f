"""The feed of the demonstration: ``python -m foremargin.serving.demo.feed SPEED BEGAN``.

A program as any feed may be one: it prints a line with a JSON list of observations when they are
there, each bar at its close in the replayed time.
"""

import math
import sys
import time
from collections.abc import Iterator

import numpy as np

from ...markets import Panel, load_panel
from ..observations import Bar, encode_observations
from .plan import RECORDED_FROM, ReplayClock


def days() -> Iterator[list[Bar]]:
    """Yield the bars of every day that is sent, in order."""
    panel = load_panel("arch")
    first = int(np.searchsorted(panel.time, np.datetime64(RECORDED_FROM, "ns"), side="right"))
    for row in range(first, panel.n_periods):
        bars = [
            _bar(panel, row, column)
            for column in range(panel.n_instruments)
            if panel.present[row, column]
        ]
        if bars:
            yield bars


def _bar(panel: Panel, row: int, column: int) -> Bar:
    close = float(panel.close[row, column])
    prices = [float(panel.values(name)[row, column]) for name in ("open", "high", "low")]
    # Data of closes alone have a bar without a range, which says nothing about its variance.
    opened, high, low = prices if all(map(math.isfinite, prices)) else (close, close, close)
    return Bar(
        instrument=panel.instruments[column],
        time=int(panel.time[row].astype("datetime64[ns]").astype(np.int64)),
        open=opened,
        high=max(high, opened, close),
        low=min(low, opened, close),
        close=close,
    )


def main(speed: float, began: float) -> None:
    """Print until there is nothing left."""
    clock = ReplayClock(speed, began=began)
    for bars in days():
        time.sleep(max(clock.wait_s(bars[0].time), 0.0))
        sys.stdout.buffer.write(encode_observations(bars) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
