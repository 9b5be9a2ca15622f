"""Numbers that cannot be."""

import math

from ..observations import Bar, Observation, OraclePrice

_PRICES = ("open", "high", "low", "close")


def impossible(observation: Observation) -> str:
    """Return what is wrong with the numbers of an observation; empty if nothing is."""
    names = _PRICES if isinstance(observation, Bar) else ("price",)
    for name in names:
        value = getattr(observation, name)
        if not 0.0 < value < math.inf:
            return f"{name} must be positive and finite, was {value}"
    if isinstance(observation, Bar):
        return _impossible_bar(observation)
    if isinstance(observation, OraclePrice) and not 0.0 <= observation.confidence < math.inf:
        return f"confidence must be finite and at least 0, was {observation.confidence}"
    return ""


def _impossible_bar(bar: Bar) -> str:
    inner_low, inner_high = min(bar.open, bar.close), max(bar.open, bar.close)
    if not bar.low <= inner_low <= inner_high <= bar.high:
        return (
            "open and close must lie between low and high, were "
            f"{bar.open}, {bar.close}, {bar.low} and {bar.high}"
        )
    for name, value in bar.more.items():
        if not math.isfinite(value):
            return f"{name} must be finite, was {value}; leave out what is not known"
    return ""
