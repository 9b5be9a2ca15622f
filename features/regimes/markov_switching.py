r"""Markov-switching mean and variance, with normal or Student-t shocks.

.. math:: y_t = \mu_{s_t} + \sigma_{s_t} \varepsilon_t, \qquad
          P(s_t = j \mid s_{t-1} = i) = p_{ij}

Hamilton (1989), Econometrica 57(2). The parameters are estimated by expectation maximisation
(Hamilton 1990, Journal of Econometrics 45; Student shocks by the scale mixture of Peel and
McLachlan 2000, Statistics and Computing 10). The estimate looks at every value that it is given,
so it is given past values only; the *filter* uses, at each row, that row and those before it.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InputError, NotEnoughHistoryError
from .expectation import log_density, log_likelihood, step, update_nu

Values = NDArray[np.float64]

_TOLERANCE = 1e-7  # of the log-likelihood per observation, from one step to the next
_MOST_STEPS = 300
_TRIAL_STEPS = 10  # after which only the best start goes on
_NU_EVERY = 5
_MIN_PER_STATE = 30


class Shocks(StrEnum):
    """Distribution of the shocks."""

    NORMAL = "normal"
    STUDENT = "student"


class Order(StrEnum):
    """What the states are numbered by, so that a state is the same thing at every refit."""

    VARIANCE = "variance"
    """For returns: the last state is the wildest."""
    MEAN = "mean"
    """For log variances: the last state is the one with the highest level."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SwitchingParameters:
    """Parameters of the model; states in order.

    Attributes
    ----------
    mean : ndarray, shape (n_states,)
        In the unit of the series.
    scale : ndarray, shape (n_states,)
        Standard deviation of the shocks for normal ones; for Student shocks the scale, whose
        square is the variance times ``(nu - 2) / nu``. Unit of the series.
    transition : ndarray, shape (n_states, n_states)
        Row i holds the probabilities of the states that follow state i.
    nu : float
        Degrees of freedom; infinite for normal shocks.
    """

    mean: Values
    scale: Values
    transition: Values
    nu: float = np.inf

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.mean)

    @property
    def stationary(self) -> Values:
        """Long-run share of each state, shape (n_states,)."""
        k = self.n_states
        system = np.vstack([np.eye(k) - self.transition.T, np.ones(k)])
        share, *_ = np.linalg.lstsq(system, np.r_[np.zeros(k), 1.0], rcond=None)
        share = np.clip(share, 0.0, 1.0)
        return np.asarray(share / share.sum(), dtype=np.float64)

    def ordered(self, order: Order) -> "SwitchingParameters":
        """Return the same model with its states numbered anew."""
        key = self.scale if order is Order.VARIANCE else self.mean
        new = np.argsort(key, kind="stable")
        return SwitchingParameters(
            mean=self.mean[new],
            scale=self.scale[new],
            transition=self.transition[np.ix_(new, new)],
            nu=self.nu,
        )


@njit(cache=True)
def filter_rows(values, mean, scale, transition, nu, predicted):  # type: ignore[no-untyped-def]
    """Return filtered probabilities; `predicted` is carried on, NaN values are passed over."""
    n, k = len(values), len(mean)
    out = np.full((n, k), np.nan)
    log_joint = np.empty(k)
    for t in range(n):
        if not np.isfinite(values[t]):
            continue
        for s in range(k):
            # A state of probability zero has no log; it stays impossible.
            prior = np.log(predicted[s]) if predicted[s] > 0.0 else -np.inf
            log_joint[s] = prior + log_density(values[t], mean[s], scale[s], nu)
        top = log_joint.max()
        total = 0.0
        for s in range(k):
            out[t, s] = np.exp(log_joint[s] - top)
            total += out[t, s]
        for s in range(k):
            out[t, s] /= total
        for j in range(k):
            predicted[j] = 0.0
            for i in range(k):
                predicted[j] += transition[i, j] * out[t, i]
    return out


def filtered_probabilities(values: Values, parameters: SwitchingParameters) -> Values:
    """Probability of each state given the values up to each row (the Hamilton filter).

    Parameters
    ----------
    values : ndarray, shape (n,)
        The series; NaN where unknown: such a row is passed over.
    parameters : SwitchingParameters
        Known beforehand. The filter starts from the long-run shares of the states.

    Returns
    -------
    ndarray, shape (n, n_states)
        Rows sum to one; NaN where the value is.
    """
    p = parameters
    start = p.stationary.copy()
    return np.asarray(filter_rows(values, p.mean, p.scale, p.transition, p.nu, start))


