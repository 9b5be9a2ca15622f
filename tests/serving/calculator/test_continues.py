"""The service goes on where the backtest stops, and says what it says."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from foremargin.calibrate import Predictive
from foremargin.calibrate.export import RungDraft, export_serving_state
from foremargin.calibrate.regime import market_regime
from foremargin.errors import InputError
from foremargin.serving.calculator import SERVING_FILES, Calculator
from foremargin.serving.observations import Tick

TRAINED, N = 640, 800


def _margins(calculation):
    """Initial margins before rounding, as fractions of notional."""
    sides = (calculation.long, calculation.short)
    parts = [{**side.components, "rounding": 0.0} for side in sides]
    return np.array([sum(part.values()) / 1e4 for part in parts])


def _check(calculations, served, row, batch, regimes):
    panel = served.panel
    known = [name for i, name in enumerate(panel.instruments) if np.isfinite(batch[row, i]).all()]
    assert [one.instrument for one in calculations] == known
    for one in calculations:
        i = panel.instruments.index(one.instrument)
        np.testing.assert_allclose(_margins(one), batch[row, i], rtol=1e-9)
        for side, rate in zip((one.long, one.short), batch[row, i], strict=True):
            assert side.initial_margin_bps == pytest.approx(np.ceil(1e4 * rate - 1e-6), abs=0)
            assert side.maintenance_margin_bps <= side.initial_margin_bps
            assert sum(side.components.values()) == pytest.approx(side.initial_margin_bps)
        variance = served.past["log-har"].variance[row - 250, i]
        k = served.history.horizons.index(served.horizon)
        assert one.sigma == pytest.approx(np.sqrt(variance[k]), rel=1e-12)
        assert one.sigma_lower < one.sigma < one.sigma_upper
        assert (one.regime, one.reason, one.basis) == (regimes[row, i], "", "linear")
        assert one.observed_at == served.times()[row]
    return len(calculations)


@pytest.mark.parametrize("horizon", [1, 5])
@settings(max_examples=2, deadline=None, phases=(Phase.generate,))  # shrinking takes minutes
@given(data=st.data())
def test_margins_are_those_of_the_backtest_through_snapshots(make_served, horizon, data):
    served = make_served(horizon=horizon)
    batch, regimes = served.batch("log-har", 0), market_regime(served.history)
    calculator = Calculator.load(served.files)
    checked = _check(calculator.current(), served, TRAINED - 1, batch, regimes)
    cuts = data.draw(st.sets(st.integers(TRAINED, N - 1), min_size=1, max_size=3))
    for row in range(TRAINED, N):
        if row in cuts:
            saved = calculator.snapshot()
            calculator = Calculator.load(served.files)
            calculator.restore(saved)
        bars = data.draw(st.permutations(served.bars(row))) if row in cuts else served.bars(row)
        out = calculator.apply(bars) + calculator.close_until(served.times()[row])
        out.sort(key=lambda one: served.panel.instruments.index(one.instrument))
        checked += _check(out, served, row, batch, regimes)
    assert checked > 300
    assert not calculator.set_aside
    assert not calculator.broken


@settings(max_examples=5, deadline=None, phases=(Phase.generate,))
@given(data=st.data())
def test_however_the_observations_are_cut_the_same_calculations_come(served, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    feed = []
    for row in range(TRAINED, TRAINED + 12):
        for bar in served.bars(row):
            feed.append(bar)
            for _ in range(3):
                time = bar.time + int(rng.integers(1, 86_400_000_000_000))
                price = bar.close * float(np.exp(0.03 * rng.normal()))
                feed.append(Tick(instrument=bar.instrument, time=time, price=price))
    whole, parts = Calculator.load(served.files), Calculator.load(served.files)
    expected, found = whole.apply(feed), []
    places = sorted(data.draw(st.sets(st.integers(0, len(feed)), max_size=6)))
    for start, stop in zip([0, *places], [*places, len(feed)], strict=True):
        found += parts.apply(feed[start:stop])
        saved = parts.snapshot()
        parts = Calculator.load(served.files)
        parts.restore(saved)
    assert found == expected
    assert len(expected) > 30
    assert parts.current() == whole.current()
    assert parts.set_aside == whole.set_aside


def test_snapshots_of_others_or_damaged_ones_are_refused(served, make_served):
    calculator = Calculator.load(served.files)
    saved = calculator.snapshot()
    with pytest.raises(InputError, match="of this bundle"):
        Calculator.load(make_served(horizon=5).files).restore(saved)
    with pytest.raises(InputError, match="a snapshot must be whole"):
        calculator.restore(saved[:5])
    with pytest.raises(InputError, match="could not be read"):
        calculator.restore(saved[:-100])
    assert Calculator.load(served.files).snapshot() == saved


def test_files_are_read_from_a_folder_and_damaged_ones_are_refused(served, tmp_path):
    for name, content in served.files.items():
        (tmp_path / name).write_bytes(content)
    assert Calculator.load(tmp_path).current() == Calculator.load(served.files).current()
    (tmp_path / SERVING_FILES[1]).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        Calculator.load(tmp_path)
    with pytest.raises(InputError, match=r"lacks \['serving.safetensors'\]"):
        Calculator.load({SERVING_FILES[0]: served.files[SERVING_FILES[0]]})
    document = json.loads(served.files[SERVING_FILES[0]])
    document["value"]["type"] = "Popen"
    damaged = {**served.files, SERVING_FILES[0]: json.dumps(document).encode()}
    with pytest.raises(InputError, match="types of foremargin"):
        Calculator.load(damaged)


def test_what_cannot_be_exported_is_refused(trained):
    history, fitted, past = trained
    known = history.upto(TRAINED)
    options: dict[str, Any] = {
        "policy": Predictive(model="any"),
        "horizon": 1,
        "tail_probability": 0.05,
    }
    draft = RungDraft(basis="linear", past=past["log-har"], fitted=fitted["log-har"])
    with pytest.raises(InputError, match="a forecaster and two rows"):
        export_serving_state(known, [], **options)
    late = past["log-har"].rows(0, 10)
    with pytest.raises(InputError, match="up to"):
        export_serving_state(known, [RungDraft(basis="linear", past=late)], **options)
    with pytest.raises(InputError, match="must be among those of the forecasts"):
        export_serving_state(known, [draft], **{**options, "horizon": 2})


def test_neither_torch_nor_mlflow_is_imported_by_a_run(served, tmp_path):
    for name, content in served.files.items():
        (tmp_path / name).write_bytes(content)
    bar = served.bars(TRAINED)[0]
    code = f"""
import sys
from pathlib import Path
from foremargin.serving.calculator import Calculator
from foremargin.serving.observations import Bar, Tick
calculator = Calculator.load(Path({str(tmp_path)!r}))
bar = Bar(instrument={bar.instrument!r}, time={bar.time}, open=1.0, high=2.0, low=1.0, close=1.5)
calculator.apply([bar, Tick(instrument="COIN", time={bar.time - 5}, price=50.0)])
assert calculator.close_until(bar.time)
print(sorted({{"torch", "mlflow"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
