"""Two registered versions side by side, by what each said in the walk-forward run of its training.

Nothing is fitted and no data are read: the forecasts lie in the bundles.
"""

import io

import numpy as np
import pandas as pd

from ..backtest import score_forecasts
from ..backtest.run_comparison import outcomes_differ
from ..errors import InputError
from .bundle import Bundle

SCORES = {
    "qlike_loss": ("n", "dm_p_value"),
    "fz0_loss": ("n_tails", "fz0_dm_p_value"),
    "hits_lower": ("n_tails", None),
    "hits_upper": ("n_tails", None),
    "brier_skill_score": ("n_stress", None),
    "calibration_error": ("n_stress", None),
}
"""Score, the column that counts its rows, and the one with the p-value of the difference."""

_KEYS = ["instrument", "origin", "horizon"]


def compare_bundles(first: Bundle, second: Bundle) -> pd.DataFrame:
    """Score two bundles on the instruments, origins and horizons that both have.

    Parameters
    ----------
    first, second : Bundle
        Of versions of one registered model.

    Returns
    -------
    pandas.DataFrame
        One row per horizon and score of :data:`SCORES`: ``horizon``, ``score``, ``n_rows``,
        ``first``, ``second``, and ``p_value`` of equal expected losses (Diebold and Mariano).

    Raises
    ------
    InputError
        If they have no rows in common, or their outcomes there differ.
    """
    labels = ("first", "second")
    tables = [
        pd.read_parquet(io.BytesIO(bundle.contents["forecasts.parquet"])).assign(model=label)
        for label, bundle in zip(labels, (first, second), strict=True)
    ]
    common = tables[0][_KEYS].merge(tables[1][_KEYS], on=_KEYS)
    if common.empty:
        raise InputError(
            f"versions {first.manifest.version} and {second.manifest.version} must have forecast "
            "the same instruments over the same time to be compared, but have no row in common"
        )
    pair = [table.merge(common, on=_KEYS).sort_values(_KEYS, ignore_index=True) for table in tables]
    _check_outcomes(pair[0], pair[1])
    both = pd.concat(pair, ignore_index=True)
    scores = score_forecasts(both, test_from=both["origin"].min()).set_index(["horizon", "model"])
    rows = []
    for horizon in sorted(both["horizon"].unique()):
        for score, (count, test) in SCORES.items():
            one = scores.loc[horizon]
            rows.append(
                {
                    "horizon": int(horizon),
                    "score": score,
                    "n_rows": int(one.loc["first", count]),
                    "first": float(one.loc["first", score]),
                    "second": float(one.loc["second", score]),
                    "p_value": np.nan if test is None else float(one.loc["first", test]),
                }
            )
    return pd.DataFrame(rows)


def _check_outcomes(first: pd.DataFrame, second: pd.DataFrame) -> None:
    for column in ("realized_variance", "log_return"):
        a, b = first[column].to_numpy(), second[column].to_numpy()
        differs = outcomes_differ(a, b)
        if differs.any():
            raise InputError(
                f"two versions must have seen the same market to be compared, but {column} differs "
                f"on {int(differs.sum()):,} of {len(a):,} rows; train them anew on the same data"
            )
