"""The network as ONNX, and what a service needs beside it.

The graph takes features in their own units and gives all that the ensemble says, the linear skip
included, so that whoever has a row of features can ask "what if"; what sets an instrument apart
(level, offsets, thresholds) is added outside, where it is known.
"""

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..fitted_mixture import FittedMixture
from ..fitted_window import FittedOnWindow
from ..forecast import TAIL_PROBABILITIES
from ..forecaster import FittedForecaster
from ..garch import FittedGarch
from ..regressions.har_combined import FittedCombinedHar
from ..stress.pooled_stress import FittedPooledStress
from .forecaster import FittedRegimeNetwork
from .graph import Graph
from .inputs import CHANNELS
from .plan import KERNEL
from .served import NetworkState, ServedMixture

Values = NDArray[np.float64]

_WINSOR = 5.0  # as the standardiser cuts
_LOGS = ("log_variance", "log_cost")


def network_onnx(fitted: FittedRegimeNetwork) -> bytes:
    """Return the ensemble and its skips as one ONNX graph in double precision.

    Inputs: ``features``, shape (batch, n_features), as they are, NaN where unknown; and, if the
    network looks at a sequence, ``window``, shape (batch, length, 3), see :data:`.inputs.CHANNELS`.
    Outputs: ``log_variance`` and, where it was learnt, ``log_cost``, both without offsets, shape
    (batch, n_horizons); ``quantile`` and ``shortfall``, shape (batch, 2, n_horizons, n_tails);
    ``steepness`` and ``shift``, shape (batch, 2, n_horizons); as
    :class:`.prediction.Prediction` says.

    Raises
    ------
    InputError
        If the package onnx is not installed.
    """
    try:
        onnx = import_module("onnx")
        import_module("onnx.checker")
        import_module("onnx.numpy_helper")
    except ImportError as error:
        raise InputError(
            "the package onnx must be installed to export a network, but is not; install "
            "foremargin[export]"
        ) from error
    graph, shape = Graph(onnx), fitted.shape
    x = _standardised(graph, fitted)
    hidden = _hidden(graph, fitted, x)
    correction = _linear_heads(graph, fitted, hidden)
    names = _logs(graph, fitted, x, correction)
    _shapes(graph, fitted, hidden)
    n, h, p = "batch", shape.n_horizons, shape.n_tails
    outputs: dict[str, tuple[str | int, ...]] = dict.fromkeys(names, (n, h))
    outputs |= dict.fromkeys(("quantile", "shortfall"), (n, 2, h, p))
    outputs |= dict.fromkeys(("steepness", "shift"), (n, 2, h))
    inputs: dict[str, tuple[str | int, ...]] = {"features": (n, len(fitted.features))}
    if shape.n_levels:
        inputs["window"] = (n, shape.sequence_length, shape.n_series)
    return graph.model(inputs=inputs, outputs=outputs, metadata=_metadata(fitted))


def network_state(
    champion: FittedForecaster, *, features: tuple[str, ...]
) -> tuple[FittedRegimeNetwork, NetworkState] | None:
    """Return the network in a champion and what a service needs beside its graph.

    Parameters
    ----------
    champion : FittedForecaster
        The network, or a mixture that has it as a member; fitted on a window or on everything.
    features : tuple of str
        Of the history of the training data.

    Returns
    -------
    tuple of (FittedRegimeNetwork, NetworkState), or None
        None if there is no network in it.
    """
    if isinstance(champion, FittedMixture):
        sources = dict(zip(champion.spec.sources, champion.sources, strict=True))
        found = network_state(sources.get("regime-network", champion.sources[0]), features=features)
        mixture = _served_mixture(champion, sources, features=features)
        if found is None or mixture is None:
            return None
        return found[0], replace(found[1], model=champion.spec.name, mixture=mixture)
    fitted, first_row = _unwrapped(champion)
    if not isinstance(fitted, FittedRegimeNetwork):
        return None
    n_own = len(fitted.features) - fitted.shape.n_horizons
    state = NetworkState(
        model=fitted.spec.name,
        horizons=_horizons(fitted),
        features=fitted.features[:n_own],
        sequence_length=fitted.shape.sequence_length,
        garch=_moved(fitted.garch, first_row),
        log_offset=fitted.skip.log_offset,
        cost_offset=None if fitted.cost_skip is None else fitted.cost_skip.log_offset,
        mixture=None,
    )
    return fitted, state


