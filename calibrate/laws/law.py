"""The one interface of every law, and the forecast that it gives tails to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, NotEnoughHistoryError
from ...features import History
from ...markets import Panel
from ...models import TAIL_PROBABILITIES, Forecast

Values = NDArray[np.float64]

NEEDED = 100
"""Fewest scores that a law is fitted to."""

_WINDOW_SESSIONS = 1_000
_STEP_DAYS = 28  # days between two fits


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """Upper tail of a law, in the unit of the scores.

    Attributes
    ----------
    quantile : ndarray, shape (n_tails,)
        Exceeded with each tail probability.
    mean_beyond : ndarray, shape (n_tails,)
        Mean of what exceeds it; never below it.
    """

    quantile: Values
    mean_beyond: Values

    def __post_init__(self) -> None:
        self.quantile.setflags(write=False)
        self.mean_beyond.setflags(write=False)


class ScoreLaw(Protocol):
    """A family of laws; a specification without data."""

    @property
    def name(self) -> str:
        """Unique name."""
        ...

    @property
    def pooled(self) -> bool:
        """Whether it is fitted to the scores of all instruments and both sides."""
        ...

    def fit(self, score: ArrayLike, *, tail_probabilities: Sequence[float]) -> Tail:
        """Fit the law to finite scores, shape (n,), and read its upper tail.

        Parameters
        ----------
        score : array_like, shape (n,)
            Loss over volatility, positive where money was lost.
        tail_probabilities : sequence of float
            Each in (0, 0.5).
        """
        ...


def as_scores(score: ArrayLike) -> Values:
    """Check that scores can be fitted; return them as an array.

    Raises
    ------
    InputError
        If they are not one-dimensional and finite, or all equal zero.
    NotEnoughHistoryError
        If there are fewer than 100.
    """
    values = np.asarray(score, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError(
            f"scores must be one-dimensional and finite, had shape {values.shape} and "
            f"{np.sum(~np.isfinite(values))} that are not finite; leave out what is not known"
        )
    if len(values) < NEEDED:
        raise NotEnoughHistoryError(
            f"a law needs at least {NEEDED} scores, found {len(values)}; give more history"
        )
    if not values.any():
        raise InputError("scores must not all be zero: a price that stood still has no law")
    return values


def as_tail_probabilities(tail_probabilities: Sequence[float]) -> Values:
    """Check tail probabilities; return them as an array.

    Raises
    ------
    InputError
        If one is not in (0, 0.5).
    """
    tails = np.asarray(tail_probabilities, dtype=np.float64)
    if tails.ndim != 1 or not ((tails > 0.0) & (tails < 0.5)).all():
        raise InputError(
            f"tail probabilities must be in (0, 0.5), were {list(tail_probabilities)}; write 0.01 "
            "for 1 %"
        )
    return tails


def law_tails(forecast: Forecast, history: History, law: ScoreLaw, *, first_row: int) -> Forecast:
    """Give a forecast the value at risk and the expected shortfall of a law.

    The law is fitted anew every 28 days to the scores of the last 1,000 trading days that were
    known: each side of each instrument to its own, or all to all if the law is pooled.

    Parameters
    ----------
    forecast : Forecast
        Over consecutive panel rows.
    history : History
        The panel and the outcomes.
    law : ScoreLaw
        What is fitted.
    first_row : int
        Panel row of the first origin.

    Returns
    -------
    Forecast
        The same variances; NaN tails until there are scores enough.
    """
    sigma = forecast.sigma_horizon()
    shape = (*sigma.shape, 2, len(TAIL_PROBABILITIES))
    quantile, beyond = np.full((2, *shape), np.nan)
    origins = slice(first_row, first_row + len(forecast.origin))
    known_at = history.targets.known_at[origins] - first_row
    for k, horizon in enumerate(forecast.horizons):
        column = history.targets.at(horizon)
        log_return = history.targets.log_return[origins, :, column]
        score = np.stack([-log_return, log_return], axis=-1) / sigma[:, :, k, None]
        quantile[:, :, k], beyond[:, :, k] = rolling_law(
            score, known_at[:, :, column], law, panel=history.panel
        )
    scaled: dict[str, Any] = {}
    for s, side in enumerate(("lower", "upper")):
        scaled[f"value_at_risk_{side}"] = quantile[..., s, :] * sigma[..., None]
        scaled[f"expected_shortfall_{side}"] = beyond[..., s, :] * sigma[..., None]
    return replace(forecast, **scaled)


def rolling_law(
    score: Values,
    known_at: NDArray[np.intp],
    law: ScoreLaw,
    *,
    panel: Panel,
    tail_probabilities: Sequence[float] = TAIL_PROBABILITIES,
) -> tuple[Values, Values]:
    """Fit a law anew every 28 days to the scores of the last 1,000 trading days that were known.

    Parameters
    ----------
    score : ndarray, shape (n, n_instruments, n_sides)
        Loss over volatility of consecutive origins; NaN where not known.
    known_at : ndarray of int, shape (n, n_instruments)
        Row at whose close the score of an origin is known.
    law : ScoreLaw
        What is fitted: each side of each instrument to its own scores, or all to all.
    panel : Panel
        For the length of a period and of a session.
    tail_probabilities : sequence of float
        Of the tails.

    Returns
    -------
    quantile, mean_beyond : ndarray, shape (n, n_instruments, n_sides, n_tails)
        NaN until there are 100 scores.
    """
    out = np.full((2, *score.shape, len(tail_probabilities)), np.nan)
    window = _WINDOW_SESSIONS * int(panel.periods_per_session.max())
    step = max(1, round(_STEP_DAYS * panel.periods_per_day))
    everywhere: tuple[Any, ...] = (slice(None), slice(None))
    for row in range(0, len(score), step):
        first = max(0, row - window + 1)
        known = known_at[first : row + 1] <= row
        past = np.where(known[..., None], score[first : row + 1], np.nan)
        for place in [everywhere] if law.pooled else np.ndindex(score.shape[1:]):
            own = past[:, *place]
            finite = own[np.isfinite(own)]
            if len(finite) >= NEEDED and finite.any():
                tail = law.fit(finite, tail_probabilities=tail_probabilities)
                out[0][row : row + step, *place] = tail.quantile
                out[1][row : row + step, *place] = tail.mean_beyond
    return out[0], out[1]
