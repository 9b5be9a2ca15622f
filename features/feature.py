"""A feature is data: a name, a unit, a sentence, and a function of the past."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from .measures import Measures
from .moving import Values

EVERYTHING = math.inf
"""Look-back of a feature that remembers everything since its instrument was listed."""

AT_CLOSE = pd.Timedelta(0)
"""A value that is known when its period closes."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number per instrument and period that was known when the period closed.

    Attributes
    ----------
    name : str
        Unique; the column name everywhere.
    unit : str
        What one is one of.
    meaning : str
        One sentence for people.
    compute : callable
        From :class:`Measures` to an array of shape (n_periods, n_instruments); NaN where it
        cannot be known.
    look_back_days : float
        Calendar days of history that the value depends on; :data:`EVERYTHING` if on all of it.
    available_after : pandas.Timedelta
        How long after the close of the period its inputs are published; the value is moved to
        the first period that closes no earlier than that.
    intraday_only : bool
        True for a feature that says nothing new when a period is a day or longer.
    """

    name: str
    unit: str
    meaning: str
    compute: Callable[[Measures], Values]
    look_back_days: float = EVERYTHING
    available_after: pd.Timedelta = AT_CLOSE
    intraday_only: bool = False
