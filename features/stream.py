"""Features of a live market: the same numbers as in a backtest, one period at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from ..errors import InputError
from ..markets import Panel
from .feature import Feature
from .features import Features, chosen_features, compute_features
from .measures import Measures, Memory
from .saved import restored, saved


@dataclass(kw_only=True, eq=False)
class FeatureStream:
    """Features that carry on where the history stopped.

    A stream warmed up on the first rows of a panel and updated with the others returns, bit for
    bit, what :func:`build_features` returns for the whole panel, however the rows are cut into
    updates. The cost of an update does not grow with the history.

    Examples
    --------
    >>> from foremargin.markets import load_panel
    >>> panel = load_panel("arch")
    >>> stream = FeatureStream.after(panel.upto(3000))
    >>> stream.update(panel.rows(3000, 3001)).values.shape
    (1, 3, 19)
    """

    instruments: tuple[str, ...]
    period: pd.Timedelta
    chosen: tuple[Feature, ...]
    memory: Memory
    last_time: pd.Timestamp

    @classmethod
    def after(cls, panel: Panel, *, names: Sequence[str] | None = None) -> Self:
        """Return a stream that has seen a history.

        Parameters
        ----------
        panel : Panel
            What has happened so far; at least one row.
        names : sequence of str, optional
            Which features, as for :func:`build_features`.

        Raises
        ------
        InputError
            If the panel is empty or a name is not registered.
        """
        if not panel.n_periods:
            raise InputError(
                "a stream must start from at least one period, found none; add history"
            )
        chosen = tuple(chosen_features(panel, names))
        stream = cls(
            instruments=panel.instruments,
            period=panel.period,
            chosen=chosen,
            memory=Memory(),
            last_time=pd.Timestamp(panel.time[-1], tz="UTC"),
        )
        stream._advance(panel)
        return stream

    def update(self, rows: Panel) -> Features:
        """Take the periods that have closed since and return their features.

        Parameters
        ----------
        rows : Panel
            One or more periods after the last one seen, with the same instruments.

        Raises
        ------
        InputError
            If the instruments or the period differ, or a row is not later than the last one
            seen; nothing is changed then.
        """
        if rows.instruments != self.instruments or rows.period != self.period:
            raise InputError(
                f"rows must be periods of {self.period} of {list(self.instruments)}, found "
                f"{rows.period} of {list(rows.instruments)}; start a new stream"
            )
        if not rows.n_periods:
            raise InputError("an update must hold at least one period, found none; wait for it")
        first = pd.Timestamp(rows.time[0], tz="UTC")
        if first <= self.last_time:
            raise InputError(
                f"rows must be later than the last one seen, {self.last_time}, found {first}; "
                "leave out what was seen before"
            )
        return self._advance(rows)

    def _advance(self, rows: Panel) -> Features:
        features = compute_features(Measures(panel=rows, memory=self.memory), self.chosen)
        self.last_time = pd.Timestamp(rows.time[-1], tz="UTC")
        return features

    def state(self) -> dict[str, Any]:
        """Return all that the stream remembers as mappings, tuples, numbers and arrays.

        The arrays are those of the stream: write them down, or copy them, before it goes on.

        Raises
        ------
        InputError
            If a feature keeps something else.
        """
        parts = self.memory.parts()
        return {
            "instruments": self.instruments,
            "period_ns": self.period.value,
            "names": tuple(feature.name for feature in self.chosen),
            "last_time_ns": self.last_time.value,
            "parts": {key: saved(part, where=".".join(map(str, key))) for key, part in parts},
        }

    @classmethod
    def resume(cls, like: Panel, state: Mapping[str, Any]) -> Self:
        """Return the stream whose :meth:`state` was saved.

        Parameters
        ----------
        like : Panel
            Any one row of the same instruments; its numbers are not used.
        state : mapping
            What was saved.

        Raises
        ------
        InputError
            If the state is of other instruments or another period, or is not whole.
        """
        try:
            names, last = state["names"], int(state["last_time_ns"])
            known = (state["instruments"], state["period_ns"]), dict(state["parts"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the state of a stream must be one that it returned, lacks {error}"
            ) from None
        if known[0] != (like.instruments, like.period.value):
            raise InputError(
                f"the state must be of periods of {like.period} of {list(like.instruments)}, was "
                f"of {known[0]}; start a new stream"
            )
        stream = cls.after(like, names=names)
        parts = dict(stream.memory.parts())
        if set(parts) != set(known[1]):
            raise InputError("the state must have the parts of its features; it is damaged")
        for key, part in parts.items():
            stream.memory.put(key, restored(part, known[1][key], where=".".join(map(str, key))))
        stream.last_time = pd.Timestamp(np.datetime64(last, "ns"), tz="UTC")
        return stream
