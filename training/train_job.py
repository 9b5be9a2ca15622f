"""Fit the final forecaster, put it through the gates, register it, and promote it if they pass."""

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from ..bundles import SIGNATURE
from ..errors import GateError, InputError
from ..features import History
from .backends import Execution
from .bundle import Bundle, Draft
from .deployment import fit_final, measure_latency, sources_of
from .final import FinalForecaster
from .forecasting import Forecasts, Progress, make_forecasts, silent
from .gates import Gate, all_passed, run_gates
from .model_version import Version
from .network_files import network_files
from .preparation import Preparation
from .records import Metric, Record, Tag, opening_records
from .registry import Registry
from .results import PARQUET
from .serving_files import LADDER, serving_files
from .tables import FORECAST_COLUMNS, forecasts_table
from .tracking import RunWriter, Store, tracked_run

_KEYS = ["instrument", "origin", "horizon"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingResult:
    """What ``foremargin train`` leaves.

    Attributes
    ----------
    version : Version
        As it was registered.
    gates : tuple of Gate
        What was required, and measured.
    promoted : bool
        Whether it is champion now.
    verdict : str
        Why, as a sentence.
    folder : Path
        The bundle.
    signed : bool
        Whether there was a key to sign it with.
    notes : tuple of str
        What a reader must know.
    """

    version: Version
    gates: tuple[Gate, ...]
    promoted: bool
    verdict: str
    folder: Path
    signed: bool
    notes: tuple[str, ...]


def run_training(
    prepared: Preparation,
    *,
    store: Store,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train, gate, register and perhaps promote the model of the section `train`.

    The registered model is named after the experiment. The gates compare the candidate's
    walk-forward forecasts over validation and test with those of the champion: what that one had
    said when it was trained, and what its bundle says from then on.

    Parameters
    ----------
    prepared : Preparation
        From :func:`prepare`.
    store : Store
        Runs and registered models.
    execution : Execution, optional
        How the fits are carried out; changes no number.
    progress : callable, optional
        See :data:`Progress`.

    Raises
    ------
    InputError
        If the bundle of the champion cannot be read.
    """
    experiment, tell = prepared.experiment, progress or silent
    registry = Registry(store)
    champion = registry.champion(experiment.name)
    # Read before anything is computed: a champion that was tampered with ends the run at once.
    bundle = None if champion is None else registry.bundle(champion)
    opening = tuple(opening_records(experiment, prepared.panel, verb="train"))
    with tracked_run(store, experiment=experiment.name, opening=opening) as run:
        narrow = _narrowed(prepared, references=bundle is None)
        made = make_forecasts(narrow, execution=execution or Execution(), progress=tell)
        tell("fit on everything", 0, 1)
        final = fit_final(narrow, made)
        tell("gates", 0, 1)
        table, opponents, notes = _contest(narrow, made, bundle)
        gates = _gates(narrow, final, table, opponents)
        served, unserved = _served(narrow, made, final)
        notes = (*made.notes, *notes, *final.fitted.notes, *unserved)
        files = _files(prepared, gates, table[table["model"] == final.model])
        draft = Draft(
            name=experiment.name,
            run_id=run.run_id,
            instruments=prepared.panel.instruments,
            provenance={r.key: r.value for r in opening if isinstance(r, Tag)},
            notes=notes,
            forecaster=final,
            files={**files, **served},
        )
        against = None if champion is None else champion.version
        version = registry.register(
            experiment.name, run=run, draft=draft, gates=gates, gated_against=against
        )
        _record(run, version, gates, notes)
    promoted, verdict = _promote(registry, version, gates)
    folder = registry.folder(version.name, version.version)
    return TrainingResult(
        version=version,
        gates=gates,
        promoted=promoted,
        verdict=verdict,
        folder=folder,
        signed=(folder / SIGNATURE).exists(),
        notes=notes,
    )


def _served(
    prepared: Preparation, made: Forecasts, final: FinalForecaster
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return what a service needs of the bundle, and why something of it is missing."""
    network, no_network = network_files(final, prepared.history)
    margins, no_margins = serving_files(prepared, made, final, has_network=bool(network))
    return {**network, **margins}, (*no_network, *no_margins)


def _narrowed(prepared: Preparation, *, references: bool) -> Preparation:
    """Leave the candidate, what it is made of and, without a champion, the reference models."""
    experiment = prepared.experiment
    model = experiment.train.model
    names = [model, *sources_of(model), *(name for _, name in LADDER)]
    if references:
        names += experiment.train.gates.references
    forecast = experiment.forecast.model_copy(update={"models": tuple(dict.fromkeys(names))})
    return Preparation(
        experiment=experiment.model_copy(update={"forecast": forecast}),
        panel=prepared.panel,
        history=prepared.history,
        split=prepared.split,
        margin_horizons=prepared.margin_horizons,
        notes=prepared.notes,
    )


def _contest(
    prepared: Preparation, made: Forecasts, champion: Bundle | None
) -> tuple[pd.DataFrame, tuple[str, ...], tuple[str, ...]]:
    """Return the forecasts of candidate and opponents, the opponents' names, and notes."""
    table = forecasts_table(
        made.forecasts,
        prepared.history,
        first_row=prepared.split.forecast_row,
        from_row=prepared.split.validation_row,
    )
    train = prepared.experiment.train
    if champion is None:
        opponents = tuple(name for name in train.gates.references if name != train.model)
        return table[table["model"].isin([train.model, *opponents])], opponents, ()
    own = table[table["model"] == train.model]
    label = f"champion-v{champion.manifest.version}"
    said, notes = _champion_rows(champion, prepared)
    # The outcomes of today for both: data may have been corrected since.
    columns = _said(made)
    outcomes = own.drop(columns=["model", *columns])
    rows = said[[*_KEYS, *columns]].merge(outcomes, on=_KEYS).assign(model=label)[FORECAST_COLUMNS]
    return pd.concat([own, rows], ignore_index=True), (label,), notes


def _gates(
    prepared: Preparation, final: FinalForecaster, table: pd.DataFrame, opponents: tuple[str, ...]
) -> tuple[Gate, ...]:
    return run_gates(
        table,
        candidate=final.model,
        opponents=opponents,
        latency_ms=measure_latency(final, prepared),
        limits=prepared.experiment.train.gates,
    )


def _said(made: Forecasts) -> list[str]:
    """Columns that a model fills."""
    columns = set(made.forecasts[0].frame().columns)
    return [c for c in FORECAST_COLUMNS if c in columns and c not in (*_KEYS, "model")]


def _champion_rows(champion: Bundle, prepared: Preparation) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return what the champion said in its walk-forward run, and from its training on."""
    before = pd.read_parquet(io.BytesIO(champion.contents["forecasts.parquet"]))
    trained = pd.Timestamp(champion.forecaster.trained_until, tz="UTC")
    before = before[before["origin"] < trained]
    try:
        history = _history_of(champion, prepared)
        row = int(np.searchsorted(prepared.panel.time, champion.forecaster.trained_until))
        since = champion.forecaster.forecast(history, origins=slice(row, prepared.panel.n_periods))
    except InputError as error:
        note = f"the champion is compared on its walk-forward run alone: {error}"
        return before, (note,)
    after = forecasts_table([since], history, first_row=row, from_row=row)
    return pd.concat([before, after], ignore_index=True), ()


def _history_of(champion: Bundle, prepared: Preparation) -> History:
    """Return what the champion looks at; features take a while, so the same ones are shared."""
    history, final = prepared.history, champion.forecaster
    if (history.features.names, history.horizons) == (final.features, final.horizons):
        return history
    return final.history(prepared.panel)


def _files(prepared: Preparation, gates: Sequence[Gate], own: pd.DataFrame) -> dict[str, bytes]:
    parquet = io.BytesIO()
    own.to_parquet(parquet, **PARQUET)
    experiment = yaml.safe_dump(prepared.experiment.model_dump(mode="json"), sort_keys=False)
    return {
        "experiment.yaml": experiment.encode(),
        "gates.json": json.dumps([gate.as_dict() for gate in gates], indent=1).encode(),
        "forecasts.parquet": parquet.getvalue(),
    }


def _record(run: RunWriter, version: Version, gates: Sequence[Gate], notes: Sequence[str]) -> None:
    run.write([Tag("notes", str(len(notes))), Tag("version", str(version.version))])
    run.write(_gate_records(gates))


def _gate_records(gates: Sequence[Gate]) -> Iterator[Record]:
    yield Tag("gates", "passed" if all_passed(gates) else "failed")
    for gate in gates:
        parts = [
            "gate",
            gate.name,
            gate.against,
            None if gate.horizon is None else f"h{gate.horizon}",
        ]
        if math.isfinite(gate.measured):
            yield Metric("/".join(part for part in parts if part), gate.measured)


def _promote(registry: Registry, version: Version, gates: Sequence[Gate]) -> tuple[bool, str]:
    if not all_passed(gates):
        failed = list(dict.fromkeys(gate.name for gate in gates if not gate.passed))
        return False, f"stays challenger: {len(failed)} kinds of gate failed ({', '.join(failed)})"
    try:
        event = registry.promote(version.name, version.version)
    except GateError as error:
        return False, f"stays challenger: {error}"
    return True, f"is champion: {event.reason}"
