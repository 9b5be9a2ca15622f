r"""Calibrated probabilities: what a model said, against how often it then happened.

A map from forecast probability to frequency is learnt on the outcomes known at an origin, all
instruments together, and again every month. Three families, all of them increasing:

- Platt [1]_: :math:`\operatorname{logit} q = c + a \operatorname{logit} p`;
- beta [2]_: :math:`\operatorname{logit} q = c + a \ln p - b \ln(1 - p)`, with :math:`a, b \ge 0`;
- isotonic [3]_: the best increasing step function.

The first two are shrunk to the identity :math:`c = 0, a = b = 1`, which both contain.

References
----------
.. [1] Platt (1999), "Probabilistic Outputs for Support Vector Machines and Comparisons to
   Regularized Likelihood Methods", Advances in Large Margin Classifiers.
.. [2] Kull, Silva Filho and Flach (2017), "Beta Calibration: A Well-Founded and Easily Implemented
   Improvement on Logistic Calibration for Binary Classifiers", AISTATS, PMLR 54.
.. [3] Zadrozny and Elkan (2002), "Transforming Classifier Scores into Accurate Multiclass
   Probability Estimates", KDD.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

from ..errors import InputError, NotEnoughHistoryError, ShapeError
from ..features import History
from ..models import Forecast

Array = NDArray[np.float64]

FEWEST_EVENTS = 30.0
"""Events, and as many non-events, below which no map is learnt; those that overlap count once."""

_REFIT_DAYS = 28
_PRIOR = 10.0  # penalty on the squared distance of the coefficients from the identity
_BOUND = 1e-4  # nothing is taken to be surer than this, and nothing becomes so
_SUREST = float(logit(1.0 - _BOUND))
_SHARE = 0.5  # of the way to the map that is gone: the next months are not like the last years
_GRID = 400  # points at which the smooth maps are kept


class Calibration(StrEnum):
    """Family of maps from forecast probability to frequency."""

    BETA = "beta"
    """Logistic in the logs of the probability and of its complement."""
    PLATT = "platt"
    """Logistic in the log odds."""
    ISOTONIC = "isotonic"
    """Any increasing step function."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationMap:
    """An increasing map of probabilities, linear in log odds between its points.

    Attributes
    ----------
    log_odds : ndarray, shape (n_points,)
        Of forecast probabilities, increasing.
    calibrated_log_odds : ndarray, shape (n_points,)
        What they become, not decreasing.
    """

    log_odds: Array
    calibrated_log_odds: Array

    def apply(self, probability: Array) -> Array:
        """Return calibrated probabilities of any shape, each in (0, 1); NaN stays NaN."""
        inside = np.clip(probability, _BOUND, 1.0 - _BOUND)
        return np.asarray(expit(np.interp(logit(inside), self.log_odds, self.calibrated_log_odds)))


def fit_calibration(
    probability: Array,
    outcome: Array,
    *,
    horizon: int = 1,
    method: Calibration = Calibration.BETA,
) -> CalibrationMap:
    """Learn how often what was given a probability happened.

    Parameters
    ----------
    probability : ndarray, shape (n,)
        Forecasts, 0 to 1.
    outcome : ndarray, shape (n,)
        1.0 where it happened, else 0.0.
    horizon : int
        Periods that an outcome spans; outcomes of neighbouring origins overlap, so that each
        counts as ``1 / horizon`` observations.
    method : Calibration
        Family of maps.

    Raises
    ------
    ShapeError
        If both are not one-dimensional and equally long.
    InputError
        If a number is not finite or out of range.
    NotEnoughHistoryError
        If fewer than 30 events or 30 non-events are there, counted without overlap.
    """
    _check(probability, outcome, horizon=horizon)
    n_events, n_others = outcome.sum() / horizon, (1.0 - outcome).sum() / horizon
    if min(n_events, n_others) < FEWEST_EVENTS:
        raise NotEnoughHistoryError(
            f"calibration needs {FEWEST_EVENTS:.0f} events and as many non-events apart from each "
            f"other, found {n_events:.0f} and {n_others:.0f}; keep the probabilities as they are"
        )
    inside = np.clip(probability, _BOUND, 1.0 - _BOUND)
    if method is Calibration.ISOTONIC:
        return _isotonic(inside, outcome, horizon=horizon)
    coefficient = _fit_logistic(inside, outcome, terms=_TERMS[method], weight=1.0 / horizon)
    points = np.linspace(-_SUREST, _SUREST, _GRID)
    calibrated = _TERMS[method](expit(points)) @ coefficient
    return CalibrationMap(
        log_odds=points, calibrated_log_odds=np.clip(calibrated, -_SUREST, _SUREST)
    )


