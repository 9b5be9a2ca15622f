"""Training end to end on a small market: gates, versions, champions, and what a run leaves."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.features import History, build_history
from foremargin.serving.calculator import Calculator
from foremargin.serving.quote import Basis
from foremargin.training import (
    FinalForecaster,
    Preparation,
    Registry,
    Store,
    TrainingResult,
    compare_bundles,
    load_bundle,
    load_experiment,
    open_store,
    run_training,
)
from foremargin.training import train_job as module
from foremargin.training.deployment import measure_latency
from foremargin.training.tracking import open_client

pytestmark = pytest.mark.slow

# Two instruments and a year: what is said about tails and stress is hardly tested here.
LENIENT = {
    "significance_level": 1e-6,
    "hit_rate": [0.0, 0.1],
    "smallest_brier_skill": -1.0,
    "largest_calibration_error": 0.5,
    "largest_latency_ms": 1e5,
    "fewest_origins": 100,
    "references": ["ewma-0.99", "log-har"],
}
Prepare = Callable[..., Preparation]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("mlruns"))


@pytest.fixture(scope="module")
def first(store: Store, prepare_small: Prepare) -> TrainingResult:
    return run_training(prepare_small(gates=LENIENT), store=store)


@pytest.fixture(scope="module")
def worse(store: Store, first: TrainingResult, prepare_small: Prepare) -> TrainingResult:
    return run_training(prepare_small(model="ewma-0.99", gates=LENIENT), store=store)


@pytest.fixture(scope="module")
def newer(
    store: Store, worse: TrainingResult, prepare_small: Prepare, later: Preparation
) -> TrainingResult:
    """The first model again, with twenty periods more."""
    prepared = prepare_small(gates=LENIENT, n_periods=later.panel.n_periods)
    return run_training(prepared, store=store)


def test_its_bundle_makes_margins_in_service_at_once(first: TrainingResult):
    assert not [note for note in first.notes if "cannot make margins" in note]
    calculator = Calculator.load(first.folder, model="small/1")
    said = calculator.current()
    assert [one.instrument for one in said] == list(calculator.instruments)
    for one in said:
        assert (one.basis, one.model) == (Basis.LINEAR, "small/1")
        assert 0 < one.long.maintenance_margin_bps <= one.long.initial_margin_bps < 10_000
        assert one.sigma_lower is not None
        assert one.sigma_upper is not None
        assert one.sigma_lower < one.sigma < one.sigma_upper


def test_a_first_model_is_compared_with_the_reference_models(
    store: Store, first: TrainingResult
) -> None:
    assert first.promoted
    assert first.verdict == "is champion: passed 18 gates against the reference models"
    assert {gate.against for gate in first.gates} == {None, "ewma-0.99"}
    champion = Registry(store).champion("small")
    assert champion is not None
    assert (champion.version, champion.gated_against, champion.n_gates) == (1, None, 18)


def test_what_was_trained_can_be_found_and_read_again(
    store: Store, first: TrainingResult, prepare_small: Prepare
) -> None:
    bundle = Registry(store).bundle(first.version)
    assert bundle.folder == first.folder == store.root / "bundles" / "small-v1"
    assert json.loads(bundle.contents["gates.json"]) == [gate.as_dict() for gate in first.gates]
    experiment = first.folder / "experiment.yaml"
    assert load_experiment(experiment) == prepare_small(gates=LENIENT).experiment
    run = open_client(store).get_run(first.version.run_id)
    assert run.data.tags["status"] == "completed"
    assert run.data.tags["verb"] == "train"
    assert (run.data.tags["gates"], run.data.tags["version"]) == ("passed", "1")
    assert bundle.manifest.run_id == run.info.run_id
    assert bundle.manifest.provenance["data_fingerprint"] == run.data.tags["data_fingerprint"]
    (ratio,) = (g for g in first.gates if g.name == "qlike-ratio" and g.horizon == 5)
    assert run.data.metrics["gate/qlike-ratio/ewma-0.99/h5"] == ratio.measured < 1.0
    said = pd.read_parquet(first.folder / "forecasts.parquet")
    assert set(said["model"]) == {"log-har"}
    assert set(said["horizon"]) == {1, 5}


def test_a_worse_model_is_registered_and_stays_challenger(
    store: Store, first: TrainingResult, worse: TrainingResult
) -> None:
    assert not worse.promoted
    assert worse.verdict == "stays challenger: 1 kinds of gate failed (qlike-ratio)"
    assert {gate.against for gate in worse.gates if not gate.passed} == {"champion-v1"}
    assert worse.version.aliases == ("challenger",)
    assert worse.version.gated_against == 1
    tags = open_client(store).get_run(worse.version.run_id).data.tags
    assert (tags["status"], tags["gates"]) == ("completed", "failed")


def test_the_champion_is_judged_by_what_it_had_said_and_by_its_bundle_from_then_on(
    store: Store, first: TrainingResult, newer: TrainingResult, later: Preparation
) -> None:
    assert newer.version.version == 3
    assert newer.promoted
    (origins,) = (gate for gate in newer.gates if gate.name == "origins")
    mine = pd.read_parquet(newer.folder / "forecasts.parquet")
    known = mine[(mine["horizon"] == 5) & mine["log_return"].notna() & (mine["var_lower_0.01"] > 0)]
    # All of the candidate's origins, so the new ones too; tails are there for the fewest.
    assert origins.measured == known["origin"].nunique()
    assert known["origin"].max() > pd.Timestamp(first.version.trained_until, tz="UTC")
    bundle = Registry(store).bundle(first.version)
    rows, notes = module._champion_rows(bundle, later)
    assert notes == ()
    trained = pd.Timestamp(first.version.trained_until, tz="UTC")
    one = rows[(rows["instrument"] == "COIN") & (rows["horizon"] == 1)]
    assert one["origin"].is_unique
    before = pd.read_parquet(first.folder / "forecasts.parquet")
    early = rows[rows["origin"] < trained].reset_index(drop=True)
    pd.testing.assert_frame_equal(early, before[before["origin"] < trained].reset_index(drop=True))
    row = later.panel.n_periods - 3
    said = bundle.forecaster.forecast(later.history, origins=slice(row, row + 1))
    origin = pd.Timestamp(later.panel.time[row], tz="UTC")
    assert one[one["origin"] == origin]["variance"].item() == said.variance[0, 0, 0]


def test_data_that_begin_elsewhere_leave_the_champions_own_record(
    store: Store, first: TrainingResult, later: Preparation
) -> None:
    bundle = Registry(store).bundle(first.version)
    panel = later.panel.rows(1, later.panel.n_periods)
    moved = replace(later, panel=panel, history=build_history(panel, horizons=(1, 5)))
    rows, (note,) = module._champion_rows(bundle, moved)
    assert rows["origin"].max() < pd.Timestamp(first.version.trained_until, tz="UTC")
    assert "on its walk-forward run alone" in note


def test_another_market_has_no_origin_in_common_with_the_champion(
    store: Store, newer: TrainingResult, prepare_small: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module,
        "_champion_rows",
        lambda champion, prepared: (
            pd.read_parquet(newer.folder / "forecasts.parquet").assign(instrument="OTHER"),
            (),
        ),
    )
    result = run_training(prepare_small(gates=LENIENT), store=store)
    failed = {gate.name: gate.measured for gate in result.gates if not gate.passed}
    assert failed["origins"] == 0.0
    assert np.isnan(failed["presence-variance"])


def test_a_champion_that_was_tampered_with_ends_the_run_before_it_begins(
    prepare_small: Prepare, registry: Registry, register: Callable[..., Any]
) -> None:
    register(registry)
    registry.promote("small", 1)
    (registry.folder("small", 1) / "weights.safetensors").write_bytes(b"")
    n_runs = len(_runs(registry))
    with pytest.raises(InputError, match="SHA-256"):
        run_training(prepare_small(gates=LENIENT), store=registry.store)
    assert len(_runs(registry)) == n_runs


def _runs(registry: Registry) -> list[Any]:
    client = open_client(registry.store)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def test_a_champion_that_changed_meanwhile_is_not_replaced(
    registry: Registry,
    register: Callable[..., Any],
    prepare_small: Prepare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def while_another_is_promoted(*arguments: Any) -> Any:
        register(registry)
        registry.promote("small", 1)
        return measure_latency(*arguments)

    monkeypatch.setattr(module, "measure_latency", while_another_is_promoted)
    result = run_training(prepare_small(gates=LENIENT), store=registry.store)
    assert not result.promoted
    assert "present champion, version 1, but was compared with the reference" in result.verdict
    champion = registry.champion("small")
    assert champion is not None
    assert champion.version == 1


def test_versions_are_compared_on_what_both_have_forecast(
    store: Store, first: TrainingResult, worse: TrainingResult, newer: TrainingResult
) -> None:
    registry = Registry(store)
    bundles = {v.version: registry.bundle(v) for v in registry.versions("small")[:3]}
    scores = compare_bundles(bundles[1], bundles[2]).set_index(["horizon", "score"])
    ratio = {g.horizon: g for g in worse.gates if g.name == "qlike-ratio"}
    for horizon in (1, 5):
        values = scores[["first", "second", "p_value"]].to_numpy(dtype=np.float64)
        (row,) = np.flatnonzero(scores.index == (horizon, "qlike_loss"))
        first_loss, second_loss, p_value = values[row]
        assert second_loss / first_loss == pytest.approx(ratio[horizon].measured, rel=0.02)
        assert 0.0 <= p_value <= 1.0
    mirrored = compare_bundles(bundles[2], bundles[1]).set_index(["horizon", "score"])
    np.testing.assert_allclose(mirrored["first"], scores["second"])
    np.testing.assert_allclose(mirrored["p_value"], scores["p_value"])
    same = compare_bundles(bundles[1], bundles[1])
    np.testing.assert_array_equal(same["first"], same["second"])
    # Another version knows outcomes that the first could not know yet; that is no contradiction.
    assert (compare_bundles(bundles[1], bundles[3])["n_rows"] > 0).all()


def test_versions_of_different_markets_are_not_compared(
    store: Store, first: TrainingResult
) -> None:
    bundle = Registry(store).bundle(first.version)

    def changed(**columns: Any) -> Any:
        table = pd.read_parquet(first.folder / "forecasts.parquet")
        out = io.BytesIO()
        table.assign(**{k: f(table) for k, f in columns.items()}).to_parquet(out)
        return replace(bundle, contents={**bundle.contents, "forecasts.parquet": out.getvalue()})

    with pytest.raises(InputError, match="no row in common"):
        compare_bundles(bundle, changed(instrument=lambda t: "OTHER"))
    with pytest.raises(InputError, match="realized_variance differs on"):
        compare_bundles(bundle, changed(realized_variance=lambda t: t["realized_variance"] * 1.01))


def test_what_a_service_computes_from_is_in_the_bundle_or_a_note_says_why_not(
    tmp_path_factory: pytest.TempPathFactory,
    prepare_small: Prepare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def files(final: FinalForecaster, history: History) -> tuple[dict[str, bytes], tuple[str, ...]]:
        asked.append((final.model, history.panel.n_periods))
        return {"model.onnx": b"a graph"}, ("a service lacks something",)

    monkeypatch.setattr(module, "network_files", files)
    store = open_store(tmp_path_factory.mktemp("network"))
    prepared = prepare_small(gates=LENIENT)
    made = run_training(prepared, store=store)
    assert asked == [("log-har", prepared.panel.n_periods)]
    assert load_bundle(made.folder).contents["model.onnx"] == b"a graph"
    assert "a service lacks something" in made.notes
