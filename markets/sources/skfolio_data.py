"""The data sets inside the `skfolio` package, if it is installed: closes of stocks and funds."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ...errors import InputError
from ..findings import Finding, Severity
from ..listings import Kind, Listing
from .tables import RawTable

_FILES = {
    "sp500_dataset.csv.gz": Kind.SPOT,
    "sp500_index.csv.gz": Kind.INDEX,
    "factors_dataset.csv.gz": Kind.SPOT,
}


class SkfolioData:
    """Source ``"skfolio"``: 20 shares and the S&P 500 (1990 to 2022), five factor funds (2014 on).

    Only what lies inside the package is read; its larger data sets would be downloaded.
    """

    @property
    def name(self) -> str:
        """The word that selects this source."""
        return "skfolio"

    def claims(self, target: str | Path) -> bool:
        """Whether `target` is the word ``"skfolio"``; a folder of that name is ``./skfolio``."""
        return target == self.name

    def read(self, target: str | Path) -> Iterator[RawTable]:
        """Yield one table of adjusted closes per share, index or fund.

        Raises
        ------
        InputError
            If the package is not installed, or no longer holds the files.
        """
        folder = _folder()
        for file, kind in _FILES.items():
            closes = pd.read_csv(folder / file, index_col=0, parse_dates=True)
            for instrument in closes:
                yield _table(str(instrument), closes[instrument], kind=kind)


def is_installed() -> bool:
    """Whether the package is there; it is not imported, which would take seconds."""
    return importlib.util.find_spec("skfolio") is not None


def _folder() -> Path:
    found = importlib.util.find_spec("skfolio")
    if found is None or found.origin is None:
        raise InputError(
            "the source 'skfolio' must have the package skfolio, and it is not installed; "
            "run 'pip install skfolio', or use 'arch', which is always there"
        )
    folder = Path(found.origin).parent / "datasets" / "data"
    missing = [file for file in _FILES if not (folder / file).exists()]
    if missing:
        raise InputError(
            f"the package skfolio must hold {', '.join(_FILES)}, and in {folder} there is no "
            f"{', '.join(missing)}; install version 0.4 or later"
        )
    return folder


def _table(instrument: str, close: pd.Series, *, kind: Kind) -> RawTable:
    """Return daily bars; session dates become UTC days, and days before the first close go."""
    close = close.loc[close.first_valid_index() :]
    days = pd.DatetimeIndex(close.index).tz_localize("UTC")
    adjusted = Finding(
        check="adjusted-price",
        severity=Severity.INFO,
        instrument=instrument,
        count=len(close),
        detail=f"skfolio: {instrument}: closes are adjusted for dividends and splits, so that "
        "their level is not the price of the day",
    )
    return RawTable(
        instrument=instrument,
        origin=f"skfolio: {instrument}",
        frame=pd.DataFrame({"open_time": days, "close": close.to_numpy()}),
        findings=() if kind is Kind.INDEX else (adjusted,),
        listing=Listing(instrument=instrument, kind=kind, quote="USD"),
    )
