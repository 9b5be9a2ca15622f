r"""Derive's portfolio margin of its first generation (PMRM): the published arithmetic.

.. math::

    \text{span} &= \min\Bigl(\min_s \sum_e [d_e(M_e^s) - M_e] + \text{linear}_s,\;
                   \sum_e \min(0, \Delta^{\pm}_e)\,(a + b T_e)\Bigr), \\
    \text{maintenance} &= \text{span} - \text{static} + M + \text{cash}, \\
    \text{initial} &= f\,(\text{span} - \text{static}) - \text{confidence} + M + \text{cash}.

:math:`M_e` is the undiscounted Black (1976) mark of expiry e, :math:`M_e^s` that in scenario s,
and d takes the static discount :math:`base\,e^{-T(rate \cdot mult + add)}` off a mark above zero:
options bought back other losses with a part of their value only. The second term of the minimum is
the basis contingency, with :math:`\Delta^\pm_e` the change of the mark when the spot moves by
5 % up or down, the worse of both. `static` holds a share of spot for options sold net in each
expiry, for perpetuals and for spot held; f rises when the stablecoin loses its peg.

Both results are balances as the venue signs them: below zero the account lacks margin.

Source: lyra-finance/v2-core at d69b5577 (PMRM.sol, PMRMLib.sol), read in 2026. One portfolio of its
tests is reproduced. "Options sold net" is read as calls and puts of one expiry together. Not here:
the part of a forward that is fixed in the last minutes before settlement.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..options import Book, Kind, Marks, SpotVolForecast, VolShape, forecast_moves, unit_values
from ..options.checks import finite, fraction, positive, same_shape
from ..options.grid import ScenarioGrid, grid_of
from ..options.revalue import scenario_pnl, sum_by

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DerivePmrm:
    """Parameters; fractions unless stated. The defaults are those of the venue's live script.

    Attributes
    ----------
    spot_moves : tuple of float
        With volatility up, unchanged and down.
    edge_moves : tuple of float
        With volatility up only.
    vol_up, vol_down : float
        Of 30-day volatility.
    shape : VolShape
        Moves of other expiries.
    initial_factor : float
        f above, at least one.
    basis_spot_move, basis_at_least, basis_per_year : float
        The move, a and b of the basis contingency.
    option_rate, perp_rate, spot_rate : float
        Of spot for each unit: options sold net, perpetuals, spot held. `spot_rate` is the venue's
        base percentage.
    confidence_threshold, confidence_factor : float
        Below the threshold an oracle's missing confidence costs that factor of spot for each unit.
    peg_threshold, peg_factor : float
        f rises by the factor for each 1.00 that the stablecoin is below the threshold.
    static_discount, static_rate_multiple, static_rate_add : float
        base, mult and add of the static discount.
    """

    spot_moves: tuple[float, ...] = (-0.15, -0.10, -0.05, 0.0, 0.05, 0.10, 0.15)
    edge_moves: tuple[float, ...] = (-0.20, 0.20)
    vol_up: float = 0.60
    vol_down: float = 0.30
    shape: VolShape = field(default_factory=VolShape)
    initial_factor: float = 1.25
    basis_spot_move: float = 0.05
    basis_at_least: float = 0.25
    basis_per_year: float = 0.01
    option_rate: float = 0.02
    perp_rate: float = 0.03
    spot_rate: float = 0.03
    confidence_threshold: float = 0.55
    confidence_factor: float = 0.5
    peg_threshold: float = 0.99
    peg_factor: float = 4.0
    static_discount: float = 0.95
    static_rate_multiple: float = 4.0
    static_rate_add: float = 0.05

    def __post_init__(self) -> None:
        moves = self.spot_moves + self.edge_moves
        if not moves or not min(moves) < 0.0 < max(moves):
            raise InputError(f"the spot moves must go both ways, were {moves}")
        fraction("vol_down", self.vol_down)
        fraction("static_discount", self.static_discount)
        if self.initial_factor < 1.0:
            raise InputError(f"initial_factor must be at least 1, was {self.initial_factor}")

    @property
    def grid(self) -> ScenarioGrid:
        """The scenarios: 23 with the defaults."""
        nodes = [
            (spot, vol, 1.0)
            for spot in self.spot_moves
            for vol in (self.vol_up, 0.0, -self.vol_down)
        ]
        return grid_of(
            nodes + [(spot, self.vol_up, 1.0) for spot in self.edge_moves], shape=self.shape
        )


LIVE = DerivePmrm()
"""23 scenarios. What the live script was not read for (basis, static discount, confidence factor)
is as in the tests."""

TESTS = DerivePmrm(
    edge_moves=(),
    vol_up=0.45,
    initial_factor=1.3,
    option_rate=0.01,
    perp_rate=0.02,
    spot_rate=0.02,
    confidence_threshold=0.6,
    peg_threshold=0.98,
    peg_factor=2.0,
)
"""21 scenarios, the parameters of the venue's own tests."""


