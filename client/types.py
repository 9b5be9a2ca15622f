"""Answers as the client gives them.

A field that a newer service adds is ignored; a word that it adds (a rung, a status) comes through
as text. Times are nanoseconds since 1970 UTC, margins basis points of notional.
"""

from typing import Any, TypeAlias

from msgspec import Struct


class SideMargin(Struct, frozen=True, kw_only=True):
    """Margin of one side.

    Attributes
    ----------
    initial_margin_bps, maintenance_margin_bps : int
        Basis points of notional.
    components : dict of str to float
        Named parts of the initial margin, basis points.
    bound : list of str
        Limits on movement that held the margin.
    """

    initial_margin_bps: int
    maintenance_margin_bps: int
    components: dict[str, float] = {}
    bound: list[str] = []


class Forecast(Struct, frozen=True, kw_only=True):
    """What was forecast of an instrument; None is not known.

    Attributes
    ----------
    instrument, basis : str
        Name, and the rung of the ladder that made it.
    observed_at : int
        Last moment of the market that it knows, ns UTC.
    horizon_periods, horizon_s : int or None
        Margin period of risk.
    tail_probability : float or None
        Breach rate that the margin aims at.
    sigma, sigma_lower, sigma_upper : float or None
        Volatility of the log return over the horizon, decimal, and its 90 % interval.
    regime : str
        calm, elevated, stressed or unknown.
    stress_probability, liquidity_stress_probability, liquidity_cost : float or None
        Of the forecast.
    model, bundle, reason : str
        ``name/version`` and digest of the bundle; why no better rung was used.
    """

    instrument: str
    basis: str = ""
    observed_at: int = 0
    horizon_periods: int | None = None
    horizon_s: int | None = None
    tail_probability: float | None = None
    sigma: float | None = None
    sigma_lower: float | None = None
    sigma_upper: float | None = None
    regime: str = "unknown"
    stress_probability: float | None = None
    liquidity_stress_probability: float | None = None
    liquidity_cost: float | None = None
    model: str = ""
    bundle: str = ""
    reason: str = ""


class Quote(Struct, frozen=True, kw_only=True):
    """Margin of one instrument.

    Attributes
    ----------
    instrument : str
        Name.
    sequence : int
        Rises by one with every new quote of the instrument.
    status : str
        ok, degraded, stale or fallback.
    basis, reason : str
        Rung of the ladder, and why no better one.
    observed_at, quoted_at, valid_until : int
        Last moment of the market that it knows (0 if none), when it was made, and from when on it
        must not be used without asking again, ns UTC.
    long, short : SideMargin
        A long loses when the price falls, a short when it rises.
    calculation : Forecast or None
        What it was made from; None for a fixed margin.
    """

    instrument: str
    sequence: int
    status: str
    basis: str
    reason: str = ""
    observed_at: int
    quoted_at: int
    valid_until: int
    long: SideMargin
    short: SideMargin
    calculation: Forecast | None = None


class Schedule(Struct, frozen=True, kw_only=True):
    """Margins with the time in which they hold.

    Attributes
    ----------
    instrument : str
        Name.
    sequence : int
        Of the quote.
    status, basis : str
        How far it can be trusted, and what it rests on.
    effective, expires : int
        From when to when, ns UTC; the end is excluded.
    horizon_s : int or None
        Margin period of risk, seconds; None for a fixed margin, like ``tail_probability``.
    tail_probability : float or None
        Breach rate that the margin aims at.
    long, short : SideMargin
        Margins.
    """

    instrument: str
    sequence: int = 0
    status: str = ""
    basis: str = ""
    effective: int
    expires: int
    horizon_s: int | None = None
    tail_probability: float | None = None
    long: SideMargin
    short: SideMargin


class Receipt(Struct, frozen=True, kw_only=True):
    """What became of an observation: outcome, place in the journal, why it was set aside."""

    outcome: str
    sequence: int = 0
    reason: str = ""


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One thing that the service did; `digest` is the hash of the chain up to it, hex."""

    sequence: int
    time: int
    kind: str
    by: str = ""
    what: dict[str, Any] = {}
    digest: str = ""


class SignedUpdate(Struct, frozen=True, kw_only=True, rename={"primary_type": "primaryType"}):
    """The last signed update of an instrument: EIP-712 typed data, and signatures.

    Attributes
    ----------
    instrument : str
        Name; it is not signed.
    domain, message : dict
        Where the signatures count, and what was signed; large numbers are decimal text.
    primary_type : str
        Name of the message's type.
    types : dict or None
        Fields of the types, where the service gives them.
    signatures : list of str
        65 bytes each, hexadecimal.
    """

    instrument: str = ""
    domain: dict[str, Any]
    message: dict[str, Any]
    primary_type: str
    types: dict[str, list[dict[str, str]]] | None = None
    signatures: list[str]


class Bar(Struct, frozen=True, kw_only=True, tag="bar"):
    """One closed period: prices, its close in ns UTC, other columns in `more`."""

    instrument: str
    time: int
    open: float
    high: float
    low: float
    close: float
    more: dict[str, float] = {}


class Tick(Struct, frozen=True, kw_only=True, tag="tick"):
    """One trade or mark price inside a period; `venue` empty is the instrument's own."""

    instrument: str
    time: int
    price: float
    venue: str = ""


class OraclePrice(Struct, frozen=True, kw_only=True, tag="oracle"):
    """A price that an oracle reports; `confidence` is about one standard error."""

    instrument: str
    time: int
    price: float
    confidence: float
    source: str


Observation: TypeAlias = Bar | Tick | OraclePrice
"""What a feed sends."""

OK, DEGRADED, STALE, FALLBACK = "ok", "degraded", "stale", "fallback"
ANY_STATUS = (OK, DEGRADED, STALE, FALLBACK)
"""For a caller who would rather have a stale or a fixed margin than none."""


class QuotePage(Struct, frozen=True, kw_only=True):
    """A page of quotes; `next` is the cursor of the next one, None on the last."""

    quotes: list[Quote]
    next: str | None = None


class InstrumentList(Struct, frozen=True, kw_only=True):
    """Names."""

    instruments: list[str]


class ReceiptList(Struct, frozen=True, kw_only=True):
    """Receipts in the order of the observations."""

    receipts: list[Receipt]


class AuditPage(Struct, frozen=True, kw_only=True):
    """Entries, oldest first."""

    entries: list[AuditEntry]


class Simulation(Struct, frozen=True, kw_only=True):
    """Margin of a portfolio.

    Attributes
    ----------
    margin : float
        Amount, in the unit of the notional amounts.
    answer : dict
        All that the service said: parts, worst scenario, expected shortfall.
    """

    margin: float
    answer: dict[str, Any]


class Health(Struct, frozen=True, kw_only=True):
    """Whether the service is ready, and all that it says of itself."""

    ready: bool
    details: dict[str, Any]
