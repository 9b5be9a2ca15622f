"""What comes in: bars, ticks and prices of oracles."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from msgspec.json import Decoder, Encoder

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
"""Name of an instrument or of a venue."""

Moment = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Nanoseconds since 1970-01-01T00:00Z."""


class Bar(Struct, frozen=True, kw_only=True, gc=False, tag="bar", forbid_unknown_fields=True):
    """One closed period of one instrument.

    Attributes
    ----------
    instrument : str
        Name.
    time : int
        Close of the period, ns UTC.
    open, high, low, close : float
        Prices, positive.
    more : dict of str to float
        Other columns of the canonical bar file, such as ``volume`` or ``realized_variance``
        (decimal squared); absent is not known.
    """

    instrument: Name
    time: Moment
    open: float
    high: float
    low: float
    close: float
    more: dict[str, float] = {}


class Tick(Struct, frozen=True, kw_only=True, gc=False, tag="tick", forbid_unknown_fields=True):
    """One trade or mark price inside a period.

    Attributes
    ----------
    instrument : str
        Name.
    time : int
        When it was seen, ns UTC.
    price : float
        Positive.
    venue : str
        Where; the instrument's own venue if empty.
    """

    instrument: Name
    time: Moment
    price: float
    venue: str = ""


class OraclePrice(
    Struct, frozen=True, kw_only=True, gc=False, tag="oracle", forbid_unknown_fields=True
):
    """A price that an oracle reports.

    Attributes
    ----------
    instrument : str
        Name.
    time : int
        Publication time, ns UTC.
    price : float
        Positive.
    confidence : float
        About one standard error of the price, same unit, not negative.
    source : str
        Oracle.
    """

    instrument: Name
    time: Moment
    price: float
    confidence: float
    source: Name


Observation: TypeAlias = Bar | Tick | OraclePrice
"""Anything that a feed sends."""

encode_observations = Encoder().encode
"""Return observations, or one, as JSON bytes."""

decode_observations = Decoder(list[Observation]).decode
"""Read a JSON list of observations; msgspec.ValidationError or DecodeError if it is none."""
