"""One venue off while the others agree.

The rule of :func:`foremargin.calibrate.addons.venue_consensus` for one price, without numpy: the
front must not take a dislocated price for a move of the market, and must stay light.
"""

from collections.abc import Sequence
from statistics import median


def is_dislocated(
    price: float, others: Sequence[float], *, spread: float, tolerance: float
) -> bool:
    """Whether a price is an outlier among venues.

    Parameters
    ----------
    price : float
        Price of the venue, positive.
    others : sequence of float
        Prices of the other venues, positive; with fewer than two nobody can tell.
    spread : float
        Median distances from the median of all that are still usual, at least 1.
    tolerance : float
        Relative distance that never makes an outlier.
    """
    if len(others) < 2:
        return False
    middle = median([price, *others])
    away = [abs(one / middle - 1.0) for one in (price, *others)]
    return away[0] > max(spread * median(away), tolerance)
