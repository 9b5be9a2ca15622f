"""Whether a calculation can be true at all, before anyone pays margin by it."""

import math

from ..quote import Basis, Calculation, SideMargin

_CALCULATED = (Basis.NETWORK, Basis.LINEAR, Basis.GARCH)
_LARGEST_BPS = 2**32 - 1  # what a signed update has room for
_ADDS_UP = 1e-9  # relative, as SideMargin promises


def unsound(calculation: Calculation) -> str:
    """Return what is wrong with a calculation; empty if nothing is."""
    c = calculation
    if c.basis not in _CALCULATED:
        return f"basis must be a rung that calculates, was {c.basis.value}"
    if c.horizon_periods < 1 or c.horizon_s < 1 or not 0.0 < c.tail_probability < 1.0:
        return (
            "horizon must be at least 1 and tail_probability in (0, 1), were "
            f"{c.horizon_periods} periods, {c.horizon_s} s and {c.tail_probability}"
        )
    # An interval that is not known holds everything.
    lower = 0.0 if c.sigma_lower is None else c.sigma_lower
    upper = c.sigma if c.sigma_upper is None else c.sigma_upper
    if not 0.0 <= lower <= c.sigma <= upper < math.inf:
        return (
            "sigma must be finite and within its interval, was "
            f"{c.sigma} in [{c.sigma_lower}, {c.sigma_upper}]"
        )
    for name in ("stress_probability", "liquidity_stress_probability"):
        value = getattr(c, name)
        if value is not None and not 0.0 <= value <= 1.0:
            return f"{name} must be in [0, 1], was {value}"
    if c.liquidity_cost is not None and not 0.0 <= c.liquidity_cost < math.inf:
        return f"liquidity_cost must be finite and at least 0, was {c.liquidity_cost}"
    return _unsound_side("long", c.long) or _unsound_side("short", c.short)


def _unsound_side(name: str, side: SideMargin) -> str:
    initial, maintenance = side.initial_margin_bps, side.maintenance_margin_bps
    if not 0 < maintenance <= initial <= _LARGEST_BPS:
        return (
            f"{name} must have 0 < maintenance <= initial margin, had {maintenance} and {initial}"
        )
    total = math.fsum(side.components.values()) if side.components else math.nan
    if not abs(total - initial) <= _ADDS_UP * initial:
        return f"components of {name} must add up to {initial} bps, were {total}"
    return ""
