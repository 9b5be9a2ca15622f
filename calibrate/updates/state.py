"""The parameters that are in force, and what must hold between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from ..schedule import BASIS_POINTS, SIDES, from_basis_points
from .parameters import CAP_KINDS, SECONDS_PER_YEAR, Kind, Parameter, checked_values


@dataclass(frozen=True, kw_only=True)
class ParameterState:
    """All parameters of a consumer; nothing changes it, an update makes a new one.

    Attributes
    ----------
    values : mapping of Parameter to int
        Whole units of each kind, in the order of their names.
    changed_at : mapping of Parameter to int
        When each last moved, seconds since 1970 UTC; `effective` where it is not named.
    sequence : int
        Number of the last update.
    effective : int
        When that update was executed, seconds since 1970 UTC.
    """

    values: Mapping[Parameter, int]
    changed_at: Mapping[Parameter, int] = field(default_factory=dict)
    sequence: int = 0
    effective: int = 0

    def __post_init__(self) -> None:
        values = checked_values(self.values)
        if problems := incoherences(values, time=self.effective):
            raise InputError("; ".join(problems))
        changed = {p: int(self.changed_at.get(p, self.effective)) for p in values}
        object.__setattr__(self, "values", MappingProxyType(values))
        object.__setattr__(self, "changed_at", MappingProxyType(changed))

    def age_s(self, time: int) -> int:
        """Return the seconds since the last update was executed."""
        return time - self.effective

    def margin_rates(self, kind: Kind, instruments: Sequence[str]) -> NDArray[np.float64]:
        """Return initial or maintenance margins, fractions of notional, shape (n_instruments, 2).

        Raises
        ------
        InputError
            If an instrument has none.
        """
        names = [Parameter(name, kind, side) for name in instruments for side in SIDES]
        if missing := [str(name) for name in names if name not in self.values]:
            raise InputError(
                f"every instrument held must have margins, found none for {', '.join(missing)}"
            )
        units = np.array([self.values[name] for name in names], dtype=np.int64)
        return from_basis_points(units).reshape(-1, len(SIDES))

    def price_cap(self, instrument: str, *, time: int) -> Fraction | None:
        r"""Return the highest price that counts, exact; None for an instrument without a cap.

        .. math:: \text{cap}(t) = \text{ratio} \, (1 + \text{growth} \cdot (t - t_0) / \text{year})
        """
        parts = [self.values.get(Parameter(instrument, kind)) for kind in CAP_KINDS]
        ratio, since, growth = parts
        if ratio is None or since is None or growth is None:
            return None
        if time < since:
            raise InputError(f"{instrument}: a cap begins at its snapshot, {since}; was {time}")
        grown = 1 + Fraction(growth * (time - since), BASIS_POINTS * SECONDS_PER_YEAR)
        return Fraction(ratio, Kind.SNAPSHOT_RATIO.scale) * grown

    def capped_prices(
        self, prices: NDArray[np.float64], instruments: Sequence[str], *, time: int
    ) -> NDArray[np.float64]:
        """Return the prices that count, the market's or the cap if lower, shape (n_instruments,).

        A cap whose float is above it is taken one float lower.

        Raises
        ------
        InputError
            If a market price is not positive and finite.
        """
        counted = np.array(prices, dtype=np.float64)
        if counted.shape != (len(instruments),):
            raise ShapeError(f"prices must have shape ({len(instruments)},), was {counted.shape}")
        bad = ~(np.isfinite(counted) & (counted > 0.0))
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"prices must be positive and finite, {instruments[i]} was {counted[i]}"
            )
        for i, name in enumerate(instruments):
            cap = self.price_cap(name, time=time)
            if cap is not None and cap < Fraction(float(counted[i])):
                below = float(cap)
                counted[i] = below if Fraction(below) <= cap else np.nextafter(below, 0.0)
        return counted

    def frame(self) -> pd.DataFrame:
        """Return a table: one row per parameter, its units, value and time of last change."""
        return pd.DataFrame(
            {
                "instrument": [p.instrument for p in self.values],
                "kind": [p.kind.value for p in self.values],
                "side": [p.side for p in self.values],
                "units": list(self.values.values()),
                "value": [p.kind.number(units) for p, units in self.values.items()],
                "changed_at": pd.to_datetime(list(self.changed_at.values()), unit="s", utc=True),
            }
        )


def incoherences(values: Mapping[Parameter, int], *, time: int) -> list[str]:
    """Return what does not hold between the parameters at a time, one sentence each."""
    problems = []
    for name, units in values.items():
        if name.kind.is_margin:
            problems += _margin_problems(values, name, units)
        elif name.kind in CAP_KINDS:
            problems += _cap_problems(values, name, units, time=time)
    return problems


def _margin_problems(values: Mapping[Parameter, int], name: Parameter, units: int) -> list[str]:
    initial = Parameter(name.instrument, Kind.INITIAL_MARGIN, name.side)
    maintenance = Parameter(name.instrument, Kind.MAINTENANCE_MARGIN, name.side)
    other = maintenance if name == initial else initial
    if other not in values:
        return [f"{name} needs {other.kind.value} beside it, found none"]
    if units == 0:
        return [f"{name} must be positive, was 0"]
    if name == maintenance and units > values[initial]:
        return [
            f"{name} must not be above the initial margin, was {units} bps above {values[initial]}"
        ]
    return []


def _cap_problems(
    values: Mapping[Parameter, int], name: Parameter, units: int, *, time: int
) -> list[str]:
    missing = [k for k in CAP_KINDS if Parameter(name.instrument, k) not in values]
    if missing:
        return [f"{name} needs {missing[0].value} beside it, found none"]
    if name.kind is Kind.SNAPSHOT_RATIO and units == 0:
        return [f"{name} must be positive, was 0"]
    if name.kind is Kind.SNAPSHOT_TIME and units > time:
        return [f"{name} must not be after {time}, when it comes into force; was {units}"]
    return []
