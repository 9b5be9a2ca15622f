"""What a margin is held to: a specification without data."""

import math
from dataclasses import dataclass
from enum import IntFlag, StrEnum

from ...errors import InputError

_LARGEST_LIFT = 100.0  # share of the target


class Precedence(StrEnum):
    """What gives way when the required level cannot be reached within the limits."""

    COVERAGE_FIRST = "coverage-first"
    """Cap, then required level, then fall limits, notice and rise limits. The safe default."""
    LIMITS_FIRST = "limits-first"
    """Cap, then fall limits, notice and rise limits, then the required level."""


class Bound(IntFlag):
    """What made a margin differ from its target; several may have at once."""

    NONE = 0
    STRESS = 1
    """The weight of the stressed margin lifted the aim."""
    BUFFER = 2
    """The buffer lifted the aim."""
    HEADROOM = 4
    """The headroom against the own rise limits lifted the aim."""
    FLOOR = 8
    """The floor is above everything else that was asked."""
    REQUIRED = 16
    """The required level is above everything else that was asked."""
    FORECAST = 32
    """An expected target, divided by the rise still possible before it, lifted the level."""
    CAP = 64
    """More was asked than the cap."""
    RISE_PERIOD = 128
    """A rise limit over one period cut the rise of the announced level."""
    RISE_WINDOW = 256
    """A rise limit over several periods did."""
    FALL_PERIOD = 512
    """A fall limit over one period cut its fall."""
    FALL_WINDOW = 1024
    """A fall limit over several periods did."""
    THRESHOLD = 2048
    """A change too small to be made was left out (a fall) or rounded up (a rise)."""
    NOTICE = 4096
    """An announced level is not in force yet."""
    EMERGENCY = 8192
    """The required level went before rise limits and notice."""
    REQUIRED_MISSED = 16384
    """The margin is below the required level: the limits went first, or the cap did."""
    MAINTENANCE_WAIT = 32768
    """The maintenance margin waits for the initial margin to have stood long enough."""


@dataclass(frozen=True, kw_only=True)
class SpeedLimit:
    r"""How far a margin may move within a number of periods.

    :math:`(1-d)\,M_{t-j} \le M_t \le (1+u)\,M_{t-j}` for every :math:`1 \le j \le` `periods`.

    Attributes
    ----------
    rise : float
        :math:`u > 0`, largest relative rise; 0.5 is half as much again. Infinite: no limit.
    fall : float
        :math:`d` in (0, 1], largest relative fall; 1 is no limit.
    periods : int
        Length of the window; 1 limits each step.
    """

    rise: float = math.inf
    fall: float = 1.0
    periods: int = 1

    def __post_init__(self) -> None:
        if not self.rise > 0.0:
            raise InputError(f"rise must be positive, was {self.rise}; write 0.1 for 10 %")
        if not 0.0 < self.fall <= 1.0:
            raise InputError(f"fall must be in (0, 1], was {self.fall}; write 0.1 for 10 %")
        if self.periods < 1:
            raise InputError(f"periods must be at least 1, was {self.periods}")


@dataclass(frozen=True, kw_only=True)
class Notice:
    """How long before it takes effect a change is announced.

    Attributes
    ----------
    periods : int
        A level is in force once it has stood announced for so many periods; 0 is at once.
    falls : bool
        Whether falls wait as well. If not, a fall takes effect at once and takes back any rise
        still waiting above it.
    """

    periods: int = 0
    falls: bool = False

    def __post_init__(self) -> None:
        if self.periods < 0:
            raise InputError(f"notice periods must not be negative, were {self.periods}")


@dataclass(frozen=True, kw_only=True)
class Buffer:
    r"""A buffer that may be used up near the top and is refilled slowly.

    Regulation (EU) No 153/2013, Article 28(1)(a). With :math:`R_t` the quantile of the targets up
    to now, :math:`b_t = \min(b_{t-1} + \rho,\ \max(0, \min(B, R_t/T_t - 1)))`.

    Attributes
    ----------
    size : float
        :math:`B`, share of the target; 0.25 is the least of the Regulation.
    release_quantile : float
        Level of :math:`R_t` in (0, 1).
    refill : float
        :math:`\rho > 0`, share of the target put back per period at most; infinite is at once.
    window : int
        Targets kept for the quantile.
    needed : int
        Fewest targets; the buffer is whole before.
    """

    size: float = 0.25
    release_quantile: float = 0.99
    refill: float = 0.005
    window: int = 2_500
    needed: int = 250

    def __post_init__(self) -> None:
        if not 0.0 < self.size <= _LARGEST_LIFT:
            raise InputError(
                f"buffer size must be in (0, {_LARGEST_LIFT:g}], was {self.size}; write 0.25 for "
                "25 %"
            )
        if not 0.0 < self.release_quantile < 1.0:
            raise InputError(f"release_quantile must be in (0, 1), was {self.release_quantile}")
        if not self.refill > 0.0:
            raise InputError(f"refill must be positive, was {self.refill}")
        if not 1 <= self.needed <= self.window:
            raise InputError(
                f"must have 1 <= needed <= window, were {self.needed} and {self.window}"
            )