def _served_mixture(
    champion: FittedMixture, sources: dict[str, FittedForecaster], *, features: tuple[str, ...]
) -> ServedMixture | None:
    """Return the other members; None if they are others than a service knows."""
    (har, _), (garch, first_row), (stress, _) = (
        _unwrapped(sources.get(name)) for name in ("har-combined", "gjr-t", "stress-pooled")
    )
    if (
        set(champion.spec.members) != {"regime-network", "har-combined", "gjr-t"}
        or champion.spec.tellers != ("regime-network", "stress-pooled")
        or not isinstance(har, FittedCombinedHar)
        or not isinstance(garch, FittedGarch)
        or not isinstance(stress, FittedPooledStress)
    ):
        return None
    return ServedMixture(
        spec=champion.spec,
        weights=champion.weights,
        features=features,
        har=har,
        garch=_moved(garch, first_row),
        stress=stress,
    )


def _unwrapped(fitted: FittedForecaster | None) -> tuple[FittedForecaster | None, int]:
    if isinstance(fitted, FittedOnWindow):
        return fitted.fitted, fitted.first_row
    return fitted, 0


def _moved(garch: FittedGarch, first_row: int) -> FittedGarch:
    """Count the rows from the beginning of the panel."""
    fits = {name: (fit, row + first_row) for name, (fit, row) in garch.fits.items()}
    return replace(garch, fits=fits)


def _horizons(fitted: FittedRegimeNetwork) -> tuple[int, ...]:
    names = fitted.features[-fitted.shape.n_horizons :]
    return tuple(int(name.removeprefix("garch_")) for name in names)


def _standardised(graph: Graph, fitted: FittedRegimeNetwork) -> str:
    """All features as :meth:`foremargin.features.Standardiser.transform` has them, then masks.

    Which of them are used is left to the weights (:func:`_spread_out`).
    """
    scaler = fitted.scaler
    size = graph.add("Abs", "features")
    known = graph.add("Less", size, graph.number(np.inf))
    centred = graph.add("Sub", "features", graph.constant(scaler.centre))
    z = graph.add("Div", centred, graph.constant(scaler.spread))
    zero, one = graph.number(0.0), graph.number(1.0)
    filled = graph.add("Where", known, graph.cut(z, -_WINSOR, _WINSOR), zero)
    return str(graph.add("Concat", filled, graph.add("Where", known, zero, one), axis=-1))


def _spread_out(fitted: FittedRegimeNetwork, weight: Values) -> Values:
    """Give weights of the inputs, shape (..., n_inputs, n), to all features and masks."""
    scaler, n_features = fitted.scaler, len(fitted.features)
    out = np.zeros((*weight.shape[:-2], 2 * n_features, weight.shape[-1]))
    n_usable = len(scaler.usable)
    out[..., scaler.usable, :] = weight[..., :n_usable, :]
    out[..., n_features + scaler.masked, :] = weight[..., n_usable:, :]
    return out


def _hidden(graph: Graph, fitted: FittedRegimeNetwork, x: str) -> str:
    """As :meth:`.module.RegimeModule.hidden` without dropout."""
    shape, weights = fitted.shape, fitted.weights
    first = weights["first_weight"]
    own = _spread_out(fitted, first[:, : shape.n_inputs])
    summed = graph.affine(x, own, weights["first_bias"])
    if shape.n_levels:
        value, lead = "window", 1
        length, width = shape.sequence_length, shape.n_series
        for level in range(shape.n_levels):
            length //= KERNEL
            value = graph.reshape(value, lead, -1, length, KERNEL * width)
            kernel = graph.constant(weights[f"convolution.{level}"])
            value = graph.gelu(graph.add("MatMul", value, kernel))
            lead, width = shape.n_members, shape.n_channels
        value = graph.reshape(value, shape.n_members, -1, shape.n_channels)
        rest = graph.add("MatMul", value, graph.constant(first[:, shape.n_inputs :]))
        summed = graph.add("Add", summed, rest)
    hidden = graph.gelu(summed)
    return graph.gelu(graph.affine(hidden, weights["second_weight"], weights["second_bias"]))


def _linear_heads(graph: Graph, fitted: FittedRegimeNetwork, hidden: str) -> str:
    """Give the output ``shift``; return the corrections of variance and cost, (batch, 2 H).

    The mean of linear maps is one linear map of all members together.
    """
    shape, weights = fitted.shape, fitted.weights
    n_shift = 2 * shape.n_horizons
    weight = np.concatenate(
        [weights["correction_weight"], weights["shape_weight"][..., -n_shift:]], axis=-1
    )
    bias = np.concatenate(
        [weights["correction_bias"], weights["shape_bias"][..., -n_shift:]], axis=-1
    )
    side_by_side = graph.add("Transpose", hidden, perm=[1, 0, 2])
    flat = graph.reshape(side_by_side, -1, shape.n_members * shape.n_hidden)
    both = graph.affine(
        flat, weight.reshape(-1, weight.shape[-1]) / shape.n_members, bias.mean(axis=(0, 1))
    )
    correction, shift = graph.split(both, [n_shift, n_shift])
    pair = graph.constant(np.array([-1, 2, shape.n_horizons], dtype=np.int64))
    graph.output("Reshape", shift, pair, name="shift")
    return correction


