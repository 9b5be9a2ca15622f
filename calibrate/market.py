"""What a margin policy is given: losses, forecasts, and nothing from after an origin."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import History
from .schedule import SIDES

MOST_LOG_MARGIN = 20.0
"""Log margin of a short beyond which its rate is a number without meaning."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SideSeries:
    """One side of one instrument in its own time.

    Attributes
    ----------
    side : str
        ``long`` or ``short``.
    rows : ndarray of int, shape (n,)
        Panel rows of the origins.
    log_loss : ndarray, shape (n,)
        Loss over the horizon after each origin as a log return, positive if the side lost money.
        Element t is known at t + `horizon`; a policy must not read it before.
    horizon : int
        Own periods.
    tail_probability : float
        Breach rate that the margin aims at.
    session : int
        Own periods in one trading day.
    periods_per_year : float
        Own periods in a year.
    first : int
        Position of the first origin that is judged; a fixed margin is set there.
    variance : mapping of str to ndarray, shape (n,)
        Forecast variance over the horizon by model, decimal squared, NaN where there is none.
    """

    side: str
    rows: NDArray[np.intp]
    log_loss: NDArray[np.float64]
    horizon: int
    tail_probability: float
    session: int
    periods_per_year: float
    first: int
    variance: Mapping[str, NDArray[np.float64]]

    def sigma(self, model: str) -> NDArray[np.float64]:
        """Return the volatility that `model` forecasts over the horizon, decimal, shape (n,)."""
        if model not in self.variance:
            raise InputError(
                f"this policy needs forecasts of {model!r}, found those of "
                f"{sorted(self.variance)}; add the model to the experiment"
            )
        return np.asarray(np.sqrt(self.variance[model]))

    def rate(self, log_margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn a margin in log-return units into a fraction of notional, shape (n,).

        A long's loss is at most its notional; a short's is not bounded, but a margin beyond
        exp(20) notionals is a number without meaning and stays there.
        """
        if self.side == "long":
            return np.asarray(-np.expm1(-log_margin))
        return np.asarray(np.expm1(np.minimum(log_margin, MOST_LOG_MARGIN)))

    @property
    def loss(self) -> NDArray[np.float64]:
        """Loss over the horizon as a fraction of notional, shape (n,); known as `log_loss` is."""
        return self.rate(self.log_loss)


@dataclass(frozen=True, kw_only=True, eq=False)
class MarginMarket:
    """All instruments and both sides at one horizon.

    Attributes
    ----------
    history : History
        Panel, features and outcomes.
    horizon : int
        Margin period of risk, own periods.
    tail_probability : float
        Breach rate that margins aim at.
    first_row : int
        Panel row of the first origin that is judged.
    variance : mapping of str to ndarray, shape (n_periods, n_instruments)
        Forecast variances over the horizon by model; NaN where there is none.
    liquidity_stress : mapping of str to ndarray, shape (n_periods, n_instruments)
        Forecast probabilities, in [0, 1], that liquidity is stressed over the horizon, by model;
        of models that give them.
    """

    history: History
    horizon: int
    tail_probability: float
    first_row: int
    variance: Mapping[str, NDArray[np.float64]]
    liquidity_stress: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a margin array: periods, instruments, sides."""
        return (self.history.panel.n_periods, self.history.panel.n_instruments, len(SIDES))

    def known_at(self) -> NDArray[np.intp]:
        """Panel row at whose close each loss is known, shape (n_periods, n_instruments)."""
        return self.history.targets.known_at[:, :, self.history.targets.at(self.horizon)]

    def log_loss(self) -> NDArray[np.float64]:
        """Loss over the horizon after each origin, log return, shape of a margin array."""
        k = self.history.targets.at(self.horizon)
        log_return = self.history.targets.log_return[:, :, k]
        return np.stack([-log_return, log_return], axis=-1)

    def loss(self) -> NDArray[np.float64]:
        """Loss as a fraction of notional, shape of a margin array; NaN where not known."""
        log_loss = self.log_loss()
        return np.stack([-np.expm1(-log_loss[..., 0]), np.expm1(log_loss[..., 1])], axis=-1)

    def each_side(
        self, compute: Callable[[SideSeries], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Apply a margin rule to every side in own time; return a margin array."""
        out = np.full(self.shape, np.nan)
        for series, i, s in self.sides():
            out[series.rows, i, s] = compute(series)
        return out

    def sides(self) -> Iterator[tuple[SideSeries, int, int]]:
        """Yield every side of every instrument, and its places on the axes of a margin array."""
        panel, log_loss = self.history.panel, self.log_loss()
        for i in range(panel.n_instruments):
            rows = np.flatnonzero(panel.present[:, i])
            if not len(rows):
                continue
            for s, side in enumerate(SIDES):
                series = SideSeries(
                    side=side,
                    rows=rows,
                    log_loss=log_loss[rows, i, s],
                    horizon=self.horizon,
                    tail_probability=self.tail_probability,
                    session=int(panel.periods_per_session[i]),
                    periods_per_year=float(panel.periods_per_year[i]),
                    first=int(np.searchsorted(rows, self.first_row)),
                    variance={name: array[rows, i] for name, array in self.variance.items()},
                )
                yield series, i, s
