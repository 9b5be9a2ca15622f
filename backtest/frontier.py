"""The whole curve of cost against shortfall, so that no single scale decides."""

import numpy as np
import pandas as pd

from .cells import Cells
from .losses import shortfall

_SCALES = np.geomspace(0.5, 2.0, 25)


def cost_shortfall_curve(cells: Cells) -> pd.DataFrame:
    """Return cost and total shortfall of every policy at 25 scales between 0.5 and 2.

    Parameters
    ----------
    cells : Cells
        Of the test period.

    Returns
    -------
    pandas.DataFrame
        Columns ``policy``, ``scale`` (factor on all its margins), ``mean_margin`` (fraction of
        notional), ``shortfall`` (sum over cells of ``max(loss - margin, 0)``, notionals) and
        ``breach_rate``.
    """
    rows = []
    for name in cells.policies:
        for scale in _SCALES:
            margin = cells.of(name) * scale
            rows.append(
                {
                    "policy": name,
                    "scale": float(scale),
                    "mean_margin": float(margin.mean()),
                    "shortfall": float(shortfall(cells.loss, margin).sum()),
                    "breach_rate": float((cells.loss > margin).mean()),
                }
            )
    return pd.DataFrame(rows)
