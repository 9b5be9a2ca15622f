"""The scores of what is said of the market's state: its regimes, and what trading will cost.

As in :mod:`foremargin.backtest.family_scores`, arrays in and one number per model out. Few models
say anything here, so that each is also compared with what was known at the origin without one.
"""

import numpy as np
from numpy.typing import NDArray

from ..models import REGIMES
from .discrimination import expected_calibration_error
from .family_scores import Scores, compare_models, compare_with, each_model, mean_of_rows
from .losses import absolute_log_error, qlike_loss
from .naive_regimes import REGIME_REFERENCES
from .ranked_probability import (
    class_accuracy_score,
    class_log_loss,
    ranked_probability_loss,
    ranked_probability_skill_score,
)
from .side_by_side import SideBySide

Values = NDArray[np.float64]

COST_REFERENCES = ("level", "now")
"""What the liquidity cost is measured against, both known at the origin.

``level``: the usual cost, a geometric mean of ninety days. ``now``: the mean of the last `horizon`
periods.
"""


def regime_scores(rows: SideBySide) -> Scores:
    """Return how good the probabilities of the regimes are, with their comparisons.

    The ranked probability loss against three things that need no model (see
    :data:`~foremargin.backtest.REGIME_REFERENCES`) and against the shares in these rows, which
    know the test period.
    """
    regime = rows.outcome["regime"]
    said = np.stack([rows.forecast[f"regime_{name}_probability"] for name in REGIMES], axis=-1)
    losses = ranked_probability_per_row(rows)
    return {
        **{f"regime_{name}_rate": _rate(rows, k) for k, name in enumerate(REGIMES)},
        "ranked_probability_loss": mean_of_rows(losses),
        **each_model(
            regime,
            said,
            ranked_probability_skill_score=ranked_probability_skill_score,
            regime_log_loss=lambda y, p: class_log_loss(y, p).mean(),
            regime_accuracy_score=class_accuracy_score,
        ),
        **_calibration(regime, said),
        **{f"regime_{name}": values for name, values in compare_models(rows, losses).items()},
        **_against_references(rows, said, losses),
    }


def ranked_probability_per_row(rows: SideBySide) -> Values:
    """Ranked probability loss of every model and row, shape (n_models, n_rows)."""
    regime = rows.outcome["regime"]
    if not len(regime):
        return np.empty((len(rows.models), 0))
    columns = [rows.forecast[f"regime_{name}_probability"] for name in REGIMES]
    said = np.stack(columns, axis=-1).reshape(-1, len(REGIMES))
    losses = ranked_probability_loss(np.tile(regime, len(rows.models)), said)
    return losses.reshape(len(rows.models), len(regime))


def liquidity_cost_scores(rows: SideBySide) -> Scores:
    """Return how good the forecasts of the liquidity cost are, with their comparisons.

    Errors are ratios. Both losses are also given over those of :data:`COST_REFERENCES`.
    """
    cost, realized = rows.forecast["liquidity_cost"], rows.outcome["realized_liquidity_cost"]
    outcomes = np.broadcast_to(realized, cost.shape)
    qlike, log_error = qlike_loss(outcomes, cost), absolute_log_error(outcomes, cost)
    scores = {
        "qlike_loss": mean_of_rows(qlike),
        "absolute_log_error": mean_of_rows(log_error),
        "bias": mean_of_rows(realized / cost),
        **compare_models(rows, qlike),
    }
    for name in COST_REFERENCES:
        known = rows.outcome[f"liquidity_cost_{name}"]
        seen = known > 0.0
        theirs = {"qlike": np.full(len(known), np.nan), "log_error": np.full(len(known), np.nan)}
        theirs["qlike"][seen] = qlike_loss(realized[seen], known[seen])
        theirs["log_error"][seen] = absolute_log_error(realized[seen], known[seen])
        bias = mean_of_rows((realized[seen] / known[seen])[None])
        scores |= {
            f"{name}_qlike_ratio": _over(qlike, theirs["qlike"], seen),
            f"{name}_log_error_ratio": _over(log_error, theirs["log_error"], seen),
            f"{name}_bias": np.repeat(bias, len(cost)),
            **compare_with(rows, qlike, theirs["qlike"], name=name),
        }
    return {f"liquidity_cost_{name}": values for name, values in scores.items()}


def _rate(rows: SideBySide, k: int) -> Values:
    regime = rows.outcome["regime"]
    return np.full(len(rows.models), (regime == k).mean() if len(regime) else np.nan)


def _calibration(regime: Values, said: Values) -> Scores:
    """Calibration error of every regime, and the mean of them."""
    scores: Scores = {}
    for k, name in enumerate(REGIMES):
        key = f"regime_{name}_calibration_error"
        scores |= each_model(
            (regime == k).astype(np.float64), said[..., k], **{key: expected_calibration_error}
        )
    return {"regime_calibration_error": np.mean(list(scores.values()), axis=0), **scores}


def _against_references(rows: SideBySide, said: Values, losses: Values) -> Scores:
    """Skill against what needs no model, how often it is right, and whether the means differ."""
    regime = rows.outcome["regime"]
    scores: Scores = {}
    for name in REGIME_REFERENCES:
        naive = rows.naive_regimes[name]
        seen = np.asarray(np.isfinite(naive).all(axis=1))
        loss, right = np.full(len(regime), np.nan), np.nan
        if seen.any():
            loss[seen] = ranked_probability_loss(regime[seen], naive[seen])
            right = class_accuracy_score(regime[seen], naive[seen])
        scores[f"regime_{name}_skill_score"] = 1.0 - _over(losses, loss, seen)
        scores[f"regime_{name}_accuracy_score"] = np.full(len(said), right)
        scores |= {
            f"regime_{key}": values
            for key, values in compare_with(rows, losses, loss, name=name).items()
        }
    return scores


def _over(losses: Values, reference: Values, seen: NDArray[np.bool_]) -> Values:
    """Mean losses over that of a reference, on the rows on which it has one."""
    beaten = float(reference[seen].mean()) if seen.any() else np.nan
    return mean_of_rows(losses[:, seen]) / beaten if beaten > 0.0 else np.full(len(losses), np.nan)
