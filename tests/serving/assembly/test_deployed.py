"""What-if of a bundle that was trained: by the correlations of its training data."""

import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.models import Forecast
from foremargin.serving.assembly import Application
from foremargin.serving.assembly.correlations import LiveScenarios
from foremargin.serving.assembly.deployed import ServedBundles
from foremargin.serving.bundles import BundleStore
from foremargin.serving.http.scenarios import forecast_scenarios
from foremargin.serving.http.whatif import TableScenarios
from foremargin.serving.quote import Quote
from foremargin.serving.table import QuoteTable
from foremargin.tests.serving.assembly.quotes import quoted
from foremargin.training import Execution, Experiment, Preparation, make_split
from foremargin.training.bundle import Draft, write_bundle
from foremargin.training.deployment import fit_final
from foremargin.training.forecasting import Forecasts, make_forecasts, silent
from foremargin.training.serving_files import serving_files

NAMES = ("COIN", "LATE")
SIGMA = {"COIN": 0.02, "LATE": 0.03}
BOOK = {"COIN": 1e5, "LATE": -8e4}


@pytest.fixture(scope="module")
def trained(make_panel: Callable[..., Panel]) -> tuple[Preparation, Forecasts, Draft]:
    """An experiment of two coins, its walk-forward run, and the draft of its bundle."""
    panel = make_panel(n_periods=460, late_periods=440).select(NAMES)
    experiment = Experiment.model_validate(
        {
            "name": "coins",
            "split": {
                "forecast_from": "2018-10-08",
                "validation_from": "2018-12-10",
                "test_from": "2019-02-20",
            },
            "forecast": {
                "models": ["log-har", "gjr-t"],
                "horizons": [1, 5],
                "options": {"log-har": {"refit_days": 3_650}, "gjr-t": {"refit_days": 3_650}},
            },
            "train": {"model": "log-har"},
        }
    )
    prepared = Preparation(
        experiment=experiment,
        panel=panel,
        history=build_history(panel, horizons=(1, 5)),
        split=make_split(panel, experiment.split),
        margin_horizons=(1,),
        notes=(),
    )
    made = make_forecasts(prepared, execution=Execution(), progress=silent)
    final = fit_final(prepared, made)
    files, notes = serving_files(prepared, made, final, has_network=False)
    assert notes == ()
    others = {"experiment.yaml": b"", "forecasts.parquet": b"", "gates.json": b"[]"}
    draft = Draft(
        name="coins",
        run_id="0",
        instruments=panel.instruments,
        provenance={},
        notes=notes,
        forecaster=final,
        files={**others, **files},
    )
    return prepared, made, draft


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[Draft], ServedBundles]:
    """Return a function that writes a bundle and serves it."""

    def served(draft: Draft) -> ServedBundles:
        write_bundle(tmp_path / "bundle", draft, version=1, key=None)
        store = BundleStore(tmp_path / "state", None, accept_unsigned=True)
        store.activate(tmp_path / "bundle")
        return ServedBundles(store)

    return served


@pytest.fixture
def table() -> QuoteTable:
    table = QuoteTable()
    table.write([_quoted(name, sigma) for name, sigma in SIGMA.items()])
    return table


def _quoted(name: str, sigma: float) -> Quote:
    return quoted(name, round(3e4 * sigma), sigma=sigma)


def _by_hand(panel: Panel, said: Forecast) -> float:
    """Return the correlation of two instruments, one return after the other."""
    variance = dict(zip(said.origin.tolist(), said.variance[:, :, 0], strict=True))
    scores: list[dict[tuple[int, int], float]] = []
    for i in range(2):
        rows, found = np.flatnonzero(panel.present[:, i]).tolist(), {}
        for before, row in pairwise(rows):
            known = variance.get(panel.time[before].item())
            if known is not None and np.isfinite(known[i]):
                move = np.log(panel.close[row, i] / panel.close[before, i])
                found[before, row] = move / np.sqrt(known[i])
        scores.append(found)
    both = sorted(scores[0].keys() & scores[1].keys())
    first, second = (np.array([score[span] for span in both]) for score in scores)
    raw = (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
    noise = (1.0 - raw**2) ** 2 / len(both)
    spread = (raw - 0.5) ** 2 - noise
    assert spread > 0.0
    return float(0.5 + spread / (spread + noise) * (raw - 0.5))


def test_what_if_of_a_served_bundle_is_the_one_by_hand(
    trained: tuple[Preparation, Forecasts, Draft],
    serve: Callable[[Draft], ServedBundles],
    table: QuoteTable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    prepared, made, draft = trained
    bundles = serve(draft)
    live = LiveScenarios(bundles.instruments, table, correlation=bundles.correlation())
    live.quoted([row.quote for row in table.rows.values()])
    (linear,) = (one for one in made.raw if one.model == "log-har")
    correlation = _by_hand(prepared.panel, linear)
    assert abs(correlation - 0.5) > 0.2  # independent coins
    first, second = SIGMA["COIN"], SIGMA["LATE"]
    cross = correlation * first * second
    covariance = np.array([[first**2, cross], [cross, second**2]])
    wanted = TableScenarios(forecast_scenarios(NAMES, covariance), table).simulate(BOOK)
    found = live.simulate(BOOK)
    assert found["initial_margin"] == pytest.approx(wanted["initial_margin"], rel=1e-9)
    assert found["maintenance_margin"] == pytest.approx(wanted["maintenance_margin"], rel=1e-9)
    prior = LiveScenarios(bundles.instruments, table)
    prior.quoted([row.quote for row in table.rows.values()])
    assert found["initial_margin"] > 1.1 * prior.simulate(BOOK)["initial_margin"]
    assert not caplog.records


def test_older_bundle_is_served_with_one_half_and_says_so(
    trained: tuple[Preparation, Forecasts, Draft],
    serve: Callable[[Draft], ServedBundles],
    caplog: pytest.LogCaptureFixture,
) -> None:
    draft = trained[2]
    older = {k: v for k, v in draft.files.items() if k != "correlations.safetensors"}
    with caplog.at_level(logging.WARNING):
        assert serve(_with(draft, older)).correlation() is None
    assert "coins/1 has no correlations: what-if begins with 0.5 for every pair" in caplog.text


def test_health_says_what_what_if_began_with(
    make_application: Callable[..., Application],
) -> None:
    assert make_application()._watched.health()["correlations"] == "prior"


def test_health_says_that_what_if_began_with_the_bundle(
    make_application: Callable[..., Application],
) -> None:
    application = make_application(correlation=np.eye(2))
    assert application._watched.health()["correlations"] == "bundle"


def test_notes_of_training_reach_whoever_serves_what_cannot_be_served(
    trained: tuple[Preparation, Forecasts, Draft], tmp_path: Path
) -> None:
    from foremargin.serving.calculator.deployed import calculator

    draft = trained[2]
    bare = {k: v for k, v in draft.files.items() if not k.startswith("serving.")}
    note = "a service cannot make margins of this bundle: features need VIX"
    digest = write_bundle(tmp_path / "bare", _with(draft, bare, note), version=1, key=None)
    with pytest.raises(InputError, match=r"its training noted: a service .* need VIX"):
        calculator(str(tmp_path / "bare"), digest)


def _with(draft: Draft, files: dict[str, bytes], *notes: str) -> Draft:
    return Draft(
        name=draft.name,
        run_id=draft.run_id,
        instruments=draft.instruments,
        provenance=draft.provenance,
        notes=notes,
        forecaster=draft.forecaster,
        files=files,
    )
