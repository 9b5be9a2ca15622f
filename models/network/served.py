"""What a service needs of the network beside its graph: what feeds it, and what is made of it.

Plain frozen data without PyTorch, stored like any fitted forecaster (:mod:`..state`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...markets import Panel
from ..garch import FittedGarch
from ..mixture import Mixture, MixtureWeights
from ..regressions.har_combined import FittedCombinedHar
from ..regressions.terms import (
    EXPONENTIAL_TERMS,
    HAR_TERMS,
    IMPLIED_TERM,
    MARKET_TERMS,
    OWN_TERMS,
    terms_at,
)
from ..stress.pooled_stress import FittedPooledStress

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedMixture:
    """The other members of a mixture, and how they are mixed.

    Attributes
    ----------
    spec : Mixture
        The members are the network, ``har-combined`` and ``gjr-t``, in any order.
    weights : MixtureWeights
        Frozen.
    features : tuple of str
        What the history of the training data had: regressions know features by their place.
    har : FittedCombinedHar
        The regressions.
    garch : FittedGarch
        The recursion, with panel rows counted from the first row of the training data.
    stress : FittedPooledStress
        Tells the probabilities together with the network.
    """

    spec: Mixture
    weights: MixtureWeights
    features: tuple[str, ...]
    har: FittedCombinedHar
    garch: FittedGarch
    stress: FittedPooledStress


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkState:
    """What feeds the graph, and what is added to what it says.

    Attributes
    ----------
    model : str
        Name of the champion: ``regime-network``, or a mixture with it.
    horizons : tuple of int
        Numbers of own periods ahead.
    features : tuple of str
        What the graph is given, in order; one GARCH variance per horizon follows.
    sequence_length : int
        Own periods of the window; 0 for none.
    garch : FittedGarch
        The recursion whose variances are inputs, with panel rows counted from the first row of
        the training data.
    log_offset : mapping of str to ndarray, shape (n_horizons,)
        Added to the log variance of an instrument; one that is not in it was not seen.
    cost_offset : mapping of str to ndarray, or None
        The same of the log liquidity cost; None if the network says nothing of it.
    mixture : ServedMixture or None
        None if the network is the champion itself.
    """

    model: str
    horizons: tuple[int, ...]
    features: tuple[str, ...]
    sequence_length: int
    garch: FittedGarch
    log_offset: Mapping[str, Values]
    cost_offset: Mapping[str, Values] | None
    mixture: ServedMixture | None


def served_features(state: NetworkState, panel: Panel) -> tuple[str, ...]:
    """Return the features, and sets of them, that a stream must compute for a champion.

    Of the panel the period length counts. The other rungs know features by their names, so that
    none may be among them that their fits have not seen.
    """
    names = [*state.features]
    if state.mixture is not None:
        stress, terms = state.mixture.stress.spec, (*HAR_TERMS, *EXPONENTIAL_TERMS, IMPLIED_TERM)
        names += [*state.mixture.features, *state.mixture.har.spec.more_features]
        names += terms_at(panel, [*terms, *OWN_TERMS, *MARKET_TERMS])
        names += [*stress.variance_features, *stress.illiquidity_features]
    return tuple(dict.fromkeys(names))
