r"""The liquidity part of a margin, from a forecast of liquidity.

A base margin covers the price of a position that is closed at mid within the usual time. On top:

========== =====================================================================================
spread      half of a bad spread (:func:`.bangia_lvar`), mean of calm and stressed
impact      average fill of the power law at the effective volume (:mod:`.outlook`)
period      base margin for the time beyond the usual that closing takes at that volume
size rule   what the concentration multiplier asks for beyond impact and period together
solvency    what is missing up to the floor of :func:`.impact_solvency_floor` in *full* stress
========== =====================================================================================

The margin is their sum. The last two are what is missing to a level, so that nothing is charged
twice:

.. math::

    m = \max\left(b + s + \max(i + t,\; b\,(c - 1)),\; f\right).

The floor takes the stressed volume whatever its probability: a position that cannot be closed in a
stressed book is not margined because stress is unlikely.

No component of this maximum falls, and so the margin does not, when the stress probability, the
position, the volatility, the spread, its scatter or the base margin rises, or the volume falls: the
effective volume falls in p and rises in V, and the size over it enters impact, time and
multiplier through increasing functions only.
"""

from dataclasses import dataclass, field, fields
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from .checked import Array, Numbers, common_shape, finite, non_negative, positive
from .concentration import volume_share_multiplier
from .impact import average_fill_cost, power_law_impact
from .outlook import LiquidityOutlook, StressedLiquidity
from .period_of_risk import held_scale, margin_period_of_risk, worked_off_scale
from .solvency import impact_solvency_floor
from .spread import SPREAD_MULTIPLE, half_spread


class CloseOut(StrEnum):
    """What happens to a position during its margin period of risk."""

    WORKED_OFF = "worked-off"
    """It is sold evenly, from the first period on."""
    HELD = "held"
    """All of it is kept to the end, as after an auction that comes last."""


