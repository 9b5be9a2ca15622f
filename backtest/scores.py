"""Forecast skill from the table of forecasts alone, all models on the same rows."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from .comparison import diebold_mariano, newey_west_t
from .losses import fz0_loss, qlike_loss

_PERCENT = 100.0  # FZ0 is quoted for percent returns; its level moves with the unit


def score_forecasts(forecasts: pd.DataFrame, *, test_from: pd.Timestamp) -> pd.DataFrame:
    """Score every model and horizon on the rows that all models share.

    A row counts if its outcome is known and positive and every model of that horizon has a
    variance for it; QLIKE of a realised variance of zero does not exist.

    Parameters
    ----------
    forecasts : pandas.DataFrame
        Columns of ``forecasts.parquet``.
    test_from : pandas.Timestamp
        First origin that is scored, UTC.

    Returns
    -------
    pandas.DataFrame
        One row per horizon and model, best QLIKE first: ``n`` rows; ``qlike_loss``;
        ``mse_ratio`` to ``log-har``; ``bias``, mean of realised over forecast variance; hit rates
        of the 1 % value at risk, ``hits_lower`` and ``hits_upper``; ``fz0_loss`` of the 1 % tails
        (percent returns, both sides averaged); ``brier_loss`` of the stress probability and
        ``brier_skill_score`` against the base rate; ``dm_t``, the statistic of QLIKE against the
        best other model (Newey-West over origins), and ``dm_p_value`` (Diebold-Mariano, HLN).

    Raises
    ------
    InputError
        If no row can be scored.
    """
    rows = forecasts[
        (forecasts.origin >= test_from)
        & (forecasts.realized_variance > 0.0)
        & np.isfinite(forecasts.variance)
    ]
    n_models = rows.groupby("horizon").model.transform("nunique")
    shared = rows.groupby(["instrument", "origin", "horizon"]).model.transform("nunique")
    rows = rows[shared == n_models]
    if rows.empty:
        raise InputError(
            f"no row from {test_from} on has a known outcome and a forecast of every model; give "
            "the models more history or move the test period"
        )
    rows = rows.assign(
        qlike_loss=qlike_loss(rows.realized_variance.to_numpy(), rows.variance.to_numpy())
    )
    tables = [_score_horizon(part, int(str(h))) for h, part in rows.groupby("horizon")]
    return pd.concat(tables, ignore_index=True)


def _score_horizon(rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    wide = rows.pivot_table(
        index=["origin", "instrument"], columns="model", values="qlike_loss", observed=True
    )
    per_origin = wide.groupby(level="origin").mean()
    order = [str(name) for name in wide.mean().sort_values().index]
    scored = []
    for model in order:
        other = next((name for name in order if name != model), None)
        scored.append(
            {
                "horizon": horizon,
                "model": model,
                **_score_model(rows[rows.model == model]),
                **_compare(per_origin, model, other, horizon=horizon),
            }
        )
    table = pd.DataFrame(scored)
    base = table.loc[table.model == "log-har", "mse"]
    table.insert(4, "mse_ratio", table.mse / base.iloc[0] if len(base) else np.nan)
    return table.drop(columns="mse")


def _score_model(rows: pd.DataFrame) -> dict[str, float]:
    log_return = rows.log_return.to_numpy()
    lower, upper = rows["var_lower_0.01"].to_numpy(), rows["var_upper_0.01"].to_numpy()
    realized, variance = rows.realized_variance.to_numpy(), rows.variance.to_numpy()
    return {
        "n": len(rows),
        "qlike_loss": float(rows.qlike_loss.mean()),
        "mse": float(np.mean((realized - variance) ** 2)),
        "bias": float(np.mean(realized / variance)),
        "hits_lower": _rate(-log_return > lower, np.isfinite(lower)),
        "hits_upper": _rate(log_return > upper, np.isfinite(upper)),
        "fz0_loss": 0.5 * (_fz0(rows, "lower", -log_return) + _fz0(rows, "upper", log_return)),
        **_brier(rows),
    }


def _rate(hit: NDArray[np.bool_], known: NDArray[np.bool_]) -> float:
    return float(hit[known].mean()) if known.any() else float("nan")


def _fz0(rows: pd.DataFrame, side: str, loss: NDArray[np.float64]) -> float:
    value_at_risk = rows[f"var_{side}_0.01"].to_numpy()
    expected_shortfall = rows[f"es_{side}_0.01"].to_numpy()
    known = (value_at_risk > 0.0) & np.isfinite(expected_shortfall)
    if not known.any():
        return float("nan")
    return float(
        fz0_loss(
            _PERCENT * loss[known],
            _PERCENT * value_at_risk[known],
            _PERCENT * expected_shortfall[known],
            tail_probability=0.01,
        ).mean()
    )


def _brier(rows: pd.DataFrame) -> dict[str, float]:
    known = rows[np.isfinite(rows.stress_probability) & np.isfinite(rows.stress)]
    if known.empty:
        return {"brier_loss": np.nan, "brier_skill_score": np.nan}
    brier = float(((known.stress_probability - known.stress) ** 2).mean())
    base = float(known.stress.var(ddof=0))
    return {
        "brier_loss": brier,
        "brier_skill_score": 1.0 - brier / base if base > 0.0 else np.nan,
    }


def _compare(
    per_origin: pd.DataFrame, model: str, other: str | None, *, horizon: int
) -> dict[str, float]:
    if other is None:
        return {"dm_t": np.nan, "dm_p_value": np.nan}
    a, b = per_origin[model].to_numpy(), per_origin[other].to_numpy()
    if np.array_equal(a, b):
        return {"dm_t": 0.0, "dm_p_value": 1.0}
    test = diebold_mariano(a, b, horizon=horizon)
    return {"dm_t": newey_west_t(a - b, lags=horizon), "dm_p_value": test.p_value}
