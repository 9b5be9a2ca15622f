"""The scores of one family of columns: all models on rows that they share, arrays in, arrays out.

Every function takes what :meth:`SideBySide.comparable` returns, or some of its rows, and gives one
number per model; NaN where there are no rows.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..models import TAIL_PROBABILITIES
from .comparison import diebold_mariano, model_confidence_set, newey_west_t
from .discrimination import (
    brier_loss,
    brier_skill_score,
    expected_calibration_error,
    log_loss,
    pr_auc,
    roc_auc,
)
from .losses import fz0_loss, qlike_loss
from .side_by_side import Family, SideBySide

REFERENCE_MODEL = "log-har"
"""The model that all others are measured against, where it takes part."""

CONFIDENCE_SET_SIZE = 0.1
"""Probability that the model confidence set misses a best model: a 90 % set."""

_PERCENT = 100.0  # FZ0 is quoted for percent returns; its level moves with the unit
_MIN_ORIGINS = 30  # fewer do not carry a test
_MOST_RUNS = 1_000  # origins beyond it are averaged in runs before a bootstrap

Scores = dict[str, NDArray[np.float64]]


def qlike_per_row(rows: SideBySide) -> NDArray[np.float64]:
    """QLIKE of every model and row, shape (n_models, n_rows)."""
    variance = rows.forecast["variance"]
    realized = np.broadcast_to(rows.outcome["realized_variance"], variance.shape)
    return qlike_loss(realized, variance)


def fz0_per_row(rows: SideBySide, *, tail_probability: float) -> NDArray[np.float64]:
    """FZ0 of percent returns, mean of both sides, shape (n_models, n_rows)."""
    log_return = rows.outcome["log_return"]
    total = np.zeros((len(rows.models), len(log_return)))
    for side, loss in (("lower", -log_return), ("upper", log_return)):
        value_at_risk = rows.forecast[f"var_{side}_{tail_probability:g}"]
        total += 0.5 * fz0_loss(
            np.broadcast_to(_PERCENT * loss, value_at_risk.shape),
            _PERCENT * value_at_risk,
            _PERCENT * rows.forecast[f"es_{side}_{tail_probability:g}"],
            tail_probability=tail_probability,
        )
    return total


def variance_scores(rows: SideBySide) -> Scores:
    """Return QLIKE with its comparisons, the squared error as a ratio, and the bias."""
    variance, realized = rows.forecast["variance"], rows.outcome["realized_variance"]
    qlike = qlike_per_row(rows)
    squared = mean_of_rows((realized - variance) ** 2)
    base = _of(REFERENCE_MODEL, rows, squared)
    return {
        "qlike_loss": mean_of_rows(qlike),
        "mse_ratio": squared / base,
        "bias": mean_of_rows(realized / variance),
        **compare(rows, qlike),
    }


def tail_scores(rows: SideBySide) -> Scores:
    """Return FZ0 and hit rates at every tail probability; comparisons of the first."""
    log_return = rows.outcome["log_return"]
    scores: Scores = {}
    for tail in TAIL_PROBABILITIES:
        end = "" if tail == TAIL_PROBABILITIES[0] else f"_{tail:g}"
        fz0 = fz0_per_row(rows, tail_probability=tail)
        scores[f"fz0_loss{end}"] = mean_of_rows(fz0)
        scores[f"hits_lower{end}"] = mean_of_rows(
            -log_return > rows.forecast[f"var_lower_{tail:g}"]
        )
        scores[f"hits_upper{end}"] = mean_of_rows(log_return > rows.forecast[f"var_upper_{tail:g}"])
        if not end:
            scores |= {f"fz0_{name}": values for name, values in compare(rows, fz0).items()}
    return scores


def event_scores(rows: SideBySide, family: Family) -> Scores:
    """Return how good the probabilities of stress, or of liquidity stress, are.

    All rows first; then, as ``onset_*``, those in which it was not already under way. Names of
    liquidity stress begin with ``liquidity_``, counts with ``n_``.
    """
    event, now = rows.outcome[family], rows.outcome[f"{family}_now"]
    probability = rows.forecast[f"{family}_probability"]
    calm = now == 0.0
    seen = np.isfinite(now)
    prefix = "" if family is Family.STRESS else "liquidity_"
    scores = {
        "stress_rate": np.full(len(probability), event.mean() if len(event) else np.nan),
        **each_model(
            event,
            probability,
            brier_loss=lambda y, p: brier_loss(y, p).mean(),
            brier_skill_score=brier_skill_score,
            log_loss=lambda y, p: log_loss(y, p).mean(),
            pr_auc=pr_auc,
            roc_auc=roc_auc,
            calibration_error=expected_calibration_error,
        ),
        **each_model(
            event[seen],
            probability[:, seen],
            persistence_skill_score=lambda y, p: brier_skill_score(y, p, reference=now[seen]),
        ),
        **each_model(
            event[calm],
            probability[:, calm],
            onset_rate=lambda y, p: y.mean(),
            onset_brier_loss=lambda y, p: brier_loss(y, p).mean(),
            onset_pr_auc=pr_auc,
            onset_roc_auc=roc_auc,
        ),
    }
    n_onset = np.full(len(probability), float(calm.sum()))
    return {f"n_{prefix}onset": n_onset} | {prefix + name: s for name, s in scores.items()}


def compare(rows: SideBySide, losses: NDArray[np.float64]) -> Scores:
    """Compare mean losses: with the best other model, with the reference, and all with the best.

    Losses are averaged over instruments per origin first.

    Parameters
    ----------
    rows : SideBySide
        What was scored.
    losses : ndarray, shape (n_models, n_rows)
        Lower is better.
    """
    reference = np.full(losses.shape[1], np.nan)
    if REFERENCE_MODEL in rows.models:
        reference = losses[rows.models.index(REFERENCE_MODEL)]
    with_reference = compare_with(rows, losses, reference, name="log_har")
    for values in with_reference.values():
        values[[model == REFERENCE_MODEL for model in rows.models]] = np.nan
    among = compare_models(rows, losses)
    last = among.pop("confidence_set_p_value")
    return {**among, **with_reference, "confidence_set_p_value": last}


def compare_models(rows: SideBySide, losses: NDArray[np.float64]) -> Scores:
    """Compare mean losses with that of the best other model, and all with the best.

    Parameters
    ----------
    rows, losses
        As for :func:`compare`.
    """
    per_origin = rows.per_origin(losses)
    n_origins, n_models = per_origin.shape
    names = ("dm_t", "dm_p_value", "confidence_set_p_value")
    out: Scores = {name: np.full(n_models, np.nan) for name in names}
    if n_origins < fewest_origins(rows.horizon):
        return out
    order = np.argsort(losses.mean(axis=1), kind="stable")
    for m in range(n_models if n_models > 1 else 0):
        other = order[1] if m == order[0] else order[0]
        out["dm_t"][m], out["dm_p_value"][m] = _test(per_origin, m, other, rows.horizon)
    out["confidence_set_p_value"] = _confidence_set(per_origin, rows.horizon)
    return out


def compare_with(
    rows: SideBySide, losses: NDArray[np.float64], reference: NDArray[np.float64], *, name: str
) -> Scores:
    """Compare mean losses with that of a reference, on the rows on which it has one.

    Parameters
    ----------
    rows, losses
        As for :func:`compare`.
    reference : ndarray, shape (n_rows,)
        Loss of the reference, NaN where it says nothing.
    name : str
        Of the reference: the scores are ``dm_t_<name>`` and ``dm_p_value_<name>``.
    """
    seen = np.isfinite(reference)
    joined = np.vstack([losses[:, seen], reference[None, seen]])
    per_origin = rows.at(seen).per_origin(joined)
    n_models = len(losses)
    t, p_value = np.full(n_models, np.nan), np.full(n_models, np.nan)
    if len(per_origin) >= fewest_origins(rows.horizon):
        for m in range(n_models):
            t[m], p_value[m] = _test(per_origin, m, n_models, rows.horizon)
    return {f"dm_t_{name}": t, f"dm_p_value_{name}": p_value}


def each_model(
    event: NDArray[np.float64],
    probability: NDArray[np.float64],
    **measures: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
) -> Scores:
    """Return one number per model and measure; NaN without rows.

    Parameters
    ----------
    event : ndarray, shape (n_rows,)
        What came.
    probability : ndarray, shape (n_models, n_rows, ...)
        What every model said.
    **measures : callable
        By the name of the score; each takes what came and what one model said.
    """
    if not len(event):
        return {name: np.full(len(probability), np.nan) for name in measures}
    return {
        name: np.array([measure(event, one) for one in probability], dtype=np.float64)
        for name, measure in measures.items()
    }


def mean_of_rows(values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of every model, NaN without rows; `values` has shape (n_models, n_rows)."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    return np.asarray(values.mean(axis=1), dtype=np.float64)


def in_runs(losses: NDArray[np.float64], *, block: int) -> tuple[NDArray[np.float64], int]:
    """Average long series in short runs, and measure the block in runs.

    Resampling blocks of runs that are shorter than the block says the same, and takes a fraction
    of the time.

    Parameters
    ----------
    losses : ndarray, shape (n_origins, n_models)
        One row per origin.
    block : int
        Mean block length, origins.
    """
    run = max(1, min(block // 2, -(-len(losses) // _MOST_RUNS)))
    n = len(losses) // run * run  # a last run that is shorter would count too much
    return losses[:n].reshape(-1, run, losses.shape[1]).mean(axis=1), max(1, block // run)


def block_length(horizon: int) -> int:
    """Mean block of a bootstrap over origins: outcomes of nearby origins overlap."""
    return max(20, 2 * horizon)


def fewest_origins(horizon: int) -> int:
    """Return how many origins carry a test of outcomes over `horizon` periods, at least."""
    return max(_MIN_ORIGINS, 3 * horizon)


def _test(per_origin: NDArray[np.float64], a: int, b: int, horizon: int) -> tuple[float, float]:
    first, second = per_origin[:, a], per_origin[:, b]
    test = diebold_mariano(first, second, horizon=horizon)
    return newey_west_t(first - second, lags=horizon), test.p_value


def _confidence_set(per_origin: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    if per_origin.shape[1] < 2:
        return np.ones(per_origin.shape[1])
    losses, block = in_runs(per_origin, block=block_length(horizon))
    found = model_confidence_set(losses, size=CONFIDENCE_SET_SIZE, block_length=block)
    return found.p_values.copy()


def _of(model: str, rows: SideBySide, values: NDArray[np.float64]) -> float:
    return float(values[rows.models.index(model)]) if model in rows.models else np.nan
