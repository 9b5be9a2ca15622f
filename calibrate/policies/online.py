"""The predictive policy one period at a time: the margins of a backtest, as the periods close.

What :class:`.predictive.Predictive` computes for a whole history with one pair of exponents, this
computes row by row, for all instruments at once: the same usual volatility, the same scores at the
same moments, the same pooled tail, the same controllers. Only the mean of the log volatilities is
summed in another order, so that margins agree to about 1e-12 and not to the last bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from ...features.moving import TrailingMean
from ...markets import Panel
from ..coverage import CoverageRule, StackedController
from ..coverage.machine import LARGEST_SCORE
from ..market import MOST_LOG_MARGIN
from ..pooling import RunningPool
from .predictive import (
    NEEDED_SCORES,
    POOL_DAYS,
    USUAL_SESSIONS,
    WINDOW_SESSIONS,
    Predictive,
)

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class OnlinePolicy:
    """What a margin is made by, fixed when it goes into service.

    Attributes
    ----------
    horizon : int
        Margin period of risk, own periods.
    tail_probability : float
        Breach rate that margins aim at.
    exponents : tuple of float
        How far the margin follows the forecast above and below the usual volatility.
    coverage : CoverageRule
        What holds the breach rate; window and fewest scores are set from the sessions.
    pooled_sessions : float
        See :class:`.predictive.Predictive`.
    """

    horizon: int
    tail_probability: float
    exponents: tuple[float, float]
    coverage: CoverageRule
    pooled_sessions: float

    @classmethod
    def of(
        cls,
        policy: Predictive,
        *,
        horizon: int,
        tail_probability: float,
        exponents: tuple[float, float],
    ) -> Self:
        """Freeze a policy at a pair of exponents.

        Raises
        ------
        InputError
            If it divides scores by a law, which is not served.
        """
        if policy.law is not None:
            raise InputError(
                f"a policy that is served must have no law of scores, had {policy.law.name}; leave "
                "the whole multiple to coverage control"
            )
        return cls(
            horizon=horizon,
            tail_probability=tail_probability,
            exponents=exponents,
            coverage=policy.coverage,
            pooled_sessions=policy.pooled_sessions,
        )


@dataclass(kw_only=True, eq=False)
class OnlinePredictive:
    """Margins of one forecaster, row by row.

    Attributes
    ----------
    policy : OnlinePolicy
        How.
    session : ndarray of int, shape (n_instruments,)
        Own periods in a trading day.
    usual : TrailingMean
        Mean log volatility of the last 500 trading days.
    log_return : ndarray, shape (n_instruments, horizon)
        Last own returns, oldest first.
    base : ndarray, shape (n_instruments, horizon)
        Scales of the last own origins, oldest first, decimal.
    origin : ndarray of int, shape (n_instruments, horizon)
        Their panel rows.
    pool : RunningPool or None
        Tail of all instruments and sides.
    controllers : mapping of int to StackedController
        By length of a session; series in the order of instruments, longs before shorts.
    now_usual : ndarray, shape (n_instruments,)
        Usual log volatility at the last own origin.
    quantile : ndarray, shape (n_instruments, 2)
        Margin multiple there.
    refused : int
        Scores so far that no loss could be as large as, and were left out.
    """

    policy: OnlinePolicy
    session: NDArray[np.int64]
    usual: TrailingMean
    log_return: Values
    base: Values
    origin: NDArray[np.int64]
    pool: RunningPool | None
    controllers: Mapping[int, StackedController]
    now_usual: Values
    quantile: Values
    row: int = 0
    refused: int = 0

    @classmethod
    def fresh(cls, policy: OnlinePolicy, panel: Panel) -> Self:
        """Return the policy before row 0 of a panel, of which only the instruments count."""
        session = panel.periods_per_session.astype(np.int64)
        n, longest = len(session), int(session.max())
        weight = float(policy.pooled_sessions * longest)
        pool = None
        if policy.pooled_sessions > 0.0:
            pool = RunningPool.fresh(
                tail_probability=policy.tail_probability,
                window=WINDOW_SESSIONS * longest,
                step=max(1, round(POOL_DAYS * panel.periods_per_day)),
                n_instruments=n,
            )
        return cls(
            policy=policy,
            session=session,
            usual=TrailingMean.fresh(USUAL_SESSIONS * session, np.ones(n, dtype=np.int64)),
            log_return=np.full((n, policy.horizon), np.nan),
            base=np.full((n, policy.horizon), np.nan),
            origin=np.full((n, policy.horizon), -1, dtype=np.int64),
            pool=pool,
            controllers={
                int(length): _controllers(policy, session, int(length), weight)
                for length in np.unique(session)
            },
            now_usual=np.full(n, np.nan),
            quantile=np.full((n, 2), np.nan),
        )

    def advance(
        self, log_return: Values, *, present: NDArray[np.bool_], variance: Values
    ) -> Values:
        """Take the next panel row and return the margins that are set at its close.

        Parameters
        ----------
        log_return : ndarray, shape (n_instruments,)
            Decimal, since the instrument's period before; of the row.
        present : ndarray of bool, shape (n_instruments,)
            Which instruments have a price in it.
        variance : ndarray, shape (n_instruments,)
            Forecast from its close, over the horizon, decimal squared; NaN where there is none.

        Returns
        -------
        ndarray, shape (n_instruments, 2)
            Fraction of notional, long and short; NaN where there is none.
        """
        if not log_return.shape == present.shape == variance.shape == self.session.shape:
            raise ShapeError(
                f"a row must have a value for each of {len(self.session)} instruments, had shapes "
                f"{log_return.shape}, {present.shape} and {variance.shape}"
            )
        turn = np.flatnonzero(present)
        origin, score = self._known_scores(turn, log_return)
        pooled = np.empty(0) if self.pool is None else self.pool.advance(origin, score)
        usual, apart = self._set_usual(present, variance)
        base = self._scale(usual, apart)
        for kept, new in ((self.base, base), (self.origin, np.full(len(base), self.row))):
            kept[turn, :-1] = kept[turn, 1:]
            kept[turn, -1] = new[turn]
        self._set_quantile(present, score, pooled, apart)
        self.row += 1
        margin = np.full((len(base), 2), np.nan)
        margin[turn] = _rates(self.quantile[turn] * base[turn, None])
        return margin

    def provisional(self, place: int, variance: float) -> Values:
        """Return the margins of one instrument if its forecast were another, shape (2,).

        Usual volatility and multiple are those of the last own origin.
        """
        usual = self.now_usual[place : place + 1]
        base = self._scale(usual, 0.5 * np.log(np.array([variance])) - usual)
        return np.asarray(_rates(self.quantile[place : place + 1] * base[:, None])[0])

    def _known_scores(
        self, turn: NDArray[np.intp], log_return: Values
    ) -> tuple[NDArray[np.int64], Values]:
        """Return the scores that become known, with the panel rows of their origins."""
        self.log_return[turn, :-1] = self.log_return[turn, 1:]
        self.log_return[turn, -1] = log_return[turn]
        score = np.full((len(log_return), 2), np.nan)
        # Summed along a row of a C array, as the targets of a backtest are: the same bits.
        moved = self.log_return[turn].sum(axis=1)
        score[turn] = np.stack([-moved, moved], axis=1) / self.base[turn, :1]
        beyond = np.abs(score) > LARGEST_SCORE
        self.refused += int(beyond.sum())
        score[beyond] = np.nan
        return self.origin[:, 0].copy(), score

    def _set_usual(self, present: NDArray[np.bool_], variance: Values) -> tuple[Values, Values]:
        log_sigma = np.log(np.sqrt(variance))
        usual = self.usual.advance(log_sigma[None], present[None])[0]
        self.now_usual = np.where(present, usual, self.now_usual)
        return usual, log_sigma - usual

    def _scale(self, usual: Values, apart: Values) -> Values:
        above, below = self.policy.exponents
        return np.asarray(np.exp(usual + np.where(apart > 0.0, above, below) * apart))

    def _set_quantile(
        self, present: NDArray[np.bool_], score: Values, pooled: Values, apart: Values
    ) -> None:
        weighs = self.policy.coverage.n_regimes > 0
        for length, controller in self.controllers.items():
            members = np.flatnonzero(self.session == length)
            there = np.flatnonzero(present[members])
            if not len(there):
                continue
            places = (2 * there[:, None] + np.arange(2)).ravel()
            own = members[there]
            said = controller.update(
                places,
                score[own].ravel(),
                pooled=pooled,
                regime=np.repeat(apart[own], 2)[:, None] if weighs else None,
            )
            self.quantile[own] = said.reshape(-1, 2)

    def state(self) -> dict[str, Any]:
        """Return all that is remembered as mappings, numbers and arrays (some of them shared)."""
        parts = {name: getattr(self, name) for name in (*_ARRAYS, *_COUNTS)}
        pool = self.pool
        return {
            **parts,
            "usual": {name: getattr(self.usual, name) for name in _MEAN},
            "pool": None if pool is None else {name: getattr(pool, name) for name in _POOL},
            "controllers": {key: one.state() for key, one in self.controllers.items()},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what the same policy on the same instruments remembered.

        Raises
        ------
        InputError
            If it does not fit.
        """
        try:
            for key, controller in self.controllers.items():
                controller.restore(saved["controllers"][key])
            _take(self, _ARRAYS, saved)
            _take(self.usual, _MEAN, saved["usual"])
            if self.pool is not None:
                _take(self.pool, ("ring", "quantile"), saved["pool"])
                self.pool.row = int(saved["pool"]["row"])
                self.pool.threshold = float(saved["pool"]["threshold"])
            self.row, self.refused = int(saved["row"]), int(saved["refused"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"a saved policy must be of these instruments and this horizon, found {error!r}"
            ) from None


_ARRAYS = ("log_return", "base", "origin", "now_usual", "quantile")
_COUNTS = ("row", "refused")
_MEAN = ("ring", "counts", "sums")
_POOL = ("ring", "quantile", "row", "threshold")


def _controllers(
    policy: OnlinePolicy, session: NDArray[np.int64], length: int, weight: float
) -> StackedController:
    window = WINDOW_SESSIONS * length
    return StackedController.fresh(
        policy.coverage.resized(window=window, needed=min(NEEDED_SCORES, window)),
        n_series=2 * int((session == length).sum()),
        tail_probability=policy.tail_probability,
        lag=policy.horizon,
        pooled_weight=weight,
    )


def _rates(log_margin: Values) -> Values:
    """Turn margins in log-return units into fractions of notional, shape (n, 2); NaN if none."""
    log_margin = np.where(log_margin > 0.0, log_margin, np.nan)
    long = -np.expm1(-log_margin[:, 0])
    short = np.expm1(np.minimum(log_margin[:, 1], MOST_LOG_MARGIN))
    return np.stack([long, short], axis=1)


def _take(into: Any, names: tuple[str, ...], saved: Mapping[str, Any]) -> None:
    """Copy saved arrays into those of the same names, which must be of the same make."""
    for name in names:
        own, found = getattr(into, name), saved[name]
        if not isinstance(found, np.ndarray) or (found.shape, found.dtype) != (
            own.shape,
            own.dtype,
        ):
            raise InputError(
                f"{name} of a saved policy must be {own.dtype} of shape {own.shape}, was "
                f"{getattr(found, 'dtype', None)} of {getattr(found, 'shape', None)}"
            )
    for name in names:
        getattr(into, name)[...] = saved[name]
