"""Records that end the calculator again and again, and when one of them is left out."""

from msgspec import Struct

_KNOWN = 100  # sequences


class LeftOut(Struct, frozen=True):
    """A record of observations that was acknowledged and has changed no margin.

    Attributes
    ----------
    sequence : int
        Its place in the journal.
    reason : str
        Why.
    """

    sequence: int
    reason: str


class Omissions(Struct, frozen=True):
    """What was left out.

    Attributes
    ----------
    count : int
        Records.
    last : LeftOut or None
        Newest of them.
    at : int
        When it was told of that, ns UTC.
    known : tuple of int
        Sequences of the newest of them, some hundred.
    """

    count: int = 0
    last: LeftOut | None = None
    at: int = 0
    known: tuple[int, ...] = ()

    def plus(self, one: LeftOut, *, now: int) -> "Omissions":
        """Return them with one more; unchanged if a calculator that began again says it again."""
        if one.sequence in self.known:
            return self
        return Omissions(self.count + 1, one, now, (*self.known, one.sequence)[-_KNOWN:])

    def told(self) -> str:
        """Return the newest as a sentence; empty if there is none."""
        return "" if self.last is None else f"record {self.last.sequence}: {self.last.reason}"


class Culprits:
    """Counts deaths over the same record.

    A record that ended the calculator `deaths` times in a row is left out, so that one record does
    not silence all instruments for ever. Another one is left out only after a record was applied in
    between: where each record ends it, its state or its code is to blame, and to leave out all that
    comes would hide that.

    Parameters
    ----------
    deaths : int
        At least 1.
    """

    def __init__(self, deaths: int) -> None:
        self._deaths = deaths
        self._suspect = self._count = 0
        self._may_leave_out = True
        self.left_out: dict[int, str] = {}

    def died(self, sequence: int, reason: str) -> str:
        """Take a death over a record, 0 for none; return what to add to the reason, or nothing."""
        if sequence == 0:
            return ""
        if sequence != self._suspect:
            self._suspect, self._count = sequence, 0
        self._count += 1
        if self._count < self._deaths:
            return ""
        if not self._may_leave_out:
            return (
                f"; record {sequence} is not left out, since {max(self.left_out)} was and nothing "
                "was applied since: not a record is to blame"
            )
        self._may_leave_out = False
        self.left_out[sequence] = f"it ended the calculator {self._count} times: {reason}"
        return f"; record {sequence} is left out from now on"

    def applied(self, sequence: int) -> None:
        """Note that a record was applied, or that one left out was passed over."""
        if sequence > max(self.left_out, default=0):  # else it was applied before, too
            self._may_leave_out = True
