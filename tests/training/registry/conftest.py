"""A small market, a model that was trained on it, and stores to register it in."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.training import (
    Execution,
    Experiment,
    FinalForecaster,
    Gate,
    Preparation,
    Registry,
    Store,
    Version,
    make_split,
    open_store,
    tracked_run,
)
from foremargin.training.bundle import Draft
from foremargin.training.deployment import fit_final
from foremargin.training.forecasting import Forecasts, make_forecasts, silent

N_PERIODS = 800
INSTRUMENTS = ("COIN", "INDEX")
Prepare = Callable[..., Preparation]


@pytest.fixture(scope="session")
def prepare_small(make_panel: Callable[..., Panel]) -> Prepare:
    """Return a function that prepares an experiment on the first periods of a small market.

    Keyword arguments are `model`, `n_periods`, `gates` and those of an experiment.
    """
    whole = make_panel(n_periods=N_PERIODS).select(INSTRUMENTS)

    def prepared(
        *,
        model: str = "log-har",
        n_periods: int = N_PERIODS - 20,
        gates: object = None,
        **more: object,
    ) -> Preparation:
        experiment = Experiment.model_validate(
            {
                "name": "small",
                "split": {
                    "forecast_from": "2018-10-08",
                    "validation_from": "2019-03-10",
                    "test_from": "2019-08-20",
                },
                "forecast": {"models": [model], "horizons": [1, 5]},
                "margin": {"policies": ["hs-250"]},
                "train": {"model": model, "gates": gates or {}},
                **more,
            }
        )
        panel = whole.upto(n_periods)
        return Preparation(
            experiment=experiment,
            panel=panel,
            history=build_history(panel, horizons=(1, 5)),
            split=make_split(panel, experiment.split),
            margin_horizons=(1,),
            notes=(),
        )

    return prepared


@dataclass(frozen=True)
class Trained:
    """A model with its walk-forward run and what was fitted at the end."""

    prepared: Preparation
    made: Forecasts
    final: FinalForecaster


@pytest.fixture(scope="session")
def trained(prepare_small: Prepare) -> Trained:
    """A model that was fitted on all but the last twenty periods."""
    prepared = prepare_small()
    made = make_forecasts(prepared, execution=Execution(), progress=silent)
    return Trained(prepared, made, fit_final(prepared, made))


@pytest.fixture(scope="session")
def later(prepare_small: Prepare) -> Preparation:
    """The same market twenty periods later."""
    return prepare_small(n_periods=N_PERIODS)


@pytest.fixture(scope="session")
def make_draft(trained: Trained) -> Callable[..., Draft]:
    """Return a function that drafts a bundle; its `name` may be given."""

    def draft(*, name: str = "small") -> Draft:
        return Draft(
            name=name,
            run_id="0123",
            instruments=INSTRUMENTS,
            provenance={"git_commit": "unknown", "version.numpy": np.__version__},
            notes=("a note",),
            forecaster=trained.final,
            files={
                "experiment.yaml": b"name: small\n",
                "gates.json": b"[]",
                "forecasts.parquet": b"not read here",
            },
        )

    return draft


def gates(*, passed: bool) -> tuple[Gate, ...]:
    other = Gate(name="always", measured=1.0, low=0.0, why="nothing is wrong")
    return other, Gate(name="made-up", measured=float(passed), low=1.0, why="as the test wants it")


Register = Callable[..., Version]


@pytest.fixture(scope="session")
def register(make_draft: Callable[..., Draft]) -> Register:
    """Return a function that registers a version without training one.

    Keyword arguments are `passed` and `against`, the champion that its gates were run against.
    """

    def registered(
        registry: Registry, *, passed: bool = True, against: int | None = None, name: str = "small"
    ) -> Version:
        with tracked_run(registry.store, experiment=name, opening=[]) as run:
            return registry.register(
                name,
                run=run,
                draft=make_draft(name=name),
                gates=gates(passed=passed),
                gated_against=against,
            )

    return registered


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store whose database is there: making one takes seconds."""
    store = open_store(tmp_path_factory.mktemp("empty"))
    Registry(store).names()
    return store


@pytest.fixture
def registry(empty_store: Store, tmp_path: Path) -> Registry:
    """A registry of its own, without models."""
    root = tmp_path / "mlruns"
    store = open_store(root)
    with (
        closing(sqlite3.connect(empty_store.root / "mlflow.db")) as source,
        closing(sqlite3.connect(root / "mlflow.db")) as copy,
    ):
        source.backup(copy)  # with what is still in the log
    return Registry(store)
