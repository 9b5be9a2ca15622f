"""When a new update is due: a heartbeat, and a deviation from what was published last."""

from enum import StrEnum

from msgspec import Struct

from ...errors import InputError
from .limits import Held, Margins


class Due(StrEnum):
    """Why an update is due."""

    FIRST = "first"
    """None was published in this epoch."""
    REGIME = "regime"
    """The regime is another."""
    STATUS = "status"
    """It can be trusted more or less than the last."""
    RISE = "rise"
    """A margin is above the published one by more than the deviation."""
    FALL = "fall"
    """Margins are below the published ones by more than the deviation, and not since just now."""
    HEARTBEAT = "heartbeat"
    """The last one is old, or half of its validity is over."""


class PublishRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far and how long the published margin of an instrument may differ from the quoted one.

    A rise, and a change of regime or status, is published at once. A fall waits: it is no danger,
    and much of it turns round.

    Attributes
    ----------
    deviation_bps : int
        Largest difference that is left alone, basis points of notional; of each margin.
    heartbeat_s : int
        Longest time between two updates while there are new quotes, seconds.
    quiet_s : int
        Shortest time after an update before a fall is published, seconds.
    """

    deviation_bps: int = 10
    heartbeat_s: int = 900
    quiet_s: int = 60

    def __post_init__(self) -> None:
        if self.deviation_bps < 0 or self.quiet_s < 0 or self.heartbeat_s < 1:
            raise InputError(
                "deviation_bps and quiet_s must be at least 0 and heartbeat_s at least 1, were "
                f"{self.deviation_bps}, {self.quiet_s} and {self.heartbeat_s}"
            )

    def due(
        self, margins: Margins, held: Held | None, *, regime: int, status: int, now: int
    ) -> Due | None:
        """Return why margins must be published, None if they need not.

        Parameters
        ----------
        margins : (int, int, int, int)
            As quoted, basis points.
        held : Held or None
            The last update of this epoch.
        regime, status : int
            Numbers, as in an update.
        now : int
            Seconds since 1970 UTC.
        """
        if held is None:
            return Due.FIRST
        last = held.update
        if status != last.status:
            return Due.STATUS
        if regime != last.regime:
            return Due.REGIME
        moves = [new - old for new, old in zip(margins, last.margins, strict=True)]
        if max(moves) > self.deviation_bps:
            return Due.RISE
        if -min(moves) > self.deviation_bps and now - last.valid_from >= self.quiet_s:
            return Due.FALL
        return Due.HEARTBEAT if self.is_old(held, now=now) else None

    def is_old(self, held: Held, *, now: int) -> bool:
        """Return whether an update must be renewed: by the heartbeat, or at half its validity."""
        last = held.update
        return 2 * (now - last.valid_from) >= min(
            2 * self.heartbeat_s, last.valid_until - last.valid_from
        )
