"""The data sets of the archive that are read, by name."""

from .book_depth import BOOK_DEPTH
from .book_ticker import BOOK_TICKER
from .dataset import Dataset
from .funding import FUNDING
from .klines import INDEX_PRICE, KLINES, MARK_PRICE, PREMIUM_INDEX
from .liquidations import LIQUIDATIONS
from .metrics import METRICS

DATASETS: tuple[Dataset, ...] = (
    KLINES,
    MARK_PRICE,
    INDEX_PRICE,
    PREMIUM_INDEX,
    FUNDING,
    METRICS,
    BOOK_DEPTH,
    BOOK_TICKER,
    LIQUIDATIONS,
)
"""A new one is a file and a line here."""

DATASET_NAMES = tuple(dataset.name for dataset in DATASETS)
"""Their folders in the archive."""


def dataset_named(name: str) -> Dataset:
    """Return a data set that is known to exist."""
    return next(dataset for dataset in DATASETS if dataset.name == name)