@dataclass(frozen=True, kw_only=True)
class DeriveMargin:
    """Components of the margin, currency; losses and contingencies are not negative.

    Attributes
    ----------
    mark_to_market : float
        Options and spot held, at their marks; perpetuals settle theirs in cash.
    scenario_loss : float
        Worst scenario.
    worst_scenario : int
        Its row in the grid.
    basis_contingency : float
        Counts where it exceeds the scenario loss.
    static_contingency : float
        For options sold net, perpetuals and spot.
    confidence_contingency : float
        For oracles in doubt, initial margin only.
    initial_factor : float
        With what the peg added.
    cash : float
        As given.
    """

    mark_to_market: float
    scenario_loss: float
    worst_scenario: int
    basis_contingency: float
    static_contingency: float
    confidence_contingency: float
    initial_factor: float
    cash: float

    @property
    def maintenance_requirement(self) -> float:
        """What the equity must reach, currency."""
        return max(self.scenario_loss, self.basis_contingency) + self.static_contingency

    @property
    def initial_requirement(self) -> float:
        """What the equity must reach to open positions, currency."""
        return self.initial_factor * self.maintenance_requirement + self.confidence_contingency

    @property
    def maintenance(self) -> float:
        """Balance above maintenance margin; the account is liquidated below zero."""
        return self.mark_to_market + self.cash - self.maintenance_requirement

    @property
    def initial(self) -> float:
        """Balance above initial margin."""
        return self.mark_to_market + self.cash - self.initial_requirement


def margin(
    book: Book,
    marks: Marks,
    *,
    parameters: DerivePmrm = LIVE,
    cash: float = 0.0,
    stable_price: float = 1.0,
    confidence: Array | None = None,
) -> DeriveMargin:
    """Return the margin of options, perpetuals and spot in one underlying.

    Parameters
    ----------
    book, marks : Book, Marks
        n positions; futures are not traded there. The rate of the marks enters the static discount
        only.
    parameters : DerivePmrm
        :data:`LIVE` or :data:`TESTS`, or those :func:`with_forecast` returns.
    cash : float
        Currency; perpetuals' profit and loss is in it.
    stable_price : float
        Of the settlement coin, positive.
    confidence : ndarray, shape (n,), optional
        Of the oracles behind each position, in [0, 1]; one if not given. The lowest of an expiry
        counts for all of it.

    Raises
    ------
    InputError
        If there are futures or several underlyings, or a number is out of range.
    """
    _check(book)
    sure = fraction("confidence", np.ones(len(book)) if confidence is None else confidence)
    same_shape((len(book),), confidence=sure)
    undiscounted = replace(marks, rate=np.zeros(len(book)))
    scenario = _scenarios(book, marks, undiscounted, parameters)
    worst = int(np.argmin(scenario))
    peg = max(parameters.peg_threshold - float(positive("stable_price", stable_price)), 0.0)
    held = book.option | (book.kind == Kind.SPOT)
    value = np.where(held, book.quantity * unit_values(book, undiscounted), 0.0)
    return DeriveMargin(
        mark_to_market=float(value.sum()),
        scenario_loss=float(max(-scenario[worst], 0.0)),
        worst_scenario=worst,
        basis_contingency=_basis(book, undiscounted, parameters),
        static_contingency=_static(book, marks, parameters),
        confidence_contingency=_doubt(book, marks, sure, parameters),
        initial_factor=parameters.initial_factor + peg * parameters.peg_factor,
        cash=float(finite("cash", cash)),
    )