def with_calibrated_probabilities(
    forecast: Forecast,
    history: History,
    *,
    first_row: int,
    method: Calibration = Calibration.BETA,
    from_row: int | None = None,
) -> Forecast:
    """Calibrate both stress probabilities of a forecast, each origin on what was known at it.

    Maps are learnt from all earlier origins whose outcome was complete, by horizon, every 28
    days; while there are too few events the probabilities stay as they are. Log odds go half the
    way to where the map sends them: on validation that has the lower log loss.

    Parameters
    ----------
    forecast : Forecast
        Over consecutive panel rows.
    history : History
        The panel and the outcomes.
    first_row : int
        Panel row of the first origin.
    method : Calibration
        Family of maps.
    from_row : int, optional
        Panel row from which calibrated probabilities are needed; those of earlier months stay as
        they are. By default all are calibrated.

    Returns
    -------
    Forecast
        The same but for its probabilities; one that it has none of stays None. Regimes follow
        the probability of stress.
    """
    targets = history.targets
    needed = first_row if from_row is None else from_row
    walk = partial(
        _walk, history=history, first_row=first_row, method=method, needed=needed - first_row
    )
    liquidity = walk(forecast.liquidity_stress_probability, targets.liquidity_stress)
    stress = walk(forecast.stress_probability, targets.stress)
    calibrated = replace(forecast, liquidity_stress_probability=liquidity)
    return calibrated if stress is None else calibrated.with_stress(stress)


def _walk(
    probability: Array | None,
    outcomes: Array,
    *,
    history: History,
    first_row: int,
    method: Calibration,
    needed: int,
) -> Array | None:
    """Calibrate month by month from origin `needed` on, shape (n_origins, n_instruments, n_h)."""
    if probability is None:
        return None
    rows = slice(first_row, first_row + len(probability))
    known_from = _known_from(probability, outcomes[rows], history.targets.known_at[rows])
    learn = partial(
        _learnt, probability, outcomes[rows], known_from, horizons=history.horizons, method=method
    )
    out = probability.copy()
    for block in _months(history.panel.time[rows]):
        if block.stop <= needed:
            continue
        for k, learnt in enumerate(learn(before=first_row + block.start)):
            if learnt is not None:
                out[block, :, k] = moved_part_way(probability[block, :, k], learnt)
    return out


def maps_at(
    forecast: Forecast, history: History, *, first_row: int, row: int
) -> dict[str, tuple[CalibrationMap | None, ...]]:
    """Return the maps that :func:`with_calibrated_probabilities` uses at a panel row.

    Parameters
    ----------
    forecast : Forecast
        Over consecutive panel rows up to `row`, or up to the one before.
    history : History
        The panel up to `row` and the outcomes.
    first_row : int
        Panel row of the first origin.
    row : int
        At least `first_row`.

    Returns
    -------
    dict
        By the name of the probability, a map for each horizon; None while there are too few events.
        A probability that the forecast has none of is absent.
    """
    before = first_row + _months(history.panel.time[first_row : row + 1])[-1].start
    targets, out = history.targets, {}
    for name, outcomes in (
        ("stress_probability", targets.stress),
        ("liquidity_stress_probability", targets.liquidity_stress),
    ):
        said: Array | None = getattr(forecast, name)
        if said is None:
            continue
        probability = said[: row + 1 - first_row]
        rows = slice(first_row, first_row + len(probability))
        known_from = _known_from(probability, outcomes[rows], targets.known_at[rows])
        out[name] = _learnt(
            probability, outcomes[rows], known_from, before=before, horizons=history.horizons
        )
    return out


