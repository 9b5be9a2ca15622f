"""The calculator: observations in, margins out, one closed row and one tick at a time."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...bundles import SERVING_FILES
from ...calibrate.policies import NO_RUNG
from ...calibrate.served import ServingState, read_serving_state
from ...errors import InputError
from ...markets import Panel
from ..observations import Bar, Observation, decode_observations, encode_observations
from ..quote import Basis, Calculation, SideMargin
from .answers import or_none, side_margins
from .intraday import Intraday
from .loading import guarded_rungs, read_folder
from .margins import RowMargins
from .packing import as_array, as_bytes, pack, unpack
from .prices import PriceRules
from .rows import OpenRows
from .rungs import OnlineForecaster

_VERSION = 1
_decode_calculations = msgspec.json.Decoder(list[Calculation]).decode


class Calculator:
    """Margins of all instruments of a bundle, kept up with the market.

    Made by :meth:`load`. Bars of one close time make one row; a row closes when everybody who is
    waited for has reported (see :class:`.rows.OpenRows`) or by :meth:`close_until`. Prices inside a
    period only ever raise what stands since its beginning. Nothing that is observed makes it raise:
    what cannot be used is counted in :attr:`set_aside`. Not safe to share between threads.

    Parameters
    ----------
    state : ServingState
        Where to go on.
    identity : str
        What the state is, for snapshots: hexadecimal digest.
    rungs : sequence of OnlineForecaster
        Forecasters that the state names and does not hold, standing before its last row.
    deadline_s : float, optional
        How long one of these may take for a row; see :class:`.guarded.GuardedRung`.
    rules : PriceRules, optional
        How prices inside a period are read.
    model, bundle : str
        What every calculation says of itself.
    """

    def __init__(
        self,
        state: ServingState,
        *,
        identity: str,
        rungs: Sequence[OnlineForecaster] = (),
        deadline_s: float | None = None,
        rules: PriceRules | None = None,
        model: str = "",
        bundle: str = "",
    ) -> None:
        self.instruments = state.instruments
        self.set_aside: Counter[str] = Counter()
        self._state, self._identity = state, identity
        self._model, self._bundle = model, bundle
        self._place = {name: i for i, name in enumerate(state.instruments)}
        self._rows = OpenRows(state)
        self._margins = RowMargins(state, guarded_rungs(state, rungs, deadline_s=deadline_s))
        self._horizon_s = self._margins.policy.horizon * state.period_ns // 1_000_000_000
        self._intraday = Intraday(
            self._margins, rules=rules or PriceRules(), horizon_s=self._horizon_s
        )
        self._shown: dict[int, Calculation] = {}
        self._closed(state.last_row)

    @classmethod
    def load(cls, source: Mapping[str, bytes] | Path, **options: Any) -> Self:
        """Return a calculator that goes on where the training data end.

        Parameters
        ----------
        source : mapping of str to bytes, or Path
            Files of a bundle, or its folder; :data:`SERVING_FILES` are read. Whoever reads a folder
            vouches for it: nothing is verified here.
        **options
            As for the constructor.

        Raises
        ------
        InputError
            If a file is missing or damaged, or a rung was brought that the state does not name.
        """
        files = read_folder(source) if isinstance(source, Path) else source
        state = read_serving_state(files)
        digest = hashlib.sha256()
        for name in SERVING_FILES:
            digest.update(hashlib.sha256(files[name]).digest())
        return cls(state, identity=digest.hexdigest(), **options)

    @property
    def closed_until(self) -> int:
        """Close of the last row, ns UTC."""
        return self._rows.closed

    @property
    def broken(self) -> dict[str, str]:
        """Why each rung is silent until it is loaded anew, by name; those that are not are absent.

        ``features`` are among them: what they break they keep broken.
        """
        margins = self._margins
        found = {
            one.model: rung.broken for one, rung in zip(margins.served, margins.rungs, strict=True)
        }
        found["features"] = margins.stream_broken
        return {name: reason for name, reason in found.items() if reason}

    def current(self) -> list[Calculation]:
        """Return the last calculation of every instrument that has one."""
        return [self._shown[i] for i in sorted(self._shown)]

    def silent(self) -> dict[str, str]:
        """Return the instruments without a calculation, and why."""
        return {
            name: self._margins.why(i)
            for i, name in enumerate(self.instruments)
            if i not in self._shown
        }

    def apply(self, observations: Sequence[Observation]) -> list[Calculation]:
        """Take observations in the order of the journal; return what follows from them.

        Returns
        -------
        list of Calculation
            In order: of every instrument with a price in a row that closed, and of every price that
            raised a margin. An instrument may be in it several times; the last one counts. However
            the observations are cut into calls, the same calculations come.
        """
        out: list[Calculation] = []
        for seen in observations:
            if isinstance(seen, Bar):
                reason = self._rows.add(seen)
                if not reason and self._rows.complete(seen.time):
                    out += self.close_until(seen.time)
            elif (place := self._place.get(seen.instrument)) is None:
                reason = "unknown-instrument"
            else:
                reason = self._intraday.add(place, seen, closed=self._rows.closed)
                if not reason and self._raise(place):
                    out.append(self._shown[place])
            if reason:
                self.set_aside[reason] += 1
        return out

    def close_until(self, time: int) -> list[Calculation]:
        """Close all rows that end by a time, ns UTC: nothing more of them will come.

        Who has not reported has no price in them. A day on which all markets are closed has no row.
        """
        out: list[Calculation] = []
        for row in self._rows.closing(time):
            out += self._closed(row)
        return out

    def snapshot(self) -> bytes:
        """Return all that is remembered, for :meth:`restore`; waits for rungs under way."""
        return pack(
            {
                "version": _VERSION,
                "identity": self._identity,
                "rows": self._rows.state(),
                "bars": as_array(encode_observations(self._rows.bars())),
                "margins": self._margins.state(),
                "intraday": self._intraday.state(),
                "shown": as_array(msgspec.json.encode(self.current())),
                "set_aside": dict(self.set_aside),
            }
        )

    def restore(self, saved: bytes) -> None:
        """Go on from a snapshot of a calculator with the same bundle.

        Raises
        ------
        InputError
            If it is of another bundle or damaged; load the calculator anew before it is used then.
        """
        found = unpack(saved)
        if found.get("version") != _VERSION or found.get("identity") != self._identity:
            raise InputError(
                f"a snapshot must be of version {_VERSION} and of this bundle, was of version "
                f"{found.get('version')} and of {found.get('identity')}; replay the journal"
            )
        try:
            self._rows.restore(found["rows"], bars=decode_observations(as_bytes(found["bars"])))
            self._margins.restore(found["margins"], like=self._state.last_row)
            self._intraday.restore(found["intraday"])
            shown = _decode_calculations(as_bytes(found["shown"]))
            self._shown = {self._place[one.instrument]: one for one in shown}
            self.set_aside = Counter(found["set_aside"])
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as error:
            raise InputError(f"a snapshot must be whole, found {error!r}; it is damaged") from error

    def close(self) -> None:
        """End the threads of the rungs that have one."""
        for rung in self._margins.rungs:
            rung.close()

    def _closed(self, row: Panel) -> list[Calculation]:
        """Take a closed row; return the calculations of the instruments with a price in it."""
        turn = self._margins.close(row)
        self._intraday.close(self._rows.closed)
        for place in turn.tolist():
            self._shown.pop(place, None)
        speaking = turn[self._margins.standing.rung[turn] != NO_RUNG]
        made = self._calculations(speaking)
        self._shown.update(zip(speaking.tolist(), made, strict=True))
        for place in self._intraday.books.keys() & set(speaking.tolist()):
            self._raise(place)
        return [self._shown[place] for place in speaking.tolist()]

    def _raise(self, place: int) -> bool:
        """Raise what is shown of an instrument if its prices ask for it; say whether they did."""
        shown = self._shown.get(place)
        if shown is None:
            return False
        higher = self._intraday.raised(
            place,
            shown,
            last_close=float(self._rows.last_close[place]),
            closed=self._rows.closed,
        )
        if higher is not None:
            self._shown[place] = higher
        return higher is not None

    def _calculations(self, places: NDArray[np.intp]) -> list[Calculation]:
        """Return what stands of some instruments."""
        standing, policy = self._margins.standing, self._margins.policy
        rung = standing.rung[places]
        bases = [Basis(one.basis) for one in self._margins.served]
        return [
            Calculation(
                instrument=self.instruments[place],
                basis=bases[at],
                observed_at=seen,
                long=long,
                short=short,
                horizon_periods=policy.horizon,
                horizon_s=self._horizon_s,
                tail_probability=policy.tail_probability,
                sigma=volatility,
                sigma_lower=or_none(low),
                sigma_upper=or_none(high),
                regime=regime,
                stress_probability=said.get("stress_probability"),
                liquidity_stress_probability=said.get("liquidity_stress_probability"),
                liquidity_cost=said.get("liquidity_cost"),
                model=self._model,
                bundle=self._bundle,
                reason=self._margins.why(place) if at else "",
                due_at=due,
            )
            for place, at, seen, due, regime, said, long, short, volatility, low, high in zip(
                places.tolist(),
                rung.tolist(),
                standing.time[places].tolist(),
                self._rows.due(standing.time[places], places).tolist(),
                standing.regime[places].tolist(),
                self._told(rung, places),
                *self._sides(places),
                *self._volatilities(rung, places),
                strict=True,
            )
        ]

    def _sides(self, places: NDArray[np.intp]) -> list[list[SideMargin]]:
        """Return the long and the short margins of some instruments."""
        standing = self._margins.standing
        target = standing.target[places]
        limits = standing.initial[places] - target
        return [
            side_margins(
                {"target": target[:, side], "limits": limits[:, side]},
                maintenance=standing.maintenance[places, side],
                bound=standing.bound[places, side].tolist(),
            )
            for side in range(2)
        ]

    def _volatilities(
        self, rung: NDArray[np.int64], places: NDArray[np.intp]
    ) -> tuple[list[float], list[float], list[float]]:
        """Return the volatility of some instruments and the ends of its interval."""
        standing = self._margins.standing
        sigma = np.sqrt(standing.variance[rung, places])
        lower, upper = sigma * standing.lower[rung, places], sigma * standing.upper[rung, places]
        return sigma.tolist(), lower.tolist(), upper.tolist()

    def _told(
        self, rung: NDArray[np.int64], places: NDArray[np.intp]
    ) -> list[dict[str, float | None]]:
        """Return what the rungs say beside the variance of some instruments."""
        has = [bool(said.probabilities) for said in self._margins.said]
        return [
            self._margins.probabilities(at, place) if has[at] else {}
            for at, place in zip(rung.tolist(), places.tolist(), strict=True)
        ]
