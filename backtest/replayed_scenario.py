"""One replay through a scenario: what every policy cost, missed, and when it rose."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calibrate import SIDES
from .cells import Cells, make_cells
from .losses import quantile_loss, shortfall
from .procyclicality import largest_increase, peak_to_trough
from .replay import Replay
from .scenarios import Scenario
from .verdict import best_reactive

RISE = 1.10
"""Ratio to the margin at the start of the window that counts as a rise."""

_PERIODS = 5  # of the largest increase, own periods


@dataclass(frozen=True, eq=False)
class ReplayedScenario:
    """A replay whose test period is the window of a scenario.

    Attributes
    ----------
    scenario : Scenario
        The window.
    replay : Replay
        Validation before the window, and the window.
    """

    scenario: Scenario
    replay: Replay

    @classmethod
    def of(cls, scenario: Scenario, replayed: Replay) -> "ReplayedScenario":
        """Cut a replay after the last origin of a scenario's window, and test the window.

        Parameters
        ----------
        scenario : Scenario
            The window.
        replayed : Replay
            Over origins from before the window to its end or beyond.
        """
        inside = scenario.rows(replayed.origin)
        kept = slice(0, inside.stop)
        schedules = tuple(
            replace(
                schedule,
                origin=schedule.origin[kept],
                initial_margin_rate=schedule.initial_margin_rate[kept],
                present=schedule.present[kept],
            )
            for schedule in replayed.schedules
        )
        cut = replace(
            replayed,
            schedules=schedules,
            loss=replayed.loss[kept],
            regime=replayed.regime[kept],
            in_test=np.arange(inside.stop) >= inside.start,
        )
        return cls(scenario, cut)

    @cached_property
    def cells(self) -> Cells:
        """Cells of the window in which every policy has a margin and the loss is known."""
        return make_cells(self.replay, test=True)

    @property
    def predictive(self) -> str:
        """The policy that is judged."""
        return self.replay.predictive

    @cached_property
    def reference(self) -> str:
        """The reactive policy with the smallest quantile loss in the window, by hindsight."""
        return best_reactive(self.replay, self.cells)

    @property
    def horizon(self) -> int:
        """Margin period of risk, own periods."""
        return self.replay.horizon

    @cached_property
    def origin(self) -> pd.DatetimeIndex:
        """Origins of the window with a judged cell, UTC."""
        return self.cells.origins_frame(self.replay)

    def cumulated_shortfall(self) -> pd.DataFrame:
        """Return the uncovered loss so far, notionals summed over instruments and sides.

        Returns
        -------
        pandas.DataFrame
            Index: origin. One column per policy.
        """
        cells = self.cells
        columns = {
            name: cells.sum_per_origin(shortfall(cells.loss, cells.of(name))).cumsum()
            for name in cells.policies
        }
        return pd.DataFrame(columns, index=self.origin.rename("origin"))

    def relative_margin(self) -> pd.DataFrame:
        """Return margins over their level at the start of the window, ratios.

        Each series (instrument and side) is divided by its first margin in the window, and keeps
        its margin on a day on which it does not trade; then the median over the series is taken,
        which is what a typical account sees.

        Returns
        -------
        pandas.DataFrame
            Index: origin. One column per policy.
        """
        return pd.DataFrame(
            {name: self._relative(self.cells.of(name)) for name in self.cells.policies},
            index=self.origin.rename("origin"),
        )

    def first_rise(self) -> pd.Series:
        """Return when :meth:`relative_margin` first stood at 1.10 or above, by policy.

        Returns
        -------
        pandas.Series of float
            Days from the start of the marked day: at most 0 if the margin had risen before the
            day; NaN if it never did in the window.
        """
        day = pd.Timedelta(days=1)
        after = (self.origin - pd.Timestamp(self.scenario.marked, tz="UTC")) / day
        risen = self.relative_margin() >= RISE
        return pd.Series(
            {
                name: float(after[int(np.argmax(risen[name]))]) if risen[name].any() else np.nan
                for name in risen
            },
            name="first_rise_days",
        )

    def before_day(self) -> pd.Series:
        """Return :meth:`relative_margin` as the marked day began, ratios, by policy.

        NaN where no margin of the window was set by then.
        """
        table = self.relative_margin()
        known = table[table.index <= pd.Timestamp(self.scenario.marked, tz="UTC")]
        last = known.iloc[-1] if len(known) else table.iloc[0] * np.nan
        return last.rename("before_day")

    def frame(self) -> pd.DataFrame:
        """Return one row per policy over the window, pooled over instruments and sides.

        Returns
        -------
        pandas.DataFrame
            ``generation``; ``breaches`` and ``cases`` (counts); ``shortfall`` and
            ``worst_shortfall`` (sum and largest of the uncovered losses, notionals);
            ``mean_margin`` (cost) and ``quantile_loss``, fractions of notional;
            ``peak_to_trough`` and ``largest_increase_5``, ratios, medians of series;
            ``before_day`` and ``first_rise_days`` (see the methods). Best quantile loss first.
        """
        cells = self.cells
        series = [at for _, _, at in cells.series()]
        rows = {}
        for schedule in self.replay.schedules:
            margin = cells.of(schedule.policy)
            moved = [_movement(margin[at]) for at in series]
            rows[schedule.policy] = {
                "generation": schedule.generation.value,
                **self._numbers(margin, np.arange(len(margin))),
                "peak_to_trough": float(np.median([one[0] for one in moved])),
                f"largest_increase_{_PERIODS}": float(np.median([one[1] for one in moved])),
            }
        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("policy")
        table = table.join([self.before_day(), self.first_rise()])
        return table.sort_values("quantile_loss", kind="stable")

    def series(self) -> pd.DataFrame:
        """Return one row per instrument, side and policy, with the numbers of :meth:`frame`."""
        rows: list[dict[str, Any]] = []
        for i, s, at in self.cells.series():
            for name in self.cells.policies:
                margin = self.cells.of(name)
                peak, rise = _movement(margin[at])
                rows.append(
                    {
                        "instrument": self.replay.instruments[i],
                        "side": SIDES[s],
                        "policy": name,
                        **self._numbers(margin, at),
                        "peak_to_trough": peak,
                        f"largest_increase_{_PERIODS}": rise,
                    }
                )
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values, for ``scenario.json``; NaN becomes None."""
        table = self.frame().reset_index().astype(object)
        return {
            "horizon": self.horizon,
            "tail_probability": self.replay.market.tail_probability,
            "predictive": self.predictive,
            "reference": self.reference,
            "instruments": sorted(set(self.series().instrument)),
            "validation_from": pd.Timestamp(self.replay.origin[0], tz="UTC").isoformat(),
            "from": self.origin[0].isoformat(),
            "to": self.origin[-1].isoformat(),
            "policies": table.where(table.notna(), None).to_dict("records"),
        }

    def _relative(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        cells = self.cells
        _, position = np.unique(cells.origin, return_inverse=True)
        wide = np.full((len(self.origin), len(cells.series())), np.nan)
        for k, (_, _, at) in enumerate(cells.series()):
            wide[position[at], k] = margin[at] / margin[at[0]]
        return np.asarray(pd.DataFrame(wide).ffill().median(axis=1))

    def _numbers(self, margin: NDArray[np.float64], at: NDArray[np.intp]) -> dict[str, float]:
        loss, own = self.cells.loss[at], margin[at]
        missed = shortfall(loss, own)
        score = quantile_loss(loss, own, tail_probability=self.replay.market.tail_probability)
        return {
            "breaches": int((loss > own).sum()),
            "cases": len(loss),
            "shortfall": float(missed.sum()),
            "worst_shortfall": float(missed.max()),
            "mean_margin": float(own.mean()),
            "quantile_loss": float(score.mean()),
        }


def _movement(margin: NDArray[np.float64]) -> tuple[float, float]:
    """Peak to trough, and the largest increase over five periods; NaN where it is too short."""
    enough = len(margin) > _PERIODS
    rise = largest_increase(margin, periods=_PERIODS) if enough else np.nan
    return peak_to_trough(margin), rise
