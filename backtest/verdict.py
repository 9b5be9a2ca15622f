"""The verdict: whether predictive margin beat reactive margin, and how surely."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calibrate import Generation
from .bootstrap import BootstrapInterval, bootstrap_interval
from .cells import Cells, make_cells
from .comparison import DetectableDifference, ModelConfidenceSet, model_confidence_set
from .coverage import holm
from .early_warning import WarningSummary, summarise_warnings
from .frontier import cost_shortfall_curve
from .losses import quantile_loss, shortfall
from .metrics import cost_factors, coverage_gate, policy_table, series_table
from .protocols import (
    coverage_factors,
    detectable_before,
    frontier_change,
    instrument_table,
    matched_coverage_table,
)
from .quintiles import quintile_table
from .replay import Replay

_CONFIDENCE = 0.90
_RESAMPLES = 1_000
_BLOCK = 20  # mean block of the bootstrap, origins; at least the horizon
_MCS_SIZE = 0.10


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """Everything that one replay says; tables first.

    Attributes
    ----------
    replay : Replay
        The raw series.
    predictive : str
        The policy that is judged.
    reference : str
        The reactive policy with the smallest quantile loss in the test period: chosen with
        hindsight, so that no reader can name a better one.
    policies : pandas.DataFrame
        One row per policy, pooled over instruments and sides (see :func:`policy_table`).
    series : pandas.DataFrame
        One row per policy, instrument and side.
    quintiles : pandas.DataFrame
        Breach rate per policy and quintile of the volatility at the origin.
    frontier : pandas.DataFrame
        Cost and shortfall of every policy over a range of scales.
    confidence_set : ModelConfidenceSet
        Policies that cannot be told from the best by quantile loss (90 %), controls left out.
    quantile_loss_change : BootstrapInterval
        Quantile loss of predictive over reference, minus one.
    shortfall_change : BootstrapInterval
        Total shortfall of predictive over reference, minus one, each scaled by its constant from
        validation.
    hindsight_shortfall_change : BootstrapInterval
        The same, with predictive scaled to the reference's cost in the test period.
    frontier_change : pandas.DataFrame
        Shortfall of predictive over reference by cost (:func:`.protocols.frontier_change`).
    by_instrument : pandas.DataFrame
        Predictive against reference on each instrument (:func:`.protocols.instrument_table`).
    detectable : DetectableDifference
        Quantile loss that the test period could tell apart from that of the reactive policy that
        was best in validation, stated from validation.
    warnings : WarningSummary
        Whether margins rose before stress began, at equal rates of false alarms: the judged and
        the other predictive policies beside the reactive ones without tools.
    p_value : float
        Of the Diebold-Mariano test on quantile losses, corrected for the number of horizons that
        were judged together (Holm 1979; :func:`judge_together`).
    """

    replay: Replay
    predictive: str
    reference: str
    policies: pd.DataFrame
    series: pd.DataFrame
    quintiles: pd.DataFrame
    frontier: pd.DataFrame
    confidence_set: ModelConfidenceSet
    quantile_loss_change: BootstrapInterval
    shortfall_change: BootstrapInterval
    hindsight_shortfall_change: BootstrapInterval
    frontier_change: pd.DataFrame
    by_instrument: pd.DataFrame
    detectable: DetectableDifference
    warnings: WarningSummary
    p_value: float

    @property
    def horizon(self) -> int:
        """Margin period of risk, own periods."""
        return self.replay.horizon

    def frame(self) -> pd.DataFrame:
        """Return the table of policies, best quantile loss first."""
        return self.policies.sort_values("quantile_loss")

    def row(self, policy: str) -> Mapping[str, Any]:
        """Return the numbers of one policy by name of the metric."""
        return {str(key): value for key, value in self.policies.loc[policy].items()}

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the raw series as plain values, for ``verdict.json``."""
        replayed = self.replay
        origins = pd.DatetimeIndex(replayed.origin, tz="UTC")
        test = origins[replayed.in_test]
        return {
            "horizon": self.horizon,
            "tail_probability": replayed.market.tail_probability,
            "predictive": self.predictive,
            "reference": self.reference,
            "instruments": list(replayed.instruments),
            "validation_from": origins[0].isoformat(),
            "test_from": test[0].isoformat(),
            "test_to": test[-1].isoformat(),
            "quantile_loss_change": _interval(self.quantile_loss_change),
            "shortfall_change": _interval(self.shortfall_change),
            "hindsight_shortfall_change": _interval(self.hindsight_shortfall_change),
            "p_value_holm": self.p_value,
            "detectable_quantile_loss_change": self.detectable.relative,
            "frontier_change": _records(self.frontier_change),
            "by_instrument": _records(self.by_instrument),
            "early_warning": {
                "sentence": self.warnings.sentence(),
                "policies": []
                if self.warnings.comparison is None
                else _records(self.warnings.comparison.frame().reset_index()),
            },
            "confidence_set": [str(name) for name in self.confidence_set.included],
            "policies": json.loads(self.policies.to_json(orient="index", double_precision=15)),
            "quintiles": json.loads(self.quintiles.to_json(orient="index", double_precision=15)),
        }


