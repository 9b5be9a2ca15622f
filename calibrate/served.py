"""What goes into service: everything that a margin needs to go on where training stopped."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..bundles import SERVING_FILES
from ..errors import InputError
from ..markets import Kind, Listing, Panel
from ..models import OnlineGarch, OnlineLogHar, from_state, read_state, to_state, write_state
from .coverage import ALL_RULES, Guard
from .path import (
    Buffer,
    Headroom,
    Lift,
    Maintenance,
    MarginLimits,
    Notice,
    Precedence,
    SpeedLimit,
)
from .policies.online import OnlinePolicy
from .probabilities import CalibrationMap


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedRung:
    """One forecaster and what its margins remember.

    Attributes
    ----------
    model : str
        Name of the forecaster.
    basis : str
        ``network``, ``linear`` or ``garch``.
    policy : OnlinePolicy
        How its margins are made.
    forecaster : OnlineLogHar, OnlineGarch or None
        Fitted; None where somebody else brings it.
    predictive, interval : mapping
        States of :class:`.policies.online.OnlinePredictive` and
        :class:`.policies.interval.ErrorInterval`.
    calibration : mapping of str to tuple
        Maps of its probabilities by horizon, of :func:`.probabilities.maps_at`, as they were
        learned by the last row; what is not in it is not calibrated.
    """

    model: str
    basis: str
    policy: OnlinePolicy
    forecaster: OnlineLogHar | OnlineGarch | None
    predictive: Mapping[str, Any]
    interval: Mapping[str, Any]
    calibration: Mapping[str, tuple[CalibrationMap | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class ServingState:
    """All rungs, warmed up to just before the last row of the training data; and that row.

    The last row is the first one that the forecasters fitted on everything speak of, so the
    service closes it itself and has margins at once.

    Attributes
    ----------
    instruments : tuple of str
        Names, in column order.
    period_ns : int
        Length of a period.
    periods_per_year : ndarray, shape (n_instruments,)
        As in a panel.
    listings : tuple of Listing
        As in a panel, without expiries.
    expiry_ns : tuple of int or None
        Those, ns UTC.
    horizons : tuple of int
        Of the forecasters, own periods.
    limits : MarginLimits
        How margins may move.
    rungs : tuple of ServedRung
        Best first.
    stream, regime, chosen : mapping
        States of :class:`..features.FeatureStream`, :class:`.regime.RegimeStream` and
        :class:`.policies.chosen.ChosenMargins`.
    last_close : ndarray, shape (n_instruments,)
        Last price before the last row; NaN where there was none.
    last_seen : ndarray of int64, shape (n_instruments,)
        Its time, ns; 0 where there was none.
    row : mapping
        The last row: ``time_ns``, ``close``, ``log_return``, ``missing`` and ``fields``.
    """

    instruments: tuple[str, ...]
    period_ns: int
    periods_per_year: NDArray[np.float64]
    listings: tuple[Listing, ...]
    expiry_ns: tuple[int | None, ...]
    horizons: tuple[int, ...]
    limits: MarginLimits
    rungs: tuple[ServedRung, ...]
    stream: Mapping[str, Any]
    regime: Mapping[str, Any]
    chosen: Mapping[str, Any]
    last_close: NDArray[np.float64]
    last_seen: NDArray[np.int64]
    row: Mapping[str, Any]

    def row_panel(
        self,
        *,
        time_ns: int,
        close: NDArray[np.float64],
        log_return: NDArray[np.float64],
        missing: NDArray[np.int8],
        fields: Mapping[str, NDArray[np.float64]],
    ) -> Panel:
        """Return one row of these instruments as a panel; arrays of shape (n_instruments,)."""
        return Panel(
            time=np.array([time_ns], dtype="datetime64[ns]"),
            period=pd.Timedelta(self.period_ns, unit="ns"),
            instruments=self.instruments,
            close=close[None],
            log_return=log_return[None],
            missing=missing[None],
            periods_per_year=self.periods_per_year,
            fields={name: values[None] for name, values in fields.items()},
            listings=self._with_expiries,
            source="live",
        )

    @property
    def last_row(self) -> Panel:
        """The last row of the training data."""
        return self.row_panel(**self.row)

    @cached_property
    def _with_expiries(self) -> tuple[Listing, ...]:
        return tuple(
            one if at is None else replace(one, expiry=pd.Timestamp(at, unit="ns", tz="UTC"))
            for one, at in zip(self.listings, self.expiry_ns, strict=True)
        )


_TYPES: tuple[type, ...] = (
    *(type(rule) for rule in {type(rule): rule for rule in ALL_RULES}.values()),
    *(Guard, OnlinePolicy, CalibrationMap, ServedRung, ServingState),
    *(OnlineGarch, OnlineLogHar, Kind, Listing),
    *(Buffer, Headroom, Lift, Maintenance, MarginLimits, Notice, Precedence, SpeedLimit),
)


def write_serving_state(state: ServingState) -> dict[str, bytes]:
    """Return the files that a service starts from; equal states give equal bytes."""
    document, arrays = write_state(to_state(state, also=_TYPES))
    return dict(zip(SERVING_FILES, (document, arrays), strict=True))


def read_serving_state(files: Mapping[str, bytes]) -> ServingState:
    """Read what :func:`write_serving_state` wrote; no code is in it, and none is imported.

    Raises
    ------
    InputError
        If a file is missing or is not in its form.
    """
    missing = [name for name in SERVING_FILES if name not in files]
    if missing:
        raise InputError(
            f"a bundle that is served must hold {list(SERVING_FILES)}, lacks {missing}; train it "
            "anew to get them"
        )
    document, arrays = (files[name] for name in SERVING_FILES)
    state = from_state(read_state(document, arrays), loaded_only=True, also=_TYPES)
    if not isinstance(state, ServingState):
        raise InputError(f"{SERVING_FILES[0]} must hold a ServingState, was a {type(state)}")
    return state
