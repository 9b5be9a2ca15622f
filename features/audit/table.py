"""Reading a table of forecasts: anybody's, in the form of ``forecasts.parquet``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError

KEYS = ("model", "instrument", "origin", "horizon")
REQUIRED = (*KEYS, "variance", "realized_variance")
"""Columns that a table of forecasts must have."""

# Outcomes of zero have no logarithm; they are put just below the smallest ones.
_FLOOR_QUANTILE = 0.001


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Forecasts of one model for one instrument and horizon, by origin.

    Attributes
    ----------
    model, instrument : str
        Whose forecasts, of what.
    horizon : int
        Periods ahead.
    origin : ndarray of int64, shape (n,)
        Nanoseconds since 1970 UTC, strictly increasing.
    log_forecast, outcome : ndarray, shape (n,)
        Log of the forecast variance; variance that came, decimal squared. NaN where unusable.
    log_return : ndarray, shape (n,)
        Log return over the horizon, decimal; NaN where the table has none.
    """

    model: str
    instrument: str
    horizon: int
    origin: NDArray[np.int64]
    log_forecast: NDArray[np.float64]
    outcome: NDArray[np.float64]
    log_return: NDArray[np.float64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Rows with a forecast and an outcome."""
        return np.isfinite(self.log_forecast) & np.isfinite(self.outcome)


def read_forecasts(forecasts: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Return the columns that the audit needs, checked, sorted by model and origin.

    Raises
    ------
    InputError
        If there is no such file, columns are missing, values are no numbers or times, rows
        repeat, or there is no outcome at all.
    """
    table = _loaded(forecasts)
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        raise InputError(
            f"forecasts must have the columns {list(REQUIRED)}, without {missing} were "
            f"{list(map(str, table.columns))[:12]}; rename or add them"
        )
    if table.empty:
        raise InputError("forecasts must have rows, found none; write the table again")
    numbers = ["horizon", "variance", "realized_variance"]
    numbers += ["log_return"] if "log_return" in table else []
    checked = pd.DataFrame({name: table[name].astype(str) for name in ("model", "instrument")})
    checked["origin"] = _times(table["origin"])
    for name in numbers:
        checked[name] = _numbers(table[name])
    _check_rows(checked)
    return checked.sort_values(list(KEYS), ignore_index=True)


def all_series(table: pd.DataFrame) -> Iterator[Series]:
    """Yield the series of a checked table, by model, instrument and horizon."""
    for key, rows in table.groupby(["model", "instrument", "horizon"], sort=True):
        model, instrument, _ = key
        forecast = rows["variance"].to_numpy(dtype=np.float64)
        outcome = rows["realized_variance"].to_numpy(dtype=np.float64)
        valid = np.isfinite(forecast) & (forecast > 0.0)
        known = np.isfinite(outcome) & (outcome >= 0.0)
        returns = np.full(len(rows), np.nan)
        if "log_return" in rows:
            returns = rows["log_return"].to_numpy(dtype=np.float64)
        yield Series(
            model=str(model),
            instrument=str(instrument),
            horizon=int(rows["horizon"].iloc[0]),
            origin=rows["origin"].to_numpy().astype("datetime64[ns]").astype(np.int64),
            log_forecast=np.log(np.where(valid, forecast, np.nan)),
            outcome=np.where(known, outcome, np.nan),
            log_return=returns,
        )


def floored_log(outcome: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log of outcomes, those of zero just below the smallest others."""
    positive = outcome[np.isfinite(outcome) & (outcome > 0.0)]
    if not len(positive):
        return np.full(len(outcome), np.nan)
    floor = 0.5 * np.quantile(positive, _FLOOR_QUANTILE)
    log: NDArray[np.float64] = np.log(np.maximum(outcome, floor))
    return log


def _loaded(forecasts: pd.DataFrame | str | Path) -> pd.DataFrame:
    if isinstance(forecasts, pd.DataFrame):
        return forecasts.reset_index() if set(forecasts.index.names) & set(KEYS) else forecasts
    if not isinstance(forecasts, str | Path):
        raise InputError(
            "forecasts must be a DataFrame or the path of a .parquet or .csv file, was "
            f"{type(forecasts).__name__}"
        )
    path = Path(forecasts)
    if not path.is_file() or path.suffix.lower() not in (".parquet", ".csv"):
        raise InputError(
            f"forecasts must be a DataFrame or the path of a .parquet or .csv file, and {path} "
            "is none; check the spelling"
        )
    return pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path)


def _times(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        raise InputError(
            "origin must hold timestamps, found numbers; their unit would be a guess, write times"
        )
    times = pd.to_datetime(column, utc=True, errors="coerce")
    bad = int(times.isna().sum())
    if bad:
        raise InputError(
            f"origin must hold a timestamp in every row, found {bad} without; correct or drop them"
        )
    # Files come in microseconds and milliseconds too; one unit makes them comparable.
    return pd.Series(times.dt.as_unit("ns").dt.tz_localize(None).to_numpy(), index=column.index)


def _numbers(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    text = int((numbers.isna() & column.notna()).sum())
    if text:
        raise InputError(f"{column.name} must hold numbers, found {text} rows otherwise")
    return numbers


def _check_rows(table: pd.DataFrame) -> None:
    horizon = table["horizon"]
    if not ((horizon >= 1) & (horizon % 1 == 0)).all():
        wrong = horizon[~((horizon >= 1) & (horizon % 1 == 0))].iloc[0]
        raise InputError(f"horizon must be a whole number of periods, at least 1, was {wrong}")
    repeated = int(table.duplicated(list(KEYS)).sum())
    if repeated:
        raise InputError(
            f"forecasts must have one row per {', '.join(KEYS)}, found {repeated} repeated; "
            "keep one of each"
        )
    if not np.isfinite(table["realized_variance"]).any():
        raise InputError(
            "realized_variance must hold outcomes, found none; without them nothing can be "
            "audited: join the outcomes, or prove the pipeline with audit_pipeline"
        )