def _known_from(probability: Array, outcome: Array, known_at: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the panel row from which each origin can be learned from; where never, the largest."""
    usable = np.isfinite(probability) & np.isfinite(outcome)
    return np.where(usable, known_at, np.iinfo(known_at.dtype).max)


def _learnt(
    probability: Array,
    outcome: Array,
    known_from: NDArray[np.intp],
    *,
    before: int,
    horizons: Sequence[int],
    method: Calibration = Calibration.BETA,
) -> tuple[CalibrationMap | None, ...]:
    """Learn from the origins that are known at panel row `before`, by horizon."""
    maps: list[CalibrationMap | None] = []
    for k, horizon in enumerate(horizons):
        past = known_from[..., k] <= before
        try:
            learnt = fit_calibration(
                probability[past, k], outcome[past, k], horizon=horizon, method=method
            )
        except NotEnoughHistoryError:
            maps.append(None)
        else:
            maps.append(learnt)
    return tuple(maps)


def moved_part_way(probability: Array, learnt: CalibrationMap) -> Array:
    """Return the mean log odds of what was said and of what the map makes of it, as probability."""
    inside = np.clip(probability, _BOUND, 1.0 - _BOUND)
    moved = logit(learnt.apply(probability)) - logit(inside)
    return np.asarray(expit(logit(inside) + _SHARE * moved))


def _months(time: NDArray[np.datetime64]) -> list[slice]:
    """Split origins into blocks of 28 days, counted from the first."""
    month = (time - time[0]) // np.timedelta64(_REFIT_DAYS, "D")
    starts = np.flatnonzero(np.diff(month, prepend=-1))
    return [slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(time)], strict=True)]


def _check(probability: Array, outcome: Array, *, horizon: int) -> None:
    if probability.shape != outcome.shape or probability.ndim != 1:
        raise ShapeError(
            "probability and outcome must be one-dimensional and equally long, were "
            f"{probability.shape} and {outcome.shape}"
        )
    if horizon < 1:
        raise InputError(f"horizon must be at least 1, was {horizon}")
    if not ((probability >= 0.0) & (probability <= 1.0)).all():
        raise InputError("probability must be in [0, 1] everywhere; leave out what is not known")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise InputError("outcome must be 0.0 or 1.0 everywhere; leave out what is not known")


def _platt_terms(p: Array) -> Array:
    return np.column_stack([np.ones(len(p)), logit(p)])


def _beta_terms(p: Array) -> Array:
    return np.column_stack([np.ones(len(p)), np.log(p), -np.log1p(-p)])


_TERMS = {Calibration.PLATT: _platt_terms, Calibration.BETA: _beta_terms}


def _fit_logistic(
    probability: Array, outcome: Array, *, terms: Callable[[Array], Array], weight: float
) -> Array:
    """Minimise log loss near the identity, with slopes that are not negative."""
    # Forecasts that are nearly the same are put together: hundreds of rows instead of thousands.
    log_odds = logit(probability)
    cell = np.rint((log_odds + _SUREST) / (2.0 * _SUREST) * (_GRID - 1)).astype(np.intp)
    count = np.bincount(cell)
    used = count > 0
    centre = np.bincount(cell, weights=log_odds)[used] / count[used]
    x, n, events = terms(expit(centre)), count[used], np.bincount(cell, weights=outcome)[used]
    identity = np.array([0.0, *np.ones(x.shape[1] - 1)])

    def objective(coefficient: Array) -> tuple[float, Array]:
        score, away = x @ coefficient, coefficient - identity
        loss = weight * (n * np.logaddexp(0.0, score) - events * score).sum()
        slope = weight * (x.T @ (n * expit(score) - events)) + _PRIOR * away
        return float(loss + 0.5 * _PRIOR * (away @ away)), slope

    bounds = [(None, None), *[(0.0, None)] * (len(identity) - 1)]
    found = minimize(objective, identity, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x)


def _isotonic(probability: Array, outcome: Array, *, horizon: int) -> CalibrationMap:
    order = np.argsort(probability, kind="stable")
    # Ties must get one frequency: they are merged before they are ordered.
    points, place = np.unique(probability[order], return_inverse=True)
    count = np.bincount(place).astype(np.float64)
    share = np.bincount(place, weights=outcome[order]) / count
    frequency = isotonic_regression(share, weights=count).x
    least = 1.0 / (len(probability) / horizon + 2.0)  # an event that never was may still come
    inside = np.clip(frequency, least, 1.0 - least)
    return CalibrationMap(log_odds=logit(points), calibrated_log_odds=logit(inside))
