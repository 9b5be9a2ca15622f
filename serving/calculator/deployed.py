"""The calculator of a bundle, made in its own process."""

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...bundles import VerifiedFiles, check_served, read_verified
from ...calibrate.served import read_serving_state
from ...errors import InputError
from ...features import Features
from ...markets import Panel
from ..quote import Basis
from ..service.wire import Calculates
from .calculator import Calculator
from .network import FILES, NetworkRung
from .rungs import OnlineForecaster
from .shadow import Shadowed

Values = NDArray[np.float64]

_logger = logging.getLogger(__name__)

_TOLD = ("stress_probability", "liquidity_stress_probability", "liquidity_cost")
_DEADLINE_S = 2.0  # of the network for one row


def calculator(folder: str, digest: str, shadow: str = "", shadow_digest: str = "") -> Calculates:
    """Return the calculator of a bundle, with a challenger beside it if one is named.

    The front has verified who signed what: the digests are of the manifests, and through them of
    every file.

    Parameters
    ----------
    folder, shadow : str
        Bundles.
    digest, shadow_digest : str
        SHA-256 of their manifests, hexadecimal.

    Raises
    ------
    InputError
        If a bundle is not the one that is meant, or cannot be served.
    """
    champion = _loaded(folder, digest)
    return Shadowed(champion, _loaded(shadow, shadow_digest)) if shadow else champion


def _loaded(folder: str, digest: str) -> Calculator:
    files = read_verified(Path(folder), trusted=None)
    if files.digest != digest:
        raise InputError(
            f"{folder} must have the digest {digest[:12]} that was verified, has "
            f"{files.digest[:12]}; it was changed meanwhile"
        )
    check_served(files.folder, files.manifest)
    return Calculator.load(
        files.contents,
        rungs=_rungs(files),
        deadline_s=_DEADLINE_S,
        model=f"{files.manifest.name}/{files.manifest.version}",
        bundle=files.digest,
    )


class ServedNetwork:
    """The network of a bundle as a rung of the calculator.

    Parameters
    ----------
    rung : NetworkRung
        Standing before the last row of the training data.
    name : str
        What its walk-forward scores are filed under.
    like : Panel
        One row of the instruments.
    """

    basis = Basis.NETWORK

    def __init__(self, rung: NetworkRung, *, name: str, like: Panel) -> None:
        self._rung, self.name, self._like = rung, name, like

    @property
    def probabilities(self) -> Mapping[str, Values]:
        """Probabilities of stress and costs at the last row, (n_instruments, n_horizons) each."""
        said = self._rung.last
        if said is None:
            return {}
        told = {name: getattr(said, name) for name in _TOLD}
        return {name: values[0] for name, values in told.items() if values is not None}

    def advance(self, rows: Panel, features: Features) -> Values:
        """Take one closed row and forecast from its close."""
        return self._rung.advance(rows, features)

    def snapshot(self) -> bytes:
        """Return all that it remembers."""
        return msgspec.msgpack.encode(self._rung.snapshot())

    def restore(self, saved: bytes) -> None:
        """Take over what was saved; InputError if it does not fit."""
        try:
            document, arrays = msgspec.msgpack.decode(saved, type=tuple[bytes, bytes])
        except msgspec.MsgspecError as error:
            raise InputError(f"a network must remember two files, found other: {error}") from error
        self._rung.restore(document, arrays, self._like)


class UnusableNetwork:
    """The place of a network that cannot be computed: it says why, and the ladder goes on below.

    Parameters
    ----------
    name : str
        What its walk-forward scores are filed under.
    reason : str
        Why.
    """

    basis = Basis.NETWORK

    def __init__(self, name: str, reason: str) -> None:
        self.name, self._reason = name, reason

    def advance(self, rows: Panel, features: Features) -> Values:
        """Raise InputError with the reason."""
        raise InputError(self._reason)

    def snapshot(self) -> bytes:
        """Raise InputError with the reason."""
        raise InputError(self._reason)

    def restore(self, saved: bytes) -> None:
        """Raise InputError with the reason."""
        raise InputError(self._reason)


def _rungs(files: VerifiedFiles) -> list[OnlineForecaster]:
    if any(name not in files.contents for name in FILES):
        return []
    state = read_serving_state(files.contents)
    names = [one.model for one in state.rungs if one.basis == Basis.NETWORK.value]
    return [_network(files, name, like=state.last_row) for name in names]


def _network(files: VerifiedFiles, name: str, *, like: Panel) -> OnlineForecaster:
    try:
        return ServedNetwork(NetworkRung.load(files.contents, like), name=name, like=like)
    except InputError as error:  # the margins of the lower rungs must not be lost with it
        _logger.exception("the network of %s cannot be computed", files.folder)
        return UnusableNetwork(name, str(error))
