"""Gates: what a candidate must show before it may become champion.

All are read from one table: out-of-sample forecasts of the candidate and its opponents over
validation and test. The opponent is the champion or, for a first model, the reference models.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..backtest import holm, kupiec_pof
from ..backtest.discrimination import brier_skill_score, expected_calibration_error
from ..backtest.side_by_side import Family, SideBySide, side_by_side
from ..features import LeakVerdict, audit_lookahead
from ..models import TAIL_PROBABILITIES
from .head_to_head import Duel, head_to_head
from .train_config import GatesConfig

_TAIL = TAIL_PROBABILITIES[0]
_LEAST_PRESENCE = 0.99  # of the rows on which an opponent says something
_SIDES = {"lower": -1.0, "upper": 1.0}


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One requirement, and what was measured.

    Attributes
    ----------
    name : str
        What is required.
    measured : float
        NaN where nothing could be measured, which fails.
    low, high : float or None
        `measured` must lie between them, ends included; None for no bound.
    why : str
        The numbers behind it, as a sentence.
    horizon : int or None
        Own periods; None where it holds for all.
    against : str or None
        Opponent.
    """

    name: str
    measured: float
    low: float | None = None
    high: float | None = None
    why: str
    horizon: int | None = None
    against: str | None = None

    @property
    def passed(self) -> bool:
        """Whether it was measured and lies within its bounds."""
        above = self.low is None or self.measured >= self.low
        below = self.high is None or self.measured <= self.high
        return math.isfinite(self.measured) and above and below

    def as_dict(self) -> dict[str, str | int | float | bool | None]:
        """Return plain JSON."""
        return {
            "name": self.name,
            "horizon": self.horizon,
            "against": self.against,
            "measured": self.measured if math.isfinite(self.measured) else None,
            "low": self.low,
            "high": self.high,
            "passed": self.passed,
            "why": self.why,
        }


def run_gates(
    forecasts: pd.DataFrame,
    *,
    candidate: str,
    opponents: Sequence[str],
    latency_ms: NDArray[np.float64],
    limits: GatesConfig,
) -> tuple[Gate, ...]:
    """Measure every requirement.

    Parameters
    ----------
    forecasts : pandas.DataFrame
        Columns of ``forecasts.parquet``: candidate and opponents over validation and test.
    candidate : str
        Its name in the column ``model``.
    opponents : sequence of str
        Their names, at least one.
    latency_ms : ndarray, shape (n,)
        Times that forecasts at one new origin took, milliseconds.
    limits : GatesConfig
        What is required.
    """
    rows = side_by_side(forecasts, test_from=forecasts["origin"].min())
    own = forecasts[forecasts["model"] == candidate]
    gates: list[Gate] = []
    for opponent in opponents:
        gates += _presence(rows, candidate, opponent)
        gates += _duels(head_to_head(forecasts, candidate, opponent), opponent, limits)
    alone = side_by_side(own, test_from=own["origin"].min())
    gates += _coverage(alone, limits)
    gates += [gate for one in alone for family in _EVENTS for gate in _events(one, family, limits)]
    gates += [_leak_audit(own), _latency(latency_ms, limits)]
    return tuple(gates)


def all_passed(gates: Sequence[Gate]) -> bool:
    """Tell whether there are gates, and each was passed."""
    return bool(gates) and all(gate.passed for gate in gates)


def _presence(rows: Sequence[SideBySide], candidate: str, opponent: str) -> Iterator[Gate]:
    """Silence is no way to pass: losses are compared where both speak."""
    for family in (Family.VARIANCE, Family.TAILS):
        said = wanted = 0
        for one in rows:
            if opponent not in one.models:
                continue
            speaks = one.speaks(family) & one.known(family)
            theirs = speaks[one.models.index(opponent)]
            wanted += int(theirs.sum())
            if candidate in one.models:
                said += int((theirs & speaks[one.models.index(candidate)]).sum())
        yield Gate(
            name=f"presence-{family}",
            measured=said / wanted if wanted else math.nan,
            low=_LEAST_PRESENCE,
            against=opponent,
            why=f"it says something on {said:,} of the {wanted:,} rows of {opponent}",
        )


def _duels(duels: Sequence[Duel], opponent: str, limits: GatesConfig) -> Iterator[Gate]:
    yield Gate(
        name="origins",
        measured=float(min((duel.n_origins for duel in duels), default=0)),
        low=float(limits.fewest_origins),
        against=opponent,
        why="origins that both have, for the loss and horizon with the fewest",
    )
    for loss in ("qlike_loss", "fz0_loss"):
        own = [duel for duel in duels if duel.loss == loss]
        for duel, p_worse in zip(own, _adjusted([d.p_worse for d in own]), strict=True):
            yield Gate(
                name=loss.removesuffix("_loss"),
                measured=float(p_worse),
                low=limits.significance_level,
                horizon=duel.horizon,
                against=opponent,
                why=_said(duel, opponent),
            )
            if loss == "qlike_loss":
                yield Gate(
                    name="qlike-ratio",
                    measured=duel.mean / duel.other_mean,
                    high=limits.largest_qlike_ratio,
                    horizon=duel.horizon,
                    against=opponent,
                    why=f"{duel.mean:.4f} against {duel.other_mean:.4f}",
                )


