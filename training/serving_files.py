"""The files of a bundle from which a service makes margins: a ladder of forecasters, warmed up."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..bundles import CORRELATIONS, MOST_CORRELATED, NOT_SERVED
from ..calibrate import Predictive
from ..calibrate.export import RungDraft, export_serving_state
from ..errors import InputError
from ..features import History, build_features
from ..markets import Panel
from ..models import Forecast
from ..models.network import network_state, served_features
from ..models.regressions.terms import with_features
from .correlations import estimate_correlations, write_correlations
from .deployment import fit_source
from .final import FinalForecaster
from .forecasting import Forecasts
from .preparation import Preparation, default_margin_horizons

LADDER = (("linear", "log-har"), ("garch", "gjr-t"))
"""Rungs below the network, best first: every training makes and scores them too."""


def serving_files(
    prepared: Preparation, made: Forecasts, final: FinalForecaster, *, has_network: bool
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the state and the correlations that a service starts from, and what to note.

    Parameters
    ----------
    prepared : Preparation
        The checked experiment with its data.
    made : Forecasts
        Its walk-forward run, with the forecasters of :data:`LADDER`.
    final : FinalForecaster
        What is deployed.
    has_network : bool
        Whether the bundle has the files of a network, for the best rung.

    Returns
    -------
    files : dict of str to bytes
        ``serving.json``, ``serving.safetensors`` and ``correlations.safetensors``; empty if the
        margins cannot be served.
    notes : tuple of str
        Why, or which correlations are not known.
    """
    served = prepared.experiment.train.served
    policy = served.policy
    try:
        history = _history(prepared, final, has_network=has_network)
        check_context(history)
        drafts = list(_drafts(prepared, made, final, has_network=has_network))
        horizon = served.horizon or _shortest(prepared)
        files = export_serving_state(
            history,
            drafts,
            policy=Predictive(model=final.model) if policy is None else policy.predictive(),
            horizon=horizon,
            tail_probability=prepared.experiment.margin.tail_probability,
            limits=None if policy is None else policy.margin_limits(),
        )
    except InputError as error:
        return {}, (f"{NOT_SERVED}: {error}",)
    past = [draft.past for draft in drafts]
    correlations, notes = _correlations(prepared.panel, past, horizon=horizon)
    return {**files, CORRELATIONS: correlations}, notes


def _correlations(
    panel: Panel, past: Sequence[Forecast], *, horizon: int
) -> tuple[bytes, tuple[str, ...]]:
    """Return the file of correlations, and which of them are not known."""
    names = panel.instruments[:MOST_CORRELATED]
    found = estimate_correlations(panel.select(names), past, horizon=horizon)
    left_out = panel.n_instruments - len(names)
    notes = found.notes()
    if left_out:
        notes += (f"the last {left_out} instruments have no correlations for what-if",)
    return write_correlations(found), notes


def check_context(history: History) -> None:
    """Refuse features that were made of series of the market as a whole.

    The service observes none, so that such a feature would be NaN there and not what the models
    were fitted on.

    Parameters
    ----------
    history : History
        All that was trained on.

    Raises
    ------
    InputError
        If a feature has another value somewhere without those series.
    """
    panel, trained = history.panel, history.features
    if not panel.context:
        return
    without = build_features(replace(panel, context={}), names=trained.names)
    same = np.equal(trained.values, without.values) | (
        np.isnan(trained.values) & np.isnan(without.values)
    )
    needing = [name for k, name in enumerate(trained.names) if not same[:, :, k].all()]
    if needing:
        raise InputError(
            "features that are served must come from bars alone, but "
            f"{', '.join(needing)} need series that a service does not observe, some of "
            f"{', '.join(sorted(panel.context))}; leave them out of forecast.more_features"
        )


def _drafts(
    prepared: Preparation, made: Forecasts, final: FinalForecaster, *, has_network: bool
) -> Iterator[RungDraft]:
    if has_network:
        yield RungDraft(basis="network", past=_said(made, final.model))
    for basis, name in LADDER:
        yield RungDraft(basis=basis, past=_said(made, name), fitted=fit_source(prepared, name))


def _said(made: Forecasts, name: str) -> Forecast:
    (found,) = (forecast for forecast in made.raw if forecast.model == name)
    return found


def _history(prepared: Preparation, final: FinalForecaster, *, has_network: bool) -> History:
    """Return the history with all that the rungs look at."""
    found = network_state(final.fitted, features=final.features) if has_network else None
    if found is None:
        return prepared.history
    return with_features(prepared.history, served_features(found[1], prepared.history.panel))


def _shortest(prepared: Preparation) -> int:
    margin = prepared.experiment.margin
    return min(margin.horizons or default_margin_horizons(prepared.panel))
