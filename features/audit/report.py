"""What a leak audit found: tests, verdicts, and a sentence for people."""

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from ...errors import InputError

PROFILE_COLUMNS = ("model", "instrument", "horizon", "offset", "correlation", "response")


class LeakTest(StrEnum):
    """One way in which knowledge of the future shows."""

    RESPONSE = "response-timing"
    """It reacts more to news that nobody could know yet than to the news of the past."""
    FORESIGHT = "foresight"
    """What the past does not explain of it goes with one later outcome, more than skill can."""
    FUTURE_SHARE = "future-share"
    """What the past does not explain of it is made of the next outcomes: it was smoothed."""
    SMOOTHED = "smoothed-changes"
    """Its changes go with the size of returns for weeks after them: states were smoothed."""
    PROFILE = "lead-lag-profile"
    """It goes with a later outcome better than with the one that it forecasts."""
    ONSET = "before-the-jump"
    """It moves before the largest outcomes rather than after them."""
    EXACT_FIT = "exact-fit"
    """It fits a moment of these very outcomes exactly: it was fitted or scaled on them."""
    TRUNCATION = "truncation"
    """Values change when the periods after them are deleted."""
    SHOCK = "future-shock"
    """Values change when the periods after them are shocked."""


class LeakVerdict(StrEnum):
    """What the tests of one model come to."""

    CLEAN = "clean"
    """Nothing found by tests that could find something."""
    SUSPICIOUS = "suspicious"
    """It leads the outcomes as a leak does, and as a source that truly leads would."""
    LEAK = "leak"
    """It knew outcomes, or moments of them, that came after its origin."""
    NOT_ENOUGH = "not-enough"
    """Too few rows to say anything, or nothing that moves."""


@dataclass(frozen=True, kw_only=True)
class ModelVerdict:
    """The verdict on one model (or pipeline).

    Attributes
    ----------
    model : str
        Whose forecasts.
    verdict : LeakVerdict
        What the tests come to.
    n_rows : int
        Rows with a forecast and an outcome.
    n_left_out : int
        Rows without a positive, finite forecast and a finite outcome; nothing was said on them.
    sentence : str
        What was seen, and where, for people.
    """

    model: str
    verdict: LeakVerdict
    n_rows: int
    n_left_out: int
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class LeakReport:
    """Verdicts, the evidence behind them, and the lead-lag profiles.

    Attributes
    ----------
    verdicts : tuple of ModelVerdict
        One per model, in alphabetical order.
    evidence : pandas.DataFrame
        One row per test: ``model``, ``instrument``, ``horizon``, ``test``, ``offset`` (rows after
        the forecast's own outcome; -1 is the last known one), ``effect`` (see
        :class:`LeakTest`), ``statistic``, ``p_value``, ``p_value_holm`` (over all tests of the
        model), ``rejected``, ``detail``.
    profiles : pandas.DataFrame
        One row per ``model``, ``instrument``, ``horizon`` and ``offset`` from -3 to 3:
        ``correlation`` of the log forecast with the log outcome at that offset, and ``response``,
        the correlation of the forecast's own news with the outcome's news at that offset.
    """

    verdicts: tuple[ModelVerdict, ...]
    evidence: pd.DataFrame
    profiles: pd.DataFrame

    @property
    def flagged(self) -> tuple[str, ...]:
        """Names of the models that are a leak or suspicious."""
        bad = (LeakVerdict.LEAK, LeakVerdict.SUSPICIOUS)
        return tuple(one.model for one in self.verdicts if one.verdict in bad)

    @property
    def clean(self) -> bool:
        """Whether every model was examined and none was flagged."""
        return all(one.verdict is LeakVerdict.CLEAN for one in self.verdicts)

    def verdict(self, model: str) -> ModelVerdict:
        """Return the verdict on one model."""
        for one in self.verdicts:
            if one.model == model:
                return one
        known = [one.model for one in self.verdicts]
        raise InputError(f"model must be one of {known}, was {model!r}")

    def frame(self) -> pd.DataFrame:
        """Return the evidence with the ``verdict`` and ``sentence`` of its model, tidy.

        A model without evidence has one row in which the test is missing.
        """
        verdicts = pd.DataFrame(
            {
                "model": [one.model for one in self.verdicts],
                "verdict": [one.verdict.value for one in self.verdicts],
                "sentence": [one.sentence for one in self.verdicts],
            }
        )
        return verdicts.merge(self.evidence, on="model", how="left")

    def profile(self) -> "LeadLagProfile":
        """Return the lead-lag profiles as a display."""
        return LeadLagProfile(table=self.profiles)


@dataclass(frozen=True, kw_only=True, eq=False)
class LeadLagProfile:
    """Correlation of forecasts with outcomes before and after their own.

    An honest forecast goes with the past best and declines into the future; one that was made
    with knowledge of the future peaks at a positive offset.

    Attributes
    ----------
    table : pandas.DataFrame
        The `profiles` of a :class:`LeakReport`.
    """

    table: pd.DataFrame

    def frame(self, *, values: str = "correlation") -> pd.DataFrame:
        """Return one row per model, instrument and horizon, one column per offset.

        Parameters
        ----------
        values : str
            ``correlation`` of the logs, or ``response`` of news to news; both in [-1, 1].
        """
        if values not in ("correlation", "response"):
            raise InputError(f"values must be 'correlation' or 'response', was {values!r}")
        keys = ["model", "instrument", "horizon"]
        return self.table.pivot_table(index=keys, columns="offset", values=values, sort=True)
