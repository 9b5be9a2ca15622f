"""A challenger beside the champion: given the same observations, believed in nothing."""

import logging

import msgspec
from msgspec.structs import replace

from ...errors import InputError
from ..observations import Observation
from ..quote import Calculation
from ..service.wire import Calculates

_logger = logging.getLogger(__name__)


class _Both(msgspec.Struct):
    champion: bytes
    challenger: bytes | None


class Shadowed:
    """Two calculators; what the second says is marked as a shadow.

    A challenger that raises is silent from then on: it must never cost a margin.

    Parameters
    ----------
    champion, challenger : Calculates
        Of two bundles with the same instruments.
    """

    def __init__(self, champion: Calculates, challenger: Calculates) -> None:
        self._champion = champion
        self._challenger: Calculates | None = challenger

    def apply(self, observations: list[Observation]) -> list[Calculation]:
        """Return what the champion says, and then what the challenger says."""
        said = self._champion.apply(observations)
        if self._challenger is None:
            return said
        try:
            shadows = self._challenger.apply(observations)
        except Exception:
            _logger.exception("the challenger failed and is silent from now on")
            self._challenger = None
            return said
        return [*said, *(replace(one, shadow=True) for one in shadows)]

    def current(self) -> list[Calculation]:
        """Return what the champion said last."""
        return self._champion.current()

    def snapshot(self) -> bytes:
        """Return the states of both."""
        other = None if self._challenger is None else self._challenger.snapshot()
        return msgspec.msgpack.encode(_Both(self._champion.snapshot(), other))

    def restore(self, content: bytes) -> None:
        """Go on from states of the same two; InputError if they are of others."""
        try:
            both = msgspec.msgpack.decode(content, type=_Both)
        except msgspec.MsgspecError as error:
            raise InputError(f"a snapshot must be of a champion with a shadow: {error}") from error
        if both.challenger is None or self._challenger is None:
            raise InputError("a snapshot must hold a challenger that speaks; replay the journal")
        self._champion.restore(both.champion)
        self._challenger.restore(both.challenger)
