"""Regulatory minima: a declared table, and which row of it bound.

Two kinds of rows. A :class:`RateMinimum` is a number: initial margin of at least so much of
notional. A :class:`ModelMinimum` is a standard for a model: confidence level, liquidation period
and look-back; its number is what the caller's model gives at that standard. The table is a reading
of the rules named in it, for calculation and not for advice.
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .addon import Floats, finite


class Jurisdiction(StrEnum):
    """Whose rules."""

    EU = "eu"
    GERMANY = "germany"
    UK = "uk"
    US = "us"
    AU = "au"
    INTERNATIONAL = "international"


class Client(StrEnum):
    """Whose margin."""

    RETAIL = "retail"
    """A retail client of a broker."""
    CLEARED = "cleared"
    """A clearing member of a central counterparty, accounts net."""
    CLEARED_GROSS = "cleared-gross"
    """A client whose margin is collected gross by a central counterparty."""
    BILATERAL = "bilateral"
    """A counterparty in uncleared derivatives above the exchange thresholds."""


class Product(StrEnum):
    """What is margined."""

    MAJOR_FX = "major-fx"
    MINOR_FX = "minor-fx"
    GOLD = "gold"
    MAJOR_INDEX = "major-index"
    MINOR_INDEX = "minor-index"
    COMMODITY = "commodity"
    """Other than gold."""
    EQUITY = "equity"
    CRYPTO = "crypto"
    LISTED_DERIVATIVE = "listed-derivative"
    OTC_DERIVATIVE = "otc-derivative"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What every row of the table says.

    Attributes
    ----------
    name : str
        Unique in a table.
    jurisdiction : Jurisdiction
        Whose rule it is.
    clients : tuple of Client
        Whose margin it is about.
    products : tuple of Product
        What it is about.
    source : str
        Rule and article.
    since : date
        Day from which the rule was in force.
    until : date or None
        Day from which it no longer was; None where it still is, as far as we know (2026).
    """

    name: str
    jurisdiction: Jurisdiction
    clients: tuple[Client, ...]
    products: tuple[Product, ...]
    source: str
    since: datetime.date
    until: datetime.date | None = None

    def applies(
        self,
        *,
        jurisdiction: Jurisdiction,
        client: Client,
        product: Product,
        on: datetime.date,
    ) -> bool:
        """Whether the row is about this client and product, and in force on that day."""
        in_force = self.since <= on and (self.until is None or on < self.until)
        about = self.jurisdiction == jurisdiction and client in self.clients
        return in_force and about and product in self.products


@dataclass(frozen=True, kw_only=True)
class RateMinimum(Row):
    """Initial margin of at least a share of notional.

    Attributes
    ----------
    margin_rate : float
        Fraction of notional in (0, 1].
    """

    margin_rate: float

    def __post_init__(self) -> None:
        if not 0.0 < self.margin_rate <= 1.0:
            raise InputError(f"{self.name}: margin_rate must be in (0, 1], was {self.margin_rate}")


@dataclass(frozen=True, kw_only=True)
class ModelMinimum(Row):
    """Standard of a margin model.

    Attributes
    ----------
    confidence_level : float
        Coverage, in (0.5, 1).
    liquidation_days : int
        Business days that the margin covers, at least 1.
    look_back_months : int or None
        Least history that the model must see; None where the rule names none.
    """

    confidence_level: float
    liquidation_days: int
    look_back_months: int | None = None

    def __post_init__(self) -> None:
        if not 0.5 < self.confidence_level < 1.0 or self.liquidation_days < 1:
            raise InputError(
                f"{self.name}: confidence_level must be in (0.5, 1) and liquidation_days at least "
                f"1, were {self.confidence_level} and {self.liquidation_days}"
            )


_ESMA = "ESMA Decision (EU) 2018/796, Annex I, renewed three times; then national measures"
_BAFIN = "BaFin general order on contracts for difference, 23 July 2019"
_FCA = "FCA Handbook COBS 22.5 (PS19/18)"
_ASIC = "ASIC Corporations (Product Intervention Order, CFDs) Instrument 2020/986"
_RETAIL_LEVERAGE: tuple[tuple[int, tuple[Product, ...]], ...] = (
    (30, (Product.MAJOR_FX,)),
    (20, (Product.MINOR_FX, Product.GOLD, Product.MAJOR_INDEX)),
    (10, (Product.COMMODITY, Product.MINOR_INDEX)),
    (5, (Product.EQUITY,)),
    (2, (Product.CRYPTO,)),
)


# The sale of CFDs on crypto assets to retail clients ended in the UK (FCA PS20/10).
_UK_CRYPTO_BAN = datetime.date(2021, 1, 6)


