"""What figures of forecast skill share: which models, in which colour, a panel per horizon."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..family_scores import REFERENCE_MODEL, qlike_per_row
from ..side_by_side import Family, SideBySide
from .palette import MODEL_COLORS, REFERENCE_MODEL_COLOR

_MOST_POINTS = 600  # of a line; more cannot be seen
_COLUMNS = 3


def shown_models(scores: pd.DataFrame, *, most: int = len(MODEL_COLORS)) -> tuple[str, ...]:
    """Return the models that figures with one line per model show.

    The best over all horizons by QLIKE, the best by FZ0, and the reference.

    Parameters
    ----------
    scores : pandas.DataFrame
        From :func:`~foremargin.backtest.score_forecasts`, pooled.
    most : int
        Models beside the reference, at least one.
    """
    # FZ0 may be negative, so a model is as far behind as the difference says, and not the ratio.
    by_qlike, by_fz0 = (_ranked(scores, column) for column in ("qlike_loss", "fz0_loss"))
    first = [*by_qlike[: most - 1], *by_fz0[:1], *by_qlike[most - 1 :]]
    chosen = tuple(dict.fromkeys(first))[:most]
    return (*chosen, REFERENCE_MODEL) if REFERENCE_MODEL in set(scores.model) else chosen


def model_colors(models: Sequence[str]) -> Mapping[str, str]:
    """Return one colour per shown model, the same in every figure."""
    others = [model for model in models if model != REFERENCE_MODEL]
    colors = dict(zip(others, MODEL_COLORS, strict=False))
    return {**colors, REFERENCE_MODEL: REFERENCE_MODEL_COLOR}


def reference_of(rows: SideBySide) -> str:
    """Return the model that the others are measured against: the last by QLIKE without log-har."""
    if REFERENCE_MODEL in rows.models:
        return REFERENCE_MODEL
    return rows.models[int(np.argmax(qlike_per_row(rows).mean(axis=1)))]


def with_rows(compared: Sequence[SideBySide], family: Family) -> list[SideBySide]:
    """Return what can be compared in a family; horizons without such rows are left out."""
    every = [one.comparable(family) for one in compared]
    return [rows for rows in every if len(rows.origin)]


def thinned(n: int) -> NDArray[np.intp]:
    """Return at most 600 of `n` positions, spread evenly, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).astype(np.intp))


def panels(
    titles: Sequence[str], *, height: float, columns: int = _COLUMNS, share: bool = False
) -> tuple[Axes, ...]:
    """Return axes side by side on a new figure, in as many rows as are needed.

    Parameters
    ----------
    titles : sequence of str
        One per panel.
    height : float
        Of one row, inches.
    columns : int
        Most panels side by side.
    share : bool
        Whether panels of one row share the vertical axis.
    """
    n_columns = min(columns, len(titles))
    n_rows = -(-len(titles) // n_columns)
    figure = Figure(figsize=(9.0, height * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey="row" if share else False)
    for ax in grid.flat[len(titles) :]:
        ax.remove()
    for ax, title in zip(grid.flat, titles, strict=False):
        ax.set_title(title, loc="left")
    return tuple(grid.flat[: len(titles)])


def ahead(horizon: int) -> str:
    """Return a horizon in words."""
    return "1 period ahead" if horizon == 1 else f"{horizon} periods ahead"


def share_legend(axes: Sequence[Axes]) -> None:
    """Draw one legend for all panels, below them."""
    found: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    figure = axes[0].get_figure(root=True)
    if figure is not None and found:
        figure.legend(
            list(found.values()),
            list(found),
            loc="outside lower center",
            ncols=min(len(found), 4),
            frameon=False,
            fontsize="small",
        )


def _ranked(scores: pd.DataFrame, column: str) -> list[str]:
    """Names of the models other than the reference, best mean distance to the best first."""
    wide = scores.pivot(index="model", columns="horizon", values=column).dropna(how="all")
    behind = (wide - wide.min()).mean(axis=1).drop(REFERENCE_MODEL, errors="ignore")
    return [str(model) for model in behind.sort_values(kind="stable").index]
