"""A market with weekends, a late listing and a halt; fits; and the files that a service reads."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from foremargin.calibrate import MarginMarket, Predictive
from foremargin.calibrate.export import RungDraft, export_serving_state
from foremargin.calibrate.path import MarginLimits, SpeedLimit, limits_tool
from foremargin.calibrate.policies import WithTool
from foremargin.calibrate.served import read_serving_state
from foremargin.features import History, build_history
from foremargin.markets import Missing, Panel
from foremargin.markets.sessions import sessions_of
from foremargin.models import (
    Distribution,
    FittedForecaster,
    Forecast,
    Garch,
    LogHar,
    Volatility,
)
from foremargin.serving.observations import Bar

TRAINED, FIRST, N = 640, 250, 800
TAIL = 0.05
DAY_NS = 86_400_000_000_000
LIMITS = MarginLimits(floor=0.01, speed=(SpeedLimit(rise=0.3, fall=0.05),))


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """A market, what was trained on its first rows, and what a backtest says of all."""

    history: History
    horizon: int
    past: dict[str, Forecast]
    files: dict[str, bytes]

    @property
    def panel(self) -> Panel:
        return self.history.panel

    def times(self) -> list[int]:
        return [int(x) for x in self.panel.time.astype("datetime64[ns]").astype(np.int64)]

    def bars(self, row: int) -> list[Bar]:
        """Bars of one row: every field that the panel knows."""
        panel, out = self.panel, []
        for i in np.flatnonzero(panel.present[row]):
            values = {k: float(v[row, i]) for k, v in panel.fields.items()}
            prices = {k: values.pop(k) for k in ("open", "high", "low")}
            out.append(
                Bar(
                    instrument=panel.instruments[i],
                    time=self.times()[row],
                    close=float(panel.close[row, i]),
                    more={k: v for k, v in values.items() if np.isfinite(v)},
                    **prices,
                )
            )
        return out

    def batch(self, model: str, place: int) -> np.ndarray:
        """Margins of the backtest under the limits, by the exponents that were frozen."""
        policy = read_serving_state(self.files).rungs[place].policy
        k = self.history.horizons.index(self.horizon)
        variance = np.full(self.panel.close.shape, np.nan)
        variance[FIRST:] = self.past[model].variance[:, :, k]
        market = MarginMarket(
            history=self.history,
            horizon=self.horizon,
            tail_probability=TAIL,
            first_row=FIRST,
            variance={model: variance},
        )
        plain = Predictive(model=model, exponents=(policy.exponents,))
        return WithTool(policy=plain, tool=limits_tool(LIMITS)).margin(market)


@pytest.fixture(scope="session")
def trained(make_panel):
    """Return history, fitted forecasters, and what they say from FIRST on."""
    panel = make_panel(n_periods=N).select(["COIN", "INDEX", "LATE"])
    history = build_history(panel, horizons=(1, 5))
    rng = np.random.default_rng(0)
    garch = Garch(volatility=Volatility.GJR, distribution=Distribution.T)
    fitted: dict[str, FittedForecaster] = {
        "log-har": LogHar().fit(history.upto(TRAINED), rng=rng),
        "gjr-t": garch.fit(history.upto(TRAINED), rng=rng),
    }
    origins = slice(FIRST, panel.n_periods)
    past = {name: one.forecast(history, origins=origins) for name, one in fitted.items()}
    return history, fitted, past


@pytest.fixture(scope="session")
def make_served(trained):
    """Return a function that exports what was trained; `network` adds a rung that is brought."""
    history, fitted, past = trained

    def make(*, horizon=1, network=False):
        known = history.upto(TRAINED)
        walked = {name: one.rows(0, TRAINED - FIRST) for name, one in past.items()}
        drafts = [
            RungDraft(basis="linear", past=walked["log-har"], fitted=fitted["log-har"]),
            RungDraft(basis="garch", past=walked["gjr-t"], fitted=fitted["gjr-t"]),
        ]
        if network:
            said = replace(
                walked["log-har"], model="net", variance=1.5 * walked["log-har"].variance
            )
            drafts.insert(0, RungDraft(basis="network", past=said))
        files = export_serving_state(
            known,
            drafts,
            policy=Predictive(model="any"),
            horizon=horizon,
            tail_probability=TAIL,
            limits=LIMITS,
        )
        return Served(history=history, horizon=horizon, past=past, files=files)

    return make


@pytest.fixture(scope="session")
def served(make_served):
    return make_served()


@pytest.fixture(scope="session")
def with_calendar(make_panel):
    """A coin that trades always and an index with the calendar of New York, closed on holidays."""
    panel = make_panel(n_periods=N).select(["COIN", "INDEX"])
    history = build_history(_closed_on_holidays(panel), horizons=(1,))
    fitted = LogHar().fit(history.upto(TRAINED), rng=np.random.default_rng(0))
    past = fitted.forecast(history, origins=slice(FIRST, N))
    files = export_serving_state(
        history.upto(TRAINED),
        [RungDraft(basis="linear", past=past.rows(0, TRAINED - FIRST), fitted=fitted)],
        policy=Predictive(model="any"),
        horizon=1,
        tail_probability=TAIL,
        limits=LIMITS,
    )
    return Served(history=history, horizon=1, past={"log-har": past}, files=files)


def _closed_on_holidays(panel: Panel) -> Panel:
    starts = panel.time.astype("datetime64[ns]").astype(np.int64) - DAY_NS
    sessions = sessions_of("XNYS", first=int(starts[0]), last=int(starts[-1]))
    place = panel.instruments.index("INDEX")
    shut = ~sessions.open_periods(starts, period=DAY_NS, by_day=True)
    close, log_return, missing = panel.close.copy(), panel.log_return.copy(), panel.missing.copy()
    close[shut, place], missing[shut, place] = np.nan, Missing.CLOSED
    log_return[:, place] = np.nan
    rows = np.flatnonzero(missing[:, place] == Missing.PRESENT)
    log_return[rows[1:], place] = np.diff(np.log(close[rows, place]))
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for values in fields.values():
        values[shut, place] = np.nan
    listings = tuple(
        replace(one, calendar="XNYS" if one.instrument == "INDEX" else "24/7")
        for one in panel.listings
    )
    return replace(
        panel,
        close=close,
        log_return=log_return,
        missing=missing,
        fields=fields,
        listings=listings,
    )


@pytest.fixture(scope="session")
def with_network(make_served):
    return make_served(network=True)
