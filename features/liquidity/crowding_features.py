"""Features of crowding: funding, basis, open interest and liquidations against their own past."""

import numpy as np

from ..feature import Feature
from ..measures import Measures
from ..moving import Values
from .crowding import herfindahl, log_basis
from .volume import DETREND_DAYS

_RECENT_HALF_LIFE_DAYS = 2.0
_PAST_HALF_LIFE_DAYS = 90.0


def _funding(m: Measures) -> Values:
    # Funding is known in some periods only (each eighth hour), so windows of rows would be
    # mostly empty; decayed means take what there is.
    rate = m.field("funding_rate")
    recent = m.ewma(rate, half_life_days=_RECENT_HALF_LIFE_DAYS)
    usual = m.ewma(rate, half_life_days=_PAST_HALF_LIFE_DAYS)
    variance = m.ewma(rate**2, half_life_days=_PAST_HALF_LIFE_DAYS) - usual**2
    # Rates that never changed have no spread, and what is left is a residue of rounding.
    moves = variance > 1e-12 * usual**2
    stress = (recent - usual) / np.sqrt(np.where(moves, variance, np.nan))
    return np.where(m.present, stress, np.nan)


def _basis(m: Measures) -> Values:
    reference = m.field("index_price")
    return log_basis(m.close, np.where(np.isfinite(reference), reference, m.field("mark_price")))


def _basis_level(m: Measures) -> Values:
    variance = m.mean(m.variance, days=30)
    return _basis(m) / np.sqrt(np.where(variance > 0.0, variance, np.nan))


def _basis_stress(m: Measures) -> Values:
    basis = _basis(m)
    spread = m.std(basis, days=30)
    return (basis - m.mean(basis, days=30)) / np.where(spread > 0.0, spread, np.nan)


def _open_interest(m: Measures) -> Values:
    value, quantity = m.field("open_interest_value"), m.field("open_interest")
    known = np.where(np.isfinite(value), value, quantity * m.close)
    return np.where(known > 0.0, known, np.nan)


def _open_interest_change(m: Measures) -> Values:
    # In units of the instrument where possible, so that a falling price is not a falling interest.
    quantity = m.field("open_interest")
    units = np.where(np.isfinite(quantity), quantity, _open_interest(m) / m.close)
    log_units = np.log(np.where(units > 0.0, units, np.nan))
    return log_units - m.lag(log_units, periods=m.span(days=7))


def _open_interest_to_volume(m: Measures) -> Values:
    volume = m.mean(m.field("quote_volume"), days=7)
    ratio = np.log(_open_interest(m) / np.where(volume > 0.0, volume, np.nan))
    return ratio - m.mean(ratio, days=DETREND_DAYS)


def _concentration(m: Measures) -> Values:
    shares = herfindahl(_open_interest(m), axis=1)
    return np.where(m.present, np.log(shares)[:, None], np.nan)


def _liquidations(m: Measures) -> tuple[Values, Values]:
    longs, shorts = m.field("liquidation_long"), m.field("liquidation_short")
    reported = np.isfinite(longs) | np.isfinite(shorts)
    sides = (np.where(reported & np.isnan(side), 0.0, side) for side in (longs, shorts))
    first, second = sides
    return m.mean(first, days=1, min_periods=1), m.mean(second, days=1, min_periods=1)


def _liquidation_share(m: Measures) -> Values:
    longs, shorts = _liquidations(m)
    volume = m.mean(m.field("quote_volume"), days=1, min_periods=1)
    share = (longs + shorts) / np.where(volume > 0.0, volume, np.nan)
    usual = m.mean(share, days=DETREND_DAYS)
    return share / np.where(usual > 0.0, usual, np.nan)


def _liquidation_side(m: Measures) -> Values:
    longs, shorts = _liquidations(m)
    total = longs + shorts
    return (longs - shorts) / np.where(total > 0.0, total, np.nan)


CROWDING_FEATURES = (
    Feature(
        name="funding_stress",
        unit="standard deviations of past funding",
        meaning="funding of the last days against its mean of the last months",
        compute=_funding,
    ),
    Feature(
        name="basis",
        unit="log of price over index, per thirty-day volatility of one period",
        meaning="how much dearer the contract is than the index it follows",
        compute=_basis_level,
    ),
    Feature(
        name="basis_stress",
        unit="standard deviations of thirty days",
        meaning="basis to the index against its mean of thirty days",
        compute=_basis_stress,
        look_back_days=30,
    ),
    Feature(
        name="open_interest_change",
        unit="log of a ratio",
        meaning="open interest in units against a week ago",
        compute=_open_interest_change,
        look_back_days=7,
    ),
    Feature(
        name="open_interest_to_volume",
        unit="log of a ratio",
        meaning="open interest per weekly volume against its mean of ninety days",
        compute=_open_interest_to_volume,
        look_back_days=DETREND_DAYS + 7,
    ),
    Feature(
        name="open_interest_concentration",
        unit="log of the sum of squared shares, zero if one instrument holds all",
        meaning="how few instruments hold the open interest of the panel",
        compute=_concentration,
        look_back_days=0,
    ),
    Feature(
        name="liquidation_share",
        unit="ratio to the mean of ninety days",
        meaning="liquidated per traded value of the last day against ninety days",
        compute=_liquidation_share,
        look_back_days=DETREND_DAYS + 1,
    ),
    Feature(
        name="liquidation_side",
        unit="longs minus shorts over both, -1 to 1",
        meaning="which side was liquidated over the last day",
        compute=_liquidation_side,
        look_back_days=1,
    ),
)