@dataclass(frozen=True, kw_only=True)
class LiquidityRule:
    """What a venue decides; everything else in a liquidity margin is a forecast.

    Attributes
    ----------
    coefficient, exponent : float
        Y and delta of the impact law, delta in (0, 1]: beyond one the effective volume would not
        be on the safe side.
    participation : float
        Share of volume that a close-out may take, in (0, 1].
    base_periods : float
        Periods that the base margin covers.
    close_out : CloseOut
        Which scale the time beyond takes.
    spread_multiple : float
        Standard deviations by which a bad spread exceeds the mean.
    concentration_threshold, concentration_growth : float
        As `threshold` and `growth` of :func:`.volume_share_multiplier`, of the effective volume.
    stressed : StressedLiquidity
        What stress makes of volume and spread.
    """

    coefficient: float = 1.0
    exponent: float = 0.5
    participation: float = 0.1
    base_periods: float = 1.0
    close_out: CloseOut = CloseOut.WORKED_OFF
    spread_multiple: float = SPREAD_MULTIPLE
    concentration_threshold: float = 0.25
    concentration_growth: float = 0.5
    stressed: StressedLiquidity = field(default_factory=StressedLiquidity)

    def __post_init__(self) -> None:
        positive(
            coefficient=self.coefficient,
            base_periods=self.base_periods,
            concentration_threshold=self.concentration_threshold,
        )
        non_negative(
            spread_multiple=self.spread_multiple, concentration_growth=self.concentration_growth
        )
        for name in ("exponent", "participation"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise InputError(f"{name} must be in (0, 1], was {value}")


@dataclass(frozen=True, kw_only=True, eq=False)
class LiquidityMargin:
    """Components of margins, fractions of notional; read-only arrays of one shape.

    NaN where there was no forecast or no base margin.

    Attributes
    ----------
    base, spread, impact, period, concentration, solvency : ndarray
        What the margin is the sum of, in the order of the table above.
    solvency_floor : ndarray
        Margin ratio that a close-out in full stress uses up; the least a *maintenance* margin may
        be.
    periods : ndarray
        Margin period of risk.
    effective_volume : ndarray
        Volume that all of it was computed with, unit of the positions.
    """

    base: Array
    spread: Array
    impact: Array
    period: Array
    concentration: Array
    solvency: Array
    solvency_floor: Array
    periods: Array
    effective_volume: Array

    def __post_init__(self) -> None:
        for part in fields(self):
            getattr(self, part.name).setflags(write=False)

    @property
    def add_on(self) -> Array:
        """What liquidity adds to the base margin."""
        parts = self.spread + self.impact + self.period
        return np.asarray(parts + self.concentration + self.solvency)

    @property
    def total(self) -> Array:
        """The margin. It is not capped: one or more means that the position is too large."""
        return np.asarray(self.base + self.add_on)

    def frame(self) -> pd.DataFrame:
        """Return a table: one row per element, indexed by its place; components and their sum."""
        shape = self.base.shape
        columns = {part.name: np.ravel(getattr(self, part.name)) for part in fields(self)}
        table = pd.DataFrame(columns)
        table.insert(6, "total", self.total.ravel())
        if len(shape) > 1:
            table.index = pd.MultiIndex.from_product(
                [range(n) for n in shape], names=[f"axis_{k}" for k in range(len(shape))]
            )
        return table


def liquidity_margin(
    notional: Numbers,
    base_margin: Numbers,
    outlook: LiquidityOutlook,
    *,
    rule: LiquidityRule | None = None,
) -> LiquidityMargin:
    """Compute what a margin must hold to close positions in the market that is expected.

    Parameters
    ----------
    notional : float or ndarray
        Size of each position without sign, unit of the volume, zero or more. Add up what one
        account, or accounts that would default together, hold.
    base_margin : float or ndarray
        Margin rate for the price alone, over `base_periods`; positive or NaN. With a last axis for
        the two sides, give the other arrays one of length one.
    outlook : LiquidityOutlook
        Forecasts, shapes that broadcast with the two above.
    rule : LiquidityRule, optional
        The venue's choices; by default those of :class:`LiquidityRule`.

    Raises
    ------
    InputError
        If a number is out of range, or a notional is not known.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> outlook = LiquidityOutlook(
    ...     sigma=0.03, volume=1e9, spread=0.0002, stress_probability=np.array([0.05, 0.6])
    ... )
    >>> liquidity_margin(1e8, 0.08, outlook).frame()[["impact", "period", "total"]].round(4)
       impact  period   total
    0  0.0067  0.0004  0.0872
    1  0.0098  0.0136  0.1036
    """
    (size,) = non_negative(notional=notional)
    (base,) = positive(unknown=True, base_margin=base_margin)
    arrays = [size, base, *(np.asarray(getattr(outlook, part.name)) for part in fields(outlook))]
    names = ["notional", "base_margin", *(part.name for part in fields(outlook))]
    shape = common_shape(**dict(zip(names, arrays, strict=True)))
    everywhere = [np.broadcast_to(values, shape) for values in arrays]
    known = np.logical_and.reduce([np.isfinite(values) for values in everywhere])
    size, base, *forecasts = (values[known] for values in everywhere)
    parts = _components(size, base, forecasts, rule or LiquidityRule())
    return LiquidityMargin(**{name: _scatter(part, known) for name, part in parts.items()})


def _components(
    size: Array, base: Array, forecasts: list[Array], rule: LiquidityRule
) -> dict[str, Array]:
    sigma, volume, spread, stress_probability, spread_std = forecasts
    stressed, law = rule.stressed, {"coefficient": rule.coefficient, "exponent": rule.exponent}
    effective = stressed.effective_volume(volume, stress_probability)
    wide = stressed.effective_spread_multiple(stress_probability)
    half = wide * half_spread(spread, spread_std, spread_multiple=rule.spread_multiple)
    impact = average_fill_cost(
        power_law_impact(size, effective, sigma=sigma, **law), exponent=rule.exponent
    )
    periods = margin_period_of_risk(
        size, effective, participation=rule.participation, base=rule.base_periods
    )
    period = base * (_time_multiple(periods, rule) - 1.0)
    multiplier = volume_share_multiplier(
        size, effective, threshold=rule.concentration_threshold, growth=rule.concentration_growth
    )
    concentration = np.maximum(base * (multiplier - 1.0) - (impact + period), 0.0)
    floor = impact_solvency_floor(size, stressed.volume * volume, sigma=sigma, **law)
    before = base + half + impact + period + concentration
    parts = {
        "base": base,
        "spread": half,
        "impact": impact,
        "period": period,
        "concentration": concentration,
        "solvency": np.maximum(floor - before, 0.0),
        "solvency_floor": floor,
        "periods": periods,
        "effective_volume": effective,
    }
    return {name: finite(name, part) for name, part in parts.items()}


def _time_multiple(periods: Array, rule: LiquidityRule) -> Array:
    """Multiple of the base margin that covers a longer close-out; never below one."""
    scale = held_scale if rule.close_out is CloseOut.HELD else worked_off_scale
    return np.asarray(np.maximum(scale(periods) / np.sqrt(rule.base_periods), 1.0))


def _scatter(values: Array, known: NDArray[np.bool_]) -> Array:
    out = np.full(known.shape, np.nan)
    out[known] = values
    return out
