"""The network as ONNX: the same numbers as PyTorch, to the last digits."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.errors import InputError
from foremargin.features import History
from foremargin.models import (
    FittedOnWindow,
    RegimeNetwork,
    from_state,
    to_state,
)
from foremargin.models.network import FittedRegimeNetwork, network_onnx, network_state
from foremargin.models.network import export as module
from foremargin.models.network.graph import Graph
from foremargin.models.network.inputs import with_garch

Array = NDArray[np.float64]
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROWS = slice(300, 900)


def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _feeds(fitted: FittedRegimeNetwork, history: History, inputs: Any) -> dict[str, Array]:
    seen = with_garch(history.upto(ROWS.stop), fitted.garch, fitted.spec.features_of(history.panel))
    feeds = {"features": seen.features.values[inputs.rows]}
    if fitted.shape.n_levels:
        feeds["window"] = inputs.windows.gather()
    return feeds


@pytest.fixture(scope="module", params=[0, 16])
def exported(request: Any, tiny: RegimeNetwork, history: History) -> FittedRegimeNetwork:
    """A network without and with a sequence, whose weights are far from where they start."""
    plan = replace(tiny.plan, sequence_length=request.param)
    fitted = replace(tiny, plan=plan).fit(history.upto(780), rng=np.random.default_rng(3))
    rng = np.random.default_rng(4)
    moved = {k: w + 0.3 * rng.normal(size=w.shape) for k, w in fitted.weights.items()}
    return replace(fitted, weights=moved)


def test_every_output_is_that_of_pytorch(exported: FittedRegimeNetwork, history: History) -> None:
    inputs = exported.inputs(history, origins=ROWS)
    said = exported.predict(inputs, history.panel.instruments)
    session = _session(network_onnx(exported))
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, _feeds(exported, history, inputs)), strict=True))
    offset = exported.skip.offsets(history.panel.instruments)[inputs.column] + inputs.late_offset
    found["log_variance"] = found["log_variance"] + offset
    assert exported.cost_skip is not None
    found["log_cost"] += exported.cost_skip.offsets(history.panel.instruments)[inputs.column]
    assert len(inputs.x) > 1_000
    for name, values in found.items():
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, getattr(said, name), rtol=1e-10, atol=1e-10)
    assert set(found) == {
        *("log_variance", "log_cost", "quantile", "shortfall", "steepness", "shift")
    }


def test_a_batch_says_what_its_rows_say_alone(
    exported: FittedRegimeNetwork, history: History
) -> None:
    inputs = exported.inputs(history, origins=ROWS)
    session, feeds = _session(network_onnx(exported)), _feeds(exported, history, inputs)
    whole = session.run(["log_variance"], feeds)[0]
    for row in (0, 17, -1):
        alone = session.run(["log_variance"], {k: v[row][None] for k, v in feeds.items()})[0]
        np.testing.assert_allclose(alone[0], whole[row], rtol=1e-12)


def test_a_graph_says_what_it_wants(exported: FittedRegimeNetwork) -> None:
    model = network_onnx(exported)
    meta = _session(model).get_modelmeta().custom_metadata_map
    assert json.loads(meta["features"]) == list(exported.features)
    assert json.loads(meta["horizons"]) == [1, 5]
    assert network_onnx(exported) == model, "equal networks must give equal bytes"
    assert not any(t.external_data for t in onnx.load_from_string(model).graph.initializer)


def test_special_functions_are_exact_in_double_precision() -> None:
    from scipy.special import ndtr

    graph = Graph(onnx)
    graph.output("Identity", graph.gelu("x"), name="gelu")
    graph.output("Identity", graph.softplus("x"), name="softplus")
    shape = {"x": ("n",)}
    session = _session(
        graph.model(inputs=shape, outputs={"gelu": ("n",), "softplus": ("n",)}, metadata={})
    )
    x = np.r_[np.linspace(-12.0, 12.0, 100_001), 1e3, -1e3, 8.5, -8.5, 0.0]
    gelu, softplus = session.run(["gelu", "softplus"], {"x": x})
    np.testing.assert_allclose(gelu, x * ndtr(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(softplus, np.logaddexp(0.0, x), rtol=1e-14, atol=1e-15)


def test_what_a_service_needs_is_found_in_every_champion(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    found = network_state(FittedOnWindow(fitted=fitted, first_row=7), features=())
    assert found is not None
    network, state = found
    assert network is fitted
    assert (*state.features, "garch_1", "garch_5") == fitted.features
    moved = {name: row - 7 for name, (_, row) in state.garch.fits.items()}
    assert moved == {name: row for name, (_, row) in fitted.garch.fits.items()}
    again: Any = from_state(to_state(state))
    assert again.model == "regime-network"
    np.testing.assert_array_equal(again.log_offset["COIN"], fitted.skip.log_offset["COIN"])
    assert network_state(fitted.garch, features=()) is None


def test_without_the_package_it_says_what_to_install(
    fitted: FittedRegimeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", absent)
    with pytest.raises(InputError, match=r"install foremargin\[export\]"):
        network_onnx(fitted)
