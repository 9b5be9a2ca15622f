"""A synthetic market: its bars, its book, the panel made of them, and the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ..assembly.axis import Extras, Instrument, assemble
from ..bars.aggregation import parse_period
from ..bars.cleaning import check_table
from ..bars.pieces import piece_of
from ..bars.stitching import stitch
from ..findings import Finding
from ..listings import Listing
from ..observations import Observations
from ..panel import Panel
from ..parsing import nanoseconds
from ..sources import RawTable
from .spec import MarketSpec

_VENUE = "synthetic"
_QUOTE = "USD"
_BOOK_STANDS = pd.Timedelta(days=7)
_NOT_VALUES = ("time", "known_at", "instrument")


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What no market tells; read-only arrays of shape (n, n_instruments) unless said otherwise.

    Values lie on bars, or after :meth:`on` on the periods of a panel. NaN where an instrument
    does not trade.

    Attributes
    ----------
    time : ndarray of datetime64[ns], shape (n,)
        End of the bar or period, UTC.
    instruments : tuple of str
        Names, in column order.
    regime_names : tuple of str
        Names of the states.
    regime : ndarray of int8, shape (n,)
        State of the market: position in `regime_names`; of a period, that of its last bar.
    correlation : ndarray, shape (n,)
        Correlation of diffusive returns in that state.
    integrated_variance : ndarray
        Variance of the diffusion over the bar and the closed time before it, decimal squared. It
        is known when the bar begins; over several bars it is the sum.
    jump_variance : ndarray
        Variance that jumps were expected to add, decimal squared.
    jump : ndarray
        Log return of the jumps; zero where there was none. Of a period, their sum.
    jump_variation : ndarray
        Sum of squared jumps, decimal squared.
    spread_bps : ndarray
        Quoted spread at the end, basis points of mid.
    depth : ndarray
        Value within 10 basis points of mid, mean of both sides, at the end, quote currency.
    impact_coefficient : ndarray
        Expected log return of a bar per quote currency of net taker buying; of a period, that of
        its last bar.
    """

    time: NDArray[np.datetime64]
    instruments: tuple[str, ...]
    regime_names: tuple[str, ...]
    regime: NDArray[np.int8]
    correlation: NDArray[np.float64]
    integrated_variance: NDArray[np.float64]
    jump_variance: NDArray[np.float64]
    jump: NDArray[np.float64]
    jump_variation: NDArray[np.float64]
    spread_bps: NDArray[np.float64]
    depth: NDArray[np.float64]
    impact_coefficient: NDArray[np.float64]

    def __post_init__(self) -> None:
        for one in fields(self):
            values = getattr(self, one.name)
            if isinstance(values, np.ndarray):
                values.setflags(write=False)

    @property
    def conditional_variance(self) -> NDArray[np.float64]:
        """Variance expected of diffusion and jumps, decimal squared."""
        return self.integrated_variance + self.jump_variance

    @property
    def quadratic_variation(self) -> NDArray[np.float64]:
        """What a perfect realised variance would measure, decimal squared."""
        return self.integrated_variance + self.jump_variation

    def on(self, panel: Panel) -> "Truth":
        """Return the truth of the periods of a panel; NaN where an instrument has no price.

        Raises
        ------
        InputError
            If the panel is not one of this market.
        """
        rows = _Rows.of(self, panel)
        return replace(
            self,
            time=panel.time,
            instruments=panel.instruments,
            regime=self.regime[rows.last],
            correlation=self.correlation[rows.last],
            integrated_variance=rows.total(self.integrated_variance),
            jump_variance=rows.total(self.jump_variance),
            jump=rows.total(self.jump),
            jump_variation=rows.total(self.jump_variation),
            spread_bps=rows.final(self.spread_bps),
            depth=rows.final(self.depth),
            impact_coefficient=rows.final(self.impact_coefficient),
        )

    def frame(self) -> pd.DataFrame:
        """Return a tidy table: one row per time and instrument that trades then."""
        time = np.repeat(pd.DatetimeIndex(self.time, tz="UTC"), len(self.instruments))
        table = pd.DataFrame(
            {
                "time": time,
                "instrument": np.tile(np.array(self.instruments), len(self.time)),
                "regime": np.repeat(np.array(self.regime_names)[self.regime], self.n_instruments),
                "correlation": np.repeat(self.correlation, self.n_instruments),
            }
        )
        names = (*_SUMS, *_LAST)
        table = table.assign(**{name: getattr(self, name).ravel() for name in names})
        return table[table["integrated_variance"].notna()].reset_index(drop=True)

    @property
    def n_instruments(self) -> int:
        """Number of instruments (columns)."""
        return len(self.instruments)


