"""Compiled passes over accounts: book, select the tail, read it.

One file, since numba compares a function kept on disk with the file of that function alone. An
account is a slice of flat arrays; its scenario losses live in one row that stays in the cache, so
nothing of size accounts x scenarios is ever written. All numbers are double precision: hedged
books cancel, and what is left must not be rounding.

The kernels expect finite numbers and consistent shapes; their callers check both.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int32]

_BLOCK = 16
_DUST = 1e-12  # probability that rounding may leave unfilled in a tail


class Book(NamedTuple):
    """Positions as in :class:`Accounts`."""

    offsets: NDArray[np.int64]
    instrument: Index
    quantity: Array


class Tail(NamedTuple):
    """Scenarios and what is read from them; `most` scenarios are all that the tail can need."""

    pnl: Array
    weight: Array
    probability: float
    most: int


class Kept(NamedTuple):
    """State of accounts that follow moves, one row each.

    The first losses of a row are the tail, in any order if all weights are equal; `bound` is not
    below any loss that is not kept; `risk` holds value at risk and expected shortfall.
    """

    loss: Array
    scenario: NDArray[np.integer]
    bound: Array
    risk: Array


class Move(NamedTuple):
    """Who holds the instrument that moved, how much, and by how much a unit loses more."""

    holder: Index
    held: Array
    rise: Array
    rebooked: NDArray[np.bool_]


class Scratch(NamedTuple):
    """Room for one account."""

    loss: Array
    value: Array
    which: Index


@njit(nogil=True, cache=True)
def book_losses(book: Book, account: int, pnl: Array, loss: Array) -> None:
    """Write the scenario losses of an account; two positions in one pass."""
    instrument, quantity = book.instrument, book.quantity
    loss[:] = 0.0
    p, last = book.offsets[account], book.offsets[account + 1]
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


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
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
def risk_rows(book: Book, tail: Tail, out: Array, first: int, last: int) -> None:
    """Write (value at risk, expected shortfall) of the accounts from `first` to `last`."""
    loss = np.empty(tail.pnl.shape[1])
    value, which = np.empty(tail.most), np.empty(tail.most, np.int32)
    for a in range(first, last):
        if book.offsets[a] == book.offsets[a + 1]:
            out[a] = 0.0
            continue
        book_losses(book, a, tail.pnl, loss)
        select_largest(loss, value, which)
        out[a, 0], out[a, 1] = read_sorted(value, which, tail.weight, tail.probability)


@njit(nogil=True, cache=True)
def _shortfall_shares(
    loss: Array, edge: float, weight: Array, tail_probability: float, share: Array
) -> None:
    """Write each scenario's share of the tail; scenarios that tie at its edge share alike."""
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
    which: Index, weight: Array, tail_probability: float, neighbours: int, share: Array
) -> int:
    """Write the weights of the scenarios around the value at risk; return its rank.

    `which` names the scenarios in the tail and some after it, worst first.
    """
    at, filled = 0, weight[which[0]]
    while filled < tail_probability - _DUST and at + 1 < len(which):
        at += 1
        filled += weight[which[at]]
    share[:] = 0.0
    # Never further on one side than on the other: a tail is steep, and its mean is not its middle.
    reach = min(neighbours, at, len(which) - 1 - at)
    total = 0.0
    for i in range(at - reach, at + reach + 1):
        distance = (i - at) / (reach + 1.0)
        share[which[i]] = (1.0 - distance * distance) * weight[which[i]]
        total += share[which[i]]
    for i in range(at - reach, at + reach + 1):
        share[which[i]] /= total
    return at


@njit(nogil=True, cache=True)
def _contributions(
    book: Book, account: int, pnl: Array, share: Array, target: float, out: Array
) -> None:
    """Write what each position loses in the weighted scenarios, so that the sum is `target`."""
    first, last = book.offsets[account], book.offsets[account + 1]
    total, gross = 0.0, np.zeros(last - first)
    for p in range(first, last):
        out[p] = 0.0
        for s in range(len(share)):
            if share[s] > 0.0:
                lost = -book.quantity[p] * pnl[book.instrument[p], s]
                out[p] += share[s] * lost
                gross[p - first] += share[s] * abs(lost)
        total += out[p]
    if 0.5 * abs(target) < abs(total) and total * target > 0.0:
        for p in range(first, last):
            out[p] *= target / total
    elif gross.sum() > 0.0:
        # Near zero a factor would blow up what cancels.
        scale = (target - total) / gross.sum()
        for p in range(first, last):
            out[p] += scale * gross[p - first]


