r"""Grid nodes from the joint forecast of spot and implied volatility.

**The region.** Turn r into a normal score by its mixture law, and v into one by its law *given r*,
with regime probabilities updated by r (after a large fall the stressed regime is the likely one):

.. math:: z_1 = \Phi^{-1}(F(r)), \qquad z_2 = \Phi^{-1}(F(v \mid r)) .

The two are independent and standard normal whatever the law (Rosenblatt 1952), so the disc

.. math:: z_1^2 + z_2^2 \le \rho^2, \qquad \rho = \sqrt{-2\ln(1 - c)},

holds exactly the probability c. A rectangle of the same probability reaches much further at its
corners, where both moves are extreme at once.

**The nodes.** They stand at `2 n_side + 1` spots, from one end of the disc to the other, each with
the highest volatility that the region reaches in the segments beside it, with the lowest, and with
volatility unchanged; each now and at the end of the horizon.

**What is promised.** A book whose loss is convex in the spot and rises with volatility (options
sold, hedged with futures or not) loses nowhere in the region more than at the worst node: on a
segment of spots its loss is at most that at the segment's highest volatility, and a convex function
is largest at an end. So its loss stays below the grid's with probability c at least, if the law is
right. For options bought, and spreads, the worst point can lie between two spots; `n_side` makes
that gap small, and it is not proved to be zero.

**What it costs.** The promise holds for every such book at once, and one book needs less: a linear
one a single quantile, 2.33 normal scores at 99 % where the disc has 3.03. So :func:`forecast_grid`
covers a given book in 99.8 to 99.9 % of cases, at 1.4 to 2.3 times its own loss quantile. It is for
a grid that is published and has to serve books that nobody has seen. For the margin of an account
take :func:`fitted_grid`, which shrinks the disc to what the given book needs.

References
----------
Rosenblatt, M. (1952), "Remarks on a Multivariate Transformation", Annals of Mathematical
Statistics 23(3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ...errors import InputError
from .book import Book, Marks
from .checks import not_negative
from .grid import ScenarioGrid, VolShape
from .law import SpotVolForecast
from .revalue import scenario_pnl

Array = NDArray[np.float64]

_POINTS_PER_SEGMENT = 17
_CERTAINTY = 0.99
_WIDEST_RADIUS = 8.0
_SHRINKS = 12


def forecast_grid(
    forecast: SpotVolForecast,
    *,
    confidence_level: float,
    horizon: float = 0.0,
    n_side: int = 8,
    shape: VolShape | None = None,
) -> ScenarioGrid:
    """Return the grid whose worst loss covers `confidence_level` of every book of options sold.

    For the margin of one book it is dear; see the module, and :func:`fitted_grid`.

    Parameters
    ----------
    forecast : SpotVolForecast
        Joint law over the horizon.
    confidence_level : float
        In (0.5, 1), for example 0.99.
    horizon : float
        Years that pass until the position is closed, not negative.
    n_side : int
        Spots on either side of zero, at least one.
    shape : VolShape, optional
        Moves of other expiries.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    if not 0.5 < confidence_level < 1.0:
        raise InputError(
            f"confidence_level must be in (0.5, 1), was {confidence_level}; write 0.99 for 99 %"
        )
    if n_side < 1:
        raise InputError(f"n_side must be at least 1, was {n_side}")
    moment = float(not_negative("horizon", horizon))
    radius = float(np.sqrt(-2.0 * np.log1p(-confidence_level)))
    layout = VolShape() if shape is None else shape
    return _disc(forecast, radius, horizon=moment, n_side=n_side, shape=layout)


def _disc(
    forecast: SpotVolForecast, radius: float, *, horizon: float, n_side: int, shape: VolShape
) -> ScenarioGrid:
    score = radius * np.linspace(-1.0, 1.0, 2 * n_side + 1)
    spots = forecast.spot_quantile(score)
    high, low = _volatilities(forecast, radius, score)
    vol = np.stack([high, np.zeros_like(high), low])
    moments = np.array([0.0, horizon]) if horizon > 0.0 else np.zeros(1)
    passed, vol, spot = np.broadcast_arrays(moments[:, None, None], vol, spots)
    return ScenarioGrid(
        spot_move=np.expm1(spot.ravel()),
        vol_move=np.expm1(vol.ravel()),
        weight=np.ones(spot.size),
        elapsed=passed.ravel(),
        shape=shape,
    )


def _volatilities(forecast: SpotVolForecast, radius: float, score: Array) -> tuple[Array, Array]:
    """Return the highest and lowest log change of the region beside each spot."""
    share = np.linspace(0.0, 1.0, _POINTS_PER_SEGMENT)
    along = score[:-1, None] + share * np.diff(score)[:, None]
    reach = np.sqrt(np.maximum(radius**2 - along**2, 0.0))
    spot = forecast.spot_quantile(along)
    most = forecast.vol_quantile(reach, spot).max(axis=1)
    least = forecast.vol_quantile(-reach, spot).min(axis=1)
    beside = np.concatenate([most[:1], np.maximum(most[:-1], most[1:]), most[-1:]])
    under = np.concatenate([least[:1], np.minimum(least[:-1], least[1:]), least[-1:]])
    return beside, under


