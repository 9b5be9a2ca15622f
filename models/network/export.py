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
from .skip import LinearSkip

Values = NDArray[np.float64]

_WINSOR = 5.0  # as the standardiser cuts


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
    raw = graph.affine(
        hidden, fitted.weights["correction_weight"], fitted.weights["correction_bias"]
    )
    raw = graph.reshape(raw, shape.n_members, -1, 2, shape.n_horizons)
    correction = _mean(graph, raw)
    n, h, p = "batch", shape.n_horizons, shape.n_tails
    outputs: dict[str, tuple[str | int, ...]] = {}
    for k, (name, skip) in enumerate(
        (("log_variance", fitted.skip), ("log_cost", fitted.cost_skip))
    ):
        if skip is not None:
            added = graph.add("Add", _linear(graph, skip, x), graph.take(correction, k, 1))
            graph.name(added, name)
            outputs[name] = (n, h)
    for name, value in _shapes(graph, fitted, hidden).items():
        graph.name(value, name)
        outputs[name] = (n, 2, h, p) if name in ("quantile", "shortfall") else (n, 2, h)
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
    """As :meth:`foremargin.features.Standardiser.transform`."""
    scaler = fitted.scaler
    chosen = graph.take("features", scaler.usable, 1)
    centred = graph.add("Sub", chosen, graph.constant(scaler.centre[scaler.usable]))
    z = graph.add("Div", centred, graph.constant(scaler.spread[scaler.usable]))
    cut = graph.between(z, -_WINSOR, _WINSOR)
    filled = str(graph.add("Where", graph.finite(z), cut, graph.number(0.0)))
    if not len(scaler.masked):
        return filled
    known = graph.finite(graph.take("features", scaler.masked, 1))
    missing = graph.add("Where", known, graph.number(0.0), graph.number(1.0))
    return str(graph.add("Concat", filled, missing, axis=1))


def _hidden(graph: Graph, fitted: FittedRegimeNetwork, x: str) -> str:
    """As :meth:`.module.RegimeModule.hidden` without dropout."""
    shape, weights = fitted.shape, fitted.weights
    first = weights["first_weight"]
    summed = graph.affine(x, first[:, : shape.n_inputs], weights["first_bias"])
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


def _shapes(graph: Graph, fitted: FittedRegimeNetwork, hidden: str) -> dict[str, str]:
    """As :meth:`.module.RegimeModule.shapes`, mean over the members."""
    shape = fitted.shape
    m, h, p = shape.n_members, shape.n_horizons, shape.n_tails
    raw = graph.affine(hidden, fitted.weights["shape_weight"], fitted.weights["shape_bias"])
    sizes = graph.constant(np.array([4 * h * p, 2 * h, 2 * h], dtype=np.int64))
    tails, steepness, shift = graph.add("Split", raw, sizes, axis=-1, n_outputs=3)
    steps = graph.reshape(graph.softplus(tails), m, -1, 2, 2, h, p)
    first, second = (graph.take(steps, k, 2) for k in (0, 1))
    quantile: str = graph.take(first, p - 1, -1)
    shortfall: str = graph.add("Add", quantile, graph.take(second, p - 1, -1))
    quantiles, shortfalls = [quantile], [shortfall]
    for k in range(p - 2, -1, -1):
        quantile = graph.add("Add", quantile, graph.take(first, k, -1))
        start = graph.add("Max", quantile, shortfall)
        shortfall = graph.add("Add", start, graph.take(second, k, -1))
        quantiles.insert(0, quantile)
        shortfalls.insert(0, shortfall)
    axis = graph.constant(np.array([-1], dtype=np.int64))
    stacked = [
        graph.add("Concat", *(graph.add("Unsqueeze", v, axis) for v in values), axis=-1)
        for values in (quantiles, shortfalls)
    ]
    return {
        "quantile": _mean(graph, stacked[0]),
        "shortfall": _mean(graph, stacked[1]),
        "steepness": _mean(graph, graph.reshape(graph.softplus(steepness), m, -1, 2, h)),
        "shift": _mean(graph, graph.reshape(shift, m, -1, 2, h)),
    }


def _linear(graph: Graph, skip: LinearSkip, x: str) -> str:
    """As :meth:`.skip.LinearSkip.predict`."""
    fits = skip.fits
    linear = graph.affine(
        x, np.stack([fit.coefficient for fit in fits], axis=-1), _each(skip, "intercept")
    )
    cut = graph.between(linear, _each(skip, "low"), _each(skip, "high"))
    return str(graph.add("Add", cut, graph.constant(np.log(_each(skip, "correction")))))


def _each(skip: LinearSkip, name: str) -> Values:
    return np.array([getattr(fit, name) for fit in skip.fits])


def _mean(graph: Graph, value: str) -> str:
    """Mean over the members, the first axis."""
    axis = graph.constant(np.array([0], dtype=np.int64))
    return str(graph.add("ReduceMean", value, axis, keepdims=0))


def _metadata(fitted: FittedRegimeNetwork) -> dict[str, str]:
    return {
        "model": fitted.spec.name,
        "features": json.dumps(fitted.features),
        "horizons": json.dumps(_horizons(fitted)),
        "tail_probabilities": json.dumps(TAIL_PROBABILITIES),
        "window_channels": json.dumps(CHANNELS),
    }
