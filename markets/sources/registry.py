"""The registry of sources, and the one way to read from them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import InputError
from ..observations import Observations
from .arch_data import ArchData
from .bar_files import BarFiles
from .binance_archive import BinanceZips
from .described import DescribedMarket
from .skfolio_data import SkfolioData
from .tables import RawTable, Source

_EMBEDDED: tuple[Source, ...] = (ArchData(), SkfolioData())

SOURCES: tuple[Source, ...] = (
    *_EMBEDDED,
    DescribedMarket(embedded=_EMBEDDED),
    BinanceZips(),
    BarFiles(),
)
"""Asked in this order; the first that claims a target reads it."""

Targets = str | Path | Sequence[str | Path]
"""A source name, a path, or several of them."""


def targets_of(paths_or_source: Targets) -> tuple[str | Path, ...]:
    """Return what was asked for as a tuple.

    Raises
    ------
    InputError
        If nothing was asked for.
    """
    if isinstance(paths_or_source, str | Path):
        return (paths_or_source,)
    targets = tuple(paths_or_source)
    if not targets:
        raise InputError(
            "there must be at least one data path or source name, found none; pass a path or 'arch'"
        )
    return targets


def read_tables(paths_or_source: Targets) -> Iterator[RawTable | Observations]:
    """Yield tables one after the other, in the order of the targets.

    An instrument may come more than once; whoever loads it decides whether the tables are pieces
    of one history.

    Raises
    ------
    InputError
        If a path does not exist or nothing was asked for.
    """
    for target in targets_of(paths_or_source):
        source = next(source for source in SOURCES if source.claims(target))
        yield from source.read(target)
