"""Loading: from a source name or paths to a panel."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from ...errors import InputError
from ..bars.aggregation import parse_period
from ..bars.cleaning import check_table
from ..bars.pieces import Piece, piece_of
from ..bars.stitching import stitch
from ..findings import Finding, Severity
from ..listings import Listing
from ..observations import Observations
from ..panel import Panel
from ..sources import RawTable, Targets, read_tables, targets_of
from .axis import Extras, Instrument, assemble

_MOST_ERRORS_SHOWN = 20


def load_panel(paths_or_source: Targets, *, period: str | pd.Timedelta = "1D") -> Panel:
    """Load bars, check them, put them on one time axis, and join what else is known to them.

    The axis holds every period for which an instrument has bars, and the holes of instruments
    that are known to trade then: those that trade every day, and those whose calendar is named.

    Observations are joined as of the end of each period, from the moment at which each could be
    known; nothing is joined where an instrument has no price.

    Tables are read, checked, put into periods and dropped one after the other.

    Parameters
    ----------
    paths_or_source : str, path, or sequence of them
        ``"arch"`` for the data sets inside the `arch` package (S&P 500, NASDAQ, crude oil), or
        bar files (``.parquet``, ``.csv``), or folders with one file per instrument, or a market
        file (``.toml``), which says what lies where and when it was known.
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
    reading = _Reading(period=length)
    for table in read_tables(paths_or_source):
        reading.take(table)
        del table  # before the next one is read
    source = ", ".join(str(target) for target in targets_of(paths_or_source))
    return assemble(reading.instruments(), reading.extras(source), period=length)


@dataclass(kw_only=True)
class _Reading:
    """What has been read so far."""

    period: int
    pieces: dict[str, list[Piece]] = field(default_factory=dict)  # by qualified name
    listings: dict[str, Listing] = field(default_factory=dict)
    observations: list[Observations] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    misfits: list[InputError] = field(default_factory=list)

    def take(self, table: RawTable | Observations) -> None:
        """Check a table and keep its periods; the table itself is not kept."""
        if isinstance(table, Observations):
            self.observations.append(table)
            self.findings += table.findings
            return
        checked = check_table(table)
        self.findings += checked.findings
        if checked.bars is None:
            return
        listing = table.listing or Listing.unknown(table.instrument)
        name = listing.qualified
        try:
            self.pieces.setdefault(name, []).append(piece_of(checked.bars, period=self.period))
        except InputError as error:  # what is wrong with the data is said first
            self.misfits.append(error)
        known = self.listings.setdefault(name, listing)
        if known != listing:
            self.findings.append(_two_listings(table, known, listing))

    def instruments(self) -> list[Instrument]:
        """Return the instruments, and forget their pieces; raise what stops loading."""
        self._raise_errors()
        n_venues = Counter(listing.symbol for listing in self.listings.values())
        instruments = []
        for name, listing in self.listings.items():
            if n_venues[listing.symbol] > 1:
                listing = replace(listing, instrument=listing.qualified)
            stitched = stitch(self.pieces.pop(name), period=self.period)
            self.findings += stitched.errors
            instruments.append(
                Instrument(listing=listing, periods=stitched.periods, closes=stitched.closes)
            )
        self._raise_errors()
        return instruments

    def extras(self, source: str) -> Extras:
        """Return what there is beside the bars."""
        return Extras(
            observations=tuple(self.observations), findings=tuple(self.findings), source=source
        )

    def _raise_errors(self) -> None:
        errors = [f.detail for f in self.findings if f.severity is Severity.ERROR]
        _raise_errors(list(dict.fromkeys(errors)))
        if self.misfits:
            raise self.misfits[0]


def _two_listings(table: RawTable, known: Listing, listing: Listing) -> Finding:
    return Finding(
        check="duplicate-instrument",
        severity=Severity.ERROR,
        instrument=table.instrument,
        count=1,
        detail=f"{table.origin}: an instrument must be one thing, and {table.instrument!r} was "
        f"{known} before and is {listing} here; name them apart, or give each its venue",
    )


def _raise_errors(sentences: Sequence[str]) -> None:
    if not sentences:
        return
    if len(sentences) == 1:
        raise InputError(sentences[0])
    shown = [f"\n- {sentence}" for sentence in sentences[:_MOST_ERRORS_SHOWN]]
    more = len(sentences) - len(shown)
    rest = f"\n- and {more} more; `foremargin data inspect` lists all" if more else ""
    raise InputError(f"the data have {len(sentences)} errors:{''.join(shown)}{rest}")
