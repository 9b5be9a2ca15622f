"""Compiled passes over accounts: book, select the tail, read it.

One file, since numba compares a function kept on disk with the file of that function alone. An
account is a slice of flat arrays; its scenario losses live in one row that stays in the cache, so
nothing of size accounts x scenarios is ever written. All numbers are double precision: hedged
books cancel, and what is left must not be rounding.

The kernels expect finite numbers and consistent shapes; their callers check both.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int32]
Offsets = NDArray[np.int64]

# No NaN reaches the kernels and sums may be reordered: both let the compiler use wide registers.
_FAST = {"nnan", "nsz", "contract", "reassoc"}
_BLOCK = 16
_DUST = 1e-12  # probability that rounding may leave unfilled in a tail


@njit(nogil=True, cache=True, fastmath=_FAST)
def book_losses(
    instrument: Index, quantity: Array, pnl: Array, first: int, last: int, loss: Array
) -> None:
    """Write the scenario losses of the positions from `first` to `last`; two in one pass."""
    loss[:] = 0.0
    p = first
    while p + 1 < last:
        here, there = quantity[p], quantity[p + 1]
        row, other = pnl[instrument[p]], pnl[instrument[p + 1]]
        for s in range(len(loss)):
            loss[s] -= here * row[s] + there * other[s]
        p += 2
    if p < last:
        here, row = quantity[p], pnl[instrument[p]]
        for s in range(len(loss)):
            loss[s] -= here * row[s]


@njit(nogil=True, cache=True)
def _sift_down(value: Array, which: Index, size: int, at: int) -> None:
    """Restore a heap with its smallest element on top."""
    moving, name = value[at], which[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and value[child + 1] < value[child]:
            child += 1
        if value[child] >= moving:
            break
        value[at], which[at] = value[child], which[child]
        at = child
    value[at], which[at] = moving, name


@njit(nogil=True, cache=True, fastmath=_FAST)
def _none_above(loss: Array, first: int, limit: float) -> bool:
    highest = loss[first]
    for i in range(1, _BLOCK):
        highest = max(highest, loss[first + i])
    return bool(highest <= limit)


@njit(nogil=True, cache=True)
def sort_down(value: Array, which: NDArray[np.integer]) -> None:
    """Sort by insertion, largest first: short lists, and nearly sorted ones."""
    for i in range(1, len(value)):
        moving, name = value[i], which[i]
        if value[i - 1] >= moving:
            continue
        j = i - 1
        while j >= 0 and value[j] < moving:
            value[j + 1], which[j + 1] = value[j], which[j]
            j -= 1
        value[j + 1], which[j + 1] = moving, name


@njit(nogil=True, cache=True, fastmath=_FAST)
def select_largest(loss: Array, value: Array, which: Index) -> None:
    """Write the largest losses and their scenarios, largest first; as many as `value` holds."""
    n, k = len(loss), len(value)
    for i in range(k):
        value[i], which[i] = loss[i], i
    for i in range(k // 2 - 1, -1, -1):
        _sift_down(value, which, k, i)
    s = k
    while s < n:
        stop = min(s + _BLOCK, n)
        # Most blocks hold nothing for the tail: one wide comparison instead of sixteen branches.
        if stop - s < _BLOCK or not _none_above(loss, s, value[0]):
            for i in range(s, stop):
                if loss[i] > value[0]:
                    value[0], which[0] = loss[i], i
                    _sift_down(value, which, k, 0)
        s = stop
    sort_down(value, which)


@njit(nogil=True, cache=True)
def read_sorted(
    value: Array, which: NDArray[np.integer], weight: Array, tail_probability: float
) -> tuple[float, float]:
    """Return value at risk and expected shortfall of losses sorted down.

    The last scenario of the tail counts with the part of its weight that the tail still needs
    (Acerbi and Tasche 2002).
    """
    missing, total = tail_probability, 0.0
    at = 0
    while True:
        taken = min(weight[which[at]], missing)
        total += taken * value[at]
        missing -= taken
        if missing <= _DUST or at + 1 == len(value):
            break
        at += 1
    return float(value[at]), float(total / (tail_probability - missing))


@njit(nogil=True, cache=True)
def risk_rows(
    offsets: Offsets,
    instrument: Index,
    quantity: Array,
    pnl: Array,
    weight: Array,
    tail_probability: float,
    count: int,
    out: Array,
    first: int,
    last: int,
) -> None:
    """Write (value at risk, expected shortfall) of the accounts from `first` to `last`."""
    loss = np.empty(pnl.shape[1])
    value, which = np.empty(count), np.empty(count, np.int32)
    for a in range(first, last):
        if offsets[a] == offsets[a + 1]:
            out[a] = 0.0
            continue
        book_losses(instrument, quantity, pnl, offsets[a], offsets[a + 1], loss)
        select_largest(loss, value, which)
        out[a, 0], out[a, 1] = read_sorted(value, which, weight, tail_probability)


@njit(nogil=True, cache=True)
def _shortfall_shares(
    loss: Array, value: Array, which: Index, weight: Array, tail_probability: float, share: Array
) -> None:
    """Write each scenario's share of the tail; scenarios that tie at its edge share alike."""
    edge, _ = read_sorted(value, which, weight, tail_probability)
    beyond, tied = 0.0, 0.0
    for s in range(len(loss)):
        beyond += weight[s] if loss[s] > edge else 0.0
        tied += weight[s] if loss[s] == edge else 0.0
    part = min(max(tail_probability - beyond, 0.0) / tied, 1.0)
    total = beyond + part * tied
    for s in range(len(loss)):
        share[s] = 0.0
        if loss[s] > edge:
            share[s] = weight[s] / total
        elif loss[s] == edge:
            share[s] = part * weight[s] / total


