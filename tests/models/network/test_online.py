"""The network one period at a time: what it says of the whole history, to 1e-9."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.features import (
    ALL_FEATURES,
    FeatureStream,
    History,
    build_history,
    chosen_features,
)
from foremargin.markets import Panel
from foremargin.models import (
    ALL_MIXTURES,
    CombinedHar,
    Distribution,
    FittedForecaster,
    FittedMixture,
    Forecast,
    Garch,
    MixtureWeights,
    PooledStress,
    RegimeNetwork,
    Volatility,
    from_state,
    read_state,
    to_state,
    write_state,
)
from foremargin.models.network import (
    FittedRegimeNetwork,
    NetworkState,
    OnlineNetwork,
    network_onnx,
    network_state,
    served_features,
)

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

N_PERIODS, STOP, FIRST = 900, 780, 820
FIELDS = (
    *("variance", "stress_probability", "regime_probability", "liquidity_stress_probability"),
    "liquidity_cost",
)


def evaluate_with(fitted: FittedRegimeNetwork) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        network_onnx(fitted), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, dict(feeds)), strict=True))


@pytest.fixture(scope="module")
def mixture(fitted: FittedRegimeNetwork, history: History) -> FittedMixture:
    (spec,) = ALL_MIXTURES
    known, rng = history.upto(STOP), np.random.default_rng(1)
    fits: dict[str, FittedForecaster] = {
        "regime-network": fitted,
        "har-combined": CombinedHar().fit(known, rng=rng),
        "gjr-t": Garch(volatility=Volatility.GJR, distribution=Distribution.T).fit(known, rng=rng),
        "stress-pooled": PooledStress().fit(known, rng=rng),
    }
    weight = np.array([[0.5, 0.3, 0.2], [0.7, 0.1, 0.2]])
    weights = MixtureWeights(
        members=spec.members, horizons=(1, 5), weight=weight, n_rows=np.array([9, 9])
    )
    sources = tuple(fits[name] for name in spec.sources)
    return FittedMixture(spec=spec, sources=sources, weights=weights)


def _served(champion: Any, history: History) -> tuple[FittedRegimeNetwork, NetworkState]:
    found = network_state(champion, features=history.features.names)
    assert found is not None
    return found


def _started(state: NetworkState, panel: Panel, row: int) -> tuple[FeatureStream, OnlineNetwork]:
    names = served_features(state, panel)
    past = panel.upto(row)
    known = build_history(past, horizons=state.horizons, features=("core",)).features
    return FeatureStream.after(past, names=names), OnlineNetwork.after(state, past, known)


def _compare(said: Forecast, wanted: Forecast, place: int) -> None:
    for name in FIELDS:
        found, expected = getattr(said, name)[0], getattr(wanted, name)[place]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("length", [0, 16])
def test_the_network_says_what_the_batch_says(
    tiny: RegimeNetwork, history: History, length: int
) -> None:
    spec = replace(tiny, plan=replace(tiny.plan, sequence_length=length))
    fitted = spec.fit(history.upto(STOP), rng=np.random.default_rng(3))
    wanted = fitted.forecast(history, origins=slice(FIRST, N_PERIODS))
    network, state = _served(fitted, history)
    stream, online = _started(state, history.panel, FIRST)
    evaluate = evaluate_with(network)
    for row in range(FIRST, N_PERIODS):
        rows = history.panel.rows(row, row + 1)
        said = online.advance(rows, stream.update(rows), evaluate)
        _compare(said, wanted, row - FIRST)
    assert np.isfinite(wanted.variance).any(axis=(0, 2)).all()


def test_a_mixture_says_what_the_batch_says(mixture: FittedMixture, history: History) -> None:
    wanted = mixture.forecast(history, origins=slice(FIRST, N_PERIODS))
    network, state = _served(mixture, history)
    assert state.model == "mixture"
    stream, online = _started(state, history.panel, FIRST)
    evaluate = evaluate_with(network)
    for row in range(FIRST, N_PERIODS):
        rows = history.panel.rows(row, row + 1)
        said = online.advance(rows, stream.update(rows), evaluate)
        assert said.model == "mixture"
        _compare(said, wanted, row - FIRST)


def test_terms_of_the_day_are_not_asked_for_where_a_period_is_one(
    mixture: FittedMixture, history: History
) -> None:
    _, state = _served(mixture, history)
    wanted = {
        one.name for one in chosen_features(history.panel, served_features(state, history.panel))
    }
    assert "log_variance_day" not in history.features.names
    assert not wanted & {one.name for one in ALL_FEATURES if one.intraday_only}
    hours = replace(history.panel, period=pd.Timedelta(hours=1))
    assert "log_variance_day" in served_features(state, hours)


def test_it_goes_on_from_what_was_written_down(mixture: FittedMixture, history: History) -> None:
    network, state = _served(mixture, history)
    panel = history.panel
    stream, online = _started(state, panel, FIRST)
    written = write_state(to_state({"served": state, "memory": online.memory()}))
    evaluate = evaluate_with(network)
    once = []
    for row in range(FIRST, FIRST + 30):
        rows = panel.rows(row, row + 1)
        once.append((rows, stream.update(rows)))
        online.advance(*once[-1], evaluate)
    read: Any = from_state(read_state(*written), loaded_only=True)
    again = OnlineNetwork.resume(read["served"], panel.rows(0, 1), read["memory"])
    for rows, features in once:
        said = again.advance(rows, features, evaluate)
    wanted = mixture.forecast(history, origins=slice(FIRST + 29, FIRST + 30))
    _compare(said, wanted, 0)


def test_what_does_not_follow_is_refused_and_changes_nothing(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    network, state = _served(fitted, history)
    panel = history.panel
    stream, online = _started(state, panel, FIRST)
    rows = panel.rows(FIRST, FIRST + 1)
    features = stream.update(rows)
    evaluate = evaluate_with(network)
    fewer = replace(features, names=("x", *features.names[1:]))
    with pytest.raises(InputError, match="are missing; add its attribute `features`"):
        online.advance(rows, fewer, evaluate)
    with pytest.raises(InputError, match=r"was given 2 of"):
        online.advance(panel.rows(FIRST, FIRST + 2), features, evaluate)
    with pytest.raises(InputError, match=r"was given 1 of .'COIN'"):
        online.advance(panel.select(("COIN",)).rows(FIRST, FIRST + 1), features, evaluate)
    said = online.advance(rows, features, evaluate)
    _compare(said, fitted.forecast(history, origins=slice(FIRST, FIRST + 1)), 0)
    memory = online.memory()
    with pytest.raises(InputError, match="remembers must be of"):
        OnlineNetwork.resume(state, panel.select(("COIN",)).rows(0, 1), memory)
    with pytest.raises(InputError, match="must fit it"):
        OnlineNetwork.resume(state, rows, {**memory, "garch": None})


def test_an_instrument_that_was_not_seen_has_no_forecast(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    network, state = _served(fitted, history)
    known = {name: offset for name, offset in state.log_offset.items() if name != "COIN"}
    stream, online = _started(replace(state, log_offset=known), history.panel, FIRST)
    rows = history.panel.rows(FIRST, FIRST + 1)
    said = online.advance(rows, stream.update(rows), evaluate_with(network))
    assert np.isnan(said.variance[0, 0]).all()
    assert np.isfinite(said.variance[0, 3]).all()


def test_a_moment_in_which_nothing_trades_has_no_forecast(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    network, state = _served(replace(fitted), history)
    stream, online = _started(replace(state, log_offset={}), history.panel, FIRST)
    rows = history.panel.rows(FIRST, FIRST + 1)
    said = online.advance(rows, stream.update(rows), evaluate_with(network))
    assert said.variance.shape == (1, 4, 2)
    assert np.isnan(said.variance).all()
