"""What-if: from the body of a request to the bytes of its answer."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ...errors import InputError
from ..observations import Name
from ..ports import ScenarioPort
from .answers import Answer
from .problems import (
    INVALID_BODY,
    MALFORMED_BODY,
    NOT_OFFERED,
    TOO_MANY_ITEMS,
    ProblemError,
)

LARGEST_NOTIONAL = 1e15
Notional = Annotated[float, Meta(ge=-LARGEST_NOTIONAL, le=LARGEST_NOTIONAL)]


class Position(Struct, frozen=True, forbid_unknown_fields=True):
    """What is held of one instrument.

    Attributes
    ----------
    instrument : str
        Name.
    notional : float
        Amount of money, positive for a long, negative for a short.
    """

    instrument: Name
    notional: Notional


class SimulationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A portfolio.

    Attributes
    ----------
    positions : list of Position
        Those of one instrument net.
    """

    positions: Annotated[list[Position], Meta(min_length=1)]


class Part(Struct, frozen=True, kw_only=True):
    """What one instrument has to do with the margin.

    Attributes
    ----------
    instrument : str
        Name.
    notional : float
        Net amount.
    single_margin : float
        Initial margin of this position alone.
    share : float
        Its Euler share of the initial margin; negative for a hedge.
    offset : bool
        Whether there are scenarios for it; without, its margin is added in full.
    """

    instrument: str
    notional: float
    single_margin: float
    share: float
    offset: bool


class Simulation(Struct, frozen=True, kw_only=True):
    """Margin of a portfolio; amounts in the currency of the notional, rounded up to 0.01.

    Attributes
    ----------
    initial_margin, maintenance_margin : float
        Of the whole.
    sum_of_margins : float
        Initial margins of the positions one by one; the initial margin is never above.
    diversification : float
        What the portfolio saves.
    worst_loss, worst_scenario : float, str
        Largest loss over the scenarios, not negative, and where it is.
    expected_shortfall, tail_scenarios : float, int
        Mean loss of that many worst scenarios.
    rounding : float
        What rounding added; shares and rounding add up to the initial margin.
    parts : list of Part
        By instrument.
    status : str
        The least trusted status of the margins used.
    observed_at, valid_until : int
        Oldest observation (0 if one has none) and earliest end, ns UTC.
    """

    initial_margin: float
    maintenance_margin: float
    sum_of_margins: float
    diversification: float
    worst_loss: float
    worst_scenario: str
    expected_shortfall: float
    tail_scenarios: int
    rounding: float
    parts: list[Part]
    status: str
    observed_at: int
    valid_until: int


_decode = msgspec.json.Decoder(SimulationRequest).decode
_encode = msgspec.json.Encoder().encode


def simulator(scenarios: ScenarioPort | None, *, most: int) -> Callable[[bytes], Answer]:
    """Return the function that answers a what-if.

    Parameters
    ----------
    scenarios : ScenarioPort or None
        None: it is not offered.
    most : int
        Most positions.
    """

    def answer(body: bytes) -> Answer:
        if scenarios is None:
            raise ProblemError(NOT_OFFERED, "There are no scenarios to simulate with.")
        try:
            positions = _decode(body).positions
        except msgspec.ValidationError as error:
            raise ProblemError(INVALID_BODY, f"{error}.") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProblemError(MALFORMED_BODY, f"{error}.") from error
        if len(positions) > most:
            raise ProblemError(TOO_MANY_ITEMS, f"At most {most} positions, found {len(positions)}.")
        net: dict[str, float] = {}
        for position in positions:
            name = position.instrument
            net[name] = net.get(name, 0.0) + position.notional
        try:
            return Answer(body=_encode(scenarios.simulate(net)))
        except InputError as error:
            raise ProblemError(INVALID_BODY, f"{error}.") from error

    return answer
