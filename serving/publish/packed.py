"""Updates kept as the contract ABI has them, and read when somebody asks: thousands at a time."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping

from .limits import Held
from .update import MarginUpdate

_WORD = 32
_PLACE = MarginUpdate.__struct_fields__.index("valid_until")
_UNTIL = slice(_WORD * _PLACE, _WORD * (_PLACE + 1))


class PackedUpdates(Mapping[str, MarginUpdate]):
    """Updates by instrument.

    Parameters
    ----------
    encoded : mapping of str to bytes
        By instrument, each as :meth:`.MarginUpdate.abi` wrote it.

    Attributes
    ----------
    encoded : mapping of str to bytes
        The same.
    """

    def __init__(self, encoded: Mapping[str, bytes]) -> None:
        self.encoded = encoded

    @property
    def valid_until(self) -> int:
        """Latest end of validity, seconds since 1970 UTC."""
        return max(int.from_bytes(code[_UNTIL]) for code in self.encoded.values())

    def __getitem__(self, instrument: str) -> MarginUpdate:
        return MarginUpdate.from_abi(self.encoded[instrument])

    def __iter__(self) -> Iterator[str]:
        return iter(self.encoded)

    def __len__(self) -> int:
        return len(self.encoded)

    def __contains__(self, instrument: object) -> bool:
        return instrument in self.encoded


class HeldUpdates(MutableMapping[str, Held]):
    """The last update of every market, with its digest; what came packed is read once."""

    def __init__(self) -> None:
        self._held: dict[str, Held | tuple[bytes, bytes]] = {}

    def take(self, updates: PackedUpdates, digests: Iterable[bytes]) -> None:
        """Take many, as they are; digests in the same order."""
        pairs = zip(updates.encoded.values(), digests, strict=True)
        self._held.update(zip(updates.encoded, pairs, strict=True))

    def packed(self, instrument: str) -> tuple[bytes, bytes] | None:
        """Return an update as the ABI has it, and its digest; None if there is none."""
        found = self._held.get(instrument)
        return (found.update.abi(), found.digest) if isinstance(found, Held) else found

    def digest(self, instrument: str) -> bytes:
        """Return the digest of an update."""
        found = self._held[instrument]
        return found.digest if isinstance(found, Held) else found[1]

    def encoded(self) -> dict[str, bytes]:
        """Return all updates as the ABI has them."""
        return {
            name: one.update.abi() if isinstance(one, Held) else one[0]
            for name, one in self._held.items()
        }

    def __getitem__(self, instrument: str) -> Held:
        found = self._held[instrument]
        if isinstance(found, tuple):
            found = Held(update=MarginUpdate.from_abi(found[0]), digest=found[1])
            self._held[instrument] = found
        return found

    def __setitem__(self, instrument: str, held: Held) -> None:
        self._held[instrument] = held

    def __delitem__(self, instrument: str) -> None:
        del self._held[instrument]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, instrument: object) -> bool:
        return instrument in self._held
