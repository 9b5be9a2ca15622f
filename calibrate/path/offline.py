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
    n = len(values)
    unit = float(np.median(values))  # the solver's tolerances are absolute
    floor = np.maximum(limits.floor, checked_beside("required", required, n, positive=False))
    bounds = np.concatenate(
        [
            np.column_stack([floor, np.full(n, limits.cap)]) / unit,
            np.column_stack([np.zeros(n), np.full(n, np.inf)]),
        ]
    )
    if start is not None:
        bounds[:n] = _after_start(bounds[:n], limits, start / unit)
    if np.any(bounds[:, 0] > bounds[:, 1]):
        raise InputError("no path obeys everything: a required level cannot be reached from start")
    moves = _moves(n, limits)
    short = sparse.hstack([-sparse.eye_array(n), -sparse.eye_array(n)])
    answer = optimize.linprog(
        np.concatenate([np.ones(n), np.full(n, penalty)]) / n,
        A_ub=sparse.vstack([moves, short]).tocsr(),
        b_ub=np.concatenate([np.zeros(moves.shape[0]), -values / unit]),
        bounds=bounds,
        method="highs",
    )
    if answer.status == 2:
        raise InputError("no path obeys everything: a required level is out of reach")
    if not answer.success:
        raise ConvergenceError(f"the offline optimum was not found: {answer.message}")
    margin = np.asarray(answer.x[:n], dtype=np.float64) * unit
    shortfall = np.maximum(values - margin, 0.0)
    return OfflinePath(
        margin=margin, shortfall=shortfall, cost=float(np.mean(margin + penalty * shortfall))
    )


def _moves(n: int, limits: MarginLimits) -> sparse.csr_array:
    """Rows ``coefficients @ (margin, shortfall) <= 0`` of the speed limits."""
    blocks = [sparse.csr_array((0, 2 * n))]
    for each in limits.speed:
        for j in range(1, min(each.periods, n - 1) + 1):
            later = sparse.eye_array(n - j, n, k=j)
            earlier = sparse.eye_array(n - j, n)
            nothing = sparse.csr_array((n - j, n))
            if each.rise < np.inf:
                blocks.append(sparse.hstack([later - (1.0 + each.rise) * earlier, nothing]))
            if each.fall < 1.0:
                blocks.append(sparse.hstack([(1.0 - each.fall) * earlier - later, nothing]))
    return sparse.csr_array(sparse.vstack(blocks))


def _after_start(
    bounds: NDArray[np.float64], limits: MarginLimits, start: float
) -> NDArray[np.float64]:
    """Tighten the first bounds by what a level long in force allows."""
    out, n = bounds.copy(), len(bounds)
    for each in limits.speed:
        first = slice(0, min(each.periods, n))
        out[first, 0] = np.maximum(out[first, 0], (1.0 - each.fall) * start)
        out[first, 1] = np.minimum(out[first, 1], (1.0 + each.rise) * start)
    wait = slice(0, min(limits.notice.periods, n))
    out[wait, 1] = np.minimum(out[wait, 1], start)
    if limits.notice.falls:
        out[wait, 0] = np.maximum(out[wait, 0], start)
    return out
