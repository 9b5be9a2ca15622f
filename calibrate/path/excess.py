"""Whether a path obeys its limits, checked from the outside."""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .inputs import check_start, checked_beside
from .limits import Bound, MarginLimits, Precedence
from .rule import MarginPath


@dataclass(frozen=True, kw_only=True)
class LimitExcess:
    """By how much each limit is exceeded at worst, relative; 0 where it is obeyed everywhere.

    Attributes
    ----------
    floor, cap : float
        Of the initial margin.
    rise, fall : float
        Of the initial margin against the speed limits; a rise across an emergency is free.
    notice : float
        By which a margin rose above what had stood announced for long enough.
    threshold : float
        By which an announced change is smaller than the smallest; a rise that a limit cut is free.
    required : float
        By which margin is below the required level, where coverage goes first.
    maintenance : float
        By which the maintenance margin differs from what the initial margin allows.
    """

    floor: float
    cap: float
    rise: float
    fall: float
    notice: float
    threshold: float
    required: float
    maintenance: float

    @property
    def worst(self) -> float:
        """The largest of them."""
        return float(max(astuple(self)))


def limit_excess(
    path: MarginPath,
    *,
    limits: MarginLimits,
    required: ArrayLike | None = None,
    start: float | None = None,
) -> LimitExcess:
    """Measure how far a path is outside its limits.

    Shares no code with the rule, so that it can check it and every other path.

    Parameters
    ----------
    path : MarginPath
        What is checked.
    limits : MarginLimits
        What it should obey.
    required : array_like, shape (n,), optional
        As given to the rule.
    start : float, optional
        As given to the rule.
    """
    check_start(start, limits)
    needed = checked_beside("required", required, len(path.target), positive=False)
    margin = path.initial_margin
    obligation = np.minimum(np.maximum(needed, limits.floor), limits.cap)
    if limits.precedence is Precedence.LIMITS_FIRST:
        obligation = np.zeros(len(margin))
    rise, fall = _speed(path, limits, start)
    return LimitExcess(
        floor=_worst(limits.floor / margin),
        cap=_worst(margin / limits.cap),
        rise=rise,
        fall=fall,
        notice=_notice(path, limits, start),
        threshold=_threshold(path, limits, start),
        required=_worst(obligation / margin),
        maintenance=_maintenance(path, limits, start),
    )


def _worst(ratio: NDArray[np.float64]) -> float:
    return max(float(np.max(ratio, initial=0.0)) - 1.0, 0.0)


def _before(values: NDArray[np.float64], start: float | None, periods: int) -> NDArray[np.float64]:
    """Put `periods` periods of the level before the first one in front."""
    level = values[0] if start is None else start
    return np.concatenate([np.full(periods, level), values])


def _speed(path: MarginPath, limits: MarginLimits, start: float | None) -> tuple[float, float]:
    most = max((each.periods for each in limits.speed), default=0)
    margin = _before(path.initial_margin, start, most)
    emergencies = np.concatenate([np.zeros(most), path.binds(Bound.EMERGENCY)]).cumsum()
    rise, fall = 0.0, 0.0
    for each in limits.speed:
        for j in range(1, min(each.periods, len(margin) - 1) + 1):
            later, earlier = margin[j:], margin[:-j]
            calm = emergencies[j:] == emergencies[:-j]
            rise = max(rise, _worst((later / (earlier * (1.0 + each.rise)))[calm]))
            fall = max(fall, _worst(earlier * (1.0 - each.fall) / later))
    return rise, fall


def _notice(path: MarginPath, limits: MarginLimits, start: float | None) -> float:
    periods = limits.notice.periods
    margin = _before(path.initial_margin, start, 1)
    announced = _before(path.announced, start, periods)
    rose = (margin[1:] > margin[:-1]) & ~path.binds(Bound.EMERGENCY)
    last = 0 if limits.notice.falls else periods
    worst = 0.0
    for j in range(last + 1):
        stood = announced[j : j + len(rose)]
        worst = max(worst, _worst((path.initial_margin / stood)[rose]))
    return worst


def _threshold(path: MarginPath, limits: MarginLimits, start: float | None) -> float:
    level = _before(path.announced, start, 1)
    change = level[1:] / level[:-1] - 1.0
    cut = path.binds(Bound.RISE_PERIOD | Bound.RISE_WINDOW | Bound.EMERGENCY)
    free = (change == 0.0) | ((change > 0.0) & (cut | (level[1:] >= limits.cap)))
    return max(float(np.max(limits.threshold - np.abs(change[~free]), initial=0.0)), 0.0)


def _maintenance(path: MarginPath, limits: MarginLimits, start: float | None) -> float:
    wait, n = limits.maintenance.wait, len(path.target)
    margin = _before(path.initial_margin, start, wait)
    lowest = np.min([margin[j : j + n] for j in range(wait + 1)], axis=0)
    return float(np.max(np.abs(path.maintenance_margin / (limits.maintenance.ratio * lowest) - 1)))