@dataclass(frozen=True, kw_only=True)
class Headroom:
    r"""A lift against the own rise limits that answers to how often they showed.

    :math:`h_{t+1} = \max(0,\ h_t + \gamma\,(1\{M_t < T_t\} - \varepsilon))`: every period below
    target is a debt that the aim works off. Whatever the targets, the share of periods below
    target after n of them is at most :math:`\varepsilon + (h_n - h_0)/(\gamma n)`, and
    :math:`h_n` is bounded if the targets are. A target above the cap is no debt.

    Attributes
    ----------
    budget : float
        :math:`\varepsilon` in (0, 1), share of periods that may be below target.
    size : float
        :math:`h_0`, share of the target, not negative; :func:`.needed_headroom` says what would
        have sufficed in the past.
    rate : float
        :math:`\gamma \ge 0`, lift per period below target; 0 keeps the size.
    """

    budget: float = 0.01
    size: float = 0.25
    rate: float = 0.005

    def __post_init__(self) -> None:
        if not 0.0 < self.budget < 1.0:
            raise InputError(f"budget must be in (0, 1), was {self.budget}; write 0.01 for 1 %")
        for name, value in (("size", self.size), ("rate", self.rate)):
            if not 0.0 <= value <= _LARGEST_LIFT:
                raise InputError(
                    f"headroom {name} must be in [0, {_LARGEST_LIFT:g}], was {value}; write 0.25 "
                    "for 25 %"
                )


@dataclass(frozen=True, kw_only=True)
class Lift:
    """What lifts the aim above the target.

    Attributes
    ----------
    stress_weight : float
        Weight w in [0, 1) of the stressed margin S: the aim is at least (1 - w) T + w S.
    buffer : Buffer, optional
        A buffer with release and refill.
    headroom : Headroom, optional
        A lift against the own rise limits; the larger of this and the buffer counts.
    """

    stress_weight: float = 0.0
    buffer: Buffer | None = None
    headroom: Headroom | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.stress_weight < 1.0:
            raise InputError(f"stress_weight must be in [0, 1), was {self.stress_weight}")


@dataclass(frozen=True, kw_only=True)
class Maintenance:
    """How the maintenance margin follows the initial margin.

    It is `ratio` times the lowest initial margin of the present and the last `wait` periods, so
    it rises only after the initial margin has, and falls with it.

    Attributes
    ----------
    ratio : float
        Share of the initial margin in (0, 1].
    wait : int
        Periods for which an initial margin has stood before the maintenance margin follows it up.
    """

    ratio: float = 0.5
    wait: int = 1

    def __post_init__(self) -> None:
        if not 0.0 < self.ratio <= 1.0:
            raise InputError(f"maintenance ratio must be in (0, 1], was {self.ratio}")
        if self.wait < 0:
            raise InputError(f"maintenance wait must not be negative, was {self.wait}")


@dataclass(frozen=True, kw_only=True)
class MarginLimits:
    """Everything a margin is held to.

    Attributes
    ----------
    floor : float
        Lowest margin, unit of the target, not negative.
    cap : float
        Highest margin, not below `floor`; nothing goes above it. Infinite: none.
    speed : tuple of SpeedLimit
        All of them hold together.
    notice : Notice
        How long a change is announced.
    threshold : float
        Smallest relative change that is made, in [0, 1); at most every rise and fall of `speed`.
    lift : Lift
        What lifts the aim above the target.
    maintenance : Maintenance
        How the maintenance margin follows.
    precedence : Precedence
        What gives way when not everything can hold.
    """

    floor: float = 0.0
    cap: float = math.inf
    speed: tuple[SpeedLimit, ...] = ()
    notice: Notice = Notice()
    threshold: float = 0.0
    lift: Lift = Lift()
    maintenance: Maintenance = Maintenance()
    precedence: Precedence = Precedence.COVERAGE_FIRST

    def __post_init__(self) -> None:
        if not 0.0 <= self.floor < math.inf:
            raise InputError(f"floor must be finite and not negative, was {self.floor}")
        if not self.cap > 0.0 or self.cap < self.floor:
            raise InputError(
                f"cap must be positive and not below floor, were cap {self.cap} and floor "
                f"{self.floor}; raise the cap or lower the floor"
            )
        object.__setattr__(self, "speed", tuple(self.speed))
        object.__setattr__(self, "precedence", Precedence(self.precedence))
        tightest = min((min(each.rise, each.fall) for each in self.speed), default=1.0)
        if not (0.0 <= self.threshold < 1.0 and self.threshold <= tightest):
            raise InputError(
                "threshold must be in [0, 1) and at most every rise and fall of speed, was "
                f"{self.threshold} with a tightest limit of {tightest}; a smaller threshold "
                "leaves room for a step"
            )

    @property
    def memory(self) -> int:
        """Announced levels the rule remembers."""
        return max([each.periods for each in self.speed] + [self.notice.periods + 1])
