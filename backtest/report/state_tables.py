"""Columns and sentences about the market's state: regimes, and the cost of trading."""

from collections.abc import Iterator

import pandas as pd

from ...models import REGIMES
from ..statement import percent
from .score_tables import SIGNIFICANCE_LEVEL, Better, ScoreColumn, p_value_column


def _skill(key: str, short: str, unit: str, meaning: str) -> ScoreColumn:
    return ScoreColumn(
        key=key,
        short=short,
        title="Skill",
        unit=unit,
        better=Better.HIGHER,
        pattern="{:.3f}",
        meaning=f"One minus the ranked probability loss over that of {meaning}.",
    )


def _ratio(key: str, short: str, title: str, unit: str, meaning: str) -> ScoreColumn:
    return ScoreColumn(
        key=f"liquidity_cost_{key}",
        short=short,
        title=title,
        unit=unit,
        better=Better.LOWER,
        pattern="{:.3f}",
        meaning=meaning,
    )


REGIME_COLUMNS: tuple[ScoreColumn, ...] = (
    ScoreColumn(
        key="ranked_probability_loss",
        short="RPS",
        title="Ranked probability loss",
        better=Better.LOWER,
        pattern="{:.4f}",
        compared="regime_",
        reference="transitions",
        count="n_regime",
        meaning="Squared distance of the distribution over calm, elevated and stressed; marks "
        "compare with past transitions.",
    ),
    p_value_column("regime_dm_p_value", "ranked probability loss"),
    _skill(
        "regime_climatology_skill_score",
        "skill\nclim.",
        "to climatology",
        "the instrument's past shares of the regimes",
    ),
    _skill(
        "regime_persistence_skill_score",
        "skill\npers.",
        "to persistence",
        "the present regime, said for certain",
    ),
    _skill(
        "regime_transitions_skill_score",
        "skill\ntrans.",
        "to transitions",
        "what followed the present regime in the past",
    ),
    p_value_column(
        "regime_dm_p_value_transitions", "loss", against="transitions", short="p\ntrans."
    ),
    ScoreColumn(
        key="regime_log_loss",
        short="log\nloss",
        title="Log loss",
        unit="nats",
        better=Better.LOWER,
        pattern="{:.4f}",
        meaning="Surprise at the regime that came.",
    ),
    ScoreColumn(
        key="regime_accuracy_score",
        short="right",
        title="Right",
        unit="of rows",
        better=Better.HIGHER,
        pattern="{:.1%}",
        meaning="Rows in which the most probable regime came.",
    ),
    ScoreColumn(
        key="regime_calibration_error",
        short="ECE",
        title="Calibration error",
        better=Better.LOWER,
        pattern="{:.1%}",
        meaning="Distance of said and seen in ten bins, mean of the three regimes.",
    ),
)
"""Probabilities of the regimes."""

COST_COLUMNS: tuple[ScoreColumn, ...] = (
    ScoreColumn(
        key="liquidity_cost_qlike_loss",
        short="QLIKE",
        title="QLIKE of the cost",
        better=Better.LOWER,
        pattern="{:.4f}",
        compared="liquidity_cost_",
        reference="now",
        count="n_liquidity_cost",
        meaning="Error of the liquidity cost as a ratio, zero if exact; marks compare with the "
        "cost now.",
    ),
    p_value_column("liquidity_cost_dm_p_value", "QLIKE of the cost"),
    _ratio(
        "level_qlike_ratio",
        "QLIKE/\nlevel",
        "QLIKE",
        "to the level",
        "QLIKE over that of the usual cost, its level over ninety days.",
    ),
    _ratio(
        "now_qlike_ratio",
        "QLIKE/\nnow",
        "QLIKE",
        "to the cost now",
        "QLIKE over that of the cost of the last periods, as many as the horizon has.",
    ),
    p_value_column(
        "liquidity_cost_dm_p_value_now",
        "QLIKE of the cost",
        against="the cost now",
        short="p\nnow",
    ),
    ScoreColumn(
        key="liquidity_cost_absolute_log_error",
        short="log\nerror",
        title="Log error",
        better=Better.LOWER,
        pattern="{:.3f}",
        meaning="Mean distance of the logs of cost and forecast; 0.1 is about 10 %.",
    ),
    _ratio(
        "level_log_error_ratio",
        "error/\nlevel",
        "Log error",
        "to the level",
        "Log error over that of the usual cost.",
    ),
    _ratio(
        "now_log_error_ratio",
        "error/\nnow",
        "Log error",
        "to the cost now",
        "Log error over that of the cost now.",
    ),
    ScoreColumn(
        key="liquidity_cost_bias",
        short="bias",
        title="Cost over forecast",
        better=Better.ONE,
        pattern="{:.3f}",
        meaning="Mean ratio; above one the forecast is too low.",
    ),
)
"""Forecasts of the liquidity cost."""

STATE_TABLES = (
    ("Regimes", REGIME_COLUMNS),
    ("Cost of trading", COST_COLUMNS),
)
"""Headings and columns."""


def state_sentences(scores: pd.DataFrame) -> Iterator[str]:
    """Say what came, who said so best, and whether that beats what needs no model.

    Parameters
    ----------
    scores : pandas.DataFrame
        Rows of :func:`~foremargin.backtest.score_forecasts` for one horizon.
    """
    ranked = _ranked(scores, "ranked_probability_loss")
    if len(ranked):
        best = ranked.iloc[0]
        came = ", ".join(f"{percent(best[f'regime_{r}_rate'])} {r}" for r in REGIMES)
        yield (
            f"The regime is {came} in {best.n_regime:,} rows; {best.model} says so best (ranked "
            f"probability loss {best.ranked_probability_loss:.4f}, skill "
            f"{best.regime_transitions_skill_score:.3f} against past transitions"
            f"{_sure(best.regime_dm_p_value_transitions)})."
        )
    ranked = _ranked(scores, "liquidity_cost_qlike_loss")
    if len(ranked):
        best = ranked.iloc[0]
        yield (
            f"Of the cost of trading {best.model} is best (QLIKE "
            f"{best.liquidity_cost_qlike_loss:.4f} on {best.n_liquidity_cost:,} rows, "
            f"{best.liquidity_cost_now_qlike_ratio:.2f} of that of the cost now"
            f"{_sure(best.liquidity_cost_dm_p_value_now)})."
        )


def _ranked(scores: pd.DataFrame, column: str) -> pd.DataFrame:
    return scores.dropna(subset=column).sort_values(column, kind="stable")


def _sure(p_value: float) -> str:
    """Say what the test says; nothing where there is none."""
    if p_value != p_value:
        return ""
    return ", significant at 5 %" if p_value < SIGNIFICANCE_LEVEL else ", not significant at 5 %"
