"""A panel whose future is another one: the same up to a row, permuted and scaled after it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...markets import Panel

_PRICES = ("open", "high", "low", "bid", "ask", "mark_price", "index_price", "oracle_price")
_LARGEST_MOVE = 40.0  # sum of log returns: prices stay finite numbers


def shocked_after(panel: Panel, row: int, *, rng: np.random.Generator) -> Panel:
    """Replace everything after a row and nothing up to it.

    Returns after `row` are permuted, turned around by chance and made 2 to 6 times as large;
    prices follow them; other fields and the context are permuted and multiplied by 0.2 to 5. Who
    trades when stays as it is.
    """
    log_return, close = panel.log_return.copy(), panel.close.copy()
    fields = {name: array.copy() for name, array in panel.fields.items()}
    context = {name: series.copy() for name, series in panel.context.items()}
    for i in range(panel.n_instruments):
        rows = np.flatnonzero(panel.present[:, i])
        later = rows[rows > row]
        if not len(later):
            continue
        order = rng.permutation(later)
        for array in (array for name, array in fields.items() if name not in _PRICES):
            array[later, i] = array[order, i] * rng.uniform(0.2, 5.0, size=len(later))
        _move(panel, i, later, log_return=log_return, close=close, order=order, rng=rng)
        ratio = close[later, i] / panel.close[later, i]
        for name in set(_PRICES) & set(fields):
            fields[name][later, i] *= ratio
    for series in context.values():
        after = np.arange(row + 1, panel.n_periods)
        series[after] = series[rng.permutation(after)] * rng.uniform(0.2, 5.0, size=len(after))
    return replace(panel, close=close, log_return=log_return, fields=fields, context=context)


def _move(
    panel: Panel,
    column: int,
    later: NDArray[np.intp],
    *,
    log_return: NDArray[np.float64],
    close: NDArray[np.float64],
    order: NDArray[np.intp],
    rng: np.random.Generator,
) -> None:
    """Write new returns and the prices that go with them, in place."""
    scale = rng.uniform(2.0, 6.0, size=len(later)) * rng.choice([-1.0, 1.0], size=len(later))
    move = np.nan_to_num(panel.log_return[order, column]) * scale
    path = np.clip(np.cumsum(move), -_LARGEST_MOVE, _LARGEST_MOVE)
    before = np.flatnonzero(np.isfinite(panel.close[: later[0], column]))
    start = panel.close[before[-1] if len(before) else later[0], column]
    close[later, column] = start * np.exp(path)
    if len(before):
        steps = np.diff(np.log(close[np.r_[before[-1], later], column]))
        log_return[later, column] = steps
    else:
        log_return[later[1:], column] = np.diff(np.log(close[later, column]))
