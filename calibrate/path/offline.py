"""The cheapest path when the whole target is known: the yardstick of the online rule."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse

from ...errors import ConvergenceError, InputError
from .inputs import check_start, checked_beside, checked_target
from .limits import MarginLimits


@dataclass(frozen=True, kw_only=True, eq=False)
class OfflinePath:
    """The optimum; read-only arrays of shape (n,), unit of the target.

    Attributes
    ----------
    margin : ndarray
        The cheapest margin.
    shortfall : ndarray
        How far it is below the target, not negative.
    cost : float
        Mean margin plus penalty times mean shortfall, unit of the target.
    """

    margin: NDArray[np.float64]
    shortfall: NDArray[np.float64]
    cost: float

    def __post_init__(self) -> None:
        self.margin.setflags(write=False)
        self.shortfall.setflags(write=False)


def path_cost(margin: ArrayLike, target: ArrayLike, *, penalty: float = 100.0) -> float:
    """Return mean margin plus penalty times mean shortfall, in the unit of the target."""
    goal, levels = checked_target(target), checked_target(margin)
    return float(np.mean(levels + penalty * np.maximum(goal - levels, 0.0)))


def offline_path(
    target: ArrayLike,
    *,
    limits: MarginLimits,
    required: ArrayLike | None = None,
    start: float | None = None,
    penalty: float = 100.0,
) -> OfflinePath:
    r"""Minimise mean margin plus penalty times mean shortfall under floor, cap and speed limits.

    A linear programme over margins :math:`M_t` and shortfalls :math:`z_t`:

    .. math::

        \min \frac1n \sum_t M_t + \lambda z_t, \quad z_t \ge T_t - M_t,\ z_t \ge 0,\
        (1-d) M_{t-j} \le M_t \le (1+u) M_{t-j},\ \text{floor} \le M_t \le \text{cap}.

    Whoever knows the whole target can announce everything in time, so a notice matters only
    after `start`: no rise before it has passed. The threshold is not convex and is left out, as
    are the lifts; a path that obeys them cannot be cheaper than this.

    Parameters
    ----------
    target : array_like, shape (n,)
        Positive.
    limits : MarginLimits
        Floor, cap, speed and notice are read.
    required : array_like, shape (n,), optional
        Level that the margin must not be below, within the cap; it must be reachable.
    start : float, optional
        Margin in force before the first period; free if left out.
    penalty : float
        :math:`\lambda > 0`; 100 weighs a shortfall as the quantile loss of a 1 % tail does.

    Raises
    ------
    InputError
        If no path obeys everything, or a number is out of range.
    ConvergenceError
        If the solver stops without an answer.
    """
    values = checked_target(target)
    check_start(start, limits)
    if not 0.0 < penalty < np.inf:
        raise InputError(f"penalty must be positive and finite, was {penalty}")
    unit = float(np.median(values))  # the solver's tolerances are absolute
    goal = values / unit
    floor = checked_beside("required", required, len(values), positive=False) / unit
    lowest = np.maximum(limits.floor / unit, floor)
    highest = np.full(len(values), limits.cap / unit)
    if start is not None:
        _after_start(lowest, highest, limits, start / unit)
    if np.any(lowest > highest):
        raise InputError("no path obeys everything: a required level cannot be reached from start")
    margin = _solve(goal, _moves(len(values), limits), (lowest, highest), penalty) * unit
    shortfall = np.maximum(values - margin, 0.0)
    return OfflinePath(
        margin=margin, shortfall=shortfall, cost=float(np.mean(margin + penalty * shortfall))
    )


def _solve(
    goal: NDArray[np.float64],
    moves: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    span: tuple[NDArray[np.float64], NDArray[np.float64]],
    penalty: float,
) -> NDArray[np.float64]:
    """Solve for margins, shape (n,); the variables are they and then the shortfalls."""
    n = len(goal)
    later, earlier, factor = moves
    first = np.arange(len(later))
    short = len(later) + np.arange(n)
    rows = np.concatenate([first, first, short, short])
    columns = np.concatenate([later, earlier, np.arange(2 * n)])
    values = np.concatenate([np.ones(len(later)), -factor, -np.ones(2 * n)])
    matrix = sparse.csr_array((values, (rows, columns)), shape=(len(later) + n, 2 * n))
    lowest = np.concatenate([span[0], np.zeros(n)])
    highest = np.concatenate([span[1], np.full(n, np.inf)])
    # The published types of linprog do not know the sparse matrices that it takes.
    answer = optimize.linprog(  # type: ignore[call-overload]
        np.concatenate([np.ones(n), np.full(n, penalty)]) / n,
        A_ub=matrix,
        b_ub=np.concatenate([np.zeros(len(later)), -goal]),
        bounds=list(zip(lowest.tolist(), highest.tolist(), strict=True)),
        method="highs",
    )
    if answer.status == 2:
        raise InputError("no path obeys everything: a required level is out of reach")
    if not answer.success:
        raise ConvergenceError(f"the offline optimum was not found: {answer.message}")
    return np.asarray(answer.x[:n], dtype=np.float64)


def _moves(
    n: int, limits: MarginLimits
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Speed limits as ``x[first] <= factor * x[second]``.

    A fall limit is a rise limit with time turned round.
    """
    first, second, factor = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for each in limits.speed:
        for j in range(1, min(each.periods, n - 1) + 1):
            before, after = np.arange(n - j), np.arange(j, n)
            if each.rise < np.inf:
                first.append(after)
                second.append(before)
                factor.append(np.full(n - j, 1.0 + each.rise))
            if each.fall < 1.0:
                first.append(before)
                second.append(after)
                factor.append(np.full(n - j, 1.0 / (1.0 - each.fall)))
    return np.concatenate(first), np.concatenate(second), np.concatenate(factor)


def _after_start(
    lowest: NDArray[np.float64], highest: NDArray[np.float64], limits: MarginLimits, start: float
) -> None:
    """Tighten the first bounds, in place, by what a level long in force allows."""
    for each in limits.speed:
        first = slice(0, each.periods)
        lowest[first] = np.maximum(lowest[first], (1.0 - each.fall) * start)
        highest[first] = np.minimum(highest[first], (1.0 + each.rise) * start)
    wait = slice(0, limits.notice.periods)
    highest[wait] = np.minimum(highest[wait], start)
    if limits.notice.falls:
        lowest[wait] = np.maximum(lowest[wait], start)
