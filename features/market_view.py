"""What a measure of variance needs of a chunk of the market, said once, below both of them."""

from typing import Protocol

from numpy import int64
from numpy.typing import NDArray

from .moving import Values


class MarketView(Protocol):
    """A chunk of the market with its moving parts; :class:`.measures.Measures` is the one there is.

    Measures offers the variance that is computed here, so the functions that compute it cannot know
    it by name.
    """

    @property
    def log_return(self) -> Values:
        """Decimal log return since the instrument's previous present period."""
        ...

    @property
    def close(self) -> Values:
        """Last price of the period."""
        ...

    @property
    def variance(self) -> Values:
        """Variance per period, decimal squared."""
        ...

    @property
    def log_variance(self) -> Values:
        """Log of the floored variance."""
        ...

    def field(self, name: str) -> Values:
        """Return a field of the panel."""
        ...

    def span(self, days: float) -> NDArray[int64]:
        """Return how many own periods some calendar days hold."""
        ...

    def mean(
        self,
        x: Values,
        *,
        days: float | None = None,
        periods: int | None = None,
        min_periods: int | None = None,
    ) -> Values:
        """Mean of a trailing window."""
        ...

    def covariance(
        self, x: Values, y: Values, *, days: float | None = None, periods: int | None = None
    ) -> Values:
        """Sample covariance of a trailing window."""
        ...

    def expanding_mean(self, x: Values) -> Values:
        """Mean of everything so far."""
        ...

    def running_total(self, x: Values) -> Values:
        """Sum of everything so far."""
        ...
