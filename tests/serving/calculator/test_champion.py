"""A network champion from its training to its margins, and what becomes of it when it breaks."""

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from foremargin.bundles import read_verified
from foremargin.calibrate import MarginMarket, Predictive
from foremargin.calibrate.served import read_serving_state
from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.serving.bundles import BundleStore
from foremargin.serving.calculator import deployed
from foremargin.serving.calculator.calculator import Calculator
from foremargin.serving.calculator.deployed import calculator
from foremargin.serving.calculator.network import NetworkRung
from foremargin.serving.calculator.shadow import Shadowed
from foremargin.serving.observations import Bar
from foremargin.training import Execution, Experiment, Preparation, make_split
from foremargin.training.bundle import Draft, write_bundle
from foremargin.training.deployment import fit_final
from foremargin.training.forecasting import make_forecasts, silent
from foremargin.training.network_files import network_files
from foremargin.training.serving_files import serving_files

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

TRAINED, N = 760, 800
_PLAN = {"n_members": 1, "n_hidden": 4, "batch_size": 256, "max_epochs": 1, "sequence_length": 4}
_OPTIONS = {
    "regime-network": {"refit_days": 120, "plan": _PLAN},
    "log-har": {"refit_days": 3_650},
    "gjr-t": {"refit_days": 3_650},
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Champion:
    """What was trained: the draft of its bundle, and the margins of a backtest of it."""

    draft: Draft
    panel: Panel
    batch: np.ndarray

    def write(self, folder, *, version=1, **files):
        """Write the bundle, with other contents of some files; return folder and digest."""
        contents = {**self.draft.files, **{k.replace("__", "."): v for k, v in files.items()}}
        digest = write_bundle(
            folder, replace(self.draft, files=contents), version=version, key=None
        )
        return str(folder), digest

    def bars(self, row):
        """Return the bars of a row."""
        panel, out = self.panel, []
        time = int(panel.time[row].astype("datetime64[ns]").astype(np.int64))
        for i in np.flatnonzero(panel.present[row]):
            values = {k: float(v[row, i]) for k, v in panel.fields.items()}
            prices = {k: values.pop(k) for k in ("open", "high", "low")}
            more = {k: v for k, v in values.items() if np.isfinite(v)}
            close = float(panel.close[row, i])
            name = panel.instruments[i]
            out.append(Bar(instrument=name, time=time, close=close, more=more, **prices))
        return out

    def check(self, calculations, row):
        """Compare margins before rounding with those of the backtest; return how many."""
        for one in calculations:
            wanted = self.batch[row, self.panel.instruments.index(one.instrument)]
            np.testing.assert_allclose(initial(one), wanted, rtol=1e-9)
        return len(calculations)


def initial(calculation):
    """Return initial margins before rounding, fractions of notional."""
    parts = [side.components.items() for side in (calculation.long, calculation.short)]
    return np.array([sum(v for k, v in p if k != "rounding") / 1e4 for p in parts])


def _train(whole, model):
    experiment = Experiment.model_validate(
        {
            "name": model,
            "split": {
                "forecast_from": "2018-10-08",
                "validation_from": "2019-01-10",
                "test_from": "2019-05-20",
            },
            "forecast": {
                "models": list(dict.fromkeys([model, "log-har", "gjr-t"])),
                "horizons": [1, 5],
                "options": _OPTIONS,
            },
            "margin": {"tail_probability": 0.05},
            "train": {"model": model},
        }
    )
    panel = whole.upto(TRAINED)
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
    network, no_network = network_files(final, prepared.history)
    margins, no_margins = serving_files(prepared, made, final, has_network=bool(network))
    assert (no_network, no_margins) == ((), ())
    others = dict.fromkeys(("experiment.yaml", "forecasts.parquet"), b"") | {"gates.json": b"[]"}
    draft = Draft(
        name=model,
        run_id="0",
        instruments=panel.instruments,
        provenance={},
        notes=(),
        forecaster=final,
        files={**others, **network, **margins},
    )
    return Champion(draft=draft, panel=whole, batch=_batch(whole, final, margins))


def _batch(whole, final, margins):
    """Return the margins of the policy over training data and what came later."""
    history = build_history(whole, horizons=(1, 5))
    rung = read_serving_state(margins).rungs[0]
    first = int(np.searchsorted(whole.time, final.past.origin[0]))
    variance = np.full(whole.close.shape, np.nan)
    variance[first : TRAINED - 1] = final.past.variance[: TRAINED - 1 - first, :, 0]
    late = final.fitted.forecast(history, origins=slice(TRAINED - 1, N))
    variance[TRAINED - 1 :] = late.variance[:, :, 0]
    market = MarginMarket(
        history=history,
        horizon=1,
        tail_probability=rung.policy.tail_probability,
        first_row=first,
        variance={rung.model: variance},
    )
    return Predictive(model=rung.model, exponents=(rung.policy.exponents,)).margin(market)


@pytest.fixture(scope="module")
def whole(make_panel):
    return make_panel(n_periods=N).select(["COIN", "INDEX"])


@pytest.fixture(scope="module")
def network(whole):
    return _train(whole, "regime-network")


@pytest.fixture(scope="module")
def linear(whole):
    return _train(whole, "log-har")


def loaded(folder: str, digest: str) -> Calculator:
    """Return the calculator of a bundle without a challenger."""
    made = calculator(folder, digest)
    assert isinstance(made, Calculator)
    return made


def test_a_network_champion_says_what_its_backtest_says_through_a_snapshot(network, tmp_path):
    made = loaded(*network.write(tmp_path / "v1"))
    checked = network.check(made.current(), TRAINED - 1)
    for row in range(TRAINED, N):
        if row == TRAINED + 15:
            saved = made.snapshot()
            made = loaded(str(tmp_path / "v1"), read_verified(tmp_path / "v1", trusted=None).digest)
            made.restore(saved)
        said = made.apply(network.bars(row))
        assert {one.basis for one in said} == {"network"}
        for one in said:
            assert one.stress_probability is not None
            assert 0.0 <= one.stress_probability <= 1.0
        checked += network.check(said, row)
    assert checked > 60
    assert made.broken == {}


def test_probabilities_are_calibrated_as_those_of_its_backtest(network, tmp_path):
    made = loaded(*network.write(tmp_path / "v1"))
    (maps, *_) = [one.calibration for one in made._margins.served]
    assert any(one is not None for one in maps["stress_probability"])
    final, panel = network.draft.forecaster, network.panel
    rows = range(TRAINED, TRAINED + 5)  # a backtest learns anew every 28 days
    wanted = final.forecast(final.history(panel), origins=slice(rows.start, rows.stop))
    for place, row in enumerate(rows):
        for one in made.apply(network.bars(row)):
            i = panel.instruments.index(one.instrument)
            for name in ("stress_probability", "liquidity_stress_probability"):
                told, meant = getattr(one, name), getattr(wanted, name)[place, i, 0]
                np.testing.assert_allclose(told, meant, rtol=1e-9, err_msg=name)


def test_a_bundle_that_is_not_the_verified_one_is_refused(network, tmp_path):
    folder, digest = network.write(tmp_path / "v1")
    with pytest.raises(InputError, match="must have the digest 0000"):
        calculator(folder, "0" * 64)
    (tmp_path / "v1" / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"model\.onnx"):
        calculator(folder, digest)


def test_a_graph_that_cannot_be_computed_leaves_the_rungs_below_it(network, tmp_path):
    good = calculator(*network.write(tmp_path / "good")).current()
    made = loaded(*network.write(tmp_path / "bad", model__onnx=b"\x00 no graph"))
    assert "regime-network" in made.broken
    for well, one in zip(good, made.current(), strict=True):
        assert one.basis == "linear"
        assert one.reason.startswith("network: broken, raised InputError")
        assert one.instrument == well.instrument
    saved = made.snapshot()
    made.restore(saved)
    assert {one.basis for one in made.apply(network.bars(TRAINED))} == {"linear"}


def test_a_network_that_breaks_in_service_never_lowers_a_margin(network, tmp_path, monkeypatch):
    made = loaded(*network.write(tmp_path / "v1"))
    before = {one.instrument: initial(one) for one in made.apply(network.bars(TRAINED))}

    def broken(self, rows, features):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(NetworkRung, "advance", broken)
    for row in range(TRAINED + 1, TRAINED + 6):
        for one in made.apply(network.bars(row)):
            assert one.basis == "linear"
            assert "out of memory" in one.reason
            assert (initial(one) >= before[one.instrument] - 1e-12).all()
    made._margins.stream = None  # features are gone too: returns alone are left
    for one in made.apply(network.bars(TRAINED + 6)):
        assert one.basis == "garch"
        assert (initial(one) >= before[one.instrument] - 1e-12).all()


def test_a_network_that_is_late_is_not_waited_for(network, tmp_path, monkeypatch):
    asked = NetworkRung.advance

    def slow(self, rows, features):
        time.sleep(0.4)
        return asked(self, rows, features)

    monkeypatch.setattr(NetworkRung, "advance", slow)
    monkeypatch.setattr(deployed, "_DEADLINE_S", 0.05)
    made = loaded(*network.write(tmp_path / "v1"))
    for one in made.current():
        assert one.basis == "linear"
        assert one.reason == "network: late, took more than 0.05 s"
    made.close()


@pytest.mark.parametrize("first", ["network", "linear"])
def test_champion_and_challenger_of_other_kinds_each_say_their_own(
    network, linear, tmp_path, first
):
    pair = {"network": network, "linear": linear}
    champion, challenger = pair.pop(first), *pair.values()
    one, other = champion.write(tmp_path / "one"), challenger.write(tmp_path / "two")
    both = calculator(*one, *other)
    assert isinstance(both, Shadowed)
    for row in range(TRAINED, TRAINED + 8):
        said = both.apply(champion.bars(row))
        champion.check([x for x in said if not x.shadow], row)
        assert challenger.check([x for x in said if x.shadow], row)
    # A swap: the challenger alone, from the same bars.
    store = BundleStore(tmp_path / "store", None, accept_unsigned=True)
    store.activate(one[0], by="a test")
    active = store.activate(other[0], by="a test")
    alone = calculator(str(active.files.folder), active.files.digest)
    for row in range(TRAINED, TRAINED + 8):
        assert challenger.check(alone.apply(challenger.bars(row)), row)
    assert store.rollback(by="a test").files.digest == one[1]
