"""Two runs on the rows that both have: which loses less, and whether the difference is chance.

Tables in, tables out. Every difference and change is that of the second run against the first, so
that a negative one says that the second is better. Outcomes have to agree: what one run knew
otherwise is left out and counted, and runs that saw different markets are refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..models import TAIL_PROBABILITIES
from .bootstrap import bootstrap_interval
from .cells import Cells
from .comparison import diebold_mariano
from .coverage import holm
from .family_scores import block_length, fewest_origins, fz0_per_row, in_runs, qlike_per_row
from .losses import quantile_loss, shortfall
from .side_by_side import Family, SideBySide, side_by_side

INTERVAL_CONFIDENCE = 0.90
"""Nominal coverage of the intervals."""

_RESAMPLES = 1_000
_TOLERANCE = 1e-6  # relative; data that were corrected differ by more
_LARGEST_SHARE_LEFT_OUT = 0.01  # rows with corrected data; beyond it, another market
_MARGIN_CELL = ["horizon", "origin", "instrument", "side"]
_FORECAST_CELL = ["horizon", "origin", "instrument"]
_FORECAST_OUTCOMES = ["realized_variance", "log_return"]
_RUNS = ("first", "second")

MARGIN_COLUMNS = (
    *("horizon", "policy", "second_policy", "is_judged", "is_equal"),
    *("n_rows", "n_origins", "n_left_out", "first_quantile_loss", "second_quantile_loss"),
    *("quantile_loss_change", "low", "high", "dm_statistic", "dm_p_value", "dm_p_holm"),
    *("first_breach_rate", "second_breach_rate", "first_mean_margin", "second_mean_margin"),
    *("first_shortfall", "second_shortfall"),
)
"""Columns of :func:`compare_margins`, in order."""

FORECAST_COLUMNS = (
    *("horizon", "loss", "model", "is_equal", "n_rows", "n_origins", "n_left_out"),
    *("first_loss", "second_loss", "difference", "low", "high"),
    *("dm_statistic", "dm_p_value", "dm_p_holm"),
)
"""Columns of :func:`compare_forecasts`, in order."""


def compare_margins(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    test_from: pd.Timestamp,
    tail_probability: float,
    rng: np.random.Generator,
    judged: Mapping[int, tuple[str, str]] | None = None,
) -> pd.DataFrame:
    r"""Compare policies of the same name, and the judged ones, of two replays.

    A pair is compared on the cells (origin, instrument, side) in which both have a margin and
    know the same loss. Shortfalls are sums of :math:`(L - cM)_+` in which the constant :math:`c`
    of each gives both the same mean margin, halfway between their own.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Columns of ``margins.parquet``, any order of rows.
    test_from : pandas.Timestamp
        First origin that counts, UTC.
    tail_probability : float
        Breach rate that the margins of both aim at.
    rng : numpy.random.Generator
        Source of the bootstraps.
    judged : mapping of int to (str, str), optional
        By horizon the judged policy of the first run and that of the second.

    Returns
    -------
    pandas.DataFrame
        One row per horizon and pair, with the columns :data:`MARGIN_COLUMNS`; none if nothing is
        common. ``quantile_loss_change`` is second over first, minus one, with the ends of its
        90 % interval (stationary bootstrap of origins); ``dm_p_value`` that of equal expected
        quantile losses per origin, NaN with too few origins or a difference that never varies;
        ``dm_p_holm`` the same for as many tests as its horizon has pairs that are not equal.

    Raises
    ------
    InputError
        If more than 1 % of the common outcomes of a horizon differ.
    """
    tables = [table[table["origin"] >= test_from] for table in (first, second)]
    rows: list[dict[str, Any]] = []
    for horizon in _common(tables, "horizon"):
        pair = [table[table["horizon"] == horizon] for table in tables]
        known, n_left_out = _agreed(pair, cell=_MARGIN_CELL, outcomes=["loss"])
        wide = [_margins(table, known.index) for table in pair]
        for names, is_judged in _pairs(wide, (judged or {}).get(horizon)):
            cells = _cells(wide, known, names)
            if len(cells.loss):
                rows.append(
                    {
                        "horizon": horizon,
                        "policy": names[0],
                        "second_policy": names[1],
                        "is_judged": is_judged,
                        "n_left_out": n_left_out,
                        **_policy_numbers(cells, tail_probability, horizon, rng),
                    }
                )
    return _with_holm(rows, MARGIN_COLUMNS)


def compare_forecasts(
    first: pd.DataFrame, second: pd.DataFrame, *, test_from: pd.Timestamp, rng: np.random.Generator
) -> pd.DataFrame:
    """Compare models of the same name by QLIKE, and by FZ0 of the rarest tails.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Columns of ``forecasts.parquet``, any order of rows.
    test_from : pandas.Timestamp
        First origin that counts, UTC.
    rng : numpy.random.Generator
        Source of the bootstraps.

    Returns
    -------
    pandas.DataFrame
        One row per horizon, loss (``qlike_loss``, ``fz0_loss``) and model, with the columns
        :data:`FORECAST_COLUMNS`; none if nothing is common. ``difference`` is second minus first
        in the unit of the loss, since FZ0 may be negative; the rest as for
        :func:`compare_margins`.

    Raises
    ------
    InputError
        If more than 1 % of the common outcomes of a horizon differ.
    """
    columns = ["model", *_FORECAST_CELL, *_FORECAST_OUTCOMES, "variance"]
    shared = [str(name) for name in first.columns.intersection(second.columns)]
    columns += [name for name in shared if name.startswith(("var_", "es_"))]
    tables = [table.loc[table["origin"] >= test_from, columns] for table in (first, second)]
    rows: list[dict[str, Any]] = []
    for horizon in _common(tables, "horizon"):
        pair = [table[table["horizon"] == horizon] for table in tables]
        known, n_left_out = _agreed(pair, cell=_FORECAST_CELL, outcomes=_FORECAST_OUTCOMES)
        if known.empty:
            continue
        said = [t.drop(columns=_FORECAST_OUTCOMES).join(known, on=known.index.names) for t in pair]
        for model in _common(said, "model"):
            both = pd.concat(
                [
                    t[t["model"] == model].assign(model=run)
                    for t, run in zip(said, _RUNS, strict=True)
                ]
            )
            (one,) = side_by_side(both, test_from=test_from)
            for numbers in _model_numbers(one, rng):
                rows.append(
                    {"horizon": horizon, "model": model, "n_left_out": n_left_out, **numbers}
                )
    table = _with_holm(rows, FORECAST_COLUMNS)
    # QLIKE before FZ0, models in alphabetical order.
    return table.sort_values(
        ["horizon", "loss", "model"], ascending=[True, False, True], ignore_index=True
    )


def outcomes_differ(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell where two outcomes of one event contradict each other.

    What one of them does not know, NaN, contradicts nothing; neither does rounding.
    """
    gap, size = np.abs(first - second), np.maximum(np.abs(first), np.abs(second))
    return np.asarray(gap > _TOLERANCE * size, dtype=np.bool_)


