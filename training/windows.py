"""How much of the past a fit is given: all of it, or the last so many trading days."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ..markets import Panel

EXPANDING = "expanding"
"""How an experiment writes a window that holds the whole past."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The part of the past that a model is fitted on.

    Attributes
    ----------
    sessions : int or None
        Trading days, at least 1: days (UTC) on which any instrument of the panel trades; None for
        the whole past.
    """

    sessions: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Read ``expanding`` or ``1000 sessions``.

        Raises
        ------
        InputError
            If it is neither.

        Examples
        --------
        >>> Window.parse("1000 sessions")
        Window(sessions=1000)
        """
        if text.strip() == EXPANDING:
            return cls()
        found = re.fullmatch(r"\s*([1-9]\d*) sessions?\s*", text)
        if found is None:
            raise InputError(
                f"a window must be 'expanding' or a number of trading days like '1000 sessions', "
                f"was {text!r}"
            )
        return cls(sessions=int(found[1]))

    def first_row(self, panel: Panel, *, stop: int) -> int:
        """Return the first row of the window that ends before row `stop`."""
        if self.sessions is None:
            return 0
        # The end of a period is its time: a daily period that ends at midnight is the day before.
        day = (panel.time[:stop] - panel.period.to_timedelta64()).astype("datetime64[D]")
        traded = np.unique(day[panel.present[:stop].any(axis=1)])
        if len(traded) <= self.sessions:
            return 0
        return int(np.searchsorted(day, traded[-self.sessions]))


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a walk-forward run gives each fit.

    Attributes
    ----------
    window : Window
        Of every model that `windows` does not name.
    windows : mapping of str to Window
        By name of the model.
    warm_starts : bool
        Whether a model that can starts each fit where its previous one ended. Its blocks are then
        made one after the other. A model with a window that moves starts cold, since what it
        learnt before is partly about rows it must no longer see.
    """

    window: Window = Window()
    windows: Mapping[str, Window] = field(default_factory=dict)
    warm_starts: bool = False

    def window_of(self, model: str) -> Window:
        """Return the window of a model."""
        return self.windows.get(model, self.window)