def fitted_grid(
    book: Book,
    marks: Marks,
    forecast: SpotVolForecast,
    *,
    confidence_level: float,
    rng: np.random.Generator,
    horizon: float = 0.0,
    n: int = 20_000,
    n_side: int = 8,
) -> ScenarioGrid:
    """Return the smallest forecast grid that covers `confidence_level` of this book's losses.

    Losses are simulated from the law by full revaluation. The disc of :func:`forecast_grid` is
    shrunk until its worst loss is just above their quantile, taken high enough to be above the true
    one with 99 % certainty; it is widened where the full disc falls short (options bought, whose
    worst point can lie between nodes).

    Parameters
    ----------
    book, marks : Book, Marks
        The positions that the grid is for; it promises nothing for others.
    forecast, confidence_level, horizon, n_side
        As in :func:`forecast_grid`.
    rng : numpy.random.Generator
        Draws the outcomes.
    n : int
        Outcomes; at least enough for the quantile to lie below the largest.

    Raises
    ------
    InputError
        If `n` is too small, a number is out of range, or no disc covers the losses.
    """
    whole = forecast_grid(
        forecast, confidence_level=confidence_level, horizon=horizon, n_side=n_side
    )
    rank = int(stats.binom.ppf(_CERTAINTY, n, confidence_level)) + 1
    if rank > n:
        raise InputError(
            f"n must be large enough for the quantile at {confidence_level}, was {n}; take at "
            f"least {int(np.ceil(np.log(1 - _CERTAINTY) / np.log(confidence_level)))}"
        )
    outcome = simulated_grid(forecast, n, rng=rng, horizon=horizon)
    target = np.partition(-scenario_pnl(book, marks, outcome).total(), rank - 1)[rank - 1]

    def disc(radius: float) -> ScenarioGrid:
        return _disc(forecast, radius, horizon=horizon, n_side=n_side, shape=whole.shape)

    def covers(radius: float) -> bool:
        return bool(scenario_pnl(book, marks, disc(radius)).loss() >= target)

    low, high = 0.0, float(np.sqrt(-2.0 * np.log1p(-confidence_level)))
    while not covers(high):
        low, high = high, 1.25 * high
        if high > _WIDEST_RADIUS:
            raise InputError(
                f"no disc up to {_WIDEST_RADIUS} standard scores covers a loss of {target:.6g}; "
                "raise n_side"
            )
    for _ in range(_SHRINKS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if covers(middle) else (middle, high)
    return disc(high)


@dataclass(frozen=True, kw_only=True)
class ForecastMoves:
    """How far a forecast grid reaches, a rectangle around its region; fractions, not negative.

    Attributes
    ----------
    fall, rise : float
        Of the spot; a fall is below one.
    vol_up, vol_down : float
        Of the volatility of 30 days; a fall is below one.
    """

    fall: float
    rise: float
    vol_up: float
    vol_down: float

    def at_least(
        self, *, fall: float, rise: float, vol_up: float, vol_down: float
    ) -> "ForecastMoves":
        """Return moves that are nowhere smaller than these."""
        return ForecastMoves(
            fall=max(self.fall, fall),
            rise=max(self.rise, rise),
            vol_up=max(self.vol_up, vol_up),
            vol_down=max(self.vol_down, vol_down),
        )

    def ladder(self, spot_moves: Sequence[float], *, widest: Sequence[float]) -> tuple[float, ...]:
        """Stretch both sides of a venue's ladder until `widest` ends at the fall and the rise."""
        down, up = self.fall / -min(widest), self.rise / max(widest)
        return tuple(move * (down if move < 0.0 else up) for move in spot_moves)


def forecast_moves(
    forecast: SpotVolForecast, *, confidence_level: float, n_side: int = 8
) -> ForecastMoves:
    """Return the reach of :func:`forecast_grid`, for a venue whose rule has a ladder of its own."""
    grid = forecast_grid(forecast, confidence_level=confidence_level, n_side=n_side)
    return ForecastMoves(
        fall=float(-grid.spot_move.min()),
        rise=float(grid.spot_move.max()),
        vol_up=float(max(grid.vol_move.max(), 0.0)),
        vol_down=float(max(-grid.vol_move.min(), 0.0)),
    )


def simulated_grid(
    forecast: SpotVolForecast,
    n: int,
    *,
    rng: np.random.Generator,
    horizon: float = 0.0,
    shape: VolShape | None = None,
) -> ScenarioGrid:
    """Return n outcomes drawn from the law as nodes, all at the end of the horizon.

    The profit and loss of a book on them is its distribution by full revaluation; its quantile is
    what :func:`forecast_grid` has to cover.
    """
    log_return, log_vol = forecast.sample(n, rng=rng)
    return ScenarioGrid(
        spot_move=np.expm1(log_return),
        vol_move=np.expm1(log_vol),
        weight=np.ones(n),
        elapsed=np.full(n, float(not_negative("horizon", horizon))),
        shape=VolShape() if shape is None else shape,
    )
