"""Compiled passes over accounts: book, select the tail, read it.

One file, since numba compares a function kept on disk with the file of that function alone. An
account is a slice of flat arrays; its scenario losses live in one row that stays in the cache, so
nothing of size accounts x scenarios is ever written. All numbers are double precision: hedged
books cancel, and what is left must not be rounding.

The kernels expect finite numbers and consistent shapes; their callers check both.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int32]

_BLOCK = 16
_MOST_SMALL = np.iinfo(np.uint16).max
_LINE = 8  # doubles that memory is read by
_AHEAD = 4  # rows; what is fetched now is there when its turn comes
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

    A row of `state` is one run of memory: `width` losses, a bound that is not below any loss that
    is not kept, and then the scenarios of the losses, which `scenario`, a view of the same bytes,
    reads from its column `first` on. The first losses are the tail, in any order if all weights
    are equal. `risk` holds value at risk and expected shortfall.
    """

    state: Array
    scenario: NDArray[np.unsignedinteger]
    width: int
    first: int
    risk: Array


def keep_rows(n_accounts: int, width: int, *, n_scenarios: int) -> Kept:
    """Return room for the `width` worst scenarios of every account."""
    small = np.uint16 if n_scenarios <= _MOST_SMALL else np.uint32
    name = np.dtype(small).itemsize
    state = np.empty((n_accounts, width + 1 - (-width * name // 8)))
    return Kept(state, state.view(small), width, 8 * (width + 1) // name, np.empty((n_accounts, 2)))


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


@intrinsic
def _fetch(typing_context, array, row, column):  # type: ignore[no-untyped-def]
    """Ask for the line of memory of an element that is written soon; changes no number."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = signature.args[0]
        held = arrayobj.make_array(kind)(context, builder, arguments[0])  # type: ignore[no-untyped-call]
        place = cgutils.get_item_pointer(  # type: ignore[no-untyped-call]
            context, builder, kind, held, arguments[1:]
        )
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        call = builder.module.declare_intrinsic("llvm.prefetch", [byte], form)
        # For writing, to be kept in every cache, data.
        builder.call(call, [builder.bitcast(place, byte), number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, row, column), generate


@njit(nogil=True, cache=True)
def _rebook(a: int, book: Book, pnl: Array, room: Scratch, kept: Kept) -> None:
    """Find an account's largest losses anew, and a bound on all others."""
    book_losses(book, a, pnl, room.loss)
    select_largest(room.loss, room.value, room.which)
    for c in range(kept.width):
        kept.state[a, c], kept.scenario[a, kept.first + c] = room.value[c], room.which[c]
    kept.state[a, kept.width] = -np.inf if kept.width == len(room.loss) else room.value[-1]


@njit(nogil=True, cache=True)
def _room_for(tail: Tail, kept: Kept) -> Scratch:
    k = kept.width
    return Scratch(np.empty(tail.pnl.shape[1]), np.empty(k), np.empty(k, np.int32))


@njit(nogil=True, cache=True)
def _read_row(a: int, tail: Tail, kept: Kept) -> tuple[float, float]:
    scenario = kept.scenario[a, kept.first : kept.first + kept.width]
    return read_sorted(kept.state[a, : kept.width], scenario, tail.weight, tail.probability)


@njit(nogil=True, cache=True)
def fill_rows(book: Book, tail: Tail, kept: Kept, first: int, last: int) -> None:
    """Start the state of the accounts from `first` to `last`."""
    room = _room_for(tail, kept)
    for a in range(first, last):
        _rebook(a, book, tail.pnl, room, kept)
        kept.risk[a, 0], kept.risk[a, 1] = _read_row(a, tail, kept)


@njit(nogil=True, cache=True)
def _shift_rows(tail: Tail, kept: Kept, move: Move, first: int, last: int) -> None:
    """Move rows and read them as if the tail had not changed; mark those in which it may have.

    One loop without calls: it is the time of a move. Losses go two at a time, so that the processor
    need not wait for one sum or comparison to begin the next.
    """
    state, scenario, at, width, risk = kept.state, kept.scenario, kept.first, kept.width, kept.risk
    holder, held, rise, marked, most = move.holder, move.held, move.rise, move.rebooked, tail.most
    highest, lowest = rise.max(), rise.min()
    weight, filled = tail.weight[0], most * tail.weight[0]
    spare = max(filled - tail.probability, 0.0)
    for h in range(first, last):
        if h + _AHEAD < last:
            for c in range(0, state.shape[1], _LINE):
                _fetch(state, np.int64(holder[h + _AHEAD]), np.int64(c))  # type: ignore[call-arg]
        a, units = holder[h], held[h]
        low, under, high, over, total, other = np.inf, np.inf, -np.inf, -np.inf, 0.0, 0.0
        for c in range(0, most - 1, 2):
            x = state[a, c] + units * rise[scenario[a, at + c]]
            y = state[a, c + 1] + units * rise[scenario[a, at + c + 1]]
            state[a, c], state[a, c + 1] = x, y
            total, other = total + x, other + y
            low, under = x if x < low else low, y if y < under else under
        if most % 2:
            x = state[a, most - 1] + units * rise[scenario[a, at + most - 1]]
            state[a, most - 1] = x
            total, low = total + x, x if x < low else low
        for c in range(most, width - 1, 2):
            x = state[a, c] + units * rise[scenario[a, at + c]]
            y = state[a, c + 1] + units * rise[scenario[a, at + c + 1]]
            state[a, c], state[a, c + 1] = x, y
            high, over = x if x > high else high, y if y > over else over
        if (width - most) % 2:
            x = state[a, width - 1] + units * rise[scenario[a, at + width - 1]]
            state[a, width - 1] = x
            high = x if x > high else high
        bound = state[a, width] + units * (highest if units > 0.0 else lowest)
        state[a, width] = bound
        edge = min(low, under)
        marked[h] = max(bound, max(high, over)) > edge
        risk[a, 0] = edge
        risk[a, 1] = (weight * (total + other) - spare * edge) / (filled - spare)


@njit(nogil=True, cache=True)
def move_rows(book: Book, tail: Tail, kept: Kept, move: Move, first: int, last: int) -> None:
    """Update the holders from `first` to `last` of an instrument; `tail` is the one after the move.

    The kept losses move exactly, the bound on the others by the most that any scenario can. While
    the tail stays above the bound it is the tail of all scenarios; if not, the account is booked
    anew.
    """
    _shift_rows(tail, kept, move, first, last)
    room = _room_for(tail, kept)
    even = tail.weight.min() == tail.weight.max()
    for h in range(first, last):
        if even and not move.rebooked[h]:
            continue
        a = move.holder[h]
        state = kept.state[a, : kept.width]
        sort_down(state, kept.scenario[a, kept.first : kept.first + kept.width])
        move.rebooked[h] = state[tail.most - 1] < kept.state[a, kept.width]
        if move.rebooked[h]:
            _rebook(a, book, tail.pnl, room, kept)
        kept.risk[a, 0], kept.risk[a, 1] = _read_row(a, tail, kept)
