"""What goes into service: everything that the walk-forward run taught, warmed up row by row.

Coverage control, pooled tails, limits and intervals are run over the whole past with what each
forecaster said out of sample, by the very code that runs in service, and stop just before the last
row. The service closes that row itself, with the forecasters that were fitted on everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import FeatureStream, History
from ..models import FittedForecaster, FittedOnWindow, Forecast, OnlineGarch, OnlineLogHar
from ..models.garch.forecaster import FittedGarch
from ..models.regressions.log_har import FittedLogHar
from .market import MarginMarket
from .path import MarginLimits
from .policies import (
    ChosenMargins,
    ErrorInterval,
    OnlinePolicy,
    OnlinePredictive,
    Predictive,
)
from .probabilities import CalibrationMap, maps_at
from .regime import RegimeStream
from .served import ServedRung, ServingState, write_serving_state

Values = NDArray[np.float64]

_WEEK = "log_variance_week"


@dataclass(frozen=True, kw_only=True, eq=False)
class RungDraft:
    """One forecaster that is to be served.

    Attributes
    ----------
    basis : str
        ``network``, ``linear`` or ``garch``.
    past : Forecast
        What it said out of sample, over consecutive rows up to the last row but one, or further.
    fitted : FittedForecaster or None
        Fitted on everything: a log-HAR, a GARCH or a GJR. None where the service gets it from
        elsewhere.
    """

    basis: str
    past: Forecast
    fitted: FittedForecaster | None = None


def export_serving_state(
    history: History,
    drafts: Sequence[RungDraft],
    *,
    policy: Predictive,
    horizon: int,
    tail_probability: float,
    limits: MarginLimits | None = None,
) -> dict[str, bytes]:
    """Return the files that :meth:`foremargin.serving.calculator.Calculator.load` reads.

    Parameters
    ----------
    history : History
        All that was trained on.
    drafts : sequence of RungDraft
        Best first; each with the horizons of the history.
    policy : Predictive
        What margins are made by, whatever its `model`; its exponents are frozen at what was
        learned by the last row but one, for each forecaster by itself.
    horizon : int
        Margin period of risk, own periods.
    tail_probability : float
        Breach rate that margins aim at.
    limits : MarginLimits, optional
        How margins may move; by default they do as they like.

    Returns
    -------
    dict of str to bytes
        By the names in :data:`foremargin.bundles.SERVING_FILES`.

    Raises
    ------
    InputError
        If there are fewer than two rows, a forecaster cannot be served, or its past does not reach
        the last row but one.
    """
    if not drafts or history.panel.n_periods < 2:
        raise InputError(
            f"serving needs a forecaster and two rows, found {len(drafts)} and "
            f"{history.panel.n_periods}"
        )
    known = history.upto(history.panel.n_periods - 1)
    variance = [_past_variance(draft, known, horizon) for draft in drafts]
    policies = [
        _frozen(policy, known, each, horizon=horizon, tail_probability=tail_probability)
        for each in variance
    ]
    limits = limits or MarginLimits()
    warm = _Warm.fresh(known, policies, limits)
    for row in range(known.panel.n_periods):
        warm.advance(known, row, [each[row] for each in variance])
    rungs = tuple(
        ServedRung(
            model=draft.past.model,
            basis=draft.basis,
            policy=one.policy,
            forecaster=_online(draft, known),
            predictive=one.state(),
            interval=interval.state(),
            calibration=_maps(draft.past, history),
        )
        for draft, one, interval in zip(drafts, warm.policies, warm.intervals, strict=True)
    )
    return write_serving_state(_state(history, known, rungs, limits=limits, warm=warm))


def _maps(past: Forecast, history: History) -> dict[str, tuple[CalibrationMap | None, ...]]:
    """Return what a backtest would calibrate the first served row with."""
    panel = history.panel
    first = int(np.searchsorted(panel.time, past.origin[0]))
    return maps_at(past, history, first_row=first, row=panel.n_periods - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Warm:
    """What is run over the past."""

    policies: Sequence[OnlinePredictive]
    intervals: Sequence[ErrorInterval]
    chosen: ChosenMargins
    regime: RegimeStream

    @classmethod
    def fresh(
        cls, history: History, policies: Sequence[OnlinePolicy], limits: MarginLimits
    ) -> "_Warm":
        panel = history.panel
        made = [OnlinePredictive.fresh(policy, panel) for policy in policies]
        return cls(
            policies=made,
            intervals=[
                ErrorInterval.fresh(one.session, horizon=one.policy.horizon) for one in made
            ],
            chosen=ChosenMargins.fresh(limits, n_instruments=panel.n_instruments),
            regime=RegimeStream.fresh(panel.n_instruments),
        )

    def advance(self, history: History, row: int, variance: Sequence[Values]) -> None:
        """Take one row as the service does."""
        panel = history.panel
        present, log_return = panel.present[row], panel.log_return[row]
        margins = []
        for one, interval, forecast in zip(self.policies, self.intervals, variance, strict=True):
            said = np.where(present, forecast, np.nan)
            margins.append(one.advance(log_return, present=present, variance=said))
            realized = history.features.variance[row]
            interval.advance(realized, present=present, variance=said)
        self.chosen.advance(np.stack(margins))
        if _WEEK in history.features.names:
            self.regime.advance(history.features.column(_WEEK)[row])


def _past_variance(draft: RungDraft, known: History, horizon: int) -> Values:
    """Return what a forecaster said over a horizon, shape (n_periods, n_instruments)."""
    past, panel = draft.past, known.panel
    if past.horizons != known.horizons or past.instruments != panel.instruments:
        raise InputError(
            f"{past.model} must have forecast {known.horizons} periods of all instruments, found "
            f"{past.horizons} of {list(past.instruments)}"
        )
    first = int(np.searchsorted(panel.time, past.origin[0])) if len(past.origin) else 0
    wanted = panel.time[first:]
    if not len(past.origin) or not np.array_equal(past.origin[: len(wanted)], wanted):
        raise InputError(
            f"{past.model} must have forecast from consecutive rows up to {panel.time[-1]}; give "
            "the whole of its walk-forward run"
        )
    if horizon not in past.horizons:
        raise InputError(
            f"the horizon of the margin must be among those of the forecasts, {past.horizons}, was "
            f"{horizon}"
        )
    out = np.full((panel.n_periods, panel.n_instruments), np.nan)
    out[first:] = past.variance[: len(wanted), :, past.horizons.index(horizon)]
    return out


def _frozen(
    policy: Predictive, known: History, variance: Values, *, horizon: int, tail_probability: float
) -> OnlinePolicy:
    """Return the policy at the exponents in force at the last row."""
    market = MarginMarket(
        history=known,
        horizon=horizon,
        tail_probability=tail_probability,
        first_row=0,
        variance={policy.model: variance},
    )
    above, below = policy.followed(market)[-1].tolist()
    return OnlinePolicy.of(
        policy,
        horizon=horizon,
        tail_probability=tail_probability,
        exponents=(above, below),
    )


def _online(draft: RungDraft, known: History) -> OnlineLogHar | OnlineGarch | None:
    fitted, panel = draft.fitted, known.panel
    inner = fitted.fitted if isinstance(fitted, FittedOnWindow) else fitted
    if fitted is None:
        return None
    if isinstance(inner, FittedLogHar):
        return OnlineLogHar.of(
            fitted,
            instruments=panel.instruments,
            horizons=known.horizons,
            features=known.features.names,
        )
    if isinstance(inner, FittedGarch):
        return OnlineGarch.after(
            fitted, panel.log_return, instruments=panel.instruments, horizons=known.horizons
        )
    raise InputError(
        f"{draft.past.model} cannot be served from a fit, only log-har, GARCH and GJR can; leave "
        "its fit out and bring the rung to the calculator"
    )


def _state(
    history: History,
    known: History,
    rungs: tuple[ServedRung, ...],
    *,
    limits: MarginLimits,
    warm: _Warm,
) -> ServingState:
    panel, last = known.panel, history.panel.rows(known.panel.n_periods, history.panel.n_periods)
    stream = FeatureStream.after(panel, names=known.features.names).state()
    FeatureStream.resume(last, stream)  # a feature that cannot go on is told now and not in service
    close, seen = _last_prices(known)
    return ServingState(
        instruments=panel.instruments,
        period_ns=panel.period.value,
        periods_per_year=panel.periods_per_year,
        listings=tuple(replace(one, expiry=None) for one in panel.listings),
        expiry_ns=tuple(None if x.expiry is None else x.expiry.value for x in panel.listings),
        horizons=known.horizons,
        limits=limits,
        rungs=rungs,
        stream=stream,
        regime=warm.regime.state(),
        chosen=warm.chosen.state(),
        last_close=close,
        last_seen=seen,
        row={
            "time_ns": int(last.time[0].astype("datetime64[ns]").astype(np.int64)),
            "close": last.close[0],
            "log_return": last.log_return[0],
            "missing": last.missing[0],
            "fields": {name: values[0] for name, values in last.fields.items()},
        },
    )


def _last_prices(known: History) -> tuple[Values, NDArray[np.int64]]:
    """Return the last price of every instrument and its time; NaN and 0 where there is none."""
    panel = known.panel
    close = np.full(panel.n_instruments, np.nan)
    seen = np.zeros(panel.n_instruments, dtype=np.int64)
    time = panel.time.astype("datetime64[ns]").astype(np.int64)
    for i in range(panel.n_instruments):
        rows = np.flatnonzero(panel.present[:, i])
        if len(rows):
            close[i], seen[i] = panel.close[rows[-1], i], time[rows[-1]]
    return close, seen