def fit_switching(
    values: Values,
    *,
    n_states: int = 2,
    shocks: Shocks = Shocks.NORMAL,
    order: Order = Order.VARIANCE,
    start: SwitchingParameters | None = None,
) -> SwitchingParameters:
    """Estimate the model by maximum likelihood on these values and no others.

    Parameters
    ----------
    values : ndarray, shape (n,)
        The past; NaN are left out.
    n_states : int
        Two or more.
    shocks : Shocks
        Normal, or Student with one nu for all states.
    order : Order
        What the states are numbered by.
    start : SwitchingParameters, optional
        An earlier estimate, tried beside the starts that are always tried.

    Raises
    ------
    InputError
        If there are fewer than two states, or the values do not vary.
    NotEnoughHistoryError
        If there are fewer than thirty values per state.
    """
    if n_states < 2:
        raise InputError(f"n_states must be at least 2, was {n_states}")
    past = values[np.isfinite(values)]
    if len(past) < _MIN_PER_STATE * n_states:
        raise NotEnoughHistoryError(
            f"a switching model with {n_states} states needs {_MIN_PER_STATE * n_states} values, "
            f"found {len(past)}; give a longer history"
        )
    # In units of its own spread, so that no tolerance depends on the unit of the series.
    centre, unit = float(past.mean()), float(past.std())
    if not unit > 0.0:
        raise InputError(f"values must vary to have regimes, all were {centre}")
    x = (past - centre) / unit
    trials = [_improve(x, one, _TRIAL_STEPS) for one in _starts(x, n_states, shocks)]
    if start is not None:
        own = _moved(start, -centre / unit, 1.0 / unit)
        trials.append(_improve(x, own, _TRIAL_STEPS))
    best = max(trials, key=lambda p: _fit_of(x, p))
    return _moved(_improve(x, best, _MOST_STEPS), centre, unit).ordered(order)


def _moved(p: SwitchingParameters, centre: float, unit: float) -> SwitchingParameters:
    return SwitchingParameters(
        mean=centre + unit * p.mean, scale=unit * p.scale, transition=p.transition, nu=p.nu
    )


def _fit_of(x: Values, p: SwitchingParameters) -> float:
    return float(log_likelihood(x, p.mean, p.scale, p.transition, p.nu, p.stationary))


def _starts(x: Values, n_states: int, shocks: Shocks) -> list[SwitchingParameters]:
    """Return a start whose states differ in spread, and one whose states differ in level."""
    k = n_states
    away = (1.0 - 0.95) / (k - 1)
    transition = np.where(np.eye(k, dtype=bool), 0.95, away)
    nu = np.inf if shocks is Shocks.NORMAL else 8.0
    spread = np.geomspace(0.5, 2.0, k)
    level = np.quantile(x, (np.arange(k) + 0.5) / k)
    return [
        SwitchingParameters(mean=np.zeros(k), scale=spread, transition=transition, nu=nu),
        SwitchingParameters(
            mean=level, scale=np.full(k, 1.0 / k), transition=transition.copy(), nu=nu
        ),
    ]


def _improve(x: Values, p: SwitchingParameters, steps: int) -> SwitchingParameters:
    """Run expectation maximisation; stop when the likelihood per observation stands still."""
    mean, scale, transition, nu = p.mean.copy(), p.scale.copy(), p.transition.copy(), p.nu
    initial = p.stationary
    before = -np.inf
    for i in range(steps):
        # The filter starts from the long-run shares, so the estimate does too.
        now, gamma = step(x, mean, scale, transition, nu, initial)
        # With Student shocks only a step that follows one of nu can show that all stand still.
        if now - before < _TOLERANCE * len(x) and (np.isinf(nu) or i % _NU_EVERY == 1):
            break
        before = now
        if np.isfinite(nu) and i % _NU_EVERY == 0:
            nu = update_nu(x, mean, scale, gamma, nu)
        current = SwitchingParameters(mean=mean, scale=scale, transition=transition)
        initial = current.stationary
    return SwitchingParameters(mean=mean, scale=scale, transition=transition, nu=nu)
