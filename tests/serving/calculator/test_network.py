"""The rung of a bundle that was trained: it says what the champion says, without PyTorch."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import FeatureStream, History, build_history
from foremargin.markets import Panel
from foremargin.models import RegimeNetwork, TrainingPlan
from foremargin.serving.calculator.network import NetworkRung
from foremargin.training import network_files as module
from foremargin.training.final import FinalForecaster
from foremargin.training.network_files import network_files

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

N_PERIODS, STOP = 800, 760


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    panel = make_panel(n_periods=N_PERIODS)
    return build_history(panel, horizons=(1, 5), features=("core",))


@pytest.fixture(scope="module")
def final(history: History) -> FinalForecaster:
    plan = TrainingPlan(n_members=2, n_hidden=4, batch_size=256, max_epochs=1, sequence_length=4)
    known = history.upto(STOP)
    fitted = RegimeNetwork(plan=plan).fit(known, rng=np.random.default_rng(2))
    return FinalForecaster(
        fitted=fitted,
        past=fitted.forecast(known, origins=slice(STOP - 50, STOP - 1)),
        features=history.features.names,
        period=history.panel.period,
        history_from=history.panel.time[0],
        trained_until=history.panel.time[STOP - 1],
    )


@pytest.fixture(scope="module")
def contents(final: FinalForecaster, history: History) -> dict[str, bytes]:
    files, notes = network_files(final, history.upto(STOP))
    assert notes == ()
    return files


def _stream(rung: NetworkRung, history: History) -> FeatureStream:
    return FeatureStream.after(history.panel.upto(STOP - 1), names=rung.features)


def test_the_rung_goes_on_where_training_stopped(
    contents: dict[str, bytes], final: FinalForecaster, history: History
) -> None:
    wanted = final.fitted.forecast(history, origins=slice(STOP - 1, N_PERIODS))
    rung = NetworkRung.load(contents, history.panel.rows(0, 1))
    assert rung.horizons == (1, 5)
    stream = _stream(rung, history)
    for place, row in enumerate(range(STOP - 1, N_PERIODS)):
        rows = history.panel.rows(row, row + 1)
        variance = rung.advance(rows, stream.update(rows))
        np.testing.assert_allclose(variance, wanted.variance[place], rtol=1e-9)
        assert rung.last is not None
        for name in ("stress_probability", "regime_probability", "liquidity_cost"):
            np.testing.assert_allclose(
                getattr(rung.last, name)[0], getattr(wanted, name)[place], rtol=1e-9, atol=1e-12
            )
    assert np.isfinite(wanted.variance).any(axis=(0, 2)).all()


def test_a_snapshot_is_where_it_was(contents: dict[str, bytes], history: History) -> None:
    like = history.panel.rows(0, 1)
    rung, again = NetworkRung.load(contents, like), NetworkRung.load(contents, like)
    stream = _stream(rung, history)
    seen = []
    for row in range(STOP - 1, STOP + 20):
        rows = history.panel.rows(row, row + 1)
        seen.append((rows, stream.update(rows)))
    for rows, features in seen[:10]:
        rung.advance(rows, features)
    document, arrays = rung.snapshot()
    said = [rung.advance(rows, features) for rows, features in seen[10:]]
    again.restore(document, arrays, like)
    assert again.last is None
    told = [again.advance(rows, features) for rows, features in seen[10:]]
    np.testing.assert_array_equal(told, said)
    assert rung.snapshot() == again.snapshot()


def test_files_that_do_not_belong_together_are_refused(
    contents: dict[str, bytes], history: History
) -> None:
    like = history.panel.rows(0, 1)
    with pytest.raises(InputError, match=r"lacks .'model.onnx'"):
        NetworkRung.load({k: v for k, v in contents.items() if k != "model.onnx"}, like)
    with pytest.raises(InputError, match=r"must be of .'COIN'.*, was of"):
        NetworkRung.load(contents, history.panel.select(("COIN",)).rows(0, 1))
    with pytest.raises(InputError, match="must be JSON"):
        NetworkRung.load({**contents, "network.json": b"[" * 10_000}, like)
    with pytest.raises(InputError, match="must be safetensors"):
        NetworkRung.load({**contents, "network.safetensors": b"\x80\x04."}, like)
    rung = NetworkRung.load(contents, like)
    document, arrays = rung.snapshot()
    rung.network.state = replace(rung.network.state, model="another")
    with pytest.raises(InputError, match="must be of the network that is served, another"):
        rung.restore(document, arrays, like)


def test_a_champion_without_a_network_or_a_place_without_onnx_gives_no_files(
    final: FinalForecaster, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: Any = final.fitted
    assert network_files(replace(final, fitted=fitted.garch), history) == ({}, ())

    def absent(fitted: object) -> bytes:
        raise InputError("the package onnx must be installed")

    monkeypatch.setattr(module, "network_onnx", absent)
    files, notes = network_files(final, history.upto(STOP))
    assert files == {}
    assert notes == (
        "a service cannot compute the network of this bundle: the package onnx must be installed",
    )


_SERVICE = """
import pathlib, sys
import numpy as np
from foremargin.serving.calculator.network import FILES, NetworkRung
from foremargin.markets import Panel
import pandas as pd
folder = pathlib.Path(sys.argv[1])
contents = {name: (folder / name).read_bytes() for name in FILES}
shape = (1, 4)
like = Panel(
    time=np.array(["2020-01-01"], dtype="datetime64[ns]"),
    period=pd.Timedelta("1D"),
    instruments=("COIN", "INDEX", "LATE", "CLOSE"),
    close=np.ones(shape), log_return=np.zeros(shape), missing=np.zeros(shape, dtype=np.int8),
    periods_per_year=np.array([365.0, 252.0, 365.0, 365.0]),
)
NetworkRung.load(contents, like)
print([name for name in ("torch", "mlflow", "onnx") if name in sys.modules])
"""


def test_neither_pytorch_nor_mlflow_is_needed(contents: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    done: Any = subprocess.run(
        [sys.executable, "-c", _SERVICE, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
