"""What a synthetic market is like: frozen, with units, checked when it is written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from ...errors import InputError
from ..listings import Kind
from ..sessions import ALWAYS_OPEN

_DAY = pd.Timedelta(days=1)


def _require(
    spec: object,
    *,
    positive: tuple[str, ...] = (),
    non_negative: tuple[str, ...] = (),
    fraction: tuple[str, ...] = (),
) -> None:
    rules: Mapping[str, tuple[tuple[str, ...], float, float]] = {
        "above zero": (positive, math.ulp(0.0), math.inf),
        "zero or more": (non_negative, 0.0, math.inf),
        "in [0, 1)": (fraction, 0.0, 1.0),
    }
    for words, (names, low, below) in rules.items():
        for name in names:
            value = getattr(spec, name)
            if not low <= value < below:
                raise InputError(f"{name} must be {words} and finite, was {value}")


@dataclass(frozen=True, kw_only=True)
class RegimeSpec:
    """One state of the market as a whole.

    Attributes
    ----------
    name : str
        For people.
    variance_multiplier : float
        Variance relative to the other states; all are scaled so that the long-run mean is one.
    mean_days : float
        Mean duration, days.
    correlation : float
        Correlation of the diffusive returns of any two instruments, in [0, 1).
    jump_multiplier : float
        Jumps relative to the other states, scaled likewise.
    """

    name: str
    variance_multiplier: float
    mean_days: float
    correlation: float
    jump_multiplier: float = 1.0

    def __post_init__(self) -> None:
        _require(self, positive=("variance_multiplier", "mean_days"))
        _require(self, non_negative=("jump_multiplier",), fraction=("correlation",))


@dataclass(frozen=True, kw_only=True)
class VolatilitySpec:
    """Log variance of an instrument inside a state: a mean-reverting process of its own.

    Attributes
    ----------
    half_life_days : float
        Days after which a deviation of the log variance has halved.
    log_sd : float
        Standard deviation of the log variance, dimensionless.
    leverage : float
        Correlation in (-1, 1) of a bar's return with the next change of log variance; negative
        where falls raise variance.
    """

    half_life_days: float = 5.0
    log_sd: float = 0.7
    leverage: float = -0.3

    def __post_init__(self) -> None:
        _require(self, positive=("half_life_days",), non_negative=("log_sd",))
        if not -1.0 < self.leverage < 1.0:
            raise InputError(f"leverage must be in (-1, 1), was {self.leverage}")


@dataclass(frozen=True, kw_only=True)
class JumpSpec:
    """Sudden moves beside the diffusion, normally distributed.

    Attributes
    ----------
    per_year : float
        Jumps of each instrument in a calendar year, on average over the states.
    mean : float
        Mean log return of a jump, decimal; negative where crashes outnumber rallies.
    sd : float
        Standard deviation of its log return, decimal.
    common_share : float
        Share in [0, 1] of the jumps that hit all instruments at once.
    """

    per_year: float = 12.0
    mean: float = -0.01
    sd: float = 0.04
    common_share: float = 0.5

    def __post_init__(self) -> None:
        _require(self, non_negative=("per_year", "sd"))
        if not 0.0 <= self.common_share <= 1.0:
            raise InputError(f"common_share must be in [0, 1], was {self.common_share}")


@dataclass(frozen=True, kw_only=True)
class SeasonSpec:
    """How variance and volume depend on the clock (UTC).

    Attributes
    ----------
    log_amplitude : float
        Log variance of the day swings by this much above and below its middle.
    peak_hour : float
        Hour of the day, UTC, in which it is highest.
    weekend_multiplier : float
        Variance of Saturdays and Sundays relative to weekdays.
    closed_multiplier : float
        Variance while an exchange is closed relative to while it trades; it comes as a gap.
    """

    log_amplitude: float = 0.5
    peak_hour: float = 15.0
    weekend_multiplier: float = 0.6
    closed_multiplier: float = 0.1

    def __post_init__(self) -> None:
        _require(self, positive=("weekend_multiplier",))
        _require(self, non_negative=("log_amplitude", "closed_multiplier"))


@dataclass(frozen=True, kw_only=True)
class BookSpec:
    """The order book, volume and takers; all shrink or grow with volatility.

    Attributes
    ----------
    spread_bps : float
        Quoted spread at usual volatility, basis points of mid.
    depth_share : float
        Value within 10 basis points of mid on each side, as a share of a day's volume.
    spread_elasticity, depth_elasticity, volume_elasticity : float
        Per cent more spread, less depth and more volume for one per cent more volatility.
    noise_sd : float
        Standard deviation of the logs around that, dimensionless.
    depth_leads : int
        Bars by which depth and spread run ahead of volatility and of jumps; 0 for a book that
        knows nothing of the future.
    depth_before_jump : float
        Share of depth that is left in the `depth_leads` bars before a jump, in (0, 1].
    taker_link : float
        Correlation in [0, 1) of taker imbalance with the diffusive return of the bar.
    """

    spread_bps: float = 2.0
    depth_share: float = 0.002
    spread_elasticity: float = 0.7
    depth_elasticity: float = 0.9
    volume_elasticity: float = 1.0
    noise_sd: float = 0.25
    depth_leads: int = 0
    depth_before_jump: float = 0.5
    taker_link: float = 0.6

    def __post_init__(self) -> None:
        _require(self, positive=("spread_bps", "depth_share"), fraction=("taker_link",))
        elastic = ("spread_elasticity", "depth_elasticity", "volume_elasticity", "noise_sd")
        _require(self, non_negative=elastic)
        if self.depth_leads < 0 or int(self.depth_leads) != self.depth_leads:
            raise InputError(
                f"depth_leads must be a whole number of bars, at least 0, was {self.depth_leads}"
            )
        if not 0.0 < self.depth_before_jump <= 1.0:
            raise InputError(
                f"depth_before_jump must be in (0, 1], was {self.depth_before_jump}; "
                "write 0.5 for half of the depth"
            )


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """The end of an instrument: its price falls, its variance rises, then it is delisted.

    Attributes
    ----------
    at : float
        Where the fall begins, as a fraction of the market's time, in (0, 1).
    days : float
        How long it takes, days; trading ends with it.
    remaining : float
        Last price over the price before, in (0, 1).
    variance_multiplier : float
        Variance during the fall relative to usual.
    """

    at: float
    days: float = 7.0
    remaining: float = 0.001
    variance_multiplier: float = 20.0

    def __post_init__(self) -> None:
        _require(self, positive=("days", "variance_multiplier"))
        for name in ("at", "remaining"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InputError(f"{name} must be in (0, 1), was {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class InstrumentSpec:
    """One instrument.

    Attributes
    ----------
    name : str
        Unique; its random streams hang on it alone.
    annual_volatility : float
        Square root of the mean diffusive variance of a year of trading, decimal.
    price : float
        First price, quote currency.
    daily_volume : float
        Traded value of a usual day, quote currency.
    calendar : str
        ``24/7``, or the name of an exchange calendar such as ``XNYS``.
    kind : Kind
        A perpetual has funding and an index that it follows.
    underlying : str
        What it is about; empty for its name.
    collapse : Collapse or None
        How it ends; None for one that trades to the end.
    """

    name: str
    annual_volatility: float
    price: float = 100.0
    daily_volume: float = 1e8
    calendar: str = ALWAYS_OPEN
    kind: Kind = Kind.PERPETUAL
    underlying: str = ""
    collapse: Collapse | None = None

    def __post_init__(self) -> None:
        _require(self, positive=("annual_volatility", "price", "daily_volume"))
        if not self.name:
            raise InputError("an instrument must have a name, found an empty one")


@dataclass(frozen=True, kw_only=True)
class MarketSpec:
    """A synthetic market.

    Attributes
    ----------
    instruments : tuple of InstrumentSpec
        At least one, with different names.
    days : int
        Length, calendar days.
    start : str
        First day, UTC.
    bar : str
        Length of a bar; divides a day.
    regimes : tuple of RegimeSpec
        States of the market as a whole, two or three; one for none.
    volatility, jumps, season, book
        See there; the same for all instruments.
    steps_per_bar : int
        Moves inside a bar, from which high and low are taken.
    """

    instruments: tuple[InstrumentSpec, ...]
    days: int = 3 * 365
    start: str = "2021-01-01"
    bar: str = "1h"
    regimes: tuple[RegimeSpec, ...] = (
        RegimeSpec(name="calm", variance_multiplier=1.0, mean_days=60.0, correlation=0.4),
        RegimeSpec(
            name="stress",
            variance_multiplier=6.0,
            mean_days=10.0,
            correlation=0.8,
            jump_multiplier=4.0,
        ),
    )
    volatility: VolatilitySpec = field(default_factory=VolatilitySpec)
    jumps: JumpSpec = field(default_factory=JumpSpec)
    season: SeasonSpec = field(default_factory=SeasonSpec)
    book: BookSpec = field(default_factory=BookSpec)
    steps_per_bar: int = 4

    def __post_init__(self) -> None:
        names = [one.name for one in self.instruments]
        if not names or len(set(names)) < len(names):
            raise InputError(f"instruments must be at least one with different names, were {names}")
        if not self.regimes:
            raise InputError("regimes must be at least one, found none; one means no switching")
        try:
            length = pd.Timedelta(self.bar)
        except ValueError:
            length = pd.Timedelta(0)
        if length <= pd.Timedelta(0) or _DAY % length:
            raise InputError(f"bar must divide a day, was {self.bar!r}; write '1h' or '5min'")
        for name in ("days", "steps_per_bar"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, was {getattr(self, name)}")
        shortest = min(one.mean_days for one in self.regimes)
        if shortest < length / _DAY:
            raise InputError(f"regimes must last at least a bar on average, was {shortest} days")

    @property
    def bars_per_day(self) -> int:
        """Bars in a calendar day."""
        return int(_DAY / pd.Timedelta(self.bar))

    @property
    def n_bars(self) -> int:
        """Bars of an instrument that trades all the time."""
        return self.days * self.bars_per_day
