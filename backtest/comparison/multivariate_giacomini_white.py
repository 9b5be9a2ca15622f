"""Whether what was known beforehand tells which of several forecasts will do better."""

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .._checks import check_count
from .._results import TestResult
from ._instruments import pair_with_instruments
from ._loss_table import as_loss_table, distinct_columns
from ._wald import wald_test

_ROUNDING = 1e-12


def multivariate_giacomini_white(
    losses: pd.DataFrame | ArrayLike,
    *,
    instruments: ArrayLike | None = None,
    horizon: int = 1,
) -> TestResult:
    r"""Test of equal conditional predictive ability of several forecasts at once.

    .. math:: S = n\,\bar z'\,\hat\Omega^{-1}\,\bar z \sim \chi^2\big(q\,(m-1)\big), \qquad
              z_t = h_t \otimes (\ell_{1t} - \ell_{2t}, \dots, \ell_{m-1,t} - \ell_{mt})

    for :math:`m` models and :math:`q` instruments, with the variance of
    :func:`giacomini_white`, of which it is the same test for two models [1]_. The order of the
    models does not matter. One rejection says that they differ, not which one is better: a
    model confidence set or :func:`decision_rule` of a pair says that.

    Parameters
    ----------
    losses : DataFrame or array_like, shape (n, m)
        Loss per origin and model, m >= 2, same unit; lower is better.
    instruments : array_like, shape (n,) or (n, q), or None
        Row t holds what was known at origin t, any unit; add a column of ones for the constant.
        None takes a constant and all m - 1 differences `horizon` rows earlier: q = m, so
        m (m - 1) conditions; n must be larger.
    horizon : int
        Number of periods the outcomes span, >= 1.

    Returns
    -------
    TestResult
        ``statistic`` >= 0, without sign. Models with identical losses count as one; if all are
        identical, 0, p-value 1 and the degrees of freedom of m models.

    Raises
    ------
    InputError
        If a value is not finite, shapes do not fit, there are too few origins, two models
        differ by a constant, or instruments repeat one another.

    References
    ----------
    .. [1] Borup, Eriksen, Kjær and Thyrsgaard (2024), "Predicting Bond Return
       Predictability", Management Science 70(2).

    Examples
    --------
    >>> losses = np.random.default_rng(0).exponential(1.0, (300, 3))
    >>> multivariate_giacomini_white(losses).df
    6
    """
    check_count("horizon", horizon, minimum=1)
    table = as_loss_table(losses)
    first, _ = distinct_columns(table, rounding=_ROUNDING * np.abs(table).max())
    kept = first if len(first) > 1 else list(range(table.shape[1]))
    difference, known = pair_with_instruments(
        -np.diff(table[:, kept], axis=1), instruments, horizon=horizon
    )
    n_conditions = known.shape[1] * difference.shape[1]
    if not difference.any():
        return TestResult(statistic=0.0, p_value=1.0, df=n_conditions)
    moments = (known[:, :, None] * difference[:, None, :]).reshape(len(known), n_conditions)
    names = [
        f"instrument {k} times the loss difference of columns {one} and {other}"
        for k in range(known.shape[1])
        for one, other in pairwise(kept)
    ]
    return wald_test(moments, horizon=horizon, names=names)
