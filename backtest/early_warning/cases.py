"""Onsets and alarms of a replay, instrument by instrument in own time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ...features import Measures, OwnTime, own_times
from ...features.liquidity import detrended_log_amihud
from ..replay import Replay
from .alarms import Baseline, margin_baseline
from .onsets import ONSET_QUANTILE, find_onsets, trailing_any


class StressMeasure(StrEnum):
    """What stress is read from."""

    VOLATILITY = "volatility"
    """Mean variance of the last days, from the best data there is for it."""
    ILLIQUIDITY = "illiquidity"
    """Mean detrended log Amihud illiquidity of the last days; needs volume."""


@dataclass(frozen=True, kw_only=True)
class WarningRule:
    """What counts as stress, as a warning, and as in time; lengths in calendar days.

    Attributes
    ----------
    measure : StressMeasure
        What stress is read from.
    quantile : float
        Of the instrument's own past, which the measure has to exceed.
    measure_days : float
        Days that the measure averages over.
    history_days : float
        Known days before there is a threshold.
    stress_quiet_days : float
        Days without an excess before a stress can begin anew.
    lead_days : float
        Longest time between a warning and the onset it is of; an alarm with no onset for so long
        is false.
    baseline : Baseline
        What a margin is measured against.
    baseline_days : float
        Days before the origin that the baseline is taken over.
    alarm_quiet_days : float
        Days below the rise that separate two alarms.
    smallest_rise : float
        Lowest rise that can be an alarm, a fraction: 0.05 is +5 %. Without it a margin that creeps
        in steps of a thousandth would warn by noise that no account could notice.
    """

    measure: StressMeasure = StressMeasure.VOLATILITY
    quantile: float = ONSET_QUANTILE
    measure_days: float = 1.0
    history_days: float = 250.0
    stress_quiet_days: float = 20.0
    lead_days: float = 10.0
    baseline: Baseline = Baseline.MEDIAN
    baseline_days: float = 20.0
    alarm_quiet_days: float = 5.0
    smallest_rise: float = 0.05

    def __post_init__(self) -> None:
        lengths = {name: value for name, value in vars(self).items() if name.endswith("_days")}
        wrong = [f"{name} {value}" for name, value in lengths.items() if not value > 0.0]
        if wrong:
            raise InputError(f"every length must be > 0 days, was {', '.join(wrong)}")
        if not self.smallest_rise > 0.0:
            raise InputError(
                f"smallest_rise must be > 0, was {self.smallest_rise}; write 0.05 for +5 %"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class WarningSeries:
    """One instrument in own time: n origins, p policies; read-only arrays.

    Attributes
    ----------
    instrument : str
        Its name.
    origin : ndarray of datetime64[ns], shape (n,)
        End of each period; everything in a column is known by then.
    onset, calm : ndarray of bool, shape (n,)
        See :class:`~foremargin.backtest.Onsets`. An onset is left out unless every policy has a
        strength at all of the `lead` origins before it.
    strength : ndarray, shape (p, n)
        By how much each margin, the mean of both sides, stands above its baseline, a fraction;
        NaN unless every policy's is known.
    margin : ndarray, shape (p, n)
        Mean of both sides, fraction of notional; NaN where the strength is.
    lead, alarm_quiet : int
        Own periods.
    periods_per_year : float
        Own periods in a year.
    """

    instrument: str
    origin: NDArray[np.datetime64]
    onset: NDArray[np.bool_]
    calm: NDArray[np.bool_]
    strength: NDArray[np.float64]
    margin: NDArray[np.float64]
    lead: int
    alarm_quiet: int
    periods_per_year: float

    def __post_init__(self) -> None:
        for array in (self.origin, self.onset, self.calm, self.strength, self.margin):
            array.setflags(write=False)

    @property
    def days_per_period(self) -> float:
        """Calendar days that one own period takes on average."""
        return 365.0 / self.periods_per_year

    @property
    def excess(self) -> NDArray[np.float64]:
        """Margin minus its baseline, fraction of notional, shape (p, n)."""
        return np.asarray(self.margin * self.strength / (1.0 + self.strength))

    def upto(self, moment: np.datetime64) -> "WarningSeries":
        """Return what was known before `moment`: onsets that come later are not in it."""
        n = int(np.searchsorted(self.origin, moment))
        return replace(
            self,
            origin=self.origin[:n],
            onset=self.onset[:n],
            calm=self.calm[:n],
            strength=self.strength[:, :n],
            margin=self.margin[:, :n],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class WarningCases:
    """All instruments of a replay.

    Attributes
    ----------
    rule : WarningRule
        What counts.
    policies : tuple of str
        Names, in the order of the first axis of every `strength`.
    generations : tuple of str
        Their kinds.
    predictive : str
        The policy that is judged.
    series : tuple of WarningSeries
        One per instrument.
    test_from : numpy.datetime64
        First origin of the test period.
    """

    rule: WarningRule
    policies: tuple[str, ...]
    generations: tuple[str, ...]
    predictive: str
    series: tuple[WarningSeries, ...]
    test_from: np.datetime64

    def position(self, policy: str) -> int:
        """Return the position of a policy."""
        if policy not in self.policies:
            raise InputError(f"a policy must be one of {list(self.policies)}, was {policy!r}")
        return self.policies.index(policy)

    def period(self, *, test: bool) -> tuple[tuple[WarningSeries, ...], np.datetime64 | None]:
        """Return the series and the first origin that counts.

        For validation the series end where the test period begins: whether their last alarms came
        true was not known then.
        """
        if test:
            return self.series, self.test_from
        return tuple(one.upto(self.test_from) for one in self.series), None


def warning_cases(
    replayed: Replay, *, rule: WarningRule | None = None, policies: Sequence[str] | None = None
) -> WarningCases:
    """Find the onsets of every instrument and the strength of every policy's warnings.

    The measure is computed over the whole panel, so that its past may begin long before the first
    margin.

    Parameters
    ----------
    replayed : Replay
        Margins over validation and test.
    rule : WarningRule, optional
        What counts; by default daily volatility above its past 95th percentile.
    policies : sequence of str, optional
        Which to compare; by default all.

    Raises
    ------
    InputError
        If a policy is not in the replay.
    """
    rule = rule or WarningRule()
    names = tuple(replayed.policies if policies is None else policies)
    unknown = sorted(set(names) - set(replayed.policies))
    if unknown:
        raise InputError(f"policies must be among {list(replayed.policies)}, found {unknown}")
    kinds = {one.policy: one.generation.value for one in replayed.schedules}
    # One margin per instrument: an account may be on either side.
    margins = np.stack([replayed.margin(name).mean(axis=-1) for name in names])
    panel = replayed.market.history.panel
    measure = _measure(replayed, rule)
    series = [
        _series(own, measure[own.rows, own.column], margins, rule)
        for own in own_times(panel)
        if len(own.rows)
    ]
    return WarningCases(
        rule=rule,
        policies=names,
        generations=tuple(kinds[name] for name in names),
        predictive=replayed.predictive,
        series=tuple(series),
        test_from=replayed.origin[np.argmax(replayed.in_test)],
    )


def _measure(replayed: Replay, rule: WarningRule) -> NDArray[np.float64]:
    """Return the raw measure per period, shape (n_periods, n_instruments)."""
    history = replayed.market.history
    if rule.measure is StressMeasure.VOLATILITY:
        return history.features.variance
    return Measures(panel=history.panel).once(detrended_log_amihud)


def _series(
    own: OwnTime, measure: NDArray[np.float64], margins: NDArray[np.float64], rule: WarningRule
) -> WarningSeries:
    n_days = own.span(rule.measure_days)
    mean = pd.Series(measure).rolling(n_days, min_periods=n_days).mean()
    found = find_onsets(
        mean,
        quiet=own.span(rule.stress_quiet_days),
        min_history=own.span(rule.history_days),
        quantile=rule.quantile,
    )
    first_row = own.panel.n_periods - margins.shape[1]
    judged = own.rows >= first_row
    margin = margins[:, own.rows[judged] - first_row, own.column]
    window = own.span(rule.baseline_days)
    baseline = np.stack(
        [margin_baseline(one, window=window, baseline=rule.baseline) for one in margin]
    )
    known = np.asarray(np.isfinite(margin / baseline).all(axis=0))
    lead = own.span(rule.lead_days)
    silent = np.concatenate([[True], trailing_any(~known, lead)[:-1]])
    return WarningSeries(
        instrument=own.panel.instruments[own.column],
        origin=own.panel.time[own.rows[judged]],
        onset=found.onset[judged] & ~silent,
        calm=found.calm[judged],
        strength=np.where(known, margin / baseline - 1.0, np.nan),
        margin=np.where(known, margin, np.nan),
        lead=lead,
        alarm_quiet=own.span(rule.alarm_quiet_days),
        periods_per_year=own.periods_per_year,
    )
