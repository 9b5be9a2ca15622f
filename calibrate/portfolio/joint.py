"""Joint scenarios by filtered historical simulation: whole dates of residuals, today's volatility.

Barone-Adesi, Giannopoulos and Vosper (1999), "VaR without correlations for portfolios of derivative
securities", Journal of Futures Markets 19(5). What happened to all instruments on one date stays
together, so that dependence, in the tails too, is that of history; only the volatility of each
instrument is that of its forecast.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, NotEnoughHistoryError, ShapeError
from .matrices import check_correlation, root_of

_FEWEST_TO_REGRESS = 30

Array = NDArray[np.float64]


class MissingRule(StrEnum):
    """What happens to dates on which an instrument has no residual; it is never zero."""

    REFUSE = "refuse"
    """An error names the instruments."""
    DROP = "drop"
    """Only dates on which all instruments have one; a young instrument shortens all."""
    REGRESS = "regress"
    """A regression on the others' mean residual, with an error drawn from its own errors; dates
    without any residual are left out."""


@dataclass(frozen=True, kw_only=True)
class JointPlan:
    """How scenarios are made from residuals.

    Attributes
    ----------
    horizon : int
        Periods of a scenario, at least 1.
    overlapping : bool
        Whether a scenario starts in every period, or only where the one before it ends.
    antithetic : bool
        Whether every scenario is joined by its mirror image: no trend, and both sides alike.
    missing : MissingRule or str
        Rule for missing residuals.
    """

    horizon: int = 1
    overlapping: bool = True
    antithetic: bool = False
    missing: MissingRule | str = MissingRule.REFUSE

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise InputError(f"horizon must be at least 1 period, was {self.horizon}")
        if self.missing not in list(MissingRule):
            raise InputError(
                f"missing must be one of {[m.value for m in MissingRule]}, was {self.missing!r}"
            )


def joint_returns(
    log_return: Array,
    sigma: Array,
    sigma_horizon: ArrayLike,
    *,
    plan: JointPlan | None = None,
    correlation: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Array:
    r"""Make joint log returns over the horizon from standardised residuals.

    With residuals :math:`z_{ti} = r_{ti}/\sigma_{ti}`, scenario t of instrument i is

    .. math:: \sigma^{(h)}_i \frac{1}{\sqrt h} \sum_{j=0}^{h-1} z_{t+j,i}.

    Within a scenario the volatility is flat. Overlapping scenarios use every start and are
    dependent: they smooth the tail but hold no more than n/h independent moves.

    Given a `correlation`, residuals are first moved to it by the linear map that changes them
    least, :math:`A = R^{-1/2}(R^{1/2} C R^{1/2})^{1/2} R^{-1/2}` with R that of the residuals; a
    filter by correlation beside the filter by volatility, as in SPAN 2. Mixing instruments brings
    their laws closer to the normal one.

    Parameters
    ----------
    log_return : ndarray, shape (n_periods, n_instruments)
        Decimal; NaN where there is none.
    sigma : ndarray, shape (n_periods, n_instruments)
        Volatility that was forecast for each period before it, decimal, positive; NaN where there
        was none, and the residual is missing.
    sigma_horizon : array_like, shape (n_instruments,)
        Volatility forecast over the horizon from now, decimal, positive.
    plan : JointPlan, optional
        Horizon, overlap, mirror images and missing residuals.
    correlation : array_like, shape (n_instruments, n_instruments), optional
        Forecast correlation of the residuals; that of history by default.
    rng : numpy.random.Generator, optional
        Needed by the rule ``regress`` alone.

    Returns
    -------
    ndarray, shape (n_instruments, n_scenarios)
        Log returns, oldest date first, mirror images last.

    Raises
    ------
    InputError
        If residuals are missing under the rule ``refuse``, or a number is out of range.
    NotEnoughHistoryError
        If no scenario is left, or an instrument has too few residuals for a regression.
    """
    plan = JointPlan() if plan is None else plan
    target = _check_sigmas(log_return, sigma, sigma_horizon)
    residual = _complete(log_return / sigma, MissingRule(plan.missing), rng)
    whole = np.isfinite(residual).all(axis=1)
    if correlation is not None:
        wanted = check_correlation(correlation, n=residual.shape[1])
        residual = residual @ _least_map(residual[whole], wanted)
    moves = np.empty((0, residual.shape[1]))
    if len(residual) >= plan.horizon:
        step = 1 if plan.overlapping else plan.horizon
        windows = sliding_window_view(residual, plan.horizon, axis=0)[::step]
        moves = windows.sum(axis=-1) / np.sqrt(plan.horizon)
    # A window with an incomplete date is NaN: leaving out a date does not make its neighbours
    # adjacent.
    moves = moves[np.isfinite(moves).all(axis=1)]
    if not len(moves):
        raise NotEnoughHistoryError(
            f"at least {plan.horizon} complete dates in a row are needed, found none among "
            f"{len(residual)} with {int(np.sum(~whole))} incomplete; drop young instruments, "
            "shorten the horizon or use the rule 'regress'"
        )
    scenarios = target[:, None] * moves.T
    if plan.antithetic:
        scenarios = np.hstack([scenarios, -scenarios])
    return np.ascontiguousarray(scenarios)


def _check_sigmas(log_return: Array, sigma: Array, sigma_horizon: ArrayLike) -> Array:
    target = np.asarray(sigma_horizon, dtype=np.float64)
    if log_return.ndim != 2 or log_return.shape != sigma.shape:
        raise ShapeError(
            "log_return and sigma must both have shape (n_periods, n_instruments), were "
            f"{log_return.shape} and {sigma.shape}"
        )
    if target.shape != (log_return.shape[1],):
        raise ShapeError(
            f"sigma_horizon must have shape ({log_return.shape[1]},), was {target.shape}"
        )
    if not (np.isfinite(target).all() and (target > 0.0).all()):
        raise InputError(
            f"sigma_horizon must be positive and finite, was {target}; an instrument without a "
            "forecast has no scenarios"
        )
    if np.isinf(log_return).any() or np.isinf(sigma).any() or (sigma <= 0.0).any():
        raise InputError(
            "log_return must be finite or NaN and sigma positive or NaN, found "
            f"{np.isinf(log_return).sum()} infinite returns and "
            f"{(np.isinf(sigma) | (sigma <= 0.0)).sum()} sigmas that are not"
        )
    return target


def _complete(residual: Array, rule: MissingRule, rng: np.random.Generator | None) -> Array:
    """Apply the rule for missing residuals; rows that stay incomplete are to be left out."""
    missing = np.isnan(residual)
    if not missing.any() or rule == MissingRule.DROP:
        return residual
    if rule == MissingRule.REFUSE:
        raise InputError(
            "every date must have a residual of every instrument, columns "
            f"{np.flatnonzero(missing.any(axis=0))[:10].tolist()} lack some; choose the rule "
            "'drop' or 'regress'"
        )
    if rng is None:
        raise InputError("the rule 'regress' draws errors and needs an rng")
    out = residual.copy()
    for i in np.flatnonzero(missing.any(axis=0)):
        others = np.delete(residual, i, axis=1)
        n_others = np.sum(~np.isnan(others), axis=1)
        market = np.full(len(residual), np.nan)
        seen = n_others > 0
        market[seen] = np.nansum(others[seen], axis=1) / n_others[seen]
        out[:, i] = _regressed(residual[:, i], market, column=int(i), rng=rng)
    return out


def _regressed(own: Array, market: Array, *, column: int, rng: np.random.Generator) -> Array:
    """Fill one instrument's residuals by a regression on the market plus one of its errors."""
    known = np.isfinite(own) & np.isfinite(market)
    if known.sum() < _FEWEST_TO_REGRESS:
        raise NotEnoughHistoryError(
            f"column {column} must share at least {_FEWEST_TO_REGRESS} dates with others to be "
            f"regressed on them, shares {int(known.sum())}; leave it out or put a similar "
            "instrument's returns in its place"
        )
    square = float(market[known] @ market[known])
    slope = float(own[known] @ market[known]) / square if square > 0.0 else 0.0
    errors = own[known] - slope * market[known]
    holes = np.isnan(own) & np.isfinite(market)
    filled = own.copy()
    filled[holes] = slope * market[holes] + rng.choice(errors, size=int(holes.sum()))
    return filled


def _least_map(residual: Array, wanted: Array) -> Array:
    """Return the symmetric map from the residuals' own second moments to the wanted ones."""
    n_dates, n = residual.shape
    if n_dates <= n:
        raise NotEnoughHistoryError(
            f"more complete dates than instruments are needed to change their correlation, found "
            f"{n_dates} and {n}"
        )
    moments = residual.T @ residual / n_dates
    scale = np.sqrt(np.diag(moments))
    own = moments / np.outer(scale, scale)
    root = root_of(own)
    inverse = np.linalg.pinv(root, hermitian=True)
    change = inverse @ root_of(root @ wanted @ root) @ inverse
    # Scaled before and after: the residuals keep their own size.
    return np.asarray(change / scale[:, None] * scale[None, :])