@njit(nogil=True, cache=True)
def _quantile_shares(
    loss: Array, weight: Array, tail_probability: float, neighbours: int, share: Array
) -> float:
    """Write the weights of the scenarios around the value at risk; return the value at risk."""
    order = np.argsort(-loss)
    at, filled = 0, weight[order[0]]
    while filled < tail_probability - _DUST and at + 1 < len(loss):
        at += 1
        filled += weight[order[at]]
    share[:] = 0.0
    # Never further on one side than on the other: a tail is steep, and its mean is not its middle.
    reach = min(neighbours, at, len(loss) - 1 - at)
    total = 0.0
    for i in range(at - reach, at + reach + 1):
        distance = (i - at) / (reach + 1.0)
        share[order[i]] = (1.0 - distance * distance) * weight[order[i]]
        total += share[order[i]]
    for i in range(at - reach, at + reach + 1):
        share[order[i]] /= total
    return float(loss[order[at]])


@njit(nogil=True, cache=True)
def _book_contributions(
    instrument: Index,
    quantity: Array,
    pnl: Array,
    share: Array,
    first: int,
    last: int,
    target: float,
    out: Array,
) -> None:
    """Write what each position loses in the weighted scenarios, so that the sum is `target`."""
    total, gross = 0.0, 0.0
    for p in range(first, last):
        mean, size = 0.0, 0.0
        for s in range(len(share)):
            if share[s] > 0.0:
                lost = -quantity[p] * pnl[instrument[p], s]
                mean += share[s] * lost
                size += share[s] * abs(lost)
        out[p] = mean
        total += mean
        gross += size
    if gross == 0.0 or total == target:
        return
    for p in range(first, last):
        size = 0.0
        for s in range(len(share)):
            if share[s] > 0.0:
                size += share[s] * abs(quantity[p] * pnl[instrument[p], s])
        out[p] += (target - total) * size / gross


@njit(nogil=True, cache=True)
def allocate_rows(
    offsets: Offsets,
    instrument: Index,
    quantity: Array,
    pnl: Array,
    weight: Array,
    tail_probability: float,
    count: int,
    neighbours: int,
    out: Array,
    risk: Array,
    first: int,
    last: int,
) -> None:
    """Write every position's contribution to expected shortfall, or to value at risk.

    Fewer than zero `neighbours` ask for the shortfall.
    """
    loss, share = np.empty(pnl.shape[1]), np.empty(pnl.shape[1])
    value, which = np.empty(count), np.empty(count, np.int32)
    for a in range(first, last):
        begin, end = offsets[a], offsets[a + 1]
        risk[a] = 0.0
        if begin == end:
            continue
        book_losses(instrument, quantity, pnl, begin, end, loss)
        if neighbours >= 0:
            risk[a] = _quantile_shares(loss, weight, tail_probability, neighbours, share)
        else:
            select_largest(loss, value, which)
            _, risk[a] = read_sorted(value, which, weight, tail_probability)
            _shortfall_shares(loss, value, which, weight, tail_probability, share)
        _book_contributions(instrument, quantity, pnl, share, begin, end, risk[a], out)