def judge(replayed: Replay, *, rng: np.random.Generator) -> Verdict:
    """Compare all policies of a replay over its test period.

    Parameters
    ----------
    replayed : Replay
        Margins and losses.
    rng : numpy.random.Generator
        Source of the bootstraps.

    Raises
    ------
    InputError
        If validation or test holds no cell in which all policies can be compared.
    """
    tail = replayed.market.tail_probability
    validation, test = make_cells(replayed, test=False), make_cells(replayed, test=True)
    reference = best_reactive(replayed, test)
    factors = cost_factors(validation, reference=reference)
    series = series_table(
        test,
        instruments=replayed.instruments,
        tail_probability=tail,
        horizon=replayed.horizon,
        rng=rng.spawn(1)[0],
    )
    policies = policy_table(
        test,
        reference=reference,
        factors=factors,
        tail_probability=tail,
        horizon=replayed.horizon,
    ).join(coverage_gate(series))
    policies = policies.join(
        matched_coverage_table(
            test,
            factors=coverage_factors(validation, tail_probability=tail),
            reference=reference,
        )
    )
    changes = _changes(replayed, test, reference=reference, factors=factors, rng=rng)
    confidence_set = _confidence_set(replayed, test, rng=rng)
    policies["in_confidence_set"] = policies.index.isin(confidence_set.included)
    generation = {s.policy: s.generation.value for s in replayed.schedules}
    policies.insert(0, "generation", policies.index.map(generation))
    return Verdict(
        replay=replayed,
        predictive=replayed.predictive,
        reference=reference,
        policies=policies,
        series=series,
        quintiles=quintile_table(replayed, test),
        frontier=cost_shortfall_curve(test),
        confidence_set=confidence_set,
        **changes,
        **_protocols(replayed, validation, test, reference=reference, rng=rng),
        p_value=float(policies["dm_p_value"][replayed.predictive]),
    )


def judge_together(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Correct the p-values of several horizons for having been judged at once (Holm 1979)."""
    if not verdicts:
        return ()
    adjusted = holm([verdict.p_value for verdict in verdicts])
    pairs = zip(verdicts, adjusted, strict=True)
    return tuple(replace(verdict, p_value=float(p_value)) for verdict, p_value in pairs)


def best_reactive(replayed: Replay, cells: Cells) -> str:
    """Return the reactive policy with the smallest quantile loss over some cells."""
    tail = replayed.market.tail_probability
    mean = {
        name: float(quantile_loss(cells.loss, cells.of(name), tail_probability=tail).mean())
        for name in replayed.names(Generation.REACTIVE)
    }
    return min(mean, key=lambda name: mean[name])


def _changes(
    replayed: Replay,
    test: Cells,
    *,
    reference: str,
    factors: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Relative changes with intervals from resampling blocks of origins, paired.

    Scaling factors are held: the one of validation, and the one that makes costs equal in the
    whole test period.
    """
    tail = replayed.market.tail_probability
    ours, theirs = test.of(replayed.predictive), test.of(reference)
    equal_cost = theirs.mean() / ours.mean()
    pairs = {
        "quantile_loss_change": (
            quantile_loss(test.loss, ours, tail_probability=tail),
            quantile_loss(test.loss, theirs, tail_probability=tail),
        ),
        "shortfall_change": (
            shortfall(test.loss, ours * factors[replayed.predictive]),
            shortfall(test.loss, theirs * factors[reference]),
        ),
        "hindsight_shortfall_change": (
            shortfall(test.loss, ours * equal_cost),
            shortfall(test.loss, theirs),
        ),
    }
    return {
        name: _ratio_interval(test.sum_per_origin(a), test.sum_per_origin(b), replayed, rng)
        for name, (a, b) in pairs.items()
    }


def _protocols(
    replayed: Replay,
    validation: Cells,
    test: Cells,
    *,
    reference: str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    tail, ours = replayed.market.tail_probability, replayed.predictive
    return {
        "frontier_change": frontier_change(
            test,
            policy=ours,
            reference=reference,
            confidence_level=_CONFIDENCE,
            mean_block=max(_BLOCK, 2 * replayed.horizon),
            n_resamples=_RESAMPLES,
            rng=rng,
        ),
        "by_instrument": instrument_table(
            test,
            policy=ours,
            reference=reference,
            instruments=replayed.instruments,
            tail_probability=tail,
            horizon=replayed.horizon,
        ),
        "warnings": summarise_warnings(replayed, policies=_without_tools(replayed), rng=rng),
        "detectable": detectable_before(
            validation,
            policy=ours,
            reference=best_reactive(replayed, validation),
            n_origins=len(np.unique(test.origin)),
            tail_probability=tail,
            horizon=replayed.horizon,
        ),
    }


def _without_tools(replayed: Replay) -> list[str]:
    """Name the policies of a replay but for controls and those with a tool, ``name+tool``."""
    controls = set(replayed.names(Generation.CONTROL))
    return [name for name in replayed.policies if name not in controls and "+" not in name]


def _records(table: pd.DataFrame) -> Any:
    return json.loads(table.to_json(orient="records", double_precision=15))


def _ratio_interval(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    replayed: Replay,
    rng: np.random.Generator,
) -> BootstrapInterval:
    def change(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
        base = float(np.sum(theirs))
        # A resample without any shortfall on the other side shows no difference.
        return float(np.sum(ours)) / base - 1.0 if base > 0.0 else 0.0

    return bootstrap_interval(
        change,
        ours,
        theirs,
        confidence_level=_CONFIDENCE,
        mean_block=max(_BLOCK, 2 * replayed.horizon),
        n_resamples=_RESAMPLES,
        rng=rng,
    )


def _confidence_set(
    replayed: Replay, test: Cells, *, rng: np.random.Generator
) -> ModelConfidenceSet:
    controls = set(replayed.names(Generation.CONTROL))
    tail = replayed.market.tail_probability
    losses = {
        name: test.per_origin(quantile_loss(test.loss, test.of(name), tail_probability=tail))
        for name in test.policies
        if name not in controls
    }
    return model_confidence_set(
        pd.DataFrame(losses),
        size=_MCS_SIZE,
        block_length=max(_BLOCK, 2 * replayed.horizon),
        rng=rng,
    )


def _interval(interval: BootstrapInterval) -> dict[str, float]:
    return {
        "estimate": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "confidence_level": interval.confidence_level,
    }