def _common(tables: Sequence[pd.DataFrame], column: str) -> list[Any]:
    return sorted(set(tables[0][column]) & set(tables[1][column]))


def _agreed(
    pair: Sequence[pd.DataFrame], *, cell: list[str], outcomes: list[str]
) -> tuple[pd.DataFrame, int]:
    """Outcomes of the common cells, NaN unless both runs know them, and how many contradict."""
    first, second = (t.drop_duplicates(cell).set_index(cell)[outcomes] for t in pair)
    cells = first.index.intersection(second.index).sort_values()
    a, b = (one.loc[cells].to_numpy(dtype=np.float64) for one in (first, second))
    wrong = np.asarray(outcomes_differ(a, b).any(axis=1), dtype=np.bool_)
    n_wrong, n = int(wrong.sum()), len(cells)
    if n_wrong > _LARGEST_SHARE_LEFT_OUT * n:
        raise InputError(
            f"two runs must have seen the same market to be compared, but {' or '.join(outcomes)} "
            f"differs on {n_wrong:,} of {n:,} common rows of horizon {cells[0][0]}; run one of "
            "them anew on the data of the other"
        )
    known = np.where(np.isnan(b), np.nan, a)
    return pd.DataFrame(known[~wrong], index=cells[~wrong], columns=outcomes), n_wrong


def _margins(table: pd.DataFrame, cells: pd.Index) -> pd.DataFrame:
    """Margins by policy, one row per cell."""
    n_copies = int(table.duplicated([*_MARGIN_CELL, "policy"]).sum())
    if n_copies:
        raise InputError(
            "a policy must have one margin per instrument, side, origin and horizon, found "
            f"{n_copies:,} copies; drop them"
        )
    return table.pivot(index=_MARGIN_CELL, columns="policy", values="margin_rate").reindex(cells)


def _pairs(
    wide: Sequence[pd.DataFrame], judged: tuple[str, str] | None
) -> Iterator[tuple[tuple[str, str], bool]]:
    """Names of the first and of the second run to compare, the judged ones first."""
    if judged is not None and judged[0] in wide[0] and judged[1] in wide[1]:
        yield judged, True
    for name in sorted(set(wide[0].columns) & set(wide[1].columns)):
        if judged != (name, name):
            yield (name, name), False


