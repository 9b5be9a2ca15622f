"""The limits as a tool around any policy."""

import numpy as np
from numpy.typing import NDArray

from ..market import MarginMarket
from ..policies import Tool
from .limits import MarginLimits
from .rule import margin_path


def limits_tool(limits: MarginLimits, *, name: str = "limits") -> Tool:
    """Return a tool that holds every margin of a policy to limits, each side for itself.

    Periods without a margin stay without one and do not count; after a gap the rule goes on from
    the last margin. A stressed weight needs a stressed margin, which a policy does not give:
    compose with the tools of :data:`.EMIR_TOOLS` instead.

    Parameters
    ----------
    limits : MarginLimits
        Without a stressed weight.
    name : str
        What is appended to the name of the policy.
    """

    def apply(plain: NDArray[np.float64], market: MarginMarket) -> NDArray[np.float64]:
        out = np.full_like(plain, np.nan)
        for i, s in np.ndindex(plain.shape[1:]):
            known = ~np.isnan(plain[:, i, s])
            if known.any():
                path = margin_path(plain[known, i, s], limits=limits)
                out[known, i, s] = path.initial_margin
        return out

    return Tool(name=name, apply=apply)