def _said(duel: Duel, opponent: str) -> str:
    better = "better" if duel.mean < duel.other_mean else "worse"
    if duel.mean == duel.other_mean:
        better = "the same"
    sure = "" if not duel.p_value < 0.05 else ", significantly"  # two-sided, for the reader
    return (
        f"p-value of being worse (DM, Holm over horizons); {duel.mean:.4f} against "
        f"{duel.other_mean:.4f} of {opponent} is {better}{sure}, {duel.n_origins:,} origins"
    )


def _coverage(rows: Sequence[SideBySide], limits: GatesConfig) -> Iterator[Gate]:
    """Kupiec per series, and the pooled rate of hits at the shortest horizon.

    Outcomes over several periods overlap and breach in runs, so that series are thinned; a pooled
    rate over a long horizon has too few independent cases for a bound.
    """
    series = [hit for one in rows for hit in _breaches(one)]
    names = [name for name, _, _ in series]
    p_values = _adjusted(
        [kupiec_pof(breach, tail_probability=_TAIL).p_value for _, _, breach in series]
    )
    for one in rows:
        own = [i for i, (_, horizon, _) in enumerate(series) if horizon == one.horizon]
        worst = min(own, key=lambda i: p_values[i], default=None)
        why = "it has no tails"
        if worst is not None:
            hits = series[worst][2]
            why = (
                f"smallest Kupiec p-value (Holm over {len(series)} series): {names[worst]}, "
                f"{int(hits.sum())} breaches in {len(hits)} at {_TAIL:g}"
            )
        yield Gate(
            name="coverage",
            measured=math.nan if worst is None else float(p_values[worst]),
            low=limits.significance_level,
            horizon=one.horizon,
            why=why,
        )
    shortest = [breach for _, horizon, breach in series if horizon == min(r.horizon for r in rows)]
    pooled = np.concatenate(shortest) if shortest else np.empty(0, dtype=np.bool_)
    low, high = limits.hit_rate
    yield Gate(
        name="hit-rate",
        measured=float(pooled.mean()) if len(pooled) else math.nan,
        low=low,
        high=high,
        horizon=min(one.horizon for one in rows),
        why=f"{int(pooled.sum())} of {len(pooled):,} returns lie beyond the {_TAIL:.0%} tails",
    )


def _breaches(one: SideBySide) -> Iterator[tuple[str, int, NDArray[np.bool_]]]:
    """Yield name, horizon and breaches of every instrument and side, none overlapping."""
    usable = (one.speaks(Family.TAILS) & one.known(Family.TAILS))[0]
    log_return = one.outcome["log_return"]
    for i, instrument in enumerate(one.instruments):
        rows = np.flatnonzero(usable & (one.instrument == i))[:: one.horizon]
        if not len(rows):
            continue
        for side, sign in _SIDES.items():
            beyond = sign * log_return[rows] > one.forecast[f"var_{side}_{_TAIL:g}"][0, rows]
            yield f"{instrument} {side}", one.horizon, beyond


_EVENTS = {Family.STRESS: "stress", Family.LIQUIDITY_STRESS: "liquidity-stress"}


def _events(one: SideBySide, family: Family, limits: GatesConfig) -> Iterator[Gate]:
    """Probabilities of one kind of stress; none for a model that gives none of liquidity."""
    rows = one.comparable(family)
    skill = error = math.nan
    why = "it gives no probability of it"
    if rows.models and len(rows.origin):
        event, said = rows.outcome[family], rows.forecast[f"{family}_probability"][0]
        why = f"it happened on {event.mean():.1%} of {len(event):,} rows"
        error = expected_calibration_error(event, said)
        # Without both outcomes there is no base rate to beat.
        skill = brier_skill_score(event, said) if 0.0 < event.mean() < 1.0 else math.nan
    elif family is Family.LIQUIDITY_STRESS:
        return
    yield Gate(
        name=f"{_EVENTS[family]}-skill",
        measured=skill,
        low=limits.smallest_brier_skill,
        horizon=one.horizon,
        why=f"Brier skill score; {why}",
    )
    yield Gate(
        name=f"{_EVENTS[family]}-calibration",
        measured=error,
        high=limits.largest_calibration_error,
        horizon=one.horizon,
        why=f"expected calibration error; {why}",
    )


def _leak_audit(own: pd.DataFrame) -> Gate:
    report = audit_lookahead(own)
    (verdict,) = report.verdicts
    clean = verdict.verdict is LeakVerdict.CLEAN
    return Gate(
        name="leak-audit",
        measured=float(clean),
        low=1.0,
        why=f"{verdict.verdict.value}: {verdict.sentence}",
    )


def _latency(latency_ms: NDArray[np.float64], limits: GatesConfig) -> Gate:
    return Gate(
        name="latency-ms",
        measured=float(np.quantile(latency_ms, 0.99)),
        high=limits.largest_latency_ms,
        why=f"99 % quantile of {len(latency_ms)} forecasts at one new origin, milliseconds; "
        f"median {np.median(latency_ms):.1f}",
    )


def _adjusted(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Adjust those that are known by Holm's method."""
    raw = np.array(p_values, dtype=np.float64)
    known = np.isfinite(raw)
    out = np.full(len(raw), np.nan)
    if known.any():
        out[known] = holm(raw[known])
    return out