def _check(book: Book) -> None:
    if len(set(book.underlying)) > 1:
        raise InputError(
            f"a portfolio must have one underlying, had {sorted(set(book.underlying))}; this venue "
            "margins each apart"
        )
    if np.any(book.kind == Kind.FUTURE):
        raise InputError(
            "this venue has no dated futures, found "
            f"{np.count_nonzero(book.kind == Kind.FUTURE)}; enter perpetuals as Kind.PERP"
        )


def _scenarios(book: Book, marks: Marks, undiscounted: Marks, rules: DerivePmrm) -> Array:
    """Return profit and loss at each node, options of one expiry discounted together."""
    change = scenario_pnl(book, undiscounted, rules.grid).pnl
    option = book.option
    total = np.asarray(change[:, ~option].sum(axis=1))
    if not option.any():
        return total
    group = book.expiry_groups()[option]
    now = sum_by(book.quantity[option] * unit_values(book, undiscounted)[option], group)
    then = now + sum_by(change[:, option], group)
    shocked = np.maximum(marks.rate[option], 0.0) * rules.static_rate_multiple
    discount = rules.static_discount * np.exp(
        -book.expiry[option] * (shocked + rules.static_rate_add)
    )
    lowest = _of_group(np.minimum, discount, group)
    return np.asarray(total + (np.where(then > 0.0, lowest * then, then) - now).sum(axis=1))


def _of_group(pick: np.ufunc, values: Array, group: NDArray[np.intp]) -> Array:
    """Return the lowest or highest number of each group, shape (n_groups,)."""
    order = np.argsort(group, kind="stable")
    start = np.unique(group[order], return_index=True)[1]
    return np.asarray(pick.reduceat(values[order], start))


def _basis(book: Book, undiscounted: Marks, rules: DerivePmrm) -> float:
    option = book.option
    if not option.any():
        return 0.0
    size = rules.basis_spot_move
    change = scenario_pnl(book, undiscounted, grid_of([(size, 0.0, 1.0), (-size, 0.0, 1.0)])).pnl
    group = book.expiry_groups()[option]
    worst = np.maximum(-sum_by(change[:, option], group).min(axis=0), 0.0)
    expiry = _of_group(np.maximum, book.expiry[option], group)
    return float(np.sum(worst * (rules.basis_at_least + rules.basis_per_year * expiry)))


def _static(book: Book, marks: Marks, rules: DerivePmrm) -> float:
    notional = np.abs(book.quantity) * marks.spot
    linear = rules.perp_rate * notional[book.kind == Kind.PERP].sum()
    linear += rules.spot_rate * notional[book.kind == Kind.SPOT].sum()
    option = book.option
    if not option.any():
        return float(linear)
    group = book.expiry_groups()[option]
    sold = np.maximum(-sum_by(book.quantity[option], group), 0.0)
    spot = _of_group(np.maximum, marks.spot[option], group)
    return float(linear + rules.option_rate * np.sum(sold * spot))


def _doubt(book: Book, marks: Marks, confidence: Array, rules: DerivePmrm) -> float:
    if not len(book):
        return 0.0
    group = book.expiry_groups()
    lowest = _of_group(np.minimum, confidence, group)[group]
    doubt = np.where(lowest < rules.confidence_threshold, 1.0 - lowest, 0.0)
    return float(np.sum(rules.confidence_factor * doubt * np.abs(book.quantity) * marks.spot))


def with_forecast(
    parameters: DerivePmrm,
    forecast: SpotVolForecast,
    *,
    confidence_level: float,
    keep_minimum: bool = True,
) -> DerivePmrm:
    """Return the parameters with shocks from a forecast of spot and implied volatility.

    Each side of the ladder of spot moves is stretched until it ends where the forecast region does;
    volatility moves as far as the region reaches. See
    :func:`foremargin.calibrate.options.forecast_grid`.

    Parameters
    ----------
    confidence_level : float
        In (0.5, 1).
    keep_minimum : bool
        Whether no shock may be smaller than the venue's own.
    """
    widest = parameters.spot_moves + parameters.edge_moves
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
        spot_moves=moves.ladder(parameters.spot_moves, widest=widest),
        edge_moves=moves.ladder(parameters.edge_moves, widest=widest),
        vol_up=moves.vol_up,
        vol_down=moves.vol_down,
    )
