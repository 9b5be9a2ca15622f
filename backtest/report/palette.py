"""One look per policy through the whole page: colour-blind safe (Okabe and Ito 2008)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ...calibrate import Generation
from ..replay import Replay

PREDICTIVE = "#0072B2"
"""Blue: the policy that is judged."""

REFERENCE = "#D55E00"
"""Vermillion: the best reactive policy."""

OTHER = "#8C8C8C"
"""Grey: every other reactive policy."""

CONTROL = "#CC79A7"
"""Reddish purple, dashed: a control, which nobody could run."""

MODEL_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Forecast models that a figure shows beside the reference model, best first."""

REFERENCE_MODEL_COLOR = "#404040"
"""Dark grey: the forecast model that the others are measured against."""

_SECOND_PREDICTIVE = "#56B4E9"
_FIXED = "#404040"
_OTHER_LINES = ("-", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
_OTHER_MARKERS = ("s", "^", "v", "P", "X", "d")


class Compared(Protocol):
    """A replay, who is judged in it, and against whom: a verdict, or an episode of a scenario."""

    @property
    def replay(self) -> Replay:
        """Margins and losses."""
        ...

    @property
    def predictive(self) -> str:
        """The policy that is judged."""
        ...

    @property
    def reference(self) -> str:
        """The best reactive policy."""
        ...


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a policy is drawn.

    Attributes
    ----------
    color, marker : str
        As matplotlib takes them.
    line : str or tuple
        Line style, as matplotlib takes it.
    width : float
        Line width, points.
    zorder : float
        Higher is drawn later.
    """

    color: str
    marker: str
    line: Any
    width: float
    zorder: float

    def of_line(self) -> Mapping[str, Any]:
        """Return the keywords of a matplotlib line."""
        return {
            "color": self.color,
            "linestyle": self.line,
            "linewidth": self.width,
            "zorder": self.zorder,
        }


def is_plain(policy: str) -> bool:
    """Tell a policy from its variants with an anti-procyclicality tool, named ``name+tool``."""
    return "+" not in policy


def look_of(verdict: Compared, policy: str) -> Look:
    """Return the look of a policy; the same in every figure of one comparison."""
    if policy == verdict.predictive:
        return Look(color=PREDICTIVE, marker="o", line="-", width=2.2, zorder=5)
    if policy == verdict.reference:
        return Look(color=REFERENCE, marker="D", line="-", width=2.0, zorder=4)
    if policy in verdict.replay.names(Generation.CONTROL):
        return Look(color=CONTROL, marker="*", line="--", width=1.5, zorder=2)
    if policy in verdict.replay.names(Generation.PREDICTIVE):
        return Look(color=_SECOND_PREDICTIVE, marker="o", line="-", width=1.2, zorder=3)
    if policy == "fixed":
        return Look(color=_FIXED, marker="s", line=":", width=1.4, zorder=3)
    rank = [p for p in verdict.replay.policies if is_plain(p)].index(policy.split("+")[0])
    return Look(
        color=OTHER,
        marker=_OTHER_MARKERS[rank % len(_OTHER_MARKERS)],
        line=_OTHER_LINES[rank % len(_OTHER_LINES)],
        width=1.2,
        zorder=2,
    )


def label_of(verdict: Compared, policy: str) -> str:
    """Return the name of a policy for a legend; the reference says what it is."""
    return f"{policy} (best reactive)" if policy == verdict.reference else policy


def shown(verdict: Compared, *others: str) -> tuple[str, ...]:
    """Return the judged policy, the reference, and those of `others` that took part."""
    wanted = (verdict.predictive, verdict.reference, *others)
    return tuple(dict.fromkeys(p for p in wanted if p in verdict.replay.policies))
