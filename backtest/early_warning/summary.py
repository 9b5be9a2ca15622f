"""Early warning as one part of a verdict: the plain policies at two false alarms a year."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...calibrate import Generation
from ...errors import InputError
from ..replay import Replay
from .cases import WarningRule, warning_cases
from .comparison import WarningComparison, compare_warnings

FALSE_ALARMS_PER_YEAR = 2.0
"""False alarms per instrument-year over validation that every policy is given."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WarningSummary:
    """What a verdict says of early warning.

    Attributes
    ----------
    comparison : WarningComparison or None
        None where the data cannot be compared.
    note : str
        Why not, as a sentence; empty where they were.
    """

    comparison: WarningComparison | None
    note: str

    def sentence(self) -> str:
        """Say who warned of more, with the interval of the difference; or why nobody can tell."""
        if self.comparison is None:
            return f"Early warning was not compared: {self.note}"
        found = self.comparison
        best = found.best_reactive
        ours, theirs = found.table.loc[found.predictive], found.table.loc[best]
        if not np.isfinite(ours.hit_rate):
            return (
                f"No rise of {found.predictive} kept to {found.target:g} false alarms per "
                "instrument-year over validation, so that its warnings were not compared."
            )
        gap = found.differences.loc[best]
        verb = "is not told apart from"
        if gap.low > 0.0 or gap.high < 0.0:
            verb = "warns more often than" if gap.low > 0.0 else "warns less often than"
        points = [100.0 * x for x in (gap.hit_rate_difference, gap.low, gap.high)]
        return (
            f"At {found.target:g} false alarms per instrument-year over validation (they became "
            f"{ours.test_value:.1f} and {theirs.test_value:.1f}), {found.predictive} {verb} "
            f"{best}, the best reactive by hindsight: it had risen before {ours.hits:.0f} of "
            f"{ours.onsets:.0f} onsets of stress against {theirs.hits:.0f}, a difference of "
            f"{points[0]:+.0f} points (90 % interval {points[1]:+.0f} to {points[2]:+.0f})."
        )


def summarise_warnings(
    replayed: Replay, *, policies: Sequence[str], rng: np.random.Generator
) -> WarningSummary:
    """Compare the warnings of some policies, or say why they cannot be compared.

    Parameters
    ----------
    replayed : Replay
        Margins and losses.
    policies : sequence of str
        Which to compare; the judged one is among them.
    rng : numpy.random.Generator
        Source of the resamples.
    """
    try:
        cases = warning_cases(replayed, rule=WarningRule(), policies=policies)
        found = compare_warnings(cases, target=FALSE_ALARMS_PER_YEAR, rng=rng)
        warned = found.table.generation.isin([Generation.REACTIVE, Generation.FIXED])
        if not found.table.hit_rate[warned].notna().any():
            return WarningSummary(
                comparison=None, note="no reactive policy keeps to the rate of false alarms."
            )
    except InputError as error:
        return WarningSummary(comparison=None, note=f"{error}.")
    return WarningSummary(comparison=found, note="")
