"""The calculator of the demonstration, fitted as it starts on what was known then."""

import numpy as np

from ...calibrate import Predictive
from ...calibrate.export import RungDraft, export_serving_state
from ...features import History, build_history
from ...markets import load_panel
from ...models import Distribution, Forecaster, Garch, LogHar, Volatility
from ..calculator import Calculator
from ..service.wire import Calculates
from .plan import FIRST_ORIGIN, HISTORY_FROM, HORIZON, RECORDED_FROM, TAIL_PROBABILITY

_FORECASTERS: tuple[tuple[str, Forecaster], ...] = (
    ("linear", LogHar()),
    ("garch", Garch(volatility=Volatility.GJR, distribution=Distribution.T)),
)


def calculator() -> Calculates:
    """Return a calculator that knows what was known before the first day that is sent.

    Past scores come from one fit on the rows before :data:`.plan.FIRST_ORIGIN`; margins from then
    on from a fit on everything known.
    """
    panel = load_panel("arch")
    start, stop = (
        int(np.searchsorted(panel.time, np.datetime64(day, "ns"), side="right"))
        for day in (HISTORY_FROM, RECORDED_FROM)
    )
    known = build_history(panel.rows(start, stop), horizons=(HORIZON,))
    files = export_serving_state(
        known,
        [_draft(basis, forecaster, known) for basis, forecaster in _FORECASTERS],
        policy=Predictive(model="log-har"),
        horizon=HORIZON,
        tail_probability=TAIL_PROBABILITY,
    )
    return Calculator.load(files, model="demo/1")


def _draft(basis: str, forecaster: Forecaster, known: History) -> RungDraft:
    """Return a forecaster fitted on everything, and what an early fit said since."""
    row = int(np.searchsorted(known.panel.time, np.datetime64(FIRST_ORIGIN, "ns")))
    early = forecaster.fit(known.upto(row), rng=np.random.default_rng(0))
    past = early.forecast(known, origins=slice(row, known.panel.n_periods))
    fitted = forecaster.fit(known, rng=np.random.default_rng(0))
    return RungDraft(basis=basis, past=past, fitted=fitted)
