"""From a quote to whole numbers: exact, and rounded towards safety."""

import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import lru_cache
from typing import Any

from ...errors import InputError
from ..quote import Quote, Status
from .hashing import ZERO, market_id
from .update import UNKNOWN_64, UNKNOWN_128, MarginUpdate

REGIMES = ("unknown", "calm", "elevated", "stressed")
"""Regimes by their number in an update."""

STATUSES = (Status.OK, Status.DEGRADED, Status.STALE, Status.FALLBACK)
"""Statuses by their number in an update."""

_REGIME_NUMBER = {name: number for number, name in enumerate(REGIMES)}
_STATUS_NUMBER = {status: number for number, status in enumerate(STATUSES)}
_SECOND = 1_000_000_000
_POWERS = [int("1" + "0" * k) for k in range(18)]
_EXACT = Context(prec=64)  # of its own: a caller's context may round


def whole(value: float, *, up: bool) -> int:
    """Return a fraction in units of 10⁻¹⁸, rounded up or down; whole units stay as they are.

    A float counts as the shortest decimal that reads back as it: 0.07 is 7 · 10¹⁶ and not the
    binary number a little above.

    Raises
    ------
    InputError
        If it is not finite or is negative.
    """
    if not math.isfinite(value) or value < 0:
        raise InputError(f"a number must be finite and at least 0 to be published, was {value}")
    text = float.__repr__(float(value))
    if text.startswith("0."):  # the usual case; Decimal takes several times as long
        digits = text[2:20]
        units = int(digits) * _POWERS[18 - len(digits)]
        return units + 1 if up and len(text) > 20 else units  # the last digit is never a 0
    exact = _EXACT.scaleb(Decimal(text), 18)
    return int(exact.to_integral_value(rounding=ROUND_CEILING if up else ROUND_FLOOR))


def margins_of(quote: Quote) -> tuple[int, int, int, int]:
    """Return long initial and maintenance, short initial and maintenance margin, basis points."""
    long, short = quote.long, quote.short
    return (
        long.initial_margin_bps,
        long.maintenance_margin_bps,
        short.initial_margin_bps,
        short.maintenance_margin_bps,
    )


def regime_of(quote: Quote) -> int:
    """Return the number of a quote's regime, 0 if it has none.

    Raises
    ------
    InputError
        If its regime is not among :data:`REGIMES`.
    """
    if quote.calculation is None:
        return 0
    try:
        return _REGIME_NUMBER[quote.calculation.regime]
    except KeyError:
        text = f"regime must be one of {REGIMES}, was {quote.calculation.regime!r}"
        raise InputError(text) from None


def status_of(quote: Quote) -> int:
    """Return the number of a quote's status."""
    return _STATUS_NUMBER[quote.status]


def seconds(moment: int) -> int:
    """Return ns as whole seconds, rounded down: never newer than it is, never valid longer."""
    return moment // _SECOND


def margin_update(
    quote: Quote,
    *,
    seq: int,
    epoch: int,
    prev_seq: int = 0,
    prev_digest: bytes = ZERO,
    evidence: Mapping[str, bytes] | None = None,
) -> MarginUpdate:
    """Return what a contract is told of a quote.

    Parameters
    ----------
    quote : Quote
        What is to be published.
    seq, epoch, prev_seq, prev_digest
        Its place in the market's chain.
    evidence : mapping of str to bytes, optional
        Root of the evidence for each bundle, by the bundle's digest (hex).

    Raises
    ------
    InputError
        If a number is not finite or negative, or a digest is none. What is too large for its
        field is refused when it is encoded.
    """
    initial_long, maintenance_long, initial_short, maintenance_short = margins_of(quote)
    return MarginUpdate(
        market_id=market_id(quote.instrument),
        long_initial_bps=initial_long,
        long_maintenance_bps=maintenance_long,
        short_initial_bps=initial_short,
        short_maintenance_bps=maintenance_short,
        **_forecast(quote, evidence or {}),
        regime=regime_of(quote),
        status=status_of(quote),
        observation_time=seconds(quote.observed_at),
        valid_from=seconds(quote.quoted_at),
        valid_until=seconds(quote.valid_until),
        prev_seq=prev_seq,
        seq=seq,
        epoch=epoch,
        prev_digest=prev_digest,
    )


def _forecast(quote: Quote, evidence: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the fields that come from the calculation, all unknown where there is none."""
    known = quote.calculation
    if known is None:
        return _NO_FORECAST
    lower, upper = known.sigma_lower, known.sigma_upper
    return {
        "sigma_e18": whole(known.sigma, up=True),
        "sigma_lower_e18": 0 if lower is None else whole(lower, up=False),
        "sigma_upper_e18": UNKNOWN_128 if upper is None else whole(upper, up=True),
        "stress_e18": _or_unknown(known.stress_probability),
        "liquidity_stress_e18": _or_unknown(known.liquidity_stress_probability),
        "liquidity_cost_e18": _or_unknown(known.liquidity_cost),
        "horizon_s": known.horizon_s,
        "model_digest": model_digest(known.bundle),
        "evidence_root": evidence.get(known.bundle, ZERO),
    }


_NO_FORECAST = {
    "sigma_e18": UNKNOWN_128,
    "sigma_lower_e18": 0,
    "sigma_upper_e18": UNKNOWN_128,
    "stress_e18": UNKNOWN_64,
    "liquidity_stress_e18": UNKNOWN_64,
    "liquidity_cost_e18": UNKNOWN_64,
    "horizon_s": 0,
}


def _or_unknown(value: float | None) -> int:
    return UNKNOWN_64 if value is None else whole(value, up=True)


@lru_cache(maxsize=256)
def model_digest(text: str) -> bytes:
    """Return the digest that names a bundle, 32 bytes; zero for no name.

    Raises
    ------
    InputError
        If it is not 64 hexadecimal digits.
    """
    if not text:
        return ZERO
    try:
        content = bytes.fromhex(text)
    except ValueError:
        content = b""
    if len(content) != 32:
        raise InputError(f"a bundle must be named by 64 hexadecimal digits, was {text!r}")
    return content
