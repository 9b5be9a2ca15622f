"""Drift of one instrument: four detectors on what became of its margins.

==================  ==========================================  ==================================
detector            stream                                      a false alarm, if nothing drifts
==================  ==========================================  ==================================
``ks``, ``psi``     return over forecast volatility, a window   one window in 1/significance level
``page-hinkley``    excess log score of the forecast            by simulation, see the guide
``cusum-long``,     breaches: four times the promised rate      outcomes between two: at least
``cusum-short``     against the promised one                    the run length
==================  ==========================================  ==================================

The reference of the first two is what the operator gives (the outcomes of the backtest) or else the
first outcomes that are seen. Outcomes over several periods overlap; every `lag`-th is taken.
"""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from .changes import Cusum, PageHinkley, breach_evidence, excess_log_score
from .distributions import Compared, KolmogorovSmirnov, PopulationStability, Tumbling
from .outcomes import Judged

_SMALLEST_P = 1e-300


class DriftSettings(Struct, frozen=True, kw_only=True):
    """How sensitive the detectors are.

    Attributes
    ----------
    reference : int
        Outcomes that are the reference where none is given.
    window : int
        Outcomes of one comparison.
    significance_level : float
        Below it the p-value of a window is an alarm.
    tolerance, threshold : float
        Of Page-Hinkley, natural units of information.
    times : float
        Breach rate that the CUSUM tests for, over the promised one.
    run_length : float
        Outcomes between two false alarms of the CUSUM, at least.
    """

    reference: int = 500
    window: int = 250
    significance_level: float = 1e-4
    tolerance: float = 0.15
    threshold: float = 40.0
    times: float = 4.0
    run_length: float = 50_000.0


class DriftStanding(Struct, frozen=True, kw_only=True):
    """Where one detector stands.

    Attributes
    ----------
    instrument, detector : str
        Names.
    statistic : float
        Its own: a distance, or a sum.
    evidence : float
        From 0; one raises the alarm. For a p-value its logarithm over that of the level.
    active : bool
        Whether the last window, or one of as many last outcomes, raised the alarm.
    """

    instrument: str
    detector: str
    statistic: float
    evidence: float
    active: bool


class DriftState(Struct, frozen=True, kw_only=True):
    """Everything that the detectors of an instrument remember; numbers as float64 bytes."""

    sample: bytes
    referred: bool
    window: bytes
    last: dict[str, Compared]
    changes: dict[str, list[float]]
    alarmed_at: dict[str, int]
    n: int
    seen: int


class InstrumentDrift:
    """The detectors of one instrument.

    Parameters
    ----------
    settings : DriftSettings
        Sensitivity.
    reference : sequence of float
        Returns over forecast volatility to compare with; the first outcomes if empty.
    """

    def __init__(self, settings: DriftSettings, *, reference: Sequence[float] = ()) -> None:
        self._settings = settings
        self._first: list[float] = []
        self._windows: dict[str, Tumbling] = {}
        self._reference = np.empty(0)
        self._changes: dict[str, PageHinkley | Cusum] = {
            "page-hinkley": PageHinkley(tolerance=settings.tolerance, threshold=settings.threshold),
            "cusum-long": Cusum(threshold=math.log(settings.run_length)),
            "cusum-short": Cusum(threshold=math.log(settings.run_length)),
        }
        self._alarmed_at: dict[str, int] = {}
        self._n = self._seen = 0
        if len(reference):
            self._refer(reference)

    def add(self, judged: Judged) -> None:
        """Take the next outcome, in the order of the origins."""
        self._seen += 1
        if (self._seen - 1) % judged.lag:
            return
        self._n += 1
        self._compare(judged.log_return / judged.sigma if judged.sigma > 0.0 else math.nan)
        p = judged.tail_probability
        rate = min(self._settings.times * p, 0.9)
        long_ = judged.long_loss_bps > judged.long_margin_bps
        short = judged.short_loss_bps > judged.short_margin_bps
        values = {
            "page-hinkley": excess_log_score(judged.log_return, judged.sigma),
            "cusum-long": breach_evidence(long_, tail_probability=p, rate=rate),
            "cusum-short": breach_evidence(short, tail_probability=p, rate=rate),
        }
        for name, value in values.items():
            if self._changes[name].update(value):
                self._alarmed_at[name] = self._n

    def standing(self, instrument: str) -> list[DriftStanding]:
        """Return every detector, under the name of the instrument."""
        level = self._settings.significance_level
        out = []
        for name, window in self._windows.items():
            last = window.last
            p_value = last.p_value if last else 1.0
            out.append(
                DriftStanding(
                    instrument=instrument,
                    detector=name,
                    statistic=last.statistic if last else 0.0,
                    evidence=abs(math.log(max(p_value, _SMALLEST_P)) / math.log(level)),
                    active=p_value < level,
                )
            )
        for name, change in self._changes.items():
            now = change.standing()
            out.append(
                DriftStanding(
                    instrument=instrument,
                    detector=name,
                    statistic=now.statistic,
                    evidence=now.statistic / now.threshold,
                    active=self._n - self._alarmed_at.get(name, -math.inf) < self._settings.window,
                )
            )
        return out

    def state(self) -> DriftState:
        """Return everything that it remembers."""
        windows = self._windows
        sample = self._reference if windows else np.array(self._first, dtype=np.float64)
        return DriftState(
            sample=sample.tobytes(),
            referred=bool(windows),
            # Both comparisons are of the same values.
            window=windows["ks"].values().tobytes() if windows else b"",
            last={name: one.last for name, one in windows.items() if one.last is not None},
            changes={name: change.state() for name, change in self._changes.items()},
            alarmed_at=dict(self._alarmed_at),
            n=self._n,
            seen=self._seen,
        )

    def restore(self, state: DriftState) -> None:
        """Go on from a state of the same settings."""
        sample = np.frombuffer(state.sample)
        if state.referred:
            self._refer(sample.tolist())
            for name, window in self._windows.items():
                window.restore(np.frombuffer(state.window), state.last.get(name))
        else:
            self._first = sample.tolist()
        for name, change in self._changes.items():
            change.restore(state.changes[name])
        self._alarmed_at = dict(state.alarmed_at)
        self._n, self._seen = state.n, state.seen

    def _compare(self, score: float) -> None:
        if not math.isfinite(score):
            return
        if self._windows:
            for window in self._windows.values():
                window.add(score)
            return
        self._first.append(score)
        if len(self._first) == self._settings.reference:
            self._refer(self._first)
            self._first = []

    def _refer(self, reference: Sequence[float]) -> None:
        sample = self._reference = np.array(reference, dtype=np.float64)
        size = self._settings.window
        self._windows = {
            "ks": Tumbling(KolmogorovSmirnov(sample), size=size),
            "psi": Tumbling(PopulationStability(sample), size=size),
        }
