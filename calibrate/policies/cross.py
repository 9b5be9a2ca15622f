"""Third generation, and the fourth for whole accounts: one margin for all that an account holds.

The policies of the other files margin one instrument and side; the margin of an account is then
the sum over what it holds (:func:`summed_margin`). :class:`CrossMargin` reads the loss of the whole
book from joint scenarios instead: past moves of all instruments on one date, each over the
volatility that was forecast for it and times today's (:mod:`..portfolio`). With a forecast that
only looks back at returns that is the third generation, with a better one the fourth.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError
from ..coverage import CoverageRule
from ..market import MarginMarket
from ..pooling import pooled_tail
from ..portfolio import (
    Accounts,
    JointPlan,
    MarginRules,
    MissingRule,
    RiskMeasure,
    ScenarioSet,
    account_margin,
    joint_returns,
    linear_pnl,
)
from ..schedule import Generation
from .predictive import Predictive

Values = NDArray[np.float64]

_WINDOW_SESSIONS = 1_000  # of past joint moves
_MOST_SCENARIOS = 2_000
_FEWEST_SCENARIOS = 250
_POOL_DAYS = 7
_POOL_SESSIONS = 500


def account_loss(market: MarginMarket, weight: Values) -> Values:
    """Loss of accounts over the horizon, positive if money was lost; fraction of gross notional.

    Parameters
    ----------
    market : MarginMarket
        For the losses.
    weight : ndarray, shape (n_accounts, n_instruments)
        Signed notional of each position over the account's gross notional.

    Returns
    -------
    ndarray, shape (n_periods, n_accounts)
        NaN where the loss of something held is not known.
    """
    return _over_positions(market.loss()[..., 0], _checked(market, weight))


def account_known_at(market: MarginMarket, weight: Values) -> NDArray[np.intp]:
    """Panel row at whose close the loss of each account is known, shape (n_periods, n_accounts).

    Parameters
    ----------
    market, weight
        As in :func:`account_loss`.
    """
    known_at = market.known_at()
    return np.stack([known_at[:, held].max(axis=1) for held in weight != 0.0], axis=1)


def summed_margin(rate: Values, weight: Values) -> Values:
    """Sum the margins of the positions: no offset between instruments.

    Parameters
    ----------
    rate : ndarray, shape (n_periods, n_instruments, 2)
        Margin rates of longs and shorts.
    weight : ndarray, shape (n_accounts, n_instruments)
        As in :func:`account_loss`.

    Returns
    -------
    ndarray, shape (n_periods, n_accounts)
        Fraction of gross notional; NaN where something held has no margin.
    """
    long = _over_positions(rate[..., 0], np.maximum(weight, 0.0))
    return long + _over_positions(rate[..., 1], np.maximum(-weight, 0.0))


@dataclass(frozen=True, kw_only=True)
class CrossMargin:
    """Margin of accounts from joint scenarios under the volatility forecast of one model.

    Attributes
    ----------
    model : str
        Name of the forecaster.
    name : str
        Name of the policy.
    generation : Generation
        Portfolio, or predictive with a forecaster that does more than look back at returns.
    exponents : pair of float
        How far volatility above and below the usual is followed, as in :class:`.Predictive`.
    diversification_cap : float
        Largest share of the stand-alone margins that offsets may save, in [0, 1].
    correlation_stress : float
        Share by which correlations move against the account, in [0, 1].
    coverage : CoverageRule, optional
        Multiple that holds the breach rate of every account; none leaves the scenarios alone.
    """

    model: str
    name: str = "portfolio"
    generation: Generation = Generation.PORTFOLIO
    exponents: tuple[float, float] = (1.0, 1.0)
    diversification_cap: float = 0.8
    correlation_stress: float = 0.0
    coverage: CoverageRule | None = None

    def margin(self, market: MarginMarket, weight: Values) -> Values:
        """Return margins, fraction of gross notional, shape (n_periods, n_accounts); NaN if none.

        Parameters
        ----------
        market : MarginMarket
            Losses and forecasts.
        weight : ndarray, shape (n_accounts, n_instruments)
            As in :func:`account_loss`.
        """
        weight = _checked(market, weight)
        plain = self._plain(market, weight)
        if self.coverage is None:
            return plain
        return plain * _multiple(plain, market, weight, coverage=self.coverage)

    def _plain(self, market: MarginMarket, weight: Values) -> Values:
        """Margin of the scenarios alone."""
        policy = Predictive(model=self.model)
        scale = partial(policy.scale, responsiveness=self.exponents)
        sigma = market.each_side(scale)[..., 0]
        moved = market.log_loss()[..., 1]
        known_at = market.known_at()
        window = _WINDOW_SESSIONS * int(market.history.panel.periods_per_session.max())
        out = np.full((len(moved), len(weight)), np.nan)
        for row in range(len(moved)):
            stride = max(1, -(-min(window, row) // _MOST_SCENARIOS))
            past = slice(max(0, row - window + 1), row + 1, stride)
            known = np.where(known_at[past] <= row, moved[past], np.nan)
            out[row] = self._at(known, sigma[past], sigma[row], weight, market)
        return out

    def _at(
        self, moved: Values, past: Values, now: Values, weight: Values, market: MarginMarket
    ) -> Values:
        """Margin of one origin; NaN for accounts that hold what has no forecast or no past."""
        margin = np.full(len(weight), np.nan)
        enough = np.isfinite(moved / past).sum(axis=0) >= _FEWEST_SCENARIOS
        usable = np.flatnonzero(np.isfinite(now) & enough)
        whole = np.isfinite((moved / past)[:, usable]).all(axis=1)
        held = (weight[:, np.setdiff1d(np.arange(len(now)), usable)] == 0.0).all(axis=1)
        if whole.sum() < _FEWEST_SCENARIOS or not held.any():
            return margin
        joint = joint_returns(
            moved[:, usable],
            past[:, usable],
            now[usable],
            plan=JointPlan(missing=MissingRule.DROP),
        )
        scenarios = ScenarioSet(pnl=linear_pnl(np.ones(len(usable)), joint))
        account, position = np.nonzero(weight[held][:, usable])
        accounts = Accounts.from_positions(
            account, position, weight[held][:, usable][account, position], n_accounts=held.sum()
        )
        rules = MarginRules(
            confidence_level=1.0 - market.tail_probability,
            measure=RiskMeasure.VALUE_AT_RISK,
            diversification_cap=self.diversification_cap,
            correlation_stress=self.correlation_stress,
        )
        asked = account_margin(accounts, scenarios, np.arange(len(usable)), rules=rules).total
        margin[held] = np.where(asked > 0.0, asked, np.nan)
        return margin


def _multiple(
    plain: Values, market: MarginMarket, weight: Values, *, coverage: CoverageRule
) -> Values:
    """Read how many times the margin the breach rate asks for, of own and of all accounts."""
    panel = market.history.panel
    session = int(panel.periods_per_session.max())
    score = account_loss(market, weight) / plain
    pooled = pooled_tail(
        score[..., None],
        account_known_at(market, weight),
        tail_probability=market.tail_probability,
        window=_WINDOW_SESSIONS * session,
        step=max(1, round(_POOL_DAYS * panel.periods_per_day)),
        weight=float(_POOL_SESSIONS * session),
    )
    window = _WINDOW_SESSIONS * session
    rule = coverage.resized(window=window, needed=min(_FEWEST_SCENARIOS, window))
    return np.stack(
        [
            rule.run(
                own,
                tail_probability=market.tail_probability,
                lag=market.horizon,
                pooled=pooled,
            ).quantile
            for own in score.T
        ],
        axis=1,
    )


def _over_positions(value: Values, weight: Values) -> Values:
    """Weighted sum over instruments, NaN only where something held has none."""
    known = np.isfinite(value)
    total: Values = np.where(known, value, 0.0) @ weight.T
    missing = (~known).astype(np.float64) @ (weight != 0.0).T.astype(np.float64)
    return np.where(missing > 0.0, np.nan, total)


def _checked(market: MarginMarket, weight: Values) -> Values:
    values = np.asarray(weight, dtype=np.float64)
    n = market.history.panel.n_instruments
    if values.ndim != 2 or values.shape[1] != n or not np.isfinite(values).all():
        raise ShapeError(
            f"weight must be finite and have shape (n_accounts, {n}), one column per instrument, "
            f"had shape {values.shape}"
        )
    if not (values != 0.0).any(axis=1).all():
        raise ShapeError("every account must hold something, found one with no position")
    return values