_SUMS = ("integrated_variance", "jump_variance", "jump", "jump_variation")
_LAST = ("spread_bps", "depth", "impact_coefficient")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Which bars make which period of a panel; each period has some."""

    period_of: NDArray[np.intp]
    heads: NDArray[np.intp]
    columns: list[int]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, truth: Truth, panel: Panel) -> "_Rows":
        period_of = np.searchsorted(panel.time, truth.time)
        period_of = period_of[period_of < panel.n_periods]
        heads = np.flatnonzero(np.diff(period_of, prepend=-1))
        strangers = sorted(set(panel.instruments) - set(truth.instruments))
        if strangers or len(heads) < panel.n_periods:
            raise InputError(
                f"panel must be one of this market, and had instruments {strangers} or periods "
                "beyond it; take it from SyntheticMarket.panel or from its files"
            )
        columns = [truth.instruments.index(name) for name in panel.instruments]
        return cls(period_of=period_of, heads=heads, columns=columns, present=panel.present)

    @property
    def last(self) -> NDArray[np.intp]:
        """Return the last bar of each period."""
        return np.append(self.heads[1:], len(self.period_of)) - 1

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        own = np.nan_to_num(values[: len(self.period_of)][:, self.columns])
        return np.where(self.present, np.add.reduceat(own, self.heads, axis=0), np.nan)

    def final(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        own = pd.DataFrame(values[: len(self.period_of)][:, self.columns])
        return np.where(self.present, own.groupby(self.period_of).last().to_numpy(), np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticMarket:
    """A market that was drawn, as a source would have it, and the truth behind it.

    Attributes
    ----------
    spec : MarketSpec
        What it was drawn from.
    bars : mapping of str to pandas.DataFrame
        Canonical bar table by instrument: ``open_time``, prices, volumes, trades, taker volume,
        and ``funding_rate`` of perpetuals. No bars where an instrument does not trade.
    book : pandas.DataFrame
        Observations at the end of every bar: ``time``, ``known_at``, ``instrument``, ``bid``,
        ``ask``, ``spread_bps``, ``depth_bid_10bps``, ``depth_ask_10bps`` and, for perpetuals,
        ``index_price``.
    truth : Truth
        On the bars.
    """

    spec: MarketSpec
    bars: Mapping[str, pd.DataFrame]
    book: pd.DataFrame
    truth: Truth

    def panel(self, *, period: str = "1D") -> Panel:
        """Put the bars into periods, on the way that every bar file goes.

        Raises
        ------
        InputError
            If the period is no multiple of the bar, or the market covers no whole period.
        """
        length = parse_period(period)
        instruments = [self._instrument(name, frame, length) for name, frame in self.bars.items()]
        findings = tuple(f for _, found in instruments for f in found)
        observations = tuple(self._observations(name) for name in self.bars)
        extras = Extras(observations=observations, findings=findings, source=_VENUE)
        return assemble([one for one, _ in instruments], extras, period=length)

    def _instrument(
        self, name: str, frame: pd.DataFrame, length: int
    ) -> tuple[Instrument, tuple[Finding, ...]]:
        listing = self.listing(name)
        table = RawTable(instrument=name, origin=f"{_VENUE}: {name}", frame=frame, listing=listing)
        checked = check_table(table)
        if checked.bars is None:
            raise AssertionError(f"bars of {name} must be healthy, were not: {checked.errors}")
        stitched = stitch([piece_of(checked.bars, period=length)], period=length)
        one = Instrument(listing=listing, periods=stitched.periods, closes=stitched.closes)
        return one, checked.findings

    def _observations(self, name: str) -> Observations:
        own = self.book[self.book["instrument"] == name]
        values = {
            column: own[column].to_numpy(dtype=np.float64)
            for column in own.columns
            if column not in _NOT_VALUES and own[column].notna().any()
        }
        return Observations(
            instrument=name,
            origin=f"{_VENUE}: book of {name}",
            time=nanoseconds(own["time"]),
            known_at=nanoseconds(own["known_at"]),
            values=values,
            max_age=_BOOK_STANDS,
        )

    def listing(self, name: str) -> Listing:
        """Return what an instrument is."""
        one = next(one for one in self.spec.instruments if one.name == name)
        return Listing(
            instrument=name,
            kind=one.kind,
            underlying=one.underlying or name,
            quote=_QUOTE,
            venue=_VENUE,
            calendar=one.calendar,
        )

    def write(self, folder: str | Path) -> Path:
        """Write the market as files, and return the market file to load it with.

        ``bars/<instrument>.parquet``, ``book.parquet``, ``market.toml`` and, beside them and read
        by nothing, ``truth.parquet``. An experiment runs on it with ``--data market.toml``.

        Parameters
        ----------
        folder : str or path
            Made if it is not there; files of the same names are replaced.
        """
        folder = Path(folder)
        (folder / "bars").mkdir(parents=True, exist_ok=True)
        for name, frame in self.bars.items():
            frame.to_parquet(folder / "bars" / f"{name}.parquet", index=False)
        self.book.to_parquet(folder / "book.parquet", index=False)
        self.truth.frame().to_parquet(folder / "truth.parquet", index=False)
        target = folder / "market.toml"
        target.write_text(self._market_file(), encoding="utf-8")
        return target

    def _market_file(self) -> str:
        lines = ["# A synthetic market; what is true of it lies in truth.parquet.", ""]
        for name in self.bars:
            one = self.listing(name)
            entry = {
                **{"path": f"bars/{name}.parquet", "instrument": name, "venue": one.venue},
                **{"kind": one.kind.value, "underlying": one.underlying, "quote": one.quote},
                "calendar": one.calendar,
            }
            lines += ["[[bars]]", *(f'{key} = "{value}"' for key, value in entry.items()), ""]
        names = [name for name in self.book.columns if name not in _NOT_VALUES]
        lines += [
            "[[observations]]",
            'path = "book.parquet"',
            'time = "time"',
            'known_at = "known_at"',
            'instrument_column = "instrument"',
            f'max_age = "{_BOOK_STANDS.days}D"',
            f"fields = {{ {', '.join(f'{name} = {chr(34)}{name}{chr(34)}' for name in names)} }}",
        ]
        return "\n".join(lines) + "\n"
