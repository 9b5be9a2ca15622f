"""Exact p-values in finite samples: the test is run on data for which its hypothesis holds."""

import inspect
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .._checks import as_breach, check_count, check_probability
from .._results import TestResult
from ._pit import as_pit


class Outcome(Protocol):
    """What a test must return to be simulated."""

    @property
    def statistic(self) -> float:
        """Test statistic, dimensionless."""

    @property
    def p_value(self) -> float:
        """Probability, in [0, 1], that orders samples: smaller is more extreme."""


Draw = Callable[[np.random.Generator], ArrayLike]


def simulated(
    test: Callable[..., Outcome],
    breach: ArrayLike,
    *,
    tail_probability: float | None,
    rng: np.random.Generator,
    n_simulations: int = 999,
    **options: object,
) -> TestResult:
    r"""Give a test of breaches a p-value that holds at any length and tail probability.

    Draws :math:`N` series of independent breaches, runs the test on each, and ranks the series
    seen among them:

    .. math:: \hat p = \frac{1 + \#\{i: \pi_i < \pi\} + \#\{i: \pi_i = \pi, U_i < U\}}{N + 1}

    where :math:`\pi` is the p-value that the test itself reports (for a fixed law the order of
    its statistic) and ties, of which discrete statistics have many, are broken by uniform
    draws. A right margin is then rejected with exactly probability :math:`s` whenever
    :math:`s (N + 1)` is whole: 999 serves 1 %, 5 % and 10 %.

    Parameters
    ----------
    test : callable
        A test of breaches of this package, or one like it: takes breaches and keywords, and
        returns something with ``statistic`` and ``p_value``.
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin, in time order.
    tail_probability : float or None
        Promised breach probability in (0, 1); handed on to a test that takes one. None asks
        about independence at whatever rate: the draws are rearrangements of the breaches seen,
        for a test that takes none.
    rng : numpy.random.Generator
        Source of randomness; the same state gives the same p-value.
    n_simulations : int
        Number of draws :math:`N`, >= 1.
    **options : object
        Further keywords of the test. A margin given to :func:`dynamic_quantile` stays as it
        is, as if it did not answer to breaches.

    Returns
    -------
    TestResult
        ``statistic`` of the test and the simulated p-value; ``df`` is None.

    Raises
    ------
    InputError
        If an argument is out of range, or the test wants a tail probability and gets None.

    References
    ----------
    Dufour (2006), "Monte Carlo Tests with Nuisance Parameters", Journal of Econometrics 133(2).

    Examples
    --------
    >>> from foremargin.backtest import kupiec_pof
    >>> breach, rng = np.arange(250) < 7, np.random.default_rng(0)
    >>> round(simulated(kupiec_pof, breach, tail_probability=0.01, rng=rng).p_value, 3)
    0.01
    """
    hits = as_breach(breach)
    takes_one = "tail_probability" in inspect.signature(test).parameters
    if tail_probability is None and takes_one:
        raise InputError(
            "tail_probability must be given for a test that takes one, was None; write 0.01 "
            "for 1 %, or choose a test of independence alone"
        )
    given = options | ({"tail_probability": tail_probability} if takes_one else {})
    draw = _rearranged(hits) if tail_probability is None else breaches(hits.size, tail_probability)
    seen = test(hits, **given)
    null = null_p_values(test, draw, rng=rng, n_simulations=n_simulations, **given)
    return _ranked(seen, null, rng)


def simulated_pit(
    test: Callable[..., Outcome],
    pit: ArrayLike,
    *,
    rng: np.random.Generator,
    n_simulations: int = 999,
    **options: object,
) -> TestResult:
    """Give a test of probability integral transforms a p-value that holds at any length.

    As :func:`simulated`, with draws of independent uniform numbers.

    Parameters
    ----------
    test : callable
        A test of probability integral transforms of this package, or one like it.
    pit : array_like, shape (n,)
        Probability integral transforms, in (0, 1), in time order.
    rng : numpy.random.Generator
        Source of randomness; the same state gives the same p-value.
    n_simulations : int
        Number of draws, >= 1; 999 serves 1 %, 5 % and 10 %.
    **options : object
        Keywords of the test, its tail probability among them.

    Returns
    -------
    TestResult
        ``statistic`` of the test and the simulated p-value; ``df`` is None.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    Dufour (2006), "Monte Carlo Tests with Nuisance Parameters", Journal of Econometrics 133(2).
    """
    values = as_pit(pit)
    seen = test(values, **options)
    null = null_p_values(
        test, uniforms(values.size), rng=rng, n_simulations=n_simulations, **options
    )
    return _ranked(seen, null, rng)


def null_p_values(
    test: Callable[..., Outcome],
    draw: Draw,
    *,
    rng: np.random.Generator,
    n_simulations: int,
    **options: object,
) -> NDArray[np.float64]:
    """Return the p-values that a test reports where its hypothesis holds.

    They depend on length, probability and options only: draw them once for many series.

    Parameters
    ----------
    test : callable
        Takes a sample and keywords, returns something with ``p_value``.
    draw : callable
        Takes the generator and returns one sample: see :func:`breaches`, :func:`uniforms`.
    rng : numpy.random.Generator
        Source of randomness.
    n_simulations : int
        Number of draws, >= 1.
    **options : object
        Keywords of the test.

    Returns
    -------
    ndarray of float64, shape (n_simulations,)
        In the order of the draws.
    """
    check_count("n_simulations", n_simulations, minimum=1)
    return np.array([test(draw(rng), **options).p_value for _ in range(n_simulations)])


def rank_p_value(p_value: float, null: NDArray[np.float64], *, rng: np.random.Generator) -> float:
    """Return the rank of a reported p-value among those under the hypothesis, ties at random.

    Parameters
    ----------
    p_value : float
        What the test reported on the data, in [0, 1].
    null : ndarray, shape (n_simulations,)
        What it reports where its hypothesis holds: :func:`null_p_values`.
    rng : numpy.random.Generator
        Breaks ties.

    Returns
    -------
    float
        Multiple of 1 / (n_simulations + 1) in (0, 1].
    """
    n_smaller, n_equal = int((null < p_value).sum()), int((null == p_value).sum())
    # Uniform draws for the sample and for its equals put it at every place with equal chance.
    place = int(rng.integers(n_equal + 1))
    return (1 + n_smaller + place) / (null.size + 1)


def breaches(n: int, tail_probability: float) -> Draw:
    """Return a draw of `n` independent breaches of one probability in (0, 1)."""
    check_probability("tail_probability", tail_probability)
    return lambda rng: rng.random(n) < tail_probability


def uniforms(n: int) -> Draw:
    """Return a draw of `n` independent uniform numbers in (0, 1)."""
    # 1 - u and u have one law, and the generator's u may be 0.
    return lambda rng: np.minimum(1.0 - rng.random(n), 1.0 - 2.0**-53)


def _rearranged(hits: NDArray[np.bool_]) -> Draw:
    return lambda rng: rng.permutation(hits)


def _ranked(seen: Outcome, null: NDArray[np.float64], rng: np.random.Generator) -> TestResult:
    p_value = rank_p_value(seen.p_value, null, rng=rng)
    return TestResult(statistic=seen.statistic, p_value=p_value, df=None)