@njit(nogil=True, cache=True)
def _refill(
    a: int,
    offsets: Offsets,
    instrument: Index,
    quantity: Array,
    pnl: Array,
    loss: Array,
    value: Array,
    which: Index,
    kept: Array,
    scenario: NDArray[np.integer],
    bound: Array,
) -> None:
    """Book an account anew: its largest losses, and a bound on all others."""
    book_losses(instrument, quantity, pnl, offsets[a], offsets[a + 1], loss)
    select_largest(loss, value, which)
    for c in range(len(value)):
        kept[a, c], scenario[a, c] = value[c], which[c]
    bound[a] = -np.inf if len(value) == len(loss) else value[-1]


@njit(nogil=True, cache=True)
def fill_rows(
    offsets: Offsets,
    instrument: Index,
    quantity: Array,
    pnl: Array,
    weight: Array,
    tail_probability: float,
    kept: Array,
    scenario: NDArray[np.integer],
    bound: Array,
    out: Array,
    first: int,
    last: int,
) -> None:
    """Start the state of the accounts from `first` to `last`."""
    loss = np.empty(pnl.shape[1])
    value, which = np.empty(kept.shape[1]), np.empty(kept.shape[1], np.int32)
    for a in range(first, last):
        _refill(
            a,
            offsets,
            instrument,
            quantity,
            pnl,
            loss,
            value,
            which,
            kept,
            scenario,
            bound,
        )
        out[a, 0], out[a, 1] = read_sorted(kept[a], scenario[a], weight, tail_probability)


@njit(nogil=True, cache=True, fastmath=_FAST)
def _shift(kept: Array, scenario: NDArray[np.integer], units: float, rise: Array) -> None:
    for c in range(len(kept)):
        kept[c] += units * rise[scenario[c]]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _lowest(kept: Array, count: int) -> float:
    lowest = kept[0]
    for c in range(1, count):
        lowest = min(lowest, kept[c])
    return float(lowest)


@njit(nogil=True, cache=True, fastmath=_FAST)
def _in_order(kept: Array, count: int) -> bool:
    """Whether the first `count` losses are still the largest, in whatever order."""
    highest = kept[count]
    for c in range(count + 1, len(kept)):
        highest = max(highest, kept[c])
    return bool(_lowest(kept, count) >= highest)


@njit(nogil=True, cache=True, fastmath=_FAST)
def _read_even(
    kept: Array, count: int, weight: float, tail_probability: float
) -> tuple[float, float]:
    """Do what :func:`read_sorted` does, for equal weights and a tail in any order."""
    lowest, total = _lowest(kept, count), 0.0
    for c in range(count):
        total += kept[c]
    spare = max(count * weight - tail_probability, 0.0)
    return lowest, (weight * total - spare * lowest) / (count * weight - spare)


@njit(nogil=True, cache=True)
def move_rows(
    offsets: Offsets,
    instrument: Index,
    quantity: Array,
    pnl: Array,
    weight: Array,
    tail_probability: float,
    count: int,
    holder: Index,
    held: Array,
    rise: Array,
    kept: Array,
    scenario: NDArray[np.integer],
    bound: Array,
    out: Array,
    refilled: NDArray[np.bool_],
    first: int,
    last: int,
) -> None:
    """Update the holders from `first` to `last` of an instrument whose loss per unit has risen.

    The first `count` kept losses are the tail, in any order if all weights are equal. The kept
    losses move exactly, the bound on the others by the most that any scenario can. While
    the tail stays above the bound it is the tail of all scenarios; if not, the account is booked
    anew. `pnl` is the one after the move, `rise` the fall of its row.
    """
    loss = np.empty(pnl.shape[1])
    value, which = np.empty(kept.shape[1]), np.empty(kept.shape[1], np.int32)
    highest, lowest = rise.max(), rise.min()
    even = weight.min() == weight.max()
    for h in range(first, last):
        a, q = holder[h], held[h]
        _shift(kept[a], scenario[a], q, rise)
        bound[a] += q * highest if q > 0.0 else q * lowest
        if not even or (count < kept.shape[1] and not _in_order(kept[a], count)):
            sort_down(kept[a], scenario[a])
        if _lowest(kept[a], count) < bound[a]:
            _refill(
                a,
                offsets,
                instrument,
                quantity,
                pnl,
                loss,
                value,
                which,
                kept,
                scenario,
                bound,
            )
            refilled[h] = True
        if even:
            out[a, 0], out[a, 1] = _read_even(kept[a], count, weight[0], tail_probability)
        else:
            out[a, 0], out[a, 1] = read_sorted(kept[a], scenario[a], weight, tail_probability)
