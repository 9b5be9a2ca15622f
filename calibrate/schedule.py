"""The margin schedule: what a policy asks of every instrument and side at every moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from ..errors import InputError, ShapeError
from .regime import Regime

SIDES = ("long", "short")
"""Order of the side axis: a long loses when the price falls, a short when it rises."""


BASIS_POINTS = 10_000
"""Basis points in a rate of one."""

COMPONENT_TOLERANCE = 1e-9
"""Components add up to their rate within this fraction of it: float sums, not money."""


class Generation(StrEnum):
    """The names of the kinds of margin policies."""

    FIXED = "fixed"
    REACTIVE = "reactive"
    PORTFOLIO = "portfolio"
    """Of whole accounts, by what past volatility says; see :mod:`.policies.cross`."""
    PREDICTIVE = "predictive"
    CONTROL = "control"
    """Not a policy anybody could run: it bounds or tests the others."""


class MarginStatus(StrEnum):
    """Why a margin has the value it has."""

    OK = "ok"
    WARMING_UP = "warming-up"
    """Too little history or no forecast; there is no margin."""
    NOT_LISTED = "not-listed"
    """The instrument has no price at the origin."""


def to_basis_points(rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round rates up to whole basis points.

    The smallest integer whose :func:`from_basis_points` is not below the rate, so that a margin is
    never lowered by writing it down, and that what came from basis points goes back unchanged.

    Parameters
    ----------
    rate : ndarray, any shape
        Fractions, at least 0 and finite; at most 10⁶.

    Examples
    --------
    >>> to_basis_points(np.array([0.07, 0.0700001]))
    array([700, 701])
    """
    rate = np.asarray(rate, dtype=np.float64)
    bad = ~(np.isfinite(rate) & (rate >= 0.0) & (rate <= 1e6))
    if bad.any():
        raise InputError(
            f"a rate in basis points must be finite, at least 0 and at most 1e6, found "
            f"{rate[bad][0]} and {bad.sum() - 1} more; leave out what has no margin"
        )
    whole = np.ceil(rate * BASIS_POINTS).astype(np.int64)
    # The product is rounded: 0.07 * 10,000 is above 700, and others may fall below.
    whole -= from_basis_points(whole - 1) >= rate
    return np.asarray(whole + (from_basis_points(whole) < rate))


