"""The contract in Python: the same state, the same checks in the same order, the same names.

For clients that read signed updates, for co-signers, and as the reference that the contract is
tested against.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from ...errors import InputError
from .hashing import market_id
from .limits import Check, Held, Limits, Margins, Refusal, content_refusal, with_add_on
from .merkle import root_of
from .signed import SignedUpdate
from .signing import has_low_s, recover, well_formed
from .update import Domain, MarginBatch, MarginUpdate, address_bytes


class UpdateRefused(InputError):
    """An update or batch was refused; nothing changed.

    Attributes
    ----------
    check : Check
        The first check that it failed; the name of the contract's error.
    """

    def __init__(self, check: Check, message: str) -> None:
        super().__init__(f"{check.value}: {message}")
        self.check = check


class Signers:
    """Who may sign, and how many must.

    Parameters
    ----------
    addresses : collection of str
        ``0x`` and 40 hexadecimal digits each.
    threshold : int
        From 1 to their number.
    """

    def __init__(self, addresses: Collection[str], *, threshold: int = 1) -> None:
        self.addresses = frozenset("0x" + address_bytes(address).hex() for address in addresses)
        self.threshold = threshold
        if not 1 <= threshold <= len(self.addresses):
            n = len(self.addresses)
            raise InputError(f"threshold must be from 1 to {n}, the signers, was {threshold}")

    def refusal(self, digest: bytes, signatures: Sequence[bytes]) -> Refusal | None:
        """Return what is wrong with the signatures of a digest; None if they suffice."""
        last = ""
        for signature in signatures:
            low = len(signature) != 65 or has_low_s(signature)
            signer = recover(digest, signature) if low else None
            if not low and well_formed(signature):
                return Refusal(Check.HIGH_S, "s must be in the lower half of its range, is not")
            if signer is None:
                text = "a signature must be 65 bytes with v of 27 or 28 and a point, is not"
                return Refusal(Check.MALFORMED_SIGNATURE, text)
            if signer not in self.addresses:
                text = f"signed by {signer}, who is no signer, or for another contract or content"
                return Refusal(Check.UNKNOWN_SIGNER, text)
            if signer <= last:
                text = f"signers must be in rising order, {signer} came after {last}"
                return Refusal(Check.SIGNERS_NOT_ASCENDING, text)
            last = signer
        if len(signatures) < self.threshold:
            text = f"{self.threshold} signers must sign, {len(signatures)} did"
            return Refusal(Check.TOO_FEW_SIGNERS, text)
        return None


def verify_update(signed: SignedUpdate, domain: Domain, signers: Signers) -> MarginUpdate:
    """Return the update if enough signers signed exactly it for this contract.

    The digest that came along is not believed. Time, order and limits are not looked at; that is
    what :class:`UpdateVerifier` is for.

    Raises
    ------
    UpdateRefused
        If a signature is wrong or missing, or the name is not that of the market.
    """
    if signed.update.market_id != market_id(signed.instrument):
        text = f"the update must be of {signed.instrument}, is of another market"
        raise UpdateRefused(Check.UNKNOWN_MARKET, text)
    _raise(signers.refusal(domain.digest(signed.update), signed.signatures))
    return signed.update


class UpdateVerifier:
    """Accepts what the contract accepts.

    Parameters
    ----------
    domain : Domain
        Chain and contract.
    signers : Signers
        Of the first epoch, 1.
    limits : mapping of str to Limits
        By instrument.
    """

    def __init__(self, domain: Domain, signers: Signers, limits: Mapping[str, Limits]) -> None:
        self.domain = domain
        self.epoch = 1
        self.held: dict[bytes, Held] = {}
        self._signers = signers
        self._limits = {market_id(name): limit for name, limit in limits.items()}
        self._paused: set[bytes] = set()
        self._all_paused = False

    def rotate(self, signers: Signers) -> int:
        """Begin a new epoch with these signers; return its number."""
        self._signers = signers
        self.epoch += 1
        return self.epoch

    def pause(self, instrument: str = "") -> None:
        """Refuse everything for an instrument, or for all."""
        self._set_paused(instrument, True)

    def resume(self, instrument: str = "") -> None:
        """Accept again; a pause of all is not one of each."""
        self._set_paused(instrument, False)

    def accept(self, update: MarginUpdate, signatures: Sequence[bytes], *, now: int) -> None:
        """Take an update; `now` in seconds since 1970 UTC.

        Raises
        ------
        UpdateRefused
            With the first check that it fails.
        """
        digest = self.domain.digest(update)
        _raise(self._signers.refusal(digest, signatures))
        self._take(update, digest, self.held, now)

    def accept_from_batch(
        self,
        batch: MarginBatch,
        signatures: Sequence[bytes],
        updates: Iterable[tuple[MarginUpdate, Sequence[bytes]]],
        *,
        now: int,
    ) -> None:
        """Take updates with their proofs out of a batch, all of them or none.

        Raises
        ------
        UpdateRefused
            With the first check that fails.
        """
        _raise(self._signers.refusal(self.domain.digest(batch), signatures))
        _raise(self._batch_refusal(batch, now))
        held = dict(self.held)
        for update, proof in updates:
            digest = self.domain.digest(update)
            if root_of(digest, proof) != batch.root:
                text = "the proof must lead from the update to the batch's root, does not"
                raise UpdateRefused(Check.BAD_PROOF, text)
            self._take(update, digest, held, now)
        self.held = held

    def margins(self, instrument: str, *, now: int) -> tuple[Margins, bool]:
        """Return what is to be charged, basis points, and whether it is stale.

        Long initial and maintenance, short initial and maintenance margin. Stale is what is no
        longer valid, or knows too little of late: the last margins with an add-on that grows with
        the time since, never less than they. The cap where nothing was ever accepted.

        Raises
        ------
        UpdateRefused
            If the market has no limits.
        """
        limits = self._limits_of(market_id(instrument))
        held = self.held.get(market_id(instrument))
        if held is None:
            return (limits.cap_bps,) * 4, True
        last = held.update
        end = min(last.valid_until, last.observation_time + limits.max_age_s + 1)
        if now < end:
            return last.margins, False
        return with_add_on(last.margins, limits, stale_s=now - end), True

    def _take(self, update: MarginUpdate, digest: bytes, held: dict[bytes, Held], now: int) -> None:
        market = update.market_id
        limits, before = self._limits_of(market), held.get(market)
        _raise(content_refusal(update, before, limits, epoch=self.epoch, now=now))
        if self._all_paused or market in self._paused:
            raise UpdateRefused(Check.PAUSED, "the market must not be paused, is")
        held[market] = Held(update=update, digest=digest)

    def _limits_of(self, market: bytes) -> Limits:
        if market not in self._limits:
            raise UpdateRefused(Check.UNKNOWN_MARKET, f"no limits are set for 0x{market.hex()}")
        return self._limits[market]

    def _batch_refusal(self, batch: MarginBatch, now: int) -> Refusal | None:
        if now < batch.valid_from:
            return Refusal(Check.NOT_YET_VALID, f"it is valid from {batch.valid_from}, is {now}")
        if now >= batch.valid_until:
            return Refusal(Check.EXPIRED, f"it was valid before {batch.valid_until}, is {now}")
        if batch.epoch != self.epoch:
            text = f"epoch must be {self.epoch}, was {batch.epoch}"
            return Refusal(Check.WRONG_EPOCH, text)
        return None

    def _set_paused(self, instrument: str, paused: bool) -> None:
        if not instrument:
            self._all_paused = paused
        elif paused:
            self._paused.add(market_id(instrument))
        else:
            self._paused.discard(market_id(instrument))


def _raise(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise UpdateRefused(refusal.check, refusal.message)
