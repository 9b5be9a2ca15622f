"""Loading: from a source name or paths to a panel."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from .aggregation import Periods, aggregate, parse_period
from .bars import check_table
from .calendars import missing_codes, periods_per_year
from .fields import FIELDS
from .findings import Finding
from .panel import Missing, Panel
from .parsing import distinct
from .rules import span
from .sources import Targets, read_tables, targets_of

_MOST_ERRORS_SHOWN = 20


def load_panel(paths_or_source: Targets, *, period: str | pd.Timedelta = "1D") -> Panel:
    """Load bars, check them, and put them on one time axis.

    The axis holds every period for which an instrument has bars, and for an instrument that
    trades every day also those missing inside its range; no other rows are invented.

    Parameters
    ----------
    paths_or_source : str, path, or sequence of them
        ``"arch"`` for the data sets inside the `arch` package (S&P 500, NASDAQ, crude oil), or
        bar files (``.parquet``, ``.csv``), or folders with one file per instrument.
    period : str or pandas.Timedelta
        Length of a period: divides a day or is whole days, and is a multiple of the bar length.
        Periods are aligned to 00:00 UTC. Bars finer than that become realised measures.

    Returns
    -------
    Panel
        Prices and measures with every finding of the quality checks. Prices are in quote
        currency, returns are decimal log returns, variances decimal squared.

    Raises
    ------
    InputError
        If a path does not exist, a file fails a check of severity ERROR (all of them are named),
        the period does not fit the bars, or the bars cover no whole period.

    Examples
    --------
    >>> panel = load_panel("arch", period="1D")
    >>> panel.instruments
    ('SP500', 'NASDAQ', 'WTI')
    """
    length = parse_period(period)
    tables = [check_table(table) for table in read_tables(paths_or_source)]
    _raise_errors([error for table in tables for error in table.errors])
    periods = [aggregate(t.bars, period=length) for t in tables if t.bars is not None]
    findings = [f for table in tables for f in table.findings]
    findings += [f for one in periods for f in one.findings]
    source = ", ".join(str(target) for target in targets_of(paths_or_source))
    return _assemble(periods, period=length, findings=tuple(findings), source=source)


def _raise_errors(errors: Sequence[Finding]) -> None:
    sentences = list(dict.fromkeys(error.detail for error in errors))
    if not sentences:
        return
    if len(sentences) == 1:
        raise InputError(sentences[0])
    shown = [f"\n- {sentence}" for sentence in sentences[:_MOST_ERRORS_SHOWN]]
    more = len(sentences) - len(shown)
    rest = f"\n- and {more} more; `foremargin data inspect` lists all" if more else ""
    raise InputError(f"the data have {len(sentences)} errors:{''.join(shown)}{rest}")


def _assemble(
    periods: Sequence[Periods], *, period: int, findings: tuple[Finding, ...], source: str
) -> Panel:
    axis = _time_axis(periods, period)
    if not len(axis):
        raise InputError(
            f"{source}: the bars must cover at least one whole period of "
            f"{span(period)}, found none; add history or shorten the period"
        )
    missing = np.stack([_codes(axis, one, period) for one in periods], axis=1)
    years = [
        periods_per_year(axis[codes == Missing.PRESENT], period=period, every_day=one.every_day)
        for one, codes in zip(periods, missing.T, strict=True)
    ]
    names = ["close", "log_return", *(f for f in FIELDS if any(f in p.values for p in periods))]
    columns = {name: np.full(missing.shape, np.nan) for name in names}
    for i, one in enumerate(periods):
        rows = np.searchsorted(axis, one.start)
        for name, values in one.values.items():
            columns[name][rows, i] = values
    return Panel(
        time=(axis + period).view("datetime64[ns]"),
        period=pd.Timedelta(period, unit="ns"),
        instruments=tuple(one.instrument for one in periods),
        close=columns.pop("close"),
        log_return=columns.pop("log_return"),
        missing=missing,
        periods_per_year=np.array(years),
        fields=columns,
        findings=findings,
        source=source,
    )


def _codes(axis: NDArray[np.int64], one: Periods, period: int) -> NDArray[np.int8]:
    return missing_codes(
        axis, starts=one.start, traded=one.traded, period=period, every_day=one.every_day
    )


def _time_axis(periods: Sequence[Periods], period: int) -> NDArray[np.int64]:
    """Return the starts of all rows: known periods, and holes of markets that never close."""
    known = [one.start for one in periods]
    filled = [
        np.arange(one.start[0], one.start[-1] + period, period)
        for one in periods
        if one.every_day and len(one.start)
    ]
    return distinct(np.concatenate([*known, *filled]))