def _cells(wide: Sequence[pd.DataFrame], known: pd.DataFrame, names: tuple[str, str]) -> Cells:
    """Where both have a margin and the loss is known; the policies are called by the runs."""
    margin = np.stack([w[name].to_numpy(float) for w, name in zip(wide, names, strict=True)])
    loss = known["loss"].to_numpy(float)
    at = np.isfinite(margin).all(axis=0) & np.isfinite(loss)
    position = {
        name: pd.factorize(known.index.get_level_values(name)[at], sort=True)[0]
        for name in ("origin", "instrument", "side")
    }
    return Cells(policies=_RUNS, margin=margin[:, at], loss=loss[at], **position)


def _policy_numbers(
    cells: Cells, tail_probability: float, horizon: int, rng: np.random.Generator
) -> dict[str, Any]:
    middle = cells.margin.mean()
    is_equal = np.array_equal(cells.of("first"), cells.of("second"))
    numbers: dict[str, Any] = {"n_rows": len(cells.loss), "is_equal": is_equal}
    score = {}
    for run in _RUNS:
        margin = cells.of(run)
        score[run] = quantile_loss(cells.loss, margin, tail_probability=tail_probability)
        numbers |= {
            f"{run}_quantile_loss": float(score[run].mean()),
            f"{run}_breach_rate": float((cells.loss > margin).mean()),
            f"{run}_mean_margin": float(margin.mean()),
            f"{run}_shortfall": float(
                shortfall(cells.loss, margin * (middle / margin.mean())).sum()
            ),
        }
    difference = score["second"] - score["first"]
    numbers["quantile_loss_change"] = float(difference.sum() / score["first"].sum())
    return numbers | _chance(
        cells.per_origin(difference),
        cells.sum_per_origin(difference),
        cells.sum_per_origin(score["first"]),
        horizon=horizon,
        rng=rng,
    )


def _model_numbers(one: SideBySide, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for loss, family in (("qlike_loss", Family.VARIANCE), ("fz0_loss", Family.TAILS)):
        rows = one.comparable(family)
        if rows.models != _RUNS or not len(rows.origin):
            continue
        tail = TAIL_PROBABILITIES[0]
        losses = (
            qlike_per_row(rows)
            if family is Family.VARIANCE
            else fz0_per_row(rows, tail_probability=tail)
        )
        difference = rows.per_origin(losses[1:] - losses[:1])[:, 0]
        _, n = np.unique(rows.origin, return_counts=True)
        yield {
            "loss": loss,
            "n_rows": len(rows.origin),
            "is_equal": np.array_equal(losses[0], losses[1]),
            "first_loss": float(losses[0].mean()),
            "second_loss": float(losses[1].mean()),
            "difference": float((losses[1] - losses[0]).mean()),
            **_chance(difference, difference * n, n, horizon=rows.horizon, rng=rng),
        }


def _chance(
    difference: NDArray[np.float64],
    total: NDArray[np.float64],
    base: NDArray[np.float64] | NDArray[np.intp],
    *,
    horizon: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Interval of ``sum(total) / sum(base)``, and the test of a mean difference of zero.

    All have one number per origin: instruments share shocks, and are resampled together.
    """
    low = high = statistic = p_value = np.nan
    if not difference.any():
        low, high, statistic, p_value = 0.0, 0.0, 0.0, 1.0
    elif len(difference) >= fewest_origins(horizon):
        # Long series are averaged in short runs: a thousand resamples of years of hours take GBs.
        pair, block = in_runs(np.stack([total, base], axis=1), block=block_length(horizon))
        interval = bootstrap_interval(
            lambda each: float(each[:, 0].sum() / each[:, 1].sum()),
            pair,
            confidence_level=INTERVAL_CONFIDENCE,
            mean_block=block,
            n_resamples=_RESAMPLES,
            rng=rng,
        )
        low, high = interval.low, interval.high
        if np.ptp(difference) > 0.0:  # a constant has no sampling error, so no test
            test = diebold_mariano(difference, np.zeros_like(difference), horizon=horizon)
            statistic, p_value = test.statistic, test.p_value
    return {
        "n_origins": len(difference),
        "low": low,
        "high": high,
        "dm_statistic": statistic,
        "dm_p_value": p_value,
    }


def _with_holm(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Correct the p-values of each horizon; what is equal in both runs was not tested."""
    table = pd.DataFrame(rows, columns=list(columns))
    table["dm_p_holm"] = table["dm_p_value"]
    tested = table["dm_p_value"].notna() & ~table["is_equal"].astype(bool)
    for _, at in table[tested].groupby("horizon").groups.items():
        table.loc[at, "dm_p_holm"] = holm(table.loc[at, "dm_p_value"].to_numpy(float))
    return table
