"""The forms of files that can be read: a file is known by its columns, not by its name."""

from collections.abc import Iterable

from .bars import BARS
from .book_samples import BOOK_SAMPLES
from .form import FileTable, Form, Refusal, Table, unreadable
from .funding import FUNDING_TABLE
from .liquidations import LIQUIDATIONS
from .mark_prices import MARK_PRICES
from .observed import OBSERVED
from .published_series import SERIES_COLUMNS, SERIES_TABLE
from .realized_measures import REALIZED
from .vendor_bars import VENDOR_BARS
from .venue_bars import VENUE_BARS
from .volatility_index import VOLATILITY_INDEX

FORMS: tuple[Form, ...] = (
    OBSERVED,
    SERIES_TABLE,
    FUNDING_TABLE,
    MARK_PRICES,
    BOOK_SAMPLES,
    VOLATILITY_INDEX,
    LIQUIDATIONS,
    VENDOR_BARS,
    VENUE_BARS,
    REALIZED,
    BARS,
    SERIES_COLUMNS,
)
"""Asked in this order; the first that claims a file's columns reads it."""


def form_of(columns: Iterable[str]) -> Form | None:
    """Return the form of a file with these columns; None if it is of no known form.

    Examples
    --------
    >>> form_of(["open_time", "close"]).name
    'bars'
    >>> form_of(["strike", "expiry"]) is None
    True
    """
    names = frozenset(map(str, columns))
    return next((form for form in FORMS if form.claims(names)), None)


__all__ = ["FORMS", "FileTable", "Form", "Refusal", "Table", "form_of", "unreadable"]
