"""A forecaster that cannot take the calculator down: late, wrong or broken, it is only silent."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...features import Features
from ...markets import Panel
from .packing import as_array, as_bytes, pack, unpack
from .rungs import GivesProbabilities, OnlineForecaster, SeesThePrice

Values = NDArray[np.float64]

_PROBABILITIES = ("stress_probability", "liquidity_stress_probability", "liquidity_cost")


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What a rung said of one row.

    Attributes
    ----------
    variance : ndarray, shape (n_instruments, n_horizons)
        Positive and finite, or NaN.
    probabilities : mapping of str to ndarray
        Of the same shape; NaN where nothing is known.
    reason : str
        Why it said nothing at all; empty if it spoke.
    """

    variance: Values
    probabilities: Mapping[str, Values] = field(default_factory=dict)
    reason: str = ""


class GuardedRung:
    """A rung with a deadline, whose errors are caught and whose numbers are looked at.

    Parameters
    ----------
    rung : OnlineForecaster or None
        None is one that was not brought.
    shape : tuple of int
        Instruments and horizons.
    deadline_s : float, optional
        How long a row may take. With one, the rung runs in a thread of its own, row after row; what
        comes too late is not used, but the rung stays in step. Without one it is waited for.
    """

    def __init__(
        self,
        rung: OnlineForecaster | None,
        *,
        shape: tuple[int, int],
        deadline_s: float | None = None,
    ) -> None:
        self.rung = rung
        self._shape, self._deadline_s = shape, deadline_s
        # Looked up once: a runtime check of a protocol takes a hundred microseconds.
        seeing: object = rung if deadline_s is None else None
        self._seeing = seeing if isinstance(seeing, SeesThePrice) else None
        self._broken = "" if rung is not None else "not loaded"
        self._thread = None if deadline_s is None else ThreadPoolExecutor(1, "rung")

    @property
    def broken(self) -> str:
        """Why it is not asked any more; empty if it is."""
        return self._broken

    def advance(self, rows: Panel, features: Features | None) -> Said:
        """Ask the rung; never raises. Without features only one that needs none is asked."""
        if features is None and getattr(self.rung, "needs_features", True):
            self._broken = self._broken or "without features"
        if self._broken:
            return self._silent(self._broken)
        if self._thread is None:
            return self._asked(rows, features)
        future: Future[Said] = self._thread.submit(self._asked, rows, features)
        try:
            return future.result(timeout=self._deadline_s)
        except Late:
            return self._silent(f"late, took more than {self._deadline_s:g} s")

    def _asked(self, rows: Panel, features: Features | None) -> Said:
        assert self.rung is not None
        given_features: Any = features  # None only where it is not looked at
        if self._broken:  # by a row before this one, which came too late
            return self._silent(self._broken)
        try:
            variance = np.asarray(self.rung.advance(rows, given_features), dtype=np.float64)
            if variance.shape != self._shape:
                raise ValueError(f"variance of shape {variance.shape}, not {self._shape}")
            given = self.rung.probabilities if isinstance(self.rung, GivesProbabilities) else {}
            probabilities = {
                name: _within(given[name], self._shape) for name in _PROBABILITIES if name in given
            }
        except Exception as error:  # whatever a model does, the others go on
            self._broken = f"broken, raised {type(error).__name__}: {error}"
            return self._silent(self._broken)
        usable = np.isfinite(variance) & (variance > 0.0)
        return Said(variance=np.where(usable, variance, np.nan), probabilities=probabilities)

    def _silent(self, reason: str) -> Said:
        return Said(variance=np.full(self._shape, np.nan), reason=reason)

    def provisional(self, place: int, log_return: float) -> Sequence[float] | None:
        """Return what it would say of an instrument at a return; None if it cannot tell."""
        if self._broken or self._seeing is None:
            return None
        try:
            return self._seeing.provisional(place, log_return)
        except Exception as error:
            self._broken = f"broken, raised {type(error).__name__}: {error}"
            return None

    def snapshot(self) -> bytes:
        """Return what the rung remembers, or that it is broken; waits for rows under way."""
        if self._thread is not None:
            self._thread.submit(lambda: None).result()
        if not self._broken and self.rung is not None:
            try:
                return pack({"broken": "", "state": as_array(self.rung.snapshot())})
            except Exception as error:
                self._broken = f"broken, raised {type(error).__name__}: {error}"
        return pack({"broken": self._broken, "state": as_array(b"")})

    def restore(self, saved: bytes) -> None:
        """Take over what was saved; a rung that cannot is broken, and the others go on."""
        found = unpack(saved)
        self._broken = str(found["broken"])
        if self.rung is None:
            self._broken = "not loaded"
        elif self._broken == "not loaded":
            self._broken = "not there when the snapshot was taken"
        if not self._broken and self.rung is not None:
            try:
                self.rung.restore(as_bytes(found["state"]))
            except Exception as error:
                self._broken = f"broken, could not go on: {type(error).__name__}: {error}"

    def close(self) -> None:
        """End its thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


def _within(values: object, shape: tuple[int, int]) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"probabilities of shape {array.shape}, not {shape}")
    return np.where((array >= 0.0) & (array <= 1.0), array, np.nan)
