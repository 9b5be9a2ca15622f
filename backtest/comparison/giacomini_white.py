"""Whether what was known beforehand tells which of two forecasts will do better."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .._checks import as_series, as_values, check_count, check_same_shape
from .._results import TestResult
from ._instruments import pair_with_instruments
from ._long_run import check_varies
from ._wald import wald_test

_ROUNDING = 1e-12


def giacomini_white(
    loss_a: ArrayLike,
    loss_b: ArrayLike,
    *,
    instruments: ArrayLike | None = None,
    horizon: int = 1,
) -> TestResult:
    r"""Test of equal conditional predictive ability of two forecasts.

    .. math:: S = n\,\bar z'\,\hat\Omega^{-1}\,\bar z \sim \chi^2(q), \qquad
              z_t = h_t\,(a_t - b_t)

    where :math:`h_t` are the :math:`q` instruments known at origin t and :math:`\hat\Omega` the
    mean of :math:`z_t z_t'` plus, for a horizon :math:`h > 1`, the products with the
    :math:`h - 1` neighbours on either side, equally weighted [1]_. Where that is not positive
    definite, Bartlett weights :math:`1 - k/h` replace the equal ones. The hypothesis is that
    nothing in :math:`h_t` helps to say which loss will be lower: two forecasts that are equal
    on average are told apart if one is better in calm and the other in stress.

    Parameters
    ----------
    loss_a, loss_b : array_like, shape (n,)
        Losses of two forecasts for the same origins, same unit; lower is better.
    instruments : array_like, shape (n,) or (n, q), or None
        Row t holds what was known at origin t, any unit; used as they are, so add a column of
        ones for the constant. None takes a constant and the loss difference `horizon` rows
        earlier, the last one known; the test then has n - horizon rows.
    horizon : int
        Number of periods :math:`h` the outcomes span, h >= 1.

    Returns
    -------
    TestResult
        ``statistic`` >= 0 with q degrees of freedom; it has no sign, so ask
        :func:`decision_rule` which forecast is better when. Equal losses give 0 and p-value 1.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, the series is too short, the difference is
        constant but not zero, or instruments repeat one another.

    References
    ----------
    .. [1] Giacomini and White (2006), "Tests of Conditional Predictive Ability",
       Econometrica 74(6).

    Examples
    --------
    >>> calm, stress = [0.9, 1.1, 1.0, 0.8], [3.0, 4.0, 3.5, 3.3]
    >>> flag = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    >>> result = giacomini_white(calm + stress, [2.0] * 8, instruments=np.c_[np.ones(8), flag])
    >>> result.df, result.p_value < 0.05
    (2, True)
    """
    difference, known = _difference_and_instruments(loss_a, loss_b, instruments, horizon)
    if not difference.any():
        return TestResult(statistic=0.0, p_value=1.0, df=known.shape[1])
    names = [f"instrument {k} times the loss difference" for k in range(known.shape[1])]
    return wald_test(known * difference[:, None], horizon=horizon, names=names)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionRule:
    """Which of two forecasts what was known beforehand speaks for.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (n_instruments,)
        Least squares of the loss difference a - b on the instruments; unit of the loss over
        that of the instrument.
    predicted_difference : ndarray of float64, shape (n_used,)
        Fitted loss difference a - b per origin used, unit of the loss; positive: b is better.
    """

    coefficients: NDArray[np.float64]
    predicted_difference: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("coefficients", "predicted_difference"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    @property
    def share_of_b(self) -> float:
        """Share of origins, in [0, 1], at which *b* is predicted to have the lower loss."""
        return float(np.mean(self.predicted_difference > 0.0))

    def predict(self, instruments: ArrayLike) -> NDArray[np.float64]:
        """Return the loss difference a - b to expect.

        Parameters
        ----------
        instruments : array_like, shape (n_instruments,) or (n_rows, n_instruments)
            Values known now, in the columns that the rule was fitted with; for the default
            ones a 1 and the last loss difference known.

        Returns
        -------
        ndarray, shape () or (n_rows,)
            Unit of the loss; positive: choose *b*.

        Raises
        ------
        InputError
            If a value is not finite or the number of columns is another.
        """
        known = as_values("instruments", instruments)
        if known.ndim not in (1, 2) or known.shape[-1] != len(self.coefficients):
            raise ShapeError(
                f"instruments must have {len(self.coefficients)} columns as in the fit, "
                f"had shape {known.shape}"
            )
        return np.asarray(known @ self.coefficients, dtype=np.float64)

    def frame(self) -> pd.DataFrame:
        """Return one row per origin used: ``predicted_difference`` and ``better``, a or b."""
        better = np.where(self.predicted_difference > 0.0, "b", "a")
        better[self.predicted_difference == 0.0] = "-"
        return pd.DataFrame({"predicted_difference": self.predicted_difference, "better": better})


def decision_rule(
    loss_a: ArrayLike,
    loss_b: ArrayLike,
    *,
    instruments: ArrayLike | None = None,
    horizon: int = 1,
) -> DecisionRule:
    r"""Fit the rule that says which of two forecasts to use next.

    Regresses :math:`a_t - b_t` on the instruments :math:`h_t` by least squares and chooses *b*
    where :math:`\hat\delta' h_t > 0` [1]_. Worth following only where
    :func:`giacomini_white` rejects; fitted and applied to the same origins it flatters itself.

    Parameters
    ----------
    loss_a, loss_b, instruments, horizon
        As for :func:`giacomini_white`.

    Returns
    -------
    DecisionRule
        Coefficients, and the predicted difference at every origin used.

    Raises
    ------
    InputError
        As for :func:`giacomini_white`.

    References
    ----------
    .. [1] Giacomini and White (2006), "Tests of Conditional Predictive Ability",
       Econometrica 74(6), section 4.

    Examples
    --------
    >>> flag = np.array([0.0, 0.0, 1.0, 1.0])
    >>> rule = decision_rule([1.0, 2.0, 5.0, 4.0], [2.0, 2.0, 3.0, 3.0],
    ...                      instruments=np.c_[np.ones(4), flag])
    >>> rule.predict([[1.0, 0.0], [1.0, 1.0]]).round(6)
    array([-0.5,  1.5])
    """
    difference, known = _difference_and_instruments(loss_a, loss_b, instruments, horizon)
    length = np.linalg.norm(known, axis=0)
    length = np.where(length > 0.0, length, 1.0)
    scaled, _, rank, _ = np.linalg.lstsq(known / length, difference, rcond=1e-10)
    if rank < known.shape[1] and difference.any():
        raise InputError(
            f"instruments must not repeat one another, found {known.shape[1]} columns of rank "
            f"{rank}; drop those that are zero or a combination of others"
        )
    coefficients = scaled / length
    return DecisionRule(coefficients=coefficients, predicted_difference=known @ coefficients)


def _difference_and_instruments(
    loss_a: ArrayLike, loss_b: ArrayLike, instruments: ArrayLike | None, horizon: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    check_count("horizon", horizon, minimum=1)
    a, b = as_series("loss_a", loss_a), as_series("loss_b", loss_b)
    check_same_shape(loss_a=a, loss_b=b)
    difference, known = pair_with_instruments((a - b)[:, None], instruments, horizon=horizon)
    used = difference[:, 0]
    if used.any():
        check_varies(used, rounding=_ROUNDING * max(np.abs(a).max(), np.abs(b).max()))
    return used, known
