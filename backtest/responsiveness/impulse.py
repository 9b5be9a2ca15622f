"""Impulse response: what a margin does when volatility doubles from one day to the next.

Measured by replaying policies on synthetic markets (:mod:`.step_market`), all on the same ones. The
response is the margin over its own calm level, in units of log return (a rate of notional cannot
double beyond one), its geometric mean over instruments and sides. Gurrola-Perez and Murphy use the
same experiment to compare models of initial margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...calibrate import MarginMarket, Policy
from ...errors import InputError, ShapeError
from ...features import build_history
from ...models import Forecaster, fit_block
from .._checks import as_values, check_count
from .step_market import StepMarket

SETTLED_PERIODS = 50
"""Periods over which the level before the step, and the level at the end, are averaged."""

_NO_MOVE = 0.01  # a final move below one per cent has no half


@dataclass(frozen=True, kw_only=True, eq=False)
class ImpulseResponse:
    """One margin's response to a step; read-only.

    Attributes
    ----------
    response : ndarray, shape (n_after + 1,)
        Margin over its calm level, a ratio; element k is set when k periods of the new volatility
        have been seen, element 0 just before the step.
    """

    response: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.response.setflags(write=False)

    @property
    def final(self) -> float:
        """Where it settles: geometric mean over the last 50 periods, ratio to the calm level."""
        return float(np.exp(np.log(self.response[-SETTLED_PERIODS:]).mean()))

    @property
    def peak(self) -> float:
        """Highest response, ratio to the calm level."""
        return float(self.response.max())

    @property
    def peak_period(self) -> int:
        """Periods of the new volatility seen at the peak."""
        return int(self.response.argmax())

    @property
    def overshoot(self) -> float:
        """Peak over final level minus one, >= 0: 0.1 is 10 % too high for a while.

        NaN if the margin does not move. The peak of a mean over few paths is a little too high.
        """
        return max(0.0, self.peak / self.final - 1.0) if self.moves else float("nan")

    @property
    def half_life(self) -> float:
        """Periods until half of the final move is done; NaN if the margin does not move."""
        if not self.moves:
            return float("nan")
        done = (self.response - 1.0) / (self.final - 1.0) >= 0.5
        return float(np.argmax(done))

    @property
    def moves(self) -> bool:
        """Whether it settles more than one per cent away from the calm level."""
        return abs(self.final - 1.0) > _NO_MOVE


def impulse_response(margin: ArrayLike, *, step: int) -> ImpulseResponse:
    """Measure the response of margins to a step at a known period.

    Parameters
    ----------
    margin : array_like, shape (n,) or (n_paths, n)
        Margins through time, in a unit in which they should double when volatility does; finite
        and > 0. Paths are averaged geometrically, each over its own calm level.
    step : int
        First period of the new volatility; at least 50 periods before it and after it.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> path = np.where(np.arange(200) < 100, 1.0, 2.0)
    >>> found = impulse_response(path, step=100)
    >>> found.final, found.overshoot, found.half_life
    (2.0, 0.0, 1.0)
    """
    check_count("step", step, minimum=SETTLED_PERIODS)
    paths = np.atleast_2d(as_values("margin", margin))
    if paths.ndim != 2:
        raise ShapeError(f"margin must have shape (n,) or (n_paths, n), was {np.shape(margin)}")
    if paths.shape[1] < step + SETTLED_PERIODS:
        raise InputError(
            f"margin must go on for {SETTLED_PERIODS} periods after the step, found "
            f"{paths.shape[1] - step}; simulate longer"
        )
    if paths.min() <= 0.0:
        raise InputError(f"margin must be > 0, the smallest was {paths.min():g}")
    logs = np.log(paths)
    logs -= logs[:, step - SETTLED_PERIODS : step].mean(axis=1, keepdims=True)
    return ImpulseResponse(response=np.exp(logs[:, step - 1 :].mean(axis=0)))


@dataclass(frozen=True, kw_only=True, eq=False)
class ImpulseResponses:
    """Responses of several policies on the same markets.

    Attributes
    ----------
    market : StepMarket
        What was drawn.
    by_market : mapping of str to ndarray, shape (n_markets, n_after + 1)
        Log response of every policy in every market, mean of its instruments and sides.
    """

    market: StepMarket
    by_market: dict[str, NDArray[np.float64]]

    def of(self, policy: str) -> ImpulseResponse:
        """Return the response of one policy, over all markets."""
        return ImpulseResponse(response=np.exp(self.by_market[policy].mean(axis=0)))

    def table(self) -> pd.DataFrame:
        """Return one row per policy: the measures of :class:`ImpulseResponse`.

        ``after_1``, ``after_5`` and ``after_20`` are responses. ``overshoot_error`` is the
        jackknife standard error of the overshoot over markets, NaN with one market.
        """
        rows = {}
        for policy in self.by_market:
            one = self.of(policy)
            rows[policy] = {
                **{f"after_{k}": float(one.response[k]) for k in (1, 5, 20)},
                "final": one.final,
                "peak": one.peak,
                "peak_period": one.peak_period,
                "overshoot": one.overshoot,
                "overshoot_error": self._jackknife(policy),
                "half_life": one.half_life,
            }
        return pd.DataFrame(rows).T.rename_axis("policy")

    def frame(self) -> pd.DataFrame:
        """Return one row per policy and period: ``response`` and ``standard_error`` of its log."""
        tables = []
        for policy, logs in self.by_market.items():
            n = len(logs)
            error = logs.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.nan
            tables.append(
                pd.DataFrame(
                    {
                        "policy": policy,
                        "period": np.arange(logs.shape[1]),
                        "response": np.exp(logs.mean(axis=0)),
                        "standard_error": error,
                    }
                )
            )
        return pd.concat(tables, ignore_index=True)

    def _jackknife(self, policy: str) -> float:
        logs = self.by_market[policy]
        n = len(logs)
        if n < 2:
            return float("nan")
        without = [
            ImpulseResponse(response=np.exp(np.delete(logs, i, axis=0).mean(axis=0))).overshoot
            for i in range(n)
        ]
        return float(np.sqrt((n - 1) * np.var(without)))


def impulse_responses(
    policies: Sequence[Policy],
    forecasters: Sequence[Forecaster],
    *,
    market: StepMarket,
    n_markets: int,
    tail_probability: float = 0.01,
    rng: np.random.Generator,
) -> ImpulseResponses:
    """Replay policies on markets whose volatility takes a step.

    Each forecaster is fitted once, on the first ``market.n_fit`` days; every policy sees the same
    markets (common random numbers), so that differences between policies are not noise.

    Parameters
    ----------
    policies : sequence of Policy
        Rules that set margins.
    forecasters : sequence of Forecaster
        At least those that the policies name.
    market : StepMarket
        What is drawn.
    n_markets : int
        How often, >= 1; standard errors need two.
    tail_probability : float
        Breach rate that margins aim at.
    rng : numpy.random.Generator
        Source of the markets and of whatever the forecasters draw.

    Raises
    ------
    InputError
        If a policy has no margin just before the step, or lacks a forecaster.
    """
    check_count("n_markets", n_markets, minimum=1)
    found: dict[str, list[NDArray[np.float64]]] = {policy.name: [] for policy in policies}
    for stream in rng.spawn(n_markets):
        drawn = _drawn(market, forecasters, tail_probability, stream)
        for policy in policies:
            paths = _log_margins(policy, drawn)
            if not np.isfinite(paths).all():
                raise InputError(
                    f"{policy.name} must have a margin from {SETTLED_PERIODS} days before the "
                    "step on, but has none; lengthen n_ordinary or n_calm"
                )
            response = impulse_response(paths, step=SETTLED_PERIODS).response
            found[policy.name].append(np.log(response))
    by_market = {name: np.stack(logs) for name, logs in found.items()}
    return ImpulseResponses(market=market, by_market=by_market)


def _drawn(
    market: StepMarket,
    forecasters: Sequence[Forecaster],
    tail_probability: float,
    rng: np.random.Generator,
) -> MarginMarket:
    market_rng, *model_rngs = rng.spawn(1 + len(forecasters))
    history = build_history(market.panel(market_rng), horizons=(1,))
    variance = {}
    for forecaster, model_rng in zip(forecasters, model_rngs, strict=True):
        block = fit_block(
            forecaster, history, origins=slice(market.n_fit, market.n_periods), rng=model_rng
        )
        aligned = np.full(history.panel.close.shape, np.nan)
        aligned[market.n_fit :] = block.forecast.variance[:, :, 0]
        variance[forecaster.name] = aligned
    return MarginMarket(
        history=history,
        horizon=1,
        tail_probability=tail_probability,
        first_row=market.step_row - SETTLED_PERIODS,
        variance=variance,
    )


def _log_margins(policy: Policy, drawn: MarginMarket) -> NDArray[np.float64]:
    """Margins in units of log return, from 50 days before the step on, a path per series."""
    rate = policy.margin(drawn)[drawn.first_row :]
    paths = np.stack([-np.log1p(-rate[..., 0]), np.log1p(rate[..., 1])], axis=-1)
    return paths.reshape(len(paths), -1).T