def _retail_caps(
    jurisdiction: Jurisdiction,
    source: str,
    since: datetime.date,
    *,
    until: datetime.date | None = None,
) -> tuple[RateMinimum, ...]:
    """Rows of the leverage limits that ESMA set for retail CFDs and others took over."""
    crypto_until = _UK_CRYPTO_BAN if jurisdiction == Jurisdiction.UK else until
    return tuple(
        RateMinimum(
            name=f"{jurisdiction}-retail-{leverage}-to-1",
            jurisdiction=jurisdiction,
            clients=(Client.RETAIL,),
            products=products,
            source=source,
            since=since,
            until=crypto_until if Product.CRYPTO in products else until,
            margin_rate=1.0 / leverage,
        )
        for leverage, products in _RETAIL_LEVERAGE
    )


_EMIR = "Delegated Regulation (EU) No 153/2013, Articles 24, 25 and 26"
_EMIR_SINCE = datetime.date(2013, 3, 15)
_DCO = "17 CFR 39.13(g)(2)"
_DCO_SINCE = datetime.date(2012, 1, 9)

MINIMA: tuple[RateMinimum | ModelMinimum, ...] = (
    *_retail_caps(
        Jurisdiction.EU, _ESMA, datetime.date(2018, 8, 1), until=datetime.date(2019, 8, 1)
    ),
    *_retail_caps(Jurisdiction.GERMANY, _BAFIN, datetime.date(2019, 8, 1)),
    *_retail_caps(Jurisdiction.UK, _FCA, datetime.date(2019, 8, 1)),
    *_retail_caps(Jurisdiction.AU, _ASIC, datetime.date(2021, 3, 29)),
    RateMinimum(
        name="us-retail-major-fx",
        jurisdiction=Jurisdiction.US,
        clients=(Client.RETAIL,),
        products=(Product.MAJOR_FX,),
        source="17 CFR 5.9",
        since=datetime.date(2010, 10, 18),
        margin_rate=0.02,
    ),
    RateMinimum(
        name="us-retail-other-fx",
        jurisdiction=Jurisdiction.US,
        clients=(Client.RETAIL,),
        products=(Product.MINOR_FX,),
        source="17 CFR 5.9",
        since=datetime.date(2010, 10, 18),
        margin_rate=0.05,
    ),
    ModelMinimum(
        name="emir-otc",
        jurisdiction=Jurisdiction.EU,
        clients=(Client.CLEARED, Client.CLEARED_GROSS),
        products=(Product.OTC_DERIVATIVE,),
        source=_EMIR,
        since=_EMIR_SINCE,
        confidence_level=0.995,
        liquidation_days=5,
        look_back_months=12,
    ),
    ModelMinimum(
        name="emir-listed",
        jurisdiction=Jurisdiction.EU,
        clients=(Client.CLEARED,),
        products=(Product.LISTED_DERIVATIVE,),
        source=_EMIR,
        since=_EMIR_SINCE,
        confidence_level=0.99,
        liquidation_days=2,
        look_back_months=12,
    ),
    ModelMinimum(
        name="emir-listed-gross",
        jurisdiction=Jurisdiction.EU,
        clients=(Client.CLEARED_GROSS,),
        products=(Product.LISTED_DERIVATIVE,),
        source=f"{_EMIR}, as amended by Delegated Regulation (EU) 2016/822",
        since=datetime.date(2016, 6, 15),
        confidence_level=0.99,
        liquidation_days=1,
        look_back_months=12,
    ),
    ModelMinimum(
        name="us-dco-listed",
        jurisdiction=Jurisdiction.US,
        clients=(Client.CLEARED, Client.CLEARED_GROSS),
        products=(Product.LISTED_DERIVATIVE,),
        source=_DCO,
        since=_DCO_SINCE,
        confidence_level=0.99,
        liquidation_days=1,
    ),
    ModelMinimum(
        name="us-dco-swaps",
        jurisdiction=Jurisdiction.US,
        clients=(Client.CLEARED, Client.CLEARED_GROSS),
        products=(Product.OTC_DERIVATIVE,),
        source=f"{_DCO}; swaps other than on agricultural, energy and metal commodities",
        since=_DCO_SINCE,
        confidence_level=0.99,
        liquidation_days=5,
    ),
    ModelMinimum(
        name="uncleared-model",
        jurisdiction=Jurisdiction.INTERNATIONAL,
        clients=(Client.BILATERAL,),
        products=(Product.OTC_DERIVATIVE,),
        source="BCBS-IOSCO, Margin requirements for non-centrally cleared derivatives, element 3; "
        "the standard of SIMM",
        since=datetime.date(2016, 9, 1),
        confidence_level=0.99,
        liquidation_days=10,
    ),
)
"""Rows that we are sure of; a market that is not here is not known to be free."""