def from_basis_points(basis_points: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rate of whole basis points, the nearest float, any shape."""
    return np.asarray(np.asarray(basis_points) / BASIS_POINTS)


@dataclass(frozen=True, kw_only=True, eq=False)
class MarginsInForce:
    """What a schedule asks at one moment.

    Attributes
    ----------
    time : datetime64[ns]
        The moment.
    origin : datetime64[ns]
        When the margins were set; the last moment they know.
    age : timedelta64[ns]
        `time` less `origin`.
    expired : bool
        Whether `time` is at or past the expiry; a schedule without one never expires.
    instruments : tuple of str
        Names, in row order.
    initial_margin_rate : ndarray, shape (n_instruments, 2)
        Fraction of notional, in the order of :data:`SIDES`; NaN where there is none.
    maintenance_margin_rate : ndarray, shape (n_instruments, 2), or None
        The same; None where the schedule has none.
    regime : ndarray of str, shape (n_instruments,), or None
        Regimes at the origin.
    status : ndarray of str, shape (n_instruments, 2)
        :class:`MarginStatus` values.
    """

    time: np.datetime64
    origin: np.datetime64
    age: np.timedelta64
    expired: bool
    instruments: tuple[str, ...]
    initial_margin_rate: NDArray[np.float64]
    maintenance_margin_rate: NDArray[np.float64] | None
    regime: NDArray[np.str_] | None
    status: NDArray[np.str_]


@dataclass(frozen=True, kw_only=True, eq=False)
class MarginSchedule:
    """Margins of one policy at one horizon; read-only arrays.

    Everything from `maintenance_margin_rate` on may be left out; a backtest of initial margin
    needs none of it.

    Attributes
    ----------
    policy : str
        Name of the policy.
    generation : Generation
        Its kind.
    horizon : int
        Margin period of risk, the instrument's own periods.
    origin : ndarray of datetime64[ns], shape (n_origins,)
        When each margin is set; it covers the `horizon` periods that follow.
    instruments : tuple of str
        Names, in column order.
    initial_margin_rate : ndarray, shape (n_origins, n_instruments, 2)
        Fraction of notional, positive; last axis in the order of :data:`SIDES`. NaN where there
        is none.
    present : ndarray of bool, shape (n_origins, n_instruments)
        Whether the instrument has a price at the origin.
    maintenance_margin_rate : ndarray, shape of `initial_margin_rate`, optional
        Positive, not above the initial one, NaN where that is NaN.
    initial_components, maintenance_components : mapping of str to ndarray, optional
        What each rate is the sum of, by name, each of its shape; see :data:`COMPONENT_TOLERANCE`.
    effective : ndarray of datetime64[ns], shape (n_origins,), optional
        When each margin comes into force, not before its origin and never earlier than the one
        before; the origin by default.
    expiry : ndarray of datetime64[ns], shape (n_origins,), optional
        From when on each margin is too old to be used, after it came into force.
    regime : ndarray of str, shape (n_origins, n_instruments), optional
        :class:`.Regime` values at the origin.
    source : str
        Where the margins come from, such as a model version.
    """

    policy: str
    generation: Generation
    horizon: int
    origin: NDArray[np.datetime64]
    instruments: tuple[str, ...]
    initial_margin_rate: NDArray[np.float64]
    present: NDArray[np.bool_]
    maintenance_margin_rate: NDArray[np.float64] | None = None
    initial_components: Mapping[str, NDArray[np.float64]] | None = None
    maintenance_components: Mapping[str, NDArray[np.float64]] | None = None
    effective: NDArray[np.datetime64] | None = None
    expiry: NDArray[np.datetime64] | None = None
    regime: NDArray[np.str_] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.origin), len(self.instruments), len(SIDES))
        rate = self.initial_margin_rate
        if rate.shape != shape:
            raise ShapeError(f"initial_margin_rate must have shape {shape}, was {rate.shape}")
        if np.any(rate <= 0.0) or np.any(np.isinf(rate)):
            raise InputError(
                f"{self.policy}: a margin rate must be positive and finite, or NaN where there is "
                f"none; found {np.sum(rate <= 0.0)} not positive, {np.sum(np.isinf(rate))} infinite"
            )
        rate.setflags(write=False)
        self._check_maintenance()
        self._check_components("initial", rate)
        self._check_components("maintenance", self.maintenance_margin_rate)
        self._check_times()
        self._check_regime()

    def _check_maintenance(self) -> None:
        if self.maintenance_margin_rate is None:
            return
        initial = self.initial_margin_rate
        rate = _read_only(self.maintenance_margin_rate, np.float64)
        if rate.shape != initial.shape:
            raise ShapeError(
                f"maintenance_margin_rate must have shape {initial.shape}, was {rate.shape}"
            )
        known = np.isfinite(initial)
        bad = np.where(known, ~((rate > 0.0) & (rate <= initial)), ~np.isnan(rate))
        if bad.any():
            raise InputError(
                f"{self.policy}: a maintenance margin must be positive and not above the initial "
                f"one, and NaN where that is NaN; found {bad.sum()} that are not, first "
                f"{rate[bad][0]} with an initial margin of {initial[bad][0]}"
            )
        object.__setattr__(self, "maintenance_margin_rate", rate)

    def _check_components(self, name: str, rate: NDArray[np.float64] | None) -> None:
        components = getattr(self, f"{name}_components")
        if components is None:
            return
        if rate is None or not components:
            raise InputError(
                f"{name}_components must be the named parts of a {name} margin, found "
                f"{len(components)} parts and {'no margin' if rate is None else 'a margin'}"
            )
        parts = {part: _read_only(array, np.float64) for part, array in components.items()}
        for part, array in parts.items():
            if array.shape != rate.shape:
                raise ShapeError(
                    f"{name} component {part!r} must have shape {rate.shape}, was {array.shape}"
                )
        total = np.sum(list(parts.values()), axis=0)
        # Written so that a part that is not a number fails where the rate is one.
        bad = np.isfinite(rate) & ~(np.abs(total - rate) <= COMPONENT_TOLERANCE * rate)
        if bad.any():
            raise InputError(
                f"{self.policy}: {name} components {sorted(parts)} must add up to the margin "
                f"within {COMPONENT_TOLERANCE:g} of it; found {bad.sum()} that do not, first "
                f"{total[bad][0]} for {rate[bad][0]}"
            )
        object.__setattr__(self, f"{name}_components", MappingProxyType(parts))

    def _check_times(self) -> None:
        shape = (len(self.origin),)
        for name in ("effective", "expiry"):
            if (given := getattr(self, name)) is None:
                continue
            times = _read_only(given, "datetime64[ns]")
            if times.shape != shape:
                raise ShapeError(f"{name} must have shape {shape}, was {times.shape}")
            if np.isnat(times).any():
                raise InputError(f"{name} must be a time for every origin, found NaT")
            object.__setattr__(self, name, times)
        start = self.start
        if self.effective is not None and (
            np.any(start < self.origin) or np.any(start[1:] < start[:-1])
        ):
            raise InputError(
                f"{self.policy}: effective must not be before its origin nor earlier than the one "
                "before; found times that are"
            )
        if self.expiry is not None and np.any(self.expiry <= start):
            raise InputError(
                f"{self.policy}: expiry must be after effective, found some that isn't"
            )

    def _check_regime(self) -> None:
        if self.regime is None:
            return
        regime = _read_only(self.regime, np.str_)
        if regime.shape != self.present.shape:
            raise ShapeError(f"regime must have shape {self.present.shape}, was {regime.shape}")
        unknown = set(regime.ravel().tolist()) - {value.value for value in Regime}
        if unknown:
            raise InputError(
                f"regime must be of {[value.value for value in Regime]}, found {sorted(unknown)}"
            )
        object.__setattr__(self, "regime", regime)

    @property
    def start(self) -> NDArray[np.datetime64]:
        """When each margin comes into force: `effective`, or the origin; shape (n_origins,)."""
        return self.origin if self.effective is None else self.effective

    def at(self, time: np.datetime64 | pd.Timestamp) -> MarginsInForce:
        """Return what is in force at a moment, UTC: the last row that has come into force.

        A row without a margin for an instrument is not filled from the row before.

        Raises
        ------
        InputError
            If nothing has come into force yet, or the origins are not in order.
        """
        stamp = pd.Timestamp(time)
        bare = stamp.tz_convert(None) if stamp.tz else stamp
        moment = bare.to_datetime64().astype("datetime64[ns]")
        start = self.start
        if len(start) and np.any(start[1:] < start[:-1]):
            raise InputError(f"{self.policy}: origins must rise to ask what is in force")
        if np.isnat(moment) or not len(start) or moment < start[0]:
            first = start[0] if len(start) else "never"
            raise InputError(
                f"{self.policy}: a margin is in force from {first} on, asked for {moment}"
            )
        row = int(np.searchsorted(start, moment, side="right")) - 1
        maintenance = self.maintenance_margin_rate
        return MarginsInForce(
            time=moment,
            origin=self.origin[row],
            age=moment - self.origin[row],
            expired=self.expiry is not None and bool(moment >= self.expiry[row]),
            instruments=self.instruments,
            initial_margin_rate=self.initial_margin_rate[row],
            maintenance_margin_rate=None if maintenance is None else maintenance[row],
            regime=None if self.regime is None else self.regime[row],
            status=self.status()[row],
        )

    def status(self) -> NDArray[np.str_]:
        """Return :class:`MarginStatus` values, shape of `initial_margin_rate`."""
        known = np.isfinite(self.initial_margin_rate)
        present = np.broadcast_to(self.present[..., None], known.shape)
        return np.select(
            [known, present],
            [MarginStatus.OK.value, MarginStatus.WARMING_UP.value],
            MarginStatus.NOT_LISTED.value,
        )

    def frame(self) -> pd.DataFrame:
        """Return a tidy table: one row per origin, instrument and side with a price.

        What was left out has no column; components are ``initial.<name>``, ``maintenance.<name>``.
        """
        index = pd.MultiIndex.from_product(
            [pd.DatetimeIndex(self.origin, tz="UTC"), list(self.instruments), list(SIDES)],
            names=["origin", "instrument", "side"],
        )
        columns = {"margin_rate": self.initial_margin_rate, **self._columns()}
        columns["status"] = self.status()
        table = pd.DataFrame(
            {name: values.ravel() for name, values in columns.items()}, index=index
        ).reset_index()
        for name in {"effective", "expiry"} & set(columns):
            table[name] = table[name].dt.tz_localize("UTC")
        table.insert(0, "policy", self.policy)
        table.insert(4, "horizon", self.horizon)
        return table[table.status != MarginStatus.NOT_LISTED.value]

    def _columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the optional columns, each with the shape of `initial_margin_rate`."""
        shape = self.initial_margin_rate.shape
        columns: dict[str, NDArray[np.generic]] = {}
        if self.maintenance_margin_rate is not None:
            columns["maintenance_margin_rate"] = self.maintenance_margin_rate
        for name in ("initial", "maintenance"):
            for part, array in (getattr(self, f"{name}_components") or {}).items():
                columns[f"{name}.{part}"] = array
        for name in ("effective", "expiry"):
            if (times := getattr(self, name)) is not None:
                columns[name] = np.broadcast_to(times[:, None, None], shape)
        if self.regime is not None:
            columns["regime"] = np.broadcast_to(self.regime[..., None], shape)
        if self.source:
            columns["source"] = np.full(shape, self.source)
        return columns


def _read_only(values: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Copy into an array that nobody can write to."""
    array = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array
