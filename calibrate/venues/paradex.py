r"""Portfolio margin of Paradex: the published shocks, minimum, and provisions.

.. math::

    \text{initial} = \sum_u \max(\text{worst scenario}_u,\; \text{minimum}_u)
    + \text{funding} + \text{fees}, \qquad \text{maintenance} = \tfrac12\,\text{initial},

with minimum = (2 % of the net delta + 1 % of the hedged delta) times spot. Hedged is the delta that
longs and shorts take off each other, counted once. Funding is eight hours of what perpetuals would
pay at the given rate, per underlying, never what they would receive; fees are what closing every
position costs.

Source: tradeparadex/paradex-docs at 9b82a75a, read in 2026. The venue counts 24 scenarios; its nine
spot moves and three volatility moves make 27, and our notes do not say which three it leaves out.
All 27 are used: whichever they are, this margin is never below theirs.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from ..options import Book, Kind, Marks, SpotVolForecast, VolShape, book_greeks, forecast_moves
from ..options.checks import finite, fraction, not_negative
from ..options.grid import ScenarioGrid, standard_grid
from ..options.revalue import scenario_pnl, sum_by

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Paradex:
    """Parameters; fractions. The defaults are those of BTC and ETH.

    Attributes
    ----------
    spot_moves : tuple of float
        Nine of them, each with volatility up, unchanged and down.
    vol_up, vol_down : float
        Of 30-day volatility.
    shape : VolShape
        Moves of other expiries.
    net_delta_rate, hedged_delta_rate : float
        Of spot, for each unit of delta.
    maintenance_share : float
        Maintenance over initial margin.
    """

    spot_moves: tuple[float, ...] = (-0.16, -0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12, 0.16)
    vol_up: float = 0.40
    vol_down: float = 0.22
    shape: VolShape = field(default_factory=VolShape)
    net_delta_rate: float = 0.02
    hedged_delta_rate: float = 0.01
    maintenance_share: float = 0.50

    def __post_init__(self) -> None:
        if not self.spot_moves or not min(self.spot_moves) < 0.0 < max(self.spot_moves):
            raise InputError(f"spot_moves must go both ways, were {self.spot_moves}")
        for name in ("vol_down", "net_delta_rate", "hedged_delta_rate", "maintenance_share"):
            fraction(name, getattr(self, name))

    @property
    def grid(self) -> ScenarioGrid:
        """The scenarios."""
        return standard_grid(
            self.spot_moves, vol_up=self.vol_up, vol_down=self.vol_down, shape=self.shape
        )


BTC_ETH = Paradex()
"""BTC and ETH."""

HYPE_CL = Paradex(
    spot_moves=(-0.28, -0.21, -0.14, -0.07, 0.0, 0.07, 0.14, 0.21, 0.28),
    vol_up=0.64,
    vol_down=0.352,
)
"""HYPE and CL; the moves inside 28 % are taken as evenly spaced, as those of BTC are."""


@dataclass(frozen=True, kw_only=True)
class ParadexMargin:
    """Components of the margin, currency, none negative.

    Attributes
    ----------
    scenario_loss : float
        Worst scenario of each underlying, added.
    minimum : float
        Minimum by delta of each underlying, added.
    scan : float
        The larger of both in each underlying, added.
    funding_provision, fee_provision : float
        As the module says.
    maintenance_share : float
        Maintenance over initial margin.
    """

    scenario_loss: float
    minimum: float
    scan: float
    funding_provision: float
    fee_provision: float
    maintenance_share: float

    @property
    def initial(self) -> float:
        """Needed equity to open positions."""
        return self.scan + self.funding_provision + self.fee_provision

    @property
    def maintenance(self) -> float:
        """Needed equity; the account is liquidated below."""
        return self.maintenance_share * self.initial


def margin(
    book: Book,
    marks: Marks,
    *,
    parameters: Paradex = BTC_ETH,
    funding_rate: ArrayLike = 0.0,
    fee_rate: ArrayLike = 0.0,
) -> ParadexMargin:
    """Return the margin of a book; losses in different underlyings are added.

    Parameters
    ----------
    book, marks : Book, Marks
        n positions.
    parameters : Paradex
        :data:`BTC_ETH`, :data:`HYPE_CL`, or those :func:`with_forecast` returns. One set for all
        positions: margin books with different sets apart.
    funding_rate : array_like, scalar or shape (n,)
        Of the next eight hours, decimal; positive is paid by who is long. Read for perpetuals only.
    fee_rate : array_like, scalar or shape (n,)
        Of spot for each unit that is closed, decimal, not negative.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    loss, least = _by_underlying(book, marks, parameters)
    rate = np.broadcast_to(finite("funding_rate", funding_rate), (len(book),))
    fee = np.broadcast_to(not_negative("fee_rate", fee_rate), (len(book),))
    perp = book.kind == Kind.PERP
    owed = sum_by(np.where(perp, book.quantity * marks.forward * rate, 0.0), book.groups())
    return ParadexMargin(
        scenario_loss=float(loss.sum()),
        minimum=float(least.sum()),
        scan=float(np.maximum(loss, least).sum()),
        funding_provision=float(np.maximum(owed, 0.0).sum()),
        fee_provision=float(np.sum(fee * np.abs(book.quantity) * marks.spot)),
        maintenance_share=parameters.maintenance_share,
    )


def _by_underlying(book: Book, marks: Marks, rules: Paradex) -> tuple[Array, Array]:
    """Return the worst loss and the minimum of each underlying, shape (n_underlyings,)."""
    scenarios = scenario_pnl(book, marks, rules.grid)
    loss = np.maximum(-scenarios.by_underlying().min(axis=0), 0.0)
    group = book.groups()
    delta = book_greeks(book, marks)["delta"] * marks.spot
    bought = sum_by(np.maximum(delta, 0.0), group)
    sold = sum_by(np.maximum(-delta, 0.0), group)
    least = rules.net_delta_rate * np.abs(bought - sold)
    return loss, least + rules.hedged_delta_rate * np.minimum(bought, sold)


def with_forecast(
    parameters: Paradex,
    forecast: SpotVolForecast,
    *,
    confidence_level: float,
    keep_minimum: bool = True,
) -> Paradex:
    """Return the parameters with shocks from a forecast of spot and implied volatility.

    Each side of the ladder of spot moves is stretched until it ends where the forecast region does;
    volatility moves as far as the region reaches. See
    :func:`foremargin.calibrate.options.forecast_grid`.

    Parameters
    ----------
    confidence_level : float
        In (0.5, 1). The forecast is of the *initial* margin's horizon: maintenance is half of it.
    keep_minimum : bool
        Whether no shock may be smaller than the venue's own.
    """
    widest = parameters.spot_moves
    moves = forecast_moves(forecast, confidence_level=confidence_level)
    if keep_minimum:
        moves = moves.at_least(
            fall=-min(widest),
            rise=max(widest),
            vol_up=parameters.vol_up,
            vol_down=parameters.vol_down,
        )
    return replace(
        parameters,
        spot_moves=moves.ladder(widest, widest=widest),
        vol_up=moves.vol_up,
        vol_down=moves.vol_down,
    )
