"""What it costs to trade, as a fraction of notional, from what bars and quotes show.

An order of a fixed value crosses half the quoted spread and moves the price by the impact of a
traded unit (Amihud 2002, Journal of Financial Markets 5(1)), taken as linear in the value. Impact
from bars includes news, so that it is a cost at worst, and one to compare and to forecast rather
than to pay; that of a small market can exceed one.
"""

import numpy as np

from ..measures import Measures
from ..moving import Values
from .quoted import mid_price
from .volume import log_amihud

ORDER_VALUE = 1_000_000.0
"""Value of the order whose cost is meant, quote currency."""


def relative_cost(m: Measures) -> Values:
    """Return the cost of an order of :data:`ORDER_VALUE` in each period, a fraction of notional.

    Impact plus half the quoted spread where there are quotes; impact alone where there are none,
    which leaves out the spread; the spread alone where nothing is known of the traded value. NaN
    where neither is known.
    """
    impact = ORDER_VALUE * np.exp(log_amihud(m))
    bid, ask = m.field("bid"), m.field("ask")
    half_spread = 0.5 * (ask - bid) / mid_price(bid, ask)
    known = np.isfinite(impact) | np.isfinite(half_spread)
    total = np.nan_to_num(impact) + np.nan_to_num(half_spread)
    return np.where(known & (total > 0.0), total, np.nan)
