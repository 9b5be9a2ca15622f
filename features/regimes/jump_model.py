r"""Statistical jump model: regimes as clusters of features that are not left for little.

The path of states and the centres of the clusters minimise

.. math:: \sum_t \tfrac12 \lVert x_t - \theta_{s_t} \rVert^2
          + \lambda \sum_t 1\{s_t \ne s_{t-1}\}.

Nystrup, Lindström and Madsen (2020), "Learning hidden Markov models with persistent states by
penalizing jumps", Expert Systems with Applications 150; Nystrup, Kolm and Lindström (2021),
"Feature selection in jump models", Expert Systems with Applications 184; Shu, Yu and Mulvey
(2024), "Downside Risk Reduction Using Regime-Switching Signals", Journal of Asset Management 25.

The fit alternates between centres and paths (dynamic programming), and sees the whole past it is
given. In real time only the forward half of that programme runs: the state of a row is the end
of the cheapest path up to it.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InputError, NotEnoughHistoryError

Values = NDArray[np.float64]
States = NDArray[np.int64]

_CLIP = 3.0  # standard deviations, as Shu, Yu and Mulvey do
_MOST_ROUNDS = 50
_START_QUANTILES = (0.5, 0.65, 0.8, 0.9)
_MIN_ROWS = 60


@njit(cache=True)
def _losses(x, centres):  # type: ignore[no-untyped-def]
    out = np.zeros((len(x), len(centres)))
    for t in range(len(x)):
        for s in range(len(centres)):
            for j in range(x.shape[1]):
                out[t, s] += 0.5 * (x[t, j] - centres[s, j]) ** 2
    return out


@njit(cache=True)
def cost_forward(loss, jump_penalty, cost, path_costs):  # type: ignore[no-untyped-def]
    """Carry the cost of the cheapest path into each state on; write it per row.

    `cost` is relative to the cheapest state, so that it never grows.
    """
    for t in range(len(loss)):
        cheapest = cost.min()
        for s in range(len(cost)):
            cost[s] = min(cost[s], cheapest + jump_penalty) + loss[t, s]
        cheapest = cost.min()
        for s in range(len(cost)):
            cost[s] -= cheapest
            path_costs[t, s] = cost[s]


@njit(cache=True)
def best_path(loss, jump_penalty):  # type: ignore[no-untyped-def]
    """Return the path of states with the least loss and penalty, shape (n,)."""
    n, k = loss.shape
    costs = np.empty((n, k))
    cost_forward(loss, jump_penalty, np.zeros(k), costs)
    path = np.empty(n, dtype=np.int64)
    path[-1] = np.argmin(costs[-1])
    for t in range(n - 2, -1, -1):
        stay = costs[t, path[t + 1]]
        other = np.argmin(costs[t])
        path[t] = path[t + 1] if stay <= costs[t, other] + jump_penalty else other
    return path


@dataclass(frozen=True, kw_only=True, eq=False)
class JumpParameters:
    """A fitted jump model; state 0 has the lowest centre in the first feature.

    Attributes
    ----------
    centres : ndarray, shape (n_states, n_features)
        In standardised features.
    mean, scale : ndarray, shape (n_features,)
        By which features are standardised before they are clipped at three.
    jump_penalty : float
        Cost of one change of state, in units of the loss.
    objective : float
        Loss and penalty of the fitted path.
    """

    centres: Values
    mean: Values
    scale: Values
    jump_penalty: float
    objective: float

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.centres)

    def loss(self, features: Values) -> Values:
        """Loss of each state at each row, shape (n, n_states)."""
        x = np.clip((features - self.mean) / self.scale, -_CLIP, _CLIP)
        return np.asarray(_losses(x, self.centres))


def online_states(features: Values, parameters: JumpParameters) -> States:
    """State at each row given the rows up to it, shape (n,); never revised."""
    loss = parameters.loss(features)
    costs = np.empty(loss.shape)
    cost_forward(loss, parameters.jump_penalty, np.zeros(parameters.n_states), costs)
    return np.asarray(costs.argmin(axis=1), dtype=np.int64)


def fit_jump_model(features: Values, *, jump_penalty: float, n_states: int = 2) -> JumpParameters:
    """Fit the centres to a past, from several starts; the best one is kept.

    Parameters
    ----------
    features : ndarray, shape (n, n_features)
        The past; the first feature says which state is which (rising risk). Finite.
    jump_penalty : float
        Zero is plain clustering; twenty to fifty is usual for three features of a day.
    n_states : int
        Two or more.

    Raises
    ------
    InputError
        If the penalty is negative, or there are fewer than two states.
    NotEnoughHistoryError
        If there are fewer than sixty rows.
    """
    if jump_penalty < 0.0 or n_states < 2:
        raise InputError(
            "jump_penalty must not be negative and n_states at least 2, "
            f"were {jump_penalty} and {n_states}"
        )
    if len(features) < _MIN_ROWS:
        raise NotEnoughHistoryError(
            f"a jump model needs {_MIN_ROWS} rows, found {len(features)}; give a longer history"
        )
    spread = features.std(axis=0)
    mean, scale = features.mean(axis=0), np.where(spread > 0.0, spread, 1.0)
    x = np.clip((features - mean) / scale, -_CLIP, _CLIP)
    fits = [_descend(x, start, jump_penalty) for start in _starts(x, n_states)]
    centres, objective = min(fits, key=lambda fit: fit[1])
    order = np.argsort(centres[:, 0], kind="stable")
    return JumpParameters(
        centres=centres[order],
        mean=mean,
        scale=scale,
        jump_penalty=jump_penalty,
        objective=objective,
    )


def _starts(x: Values, n_states: int) -> list[Values]:
    """Centres of groups that are cut by the first feature, the upper ones smaller and smaller."""
    starts = []
    for share in _START_QUANTILES:
        cuts = 1.0 - (1.0 - share) ** np.arange(1, n_states)
        group = np.searchsorted(np.quantile(x[:, 0], cuts), x[:, 0])
        if len(np.unique(group)) == n_states:
            starts.append(_centres(x, group, np.zeros((n_states, x.shape[1]))))
    # Features that take few values may leave groups empty; then states start at its ends.
    ends = np.linspace(-1.0, 1.0, n_states)[:, None] * np.ones(x.shape[1])
    return [*starts, ends]


def _centres(x: Values, path: States, before: Values) -> Values:
    centres = before.copy()
    for s in range(len(before)):
        if (path == s).any():
            centres[s] = x[path == s].mean(axis=0)
    return centres


def _descend(x: Values, centres: Values, jump_penalty: float) -> tuple[Values, float]:
    """Alternate paths and centres until the path repeats; return centres and objective."""
    path = np.full(len(x), -1)
    for _ in range(_MOST_ROUNDS):
        loss = _losses(x, centres)
        new = best_path(loss, jump_penalty)
        if (new == path).all():
            break
        path = new
        centres = _centres(x, path, centres)
    loss = _losses(x, centres)
    path = best_path(loss, jump_penalty)
    jumps = int((np.diff(path) != 0).sum())
    return centres, float(loss[np.arange(len(x)), path].sum() + jump_penalty * jumps)
