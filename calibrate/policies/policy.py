"""The one interface of every margin policy."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..market import MarginMarket
from ..schedule import Generation


class Policy(Protocol):
    """A rule that sets margins; a specification without data.

    A policy sees the whole market so that it may pool instruments, and must use at each origin
    only losses that were known by then. The conformance tests change the future and compare.
    """

    @property
    def name(self) -> str:
        """Unique name: the value of the column ``policy`` in every table."""
        ...

    @property
    def generation(self) -> Generation:
        """Its kind."""
        ...

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the forecasters whose variances it needs."""
        ...

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        """Return margin rates, fractions of notional, shape ``market.shape``; NaN if none."""
        ...
