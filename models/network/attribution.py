"""What moves the network: contributions to each forecast, and what each input is worth.

Both come as tables. Contributions add up to the log of the variance that was forecast; the worth
of an input is the loss that a head makes more without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ...errors import InputError
from ...features import History
from .forecaster import FittedRegimeNetwork
from .inputs import CHANNELS, Inputs
from .prediction import Prediction
from .rows import Outcomes, outcomes_of
from .training import exact

Values = NDArray[np.float64]

LEVEL, BASE, BOUNDS = "(level)", "(base)", "(bounds)"
"""Rows of the table that are no inputs: the log of the instrument's usual variance over the
horizon; what the network says of an instrument with usual inputs; and what predictions were cut
by, because they lay outside anything seen."""

SEQUENCE = tuple(f"sequence: {channel}" for channel in CHANNELS)
"""Names of the channels of the convolution in the tables, all periods together."""

_NODES = 32  # of the quadrature along the path; its error is 1e-8 of what the trunk adds
_RARE = 1e-12  # a probability is not called less likely by the log loss


def explain(fitted: FittedRegimeNetwork, history: History, *, origins: slice) -> pd.DataFrame:
    """Attribute every forecast of the variance to the inputs.

    The skip is linear, so that its share of an input is coefficient times value. The trunk's share
    is integrated gradients (Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep
    Networks): the gradient times the input, averaged along the straight path from usual inputs
    (all zero, no past) to those of the origin.

    Parameters
    ----------
    fitted : FittedRegimeNetwork
        The network.
    history : History
        At least up to the last origin.
    origins : slice
        Panel rows.

    Returns
    -------
    pandas.DataFrame
        One row per origin, instrument, horizon and ``input``, with the ``value`` of the input
        (standardised; NaN for what has none) and its ``contribution`` to the log variance. The
        contributions of a forecast sum to the log of its variance.
    """
    inputs = fitted.inputs(history, origins=origins)
    instruments, horizons = history.panel.instruments, history.horizons
    by_column, by_channel, at_zero = _integrated_gradients(fitted, inputs)
    coefficient = np.stack([fit.coefficient for fit in fitted.skip.fits], axis=-1)  # (F, H)
    by_column = by_column + inputs.x[:, :, None] * coefficient
    intercept = np.array([fit.intercept + np.log(fit.correction) for fit in fitted.skip.fits])
    offset = fitted.skip.offsets(instruments)[inputs.column] + inputs.late_offset
    linear = intercept + inputs.x @ coefficient
    parts: dict[str, tuple[Values, Values]] = {}
    unknown = np.full(len(inputs.x), np.nan)
    for name, columns in _columns(fitted).items():
        parts[name] = (inputs.x[:, columns[0]], by_column[:, columns].sum(axis=1))
    for channel, contribution in zip(SEQUENCE, np.moveaxis(by_channel, 1, 0), strict=True):
        if fitted.shape.n_levels:
            parts[channel] = (unknown, contribution)
    parts[BASE] = (unknown, intercept + offset + at_zero)
    parts[BOUNDS] = (unknown, fitted.skip.predict(inputs.x) - linear)
    parts[LEVEL] = (unknown, inputs.level[:, None] + np.log(np.array(horizons)))
    return _tidy(parts, inputs, history)


def permutation_importance(
    fitted: FittedRegimeNetwork,
    history: History,
    *,
    origins: slice,
    rng: np.random.Generator,
    n_repeats: int = 3,
) -> pd.DataFrame:
    """Measure what each input is worth to each head on past rows (Breiman 2001, Random Forests).

    An input is exchanged between the rows, its mask with it, and the loss it leaves is compared.
    The channels of the convolution are exchanged together. What two inputs both say is worth
    little in either.

    Parameters
    ----------
    fitted : FittedRegimeNetwork
        The network.
    history : History
        With the outcomes of the origins; where one is not known, the row does not count.
    origins : slice
        Panel rows; those after the fit show what the input is worth out of sample.
    rng : numpy.random.Generator
        Draws the exchanges.
    n_repeats : int
        Exchanges of each input, at least 1.

    Returns
    -------
    pandas.DataFrame
        One row per ``head`` (``variance``, ``liquidity_cost``: QLIKE; ``stress``,
        ``liquidity_stress``: log loss), horizon and ``input``: the ``loss`` as it is, and the
        ``importance``, the mean rise of the loss.

    Raises
    ------
    InputError
        If `n_repeats` is less than one.
    """
    if n_repeats < 1:
        raise InputError(f"n_repeats must be at least 1, was {n_repeats}")
    inputs = fitted.inputs(history, origins=origins)
    judge = _Judge(
        outcomes=outcomes_of(history, inputs),
        fitted=fitted,
        instruments=history.panel.instruments,
    )
    loss = judge.losses(inputs)
    groups: dict[str, list[int] | None] = dict(_columns(fitted))
    if fitted.shape.n_levels:
        groups["sequence"] = None
    tables = []
    for name, columns in groups.items():
        rise = np.zeros_like(loss)
        for _ in range(n_repeats):
            rise += judge.losses(_exchanged(inputs, columns, rng)) - loss
        tables.append(_importance_rows(name, loss, rise / n_repeats, history.horizons))
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values(
        ["head", "horizon", "importance"], ascending=[True, True, False], ignore_index=True
    )


def _columns(fitted: FittedRegimeNetwork) -> dict[str, list[int]]:
    """Columns of the standardised inputs by feature: its value, and its mask if it has one."""
    scaler = fitted.scaler
    columns = {fitted.features[j]: [k] for k, j in enumerate(scaler.usable)}
    for k, j in enumerate(scaler.masked):
        columns[fitted.features[j]].append(len(scaler.usable) + k)
    return columns


def _integrated_gradients(
    fitted: FittedRegimeNetwork, inputs: Inputs
) -> tuple[Values, Values, Values]:
    """Attribute the trunk's part, mean over the members.

    Returns
    -------
    by_column : ndarray, shape (B, n_inputs, H)
    by_channel : ndarray, shape (B, n_series, H)
    at_zero : ndarray, shape (H,)
        What the trunk adds at usual inputs.
    """
    module = fitted.module()
    n_horizons = fitted.shape.n_horizons
    x = torch.as_tensor(inputs.x)
    window = torch.as_tensor(inputs.windows.gather()) if fitted.shape.n_levels else None
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    by_column = np.zeros((*x.shape, n_horizons))
    by_channel = np.zeros((len(x), len(CHANNELS), n_horizons))

    def added(scaled_x: torch.Tensor, scaled_window: torch.Tensor | None) -> torch.Tensor:
        lead = None if scaled_window is None else scaled_window[None]
        correction = module.correction(module.hidden(scaled_x[None], lead))
        return correction[:, :, 0].mean(0)  # (B, H)

    with exact(torch.device("cpu")):
        for node, weight in zip(0.5 * (nodes + 1.0), 0.5 * weights, strict=True):
            ends = [x] if window is None else [x, window]
            points = [(node * end).requires_grad_() for end in ends]
            said = added(points[0], points[1] if window is not None else None)
            for h in range(n_horizons):
                slopes = torch.autograd.grad(said[:, h].sum(), points, retain_graph=True)
                by_column[:, :, h] += weight * (slopes[0] * x).numpy()
                if window is not None:
                    by_channel[:, :, h] += weight * (slopes[1] * window).sum(dim=1).numpy()
        with torch.no_grad():
            nothing = None if window is None else torch.zeros_like(window[:1])
            at_zero = added(torch.zeros_like(x[:1]), nothing)[0].numpy()
    return by_column, by_channel, at_zero


def _tidy(
    parts: Mapping[str, tuple[Values, Values]], inputs: Inputs, history: History
) -> pd.DataFrame:
    period, horizons = np.nonzero(inputs.rows)[0], np.array(history.horizons)
    n_rows, n_horizons = len(period), len(horizons)
    tables = []
    for name, (value, contribution) in parts.items():
        filled = np.broadcast_to(contribution, (n_rows, n_horizons))
        tables.append(
            pd.DataFrame(
                {
                    "origin": pd.DatetimeIndex(history.panel.time[period], tz="UTC").repeat(
                        n_horizons
                    ),
                    "instrument": np.repeat(
                        np.array(history.panel.instruments)[inputs.column], n_horizons
                    ),
                    "horizon": np.tile(horizons, n_rows),
                    "input": name,
                    "value": np.repeat(value, n_horizons),
                    "contribution": filled.ravel(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True).sort_values(
        ["origin", "instrument", "horizon"], kind="stable", ignore_index=True
    )


def _exchanged(inputs: Inputs, columns: list[int] | None, rng: np.random.Generator) -> Inputs:
    """Exchange some columns between the rows, or the windows where `columns` is None."""
    order = rng.permutation(len(inputs.x))
    if columns is None:
        return replace(inputs, windows=replace(inputs.windows, last=inputs.windows.last[order]))
    x = inputs.x.copy()
    x[:, columns] = x[order][:, columns]
    return replace(inputs, x=x)


_HEADS = ("variance", "liquidity_cost", "stress", "liquidity_stress")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judge:
    outcomes: Outcomes
    fitted: FittedRegimeNetwork
    instruments: tuple[str, ...]

    def losses(self, inputs: Inputs) -> Values:
        """Return the mean loss of every head, shape (4, H); NaN where nothing is known."""
        said: Prediction = self.fitted.predict(inputs, self.instruments)
        seen = self.outcomes
        elevated, stressed = np.exp(seen.threshold).transpose(1, 0, 2)
        return np.stack(
            [
                _qlike(seen.variance / np.exp(said.log_variance)),
                _qlike(seen.cost / said.cost()),
                _log_loss(said.regimes(elevated, stressed)[..., -1], seen.above[:, 1]),
                _log_loss(said.liquidity_stress(seen.cost_threshold), seen.liquidity_stress),
            ]
        )


def _qlike(ratio: Values) -> Values:
    with np.errstate(divide="ignore"):
        return _known_mean(np.where(ratio > 0.0, ratio - np.log(ratio) - 1.0, np.nan))


def _log_loss(probability: Values, label: Values) -> Values:
    right = np.where(label == 1.0, probability, 1.0 - probability)
    return _known_mean(np.where(np.isfinite(label), -np.log(np.maximum(right, _RARE)), np.nan))


def _known_mean(values: Values) -> Values:
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _importance_rows(
    name: str, loss: Values, rise: Values, horizons: tuple[int, ...]
) -> pd.DataFrame:
    n_horizons = len(horizons)
    return pd.DataFrame(
        {
            "head": np.repeat(_HEADS, n_horizons),
            "horizon": np.tile(horizons, len(_HEADS)),
            "input": name,
            "loss": loss.ravel(),
            "importance": rise.ravel(),
        }
    )