def _logs(graph: Graph, fitted: FittedRegimeNetwork, x: str, correction: str) -> tuple[str, ...]:
    """Give the outputs ``log_variance`` and, where it was learnt, ``log_cost``.

    As :meth:`.skip.LinearSkip.predict`, plus what the trunk adds.
    """
    n_horizons = fitted.shape.n_horizons
    skips = [fitted.skip] + ([] if fitted.cost_skip is None else [fitted.cost_skip])
    fits = [fit for skip in skips for fit in skip.fits]
    if fitted.cost_skip is None:
        correction = graph.split(correction, [n_horizons, n_horizons])[0]

    def each(name: str) -> Values:
        return np.array([getattr(fit, name) for fit in fits])

    weight = np.stack([fit.coefficient for fit in fits], axis=-1)
    linear = graph.affine(x, _spread_out(fitted, weight), each("intercept"))
    raised = graph.add("Max", linear, graph.constant(each("low")))
    cut = graph.add("Min", raised, graph.constant(each("high")))
    skipped = graph.add("Add", cut, graph.constant(np.log(each("correction"))))
    if fitted.cost_skip is None:
        graph.output("Add", skipped, correction, name="log_variance")
        return ("log_variance",)
    added = graph.add("Add", skipped, correction)
    for part, name in zip(graph.split(added, [n_horizons] * 2), _LOGS, strict=True):
        graph.output("Identity", part, name=name)
    return _LOGS


def _shapes(graph: Graph, fitted: FittedRegimeNetwork, hidden: str) -> None:
    """Give the outputs ``quantile``, ``shortfall`` and ``steepness``.

    As :meth:`.module.RegimeModule.shapes`, mean over the members; the columns are put in the order
    in which they are needed, so that nothing has to be moved about.
    """
    shape = fitted.shape
    h, p = shape.n_horizons, shape.n_tails
    order = _column_order(h, p)
    raw = graph.affine(
        hidden,
        fitted.weights["shape_weight"][..., order],
        fitted.weights["shape_bias"][..., order],
    )
    *steps, steepness = graph.split(graph.softplus(raw), [2 * h] * (2 * p + 1))
    first, second = steps[:p], steps[p:]
    quantile = first[-1]
    shortfall = graph.add("Add", quantile, second[-1])
    quantiles, shortfalls = [quantile], [shortfall]
    for k in range(p - 2, -1, -1):
        quantile = graph.add("Add", quantile, first[k])
        shortfall = graph.add("Add", graph.add("Max", quantile, shortfall), second[k])
        quantiles.insert(0, quantile)
        shortfalls.insert(0, shortfall)
    joined = graph.add("Concat", *quantiles, *shortfalls, steepness, axis=-1)
    members = graph.constant(np.array([0], dtype=np.int64))
    mean = graph.add("ReduceMean", joined, members, keepdims=0)
    *tails, last = graph.split(mean, [2 * h * p, 2 * h * p, 2 * h])
    for name, part in zip(("quantile", "shortfall"), tails, strict=True):
        apart = graph.reshape(part, -1, p, 2, h)
        graph.output("Transpose", apart, perm=[0, 2, 3, 1], name=name)
    pair = graph.constant(np.array([-1, 2, h], dtype=np.int64))
    graph.output("Reshape", last, pair, name="steepness")


def _column_order(n_horizons: int, n_tails: int) -> NDArray[np.intp]:
    """Columns of the heads by (step, tail, side, horizon), then the steepness."""
    n_steps = 4 * n_horizons * n_tails
    columns = np.arange(n_steps).reshape(2, 2, n_horizons, n_tails)  # step, side, horizon, tail
    steps = columns.transpose(0, 3, 1, 2).ravel()
    return np.concatenate([steps, np.arange(n_steps, n_steps + 2 * n_horizons)])


def _metadata(fitted: FittedRegimeNetwork) -> dict[str, str]:
    return {
        "model": fitted.spec.name,
        "features": json.dumps(fitted.features),
        "horizons": json.dumps(_horizons(fitted)),
        "tail_probabilities": json.dumps(TAIL_PROBABILITIES),
        "window_channels": json.dumps(CHANNELS),
    }