LossQuantile = Callable[[ModelMinimum], ArrayLike]
"""Loss at the confidence level over the liquidation period of a row, fractions of notional, from no
less than its look-back."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AppliedMinimum:
    """Margins after their floor; read-only arrays of one shape.

    Attributes
    ----------
    margin_rate : ndarray
        Fraction of notional; never below what was given.
    floor : ndarray
        The largest minimum that applies, fraction of notional.
    bound_by : ndarray of str
        Name of the row that raised the margin; empty where none did.
    """

    margin_rate: Floats
    floor: Floats
    bound_by: NDArray[np.str_]

    def __post_init__(self) -> None:
        for array in (self.margin_rate, self.floor, self.bound_by):
            array.setflags(write=False)

    def frame(self) -> pd.DataFrame:
        """Return one row per margin."""
        names = ("margin_rate", "floor", "bound_by")
        return pd.DataFrame({name: np.ravel(getattr(self, name)) for name in names})


def rows_for(
    *,
    jurisdiction: Jurisdiction | str,
    client: Client | str,
    product: Product | str,
    on: datetime.date,
    table: Sequence[RateMinimum | ModelMinimum] = MINIMA,
) -> tuple[RateMinimum | ModelMinimum, ...]:
    """Return the rows about a client and product that are in force on a day.

    Raises
    ------
    InputError
        If there is none: then the table does not know the minimum, which is not the same as zero.
    """
    rows = tuple(
        row
        for row in table
        if row.applies(
            jurisdiction=Jurisdiction(jurisdiction),
            client=Client(client),
            product=Product(product),
            on=on,
        )
    )
    if not rows:
        raise InputError(
            f"the table has no minimum for {jurisdiction}, {client} and {product} on {on}; "
            "add a row with its source, or leave the step out knowingly"
        )
    return rows


def apply_minimum(
    margin_rate: ArrayLike,
    rows: Sequence[RateMinimum | ModelMinimum],
    *,
    loss_quantile: LossQuantile | None = None,
) -> AppliedMinimum:
    """Raise margins to their regulatory minimum.

    Parameters
    ----------
    margin_rate : array_like
        Margin with its add-ons, fraction of notional, at least 0.
    rows : sequence of RateMinimum or ModelMinimum
        Of :func:`rows_for`.
    loss_quantile : callable, optional
        From a :class:`ModelMinimum` to the loss at its standard, broadcastable to `margin_rate`;
        needed if there is such a row.

    Returns
    -------
    AppliedMinimum
        Among several rows the largest counts; among equal ones the first is named.
    """
    margin = finite("margin_rate", margin_rate, least=0.0)
    floor, name = np.zeros(margin.shape), np.full(margin.shape, "", dtype=object)
    for row in rows:
        least = _minimum_of(row, loss_quantile=loss_quantile)
        try:
            least = np.broadcast_to(least, margin.shape)
        except ValueError as error:
            raise ShapeError(
                f"{row.name}: the loss must broadcast to the margins of shape {margin.shape}, "
                f"was {least.shape}"
            ) from error
        larger = least > floor
        floor, name = np.where(larger, least, floor), np.where(larger, row.name, name)
    return AppliedMinimum(
        margin_rate=np.maximum(margin, floor),
        floor=floor,
        bound_by=np.where(floor > margin, name, "").astype(np.str_),
    )


def _minimum_of(row: RateMinimum | ModelMinimum, *, loss_quantile: LossQuantile | None) -> Floats:
    if isinstance(row, RateMinimum):
        return np.asarray(row.margin_rate)
    if loss_quantile is None:
        raise InputError(
            f"{row.name} asks for the {row.confidence_level:.1%} loss over {row.liquidation_days} "
            "days; give loss_quantile, which computes it"
        )
    return finite(f"{row.name}: loss_quantile", loss_quantile(row), least=0.0)


def minima_frame(table: Sequence[RateMinimum | ModelMinimum] = MINIMA) -> pd.DataFrame:
    """Return the table: one line per row, with source and dates."""
    lines = []
    for row in table:
        line: dict[str, object] = {
            "name": row.name,
            "jurisdiction": row.jurisdiction.value,
            "clients": ", ".join(client.value for client in row.clients),
            "products": ", ".join(product.value for product in row.products),
            "since": row.since,
            "until": row.until,
            "source": row.source,
            "margin_rate": row.margin_rate if isinstance(row, RateMinimum) else np.nan,
        }
        if isinstance(row, ModelMinimum):
            line["confidence_level"] = row.confidence_level
            line["liquidation_days"] = row.liquidation_days
            line["look_back_months"] = row.look_back_months
        lines.append(line)
    return pd.DataFrame(lines)
