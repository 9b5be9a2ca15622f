"""What goes out: the margin of one instrument, what it rests on, and how old that is."""

from enum import StrEnum

from msgspec import Struct

from .observations import Moment, Name

# What goes out is plain data without cycles: thousands a row, that the collector need not walk.


class Basis(StrEnum):
    """Rungs of the ladder, best first."""

    NETWORK = "network"
    """The champion of the bundle."""
    LINEAR = "linear"
    """The log-HAR regression."""
    GARCH = "garch"
    """GJR-GARCH on returns alone."""
    LAST_GOOD = "last-good"
    """The last margin that was computed, plus an add-on that grows with its age."""
    FIXED = "fixed"
    """The configured conservative margin: nothing else is known."""


class Status(StrEnum):
    """How far an answer can be trusted."""

    OK = "ok"
    """Computed by the best rung from data that are not old."""
    DEGRADED = "degraded"
    """Computed from data that are not old, by a lower rung."""
    STALE = "stale"
    """Not computed lately."""
    FALLBACK = "fallback"
    """Never computed, or too long ago: the fixed margin."""


class SideMargin(Struct, frozen=True, kw_only=True, gc=False):
    """Margin of one side of one instrument.

    Attributes
    ----------
    initial_margin_bps, maintenance_margin_bps : int
        Basis points of notional, rounded up; maintenance is not above initial.
    components : dict of str to float
        Named parts of the initial margin, basis points; they add up to it within 1e-9 of it. The
        part ``rounding`` is what rounding up added.
    bound : list of str
        Limits on movement that held the margin, as :class:`foremargin.calibrate.path.Bound` names
        them, in lower case.
    """

    initial_margin_bps: int
    maintenance_margin_bps: int
    components: dict[str, float]
    bound: list[str] = []


class Calculation(Struct, frozen=True, kw_only=True, gc=False):
    """What the calculator says of one instrument.

    Attributes
    ----------
    instrument : str
        Name.
    basis : Basis
        Rung that was used: network, linear or garch.
    observed_at : int
        Last moment that it knows, ns UTC.
    long, short : SideMargin
        A long loses when the price falls, a short when it rises.
    horizon_periods, horizon_s : int
        Margin period of risk, own periods and seconds.
    tail_probability : float
        Breach rate that the margin aims at.
    sigma : float
        Volatility of the log return over the horizon, decimal.
    sigma_lower, sigma_upper : float or None
        Its 90 % interval from past errors; None while none are known.
    regime : str
        As :class:`foremargin.calibrate.Regime` names it: calm, elevated, stressed or unknown.
    stress_probability, liquidity_stress_probability, liquidity_cost : float or None
        Of the forecast; None where the rung gives none.
    model, bundle : str
        ``name/version`` of the bundle, and the SHA-256 of its manifest (hex).
    reason : str
        Why a better rung was not used; empty if the best was.
    due_at : int
        When the next period closes, by the calendar of the instrument, ns UTC; 0 for one period
        after `observed_at`. Age counts from here: a closed market does not make a margin old.
    """

    instrument: Name
    basis: Basis
    observed_at: Moment
    long: SideMargin
    short: SideMargin
    horizon_periods: int
    horizon_s: int
    tail_probability: float
    sigma: float
    sigma_lower: float | None
    sigma_upper: float | None
    regime: str
    stress_probability: float | None = None
    liquidity_stress_probability: float | None = None
    liquidity_cost: float | None = None
    model: str = ""
    bundle: str = ""
    reason: str = ""
    shadow: bool = False
    due_at: Moment = 0


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to "what is the margin of this instrument?".

    Attributes
    ----------
    instrument : str
        Name.
    sequence : int
        Rises by one with every new quote of the instrument; from 1.
    status, basis, reason
        How far it can be trusted, what it rests on, and why not on something better.
    observed_at : int
        Last moment of the market that it knows, ns UTC; 0 if none.
    quoted_at : int
        When it was made, ns UTC.
    valid_until : int
        From when on it must not be used without asking again, ns UTC.
    long, short : SideMargin
        Margins.
    calculation : Calculation or None
        What it was made from; None for a fixed margin.
    """

    instrument: Name
    sequence: int
    status: Status
    basis: Basis
    reason: str
    observed_at: Moment
    quoted_at: Moment
    valid_until: Moment
    long: SideMargin
    short: SideMargin
    calculation: Calculation | None = None
