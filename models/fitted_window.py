"""A forecaster that was fitted on a window of the past and must go on seeing that window's rows."""

from dataclasses import dataclass

from ..features import History
from .forecast import Forecast
from .forecaster import FittedForecaster


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedOnWindow:
    """A fitted forecaster whose row 0 is a later row of the panel.

    Attributes
    ----------
    fitted : FittedForecaster
        Fitted on :meth:`History.since` `first_row`.
    first_row : int
        Panel row, at least 1.
    """

    fitted: FittedForecaster
    first_row: int

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the fitted forecaster."""
        return self.fitted.notes

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Forecast from each row in `origins`, none of which lies before the window."""
        inside = slice(origins.start - self.first_row, origins.stop - self.first_row)
        return self.fitted.forecast(history.since(self.first_row), origins=inside)