@njit(nogil=True, cache=True)
def allocate_rows(
    book: Book,
    tail: Tail,
    neighbours: int,
    out: Array,
    risk: Array,
    first: int,
    last: int,
) -> None:
    """Write every position's contribution to expected shortfall, or to value at risk.

    Fewer than zero `neighbours` ask for the shortfall.
    """
    n = tail.pnl.shape[1]
    loss, share = np.empty(n), np.empty(n)
    size = min(tail.most + max(neighbours, 0), n)
    value, which = np.empty(size), np.empty(size, np.int32)
    for a in range(first, last):
        risk[a] = 0.0
        if book.offsets[a] == book.offsets[a + 1]:
            continue
        book_losses(book, a, tail.pnl, loss)
        select_largest(loss, value, which)
        if neighbours >= 0:
            risk[a] = value[
                _quantile_shares(which, tail.weight, tail.probability, neighbours, share)
            ]
        else:
            edge, risk[a] = read_sorted(value, which, tail.weight, tail.probability)
            _shortfall_shares(loss, edge, tail.weight, tail.probability, share)
        _contributions(book, a, tail.pnl, share, risk[a], out)


@njit(nogil=True, cache=True)
def _rebook(a: int, book: Book, pnl: Array, room: Scratch, kept: Kept) -> None:
    """Find an account's largest losses anew, and a bound on all others."""
    book_losses(book, a, pnl, room.loss)
    select_largest(room.loss, room.value, room.which)
    for c in range(len(room.value)):
        kept.loss[a, c], kept.scenario[a, c] = room.value[c], room.which[c]
    kept.bound[a] = -np.inf if len(room.value) == len(room.loss) else room.value[-1]


@njit(nogil=True, cache=True)
def _room_for(tail: Tail, kept: Kept) -> Scratch:
    k = kept.loss.shape[1]
    return Scratch(np.empty(tail.pnl.shape[1]), np.empty(k), np.empty(k, np.int32))


@njit(nogil=True, cache=True)
def fill_rows(book: Book, tail: Tail, kept: Kept, first: int, last: int) -> None:
    """Start the state of the accounts from `first` to `last`."""
    room = _room_for(tail, kept)
    for a in range(first, last):
        _rebook(a, book, tail.pnl, room, kept)
        kept.risk[a, 0], kept.risk[a, 1] = read_sorted(
            kept.loss[a], kept.scenario[a], tail.weight, tail.probability
        )


@njit(nogil=True, cache=True)
def _shift(kept: Array, scenario: NDArray[np.integer], units: float, rise: Array) -> None:
    for c in range(len(kept)):
        kept[c] += units * rise[scenario[c]]


@njit(nogil=True, cache=True)
def _lowest(kept: Array, count: int) -> float:
    # Four at a time: the processor need not wait for one comparison to begin the next.
    a = b = c = d = kept[0]
    whole = count - count % 4
    for i in range(0, whole, 4):
        a = kept[i] if kept[i] < a else a
        b = kept[i + 1] if kept[i + 1] < b else b
        c = kept[i + 2] if kept[i + 2] < c else c
        d = kept[i + 3] if kept[i + 3] < d else d
    for i in range(whole, count):
        a = kept[i] if kept[i] < a else a
    return float(min(min(a, b), min(c, d)))


@njit(nogil=True, cache=True)
def _in_order(kept: Array, count: int) -> bool:
    """Whether the first `count` losses are still the largest, in whatever order."""
    if count == len(kept):
        return True
    edge = _lowest(kept, count)
    above = 0
    for c in range(count, len(kept)):
        above += kept[c] > edge
    return above == 0


@njit(nogil=True, cache=True)
def _read_even(
    kept: Array, count: int, weight: float, tail_probability: float
) -> tuple[float, float]:
    """Do what :func:`read_sorted` does, for equal weights and a tail in any order."""
    lowest, total, other = _lowest(kept, count), 0.0, 0.0
    for c in range(0, count - 1, 2):
        total += kept[c]
        other += kept[c + 1]
    if count % 2:
        total += kept[count - 1]
    total += other
    spare = max(count * weight - tail_probability, 0.0)
    return lowest, (weight * total - spare * lowest) / (count * weight - spare)


@njit(nogil=True, cache=True)
def move_rows(book: Book, tail: Tail, kept: Kept, move: Move, first: int, last: int) -> None:
    """Update the holders from `first` to `last` of an instrument; `tail` is the one after the move.

    The kept losses move exactly, the bound on the others by the most that any scenario can. While
    the tail stays above the bound it is the tail of all scenarios; if not, the account is booked
    anew.
    """
    room = _room_for(tail, kept)
    highest, lowest = move.rise.max(), move.rise.min()
    even = tail.weight.min() == tail.weight.max()
    for h in range(first, last):
        a, units = move.holder[h], move.held[h]
        loss, scenario = kept.loss[a], kept.scenario[a]
        _shift(loss, scenario, units, move.rise)
        kept.bound[a] += units * highest if units > 0.0 else units * lowest
        if not even or not _in_order(loss, tail.most):
            sort_down(loss, scenario)
        if _lowest(loss, tail.most) < kept.bound[a]:
            _rebook(a, book, tail.pnl, room, kept)
            move.rebooked[h] = True
        if even:
            risk = _read_even(loss, tail.most, tail.weight[0], tail.probability)
        else:
            risk = read_sorted(loss, scenario, tail.weight, tail.probability)
        kept.risk[a, 0], kept.risk[a, 1] = risk
