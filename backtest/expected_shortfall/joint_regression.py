r"""Joint regression of value at risk and expected shortfall on what was known."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ...errors import ConvergenceError, InputError, ShapeError
from .._checks import as_series, as_values, check_longer_than, check_probability
from ._joint_search import search

Array = NDArray[np.float64]
Covariance = Literal["scale", "sandwich"]

_STEP = 0.3  # size of the first simplex, in units of the mean of the loss's tail


@dataclass(frozen=True, kw_only=True, eq=False)
class JointRegression:
    r"""Fitted joint regression.

    Attributes
    ----------
    value_at_risk_coefficient : ndarray of float64, shape (n_x,)
        :math:`\beta`, unit of the loss over that of its regressor.
    expected_shortfall_coefficient : ndarray of float64, shape (n_w,)
        :math:`\gamma`, unit of the loss over that of its regressor.
    covariance : ndarray of float64, shape (n_x + n_w, n_x + n_w)
        Asymptotic covariance of the estimates, :math:`\beta` first.
    mean_loss : float
        Mean FZ0 loss at the estimate, dimensionless up to the logarithm of the unit.
    """

    value_at_risk_coefficient: Array
    expected_shortfall_coefficient: Array
    covariance: Array
    mean_loss: float

    def __post_init__(self) -> None:
        for name in ("value_at_risk_coefficient", "expected_shortfall_coefficient", "covariance"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)


def joint_regression(
    loss: ArrayLike,
    value_at_risk_regressors: ArrayLike,
    expected_shortfall_regressors: ArrayLike,
    *,
    tail_probability: float,
    start: ArrayLike | None = None,
    covariance: Covariance = "scale",
) -> JointRegression:
    r"""Estimate the value at risk and the expected shortfall as linear functions, together.

    :math:`v_t = x_t'\beta` and :math:`e_t = w_t'\gamma` minimise the mean of
    :func:`foremargin.backtest.fz0_loss` [1]_,

    .. math:: \frac{(L_t - v_t)_+}{p\,e_t} + \frac{v_t}{e_t} + \ln e_t - 1,

    over coefficients that keep :math:`v_t` and :math:`e_t` above a thousandth of the mean of the
    largest losses, by restarted simplex searches from two points. The covariance is
    :math:`\Lambda^{-1} C \Lambda^{-1} / n` with

    .. math:: \Lambda_{\beta\beta} = \overline{\frac{f_t}{p\,e_t} x_t x_t'}, \quad
              \Lambda_{\gamma\gamma} = \overline{\frac{w_t w_t'}{e_t^2}}, \quad
              C_{\beta\beta} = \frac{1-p}{p} \overline{\frac{x_t x_t'}{e_t^2}}, \quad
              C_{\beta\gamma} = \frac{1-p}{p} \overline{\frac{e_t - v_t}{e_t^3} x_t w_t'}, \quad
              C_{\gamma\gamma} = \overline{\frac{s_t^2}{e_t^4} w_t w_t'} .

    :math:`f_t` is the density of the loss at the value at risk, by a kernel over
    :math:`(L_t - v_t) / e_t`, and :math:`s_t^2` the variance of
    :math:`A_t = v_t + (L_t - v_t)_+ / p`: see `covariance`.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk_regressors : array_like, shape (n, n_x)
        Known before the loss, any units; pass a column of ones for a constant.
    expected_shortfall_regressors : array_like, shape (n, n_w)
        The same for the expected shortfall.
    tail_probability : float
        Tail probability :math:`p` in (0, 1), for example 0.025.
    start : array_like, shape (n_x + n_w,), optional
        Coefficients to search from as well, :math:`\beta` first.
    covariance : {"scale", "sandwich"}
        Whether :math:`s_t^2 = (e_t^2 \sigma^2 + (1 - p)(e_t - v_t)^2) / p`, with :math:`\sigma^2`
        the variance of :math:`(L_t - v_t) / e_t` over the breaches (one law up to scale), or
        :math:`(e_t - A_t)^2` as seen (any law, more periods).

    Returns
    -------
    JointRegression
        Estimates and their covariance.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, regressors are collinear, no combination of them
        was found that is positive in every period, or there are not more periods than
        coefficients.
    ConvergenceError
        If no search settles.

    References
    ----------
    .. [1] Dimitriadis and Bayer (2019), "A joint quantile and expected shortfall regression
       framework", Electronic Journal of Statistics 13(1); Patton, Ziegel and Chen (2019), "Dynamic
       semiparametric models for expected shortfall (and Value-at-Risk)", Journal of Econometrics
       211(2), for this loss.

    Examples
    --------
    >>> draw = np.random.default_rng(1)
    >>> known = np.column_stack([np.ones(2000), draw.uniform(1.0, 3.0, 2000)])
    >>> loss = known[:, 1] * draw.standard_normal(2000)
    >>> fit = joint_regression(loss, known, known, tail_probability=0.1)
    >>> fit.expected_shortfall_coefficient.round(1)  # the truth is 0 and 1.755
    array([0. , 1.7])
    """
    realised = as_series("loss", loss)
    check_probability("tail_probability", tail_probability, example="0.025 for 2.5 %")
    x = _as_regressors("value_at_risk_regressors", value_at_risk_regressors, realised.size)
    w = _as_regressors(
        "expected_shortfall_regressors", expected_shortfall_regressors, realised.size
    )
    check_longer_than("loss", realised, x.shape[1] + w.shape[1], "so many coefficients")
    if covariance not in ("scale", "sandwich"):
        raise InputError(f'covariance must be "scale" or "sandwich", was {covariance!r}')
    # In units of the tail, so that steps and tolerances mean the same for every loss.
    unit = _tail_mean(realised, tail_probability)
    given = None if start is None else as_series("start", start) / unit
    beta, gamma, mean_loss = _estimate(realised / unit, x, w, tail_probability, given)
    spread = _covariance(realised / unit, x, w, tail_probability, (beta, gamma), covariance)
    return JointRegression(
        value_at_risk_coefficient=beta * unit,
        expected_shortfall_coefficient=gamma * unit,
        covariance=spread * unit**2,
        mean_loss=mean_loss + float(np.log(unit)) - 1.0,
    )


def quantile_regression(loss: Array, x: Array, *, tail_probability: float) -> tuple[Array, float]:
    """Coefficients of the quantile of `loss` on `x`, and the least mean of A.

    ``A = v + max(loss - v, 0) / p``: at its minimum over v this is the expected shortfall.
    """
    basis, triangle = _orthogonal(x)
    unit = float(np.abs(loss).max()) or 1.0
    level = np.quantile(loss, 1.0 - tail_probability) / unit
    start = basis.T @ np.full(loss.size, level) / loss.size
    point, value = _best([start], loss / unit, basis, np.empty((loss.size, 0)), tail_probability)
    return _solve(triangle, point) * unit, value * unit


def _estimate(
    loss: Array, x: Array, w: Array, tail_probability: float, given: Array | None
) -> tuple[Array, Array, float]:
    (x_basis, x_triangle), (w_basis, w_triangle) = _orthogonal(x), _orthogonal(w)
    k = x.shape[1]
    flat = np.quantile(loss, 1.0 - tail_probability)
    constant = np.concatenate([x_basis.mean(axis=0) * max(flat, 0.1), w_basis.mean(axis=0)])
    if given is None:
        other = 1.5 * constant
    elif given.size == k + w.shape[1]:
        other = np.concatenate([x_triangle @ given[:k], w_triangle @ given[k:]])
    else:
        raise ShapeError(f"start must have shape ({k + w.shape[1]},), was {given.shape}")
    point, value = _best([constant, other], loss, x_basis, w_basis, tail_probability)
    return _solve(x_triangle, point[:k]), _solve(w_triangle, point[k:]), value


def _best(
    starts: list[Array], loss: Array, x: Array, w: Array, tail_probability: float
) -> tuple[Array, float]:
    found = [search(start, loss, x, w, tail_probability, _STEP) for start in starts]
    usable = [(value, point) for point, value, settled in found if settled and np.isfinite(value)]
    if not any(np.isfinite(value) for _, value, _ in found):
        raise InputError(
            "regressors must have a combination that is positive in every period, none was found; "
            "add a column of ones, or use regressors that are positive"
        )
    if not usable:
        raise ConvergenceError(
            f"joint regression did not settle from {len(found)} starts on {loss.size} periods; "
            "use a longer test period"
        )
    value, point = min(usable, key=lambda one: one[0])
    return point, float(value)


def _covariance(
    loss: Array,
    x: Array,
    w: Array,
    tail_probability: float,
    coefficients: tuple[Array, Array],
    kind: Covariance,
) -> Array:
    p = tail_probability
    v, e = x @ coefficients[0], w @ coefficients[1]
    x, w, ratio = x / e[:, None], w / e[:, None], (loss - v) / e
    gap = 1.0 - v / e
    if kind == "scale":
        breaches = ratio[ratio > 0.0]
        spread = breaches.var(ddof=1) if breaches.size > 1 else 0.0
        variance = (spread + (1.0 - p) * gap**2) / p
    else:
        variance = (gap - np.maximum(ratio, 0.0) / p) ** 2
    odds = (1.0 - p) / p
    inner = np.block(
        [
            [odds * x.T @ x, odds * x.T @ (gap[:, None] * w)],
            [odds * (gap[:, None] * w).T @ x, w.T @ (variance[:, None] * w)],
        ]
    )
    outer = np.zeros_like(inner)
    k = x.shape[1]
    outer[:k, :k] = x.T @ x * (_density_at_zero(ratio, p) / p)
    outer[k:, k:] = w.T @ w
    bread = np.linalg.inv(outer)
    spread_of_both: Array = bread @ inner @ bread
    return spread_of_both


def _density_at_zero(ratio: Array, tail_probability: float) -> float:
    """Density of standardised residuals at the quantile, by a uniform kernel (Powell 1991).

    The bandwidth is that of Hall and Sheather (1988), in terms of probability, halved until it
    fits into the tail.
    """
    p, n = tail_probability, ratio.size
    quantile = stats.norm.isf(p)
    height = stats.norm.pdf(quantile)
    width = (stats.norm.isf(0.025) ** 2 * 1.5 * height**2 / (2.0 * quantile**2 + 1.0) / n) ** (
        1.0 / 3.0
    )
    while width >= min(p, 1.0 - p):
        width /= 2.0
    spread = min(ratio.std(), np.subtract(*np.quantile(ratio, [0.75, 0.25])) / 1.349)
    reach = spread * (stats.norm.isf(p - width) - stats.norm.isf(p + width))
    return float(max(np.mean(np.abs(ratio) < reach), 1.0 / n) / (2.0 * reach))


def _tail_mean(loss: Array, tail_probability: float) -> float:
    n_tail = max(int(np.ceil(loss.size * tail_probability)), 1)
    mean = float(np.partition(loss, loss.size - n_tail)[-n_tail:].mean())
    if mean <= 0.0:
        raise InputError(
            f"the largest losses must be positive, their mean was {mean:g}; check the sign: "
            "loss > 0 is money lost"
        )
    return mean


def _orthogonal(regressors: Array) -> tuple[Array, Array]:
    """Regressors with orthogonal columns of unit mean square, and the triangle that made them."""
    basis, triangle = np.linalg.qr(regressors)
    root = np.sqrt(len(regressors))
    return np.ascontiguousarray(basis * root), triangle / root


def _solve(triangle: Array, point: Array) -> Array:
    return np.asarray(np.linalg.solve(triangle, point), dtype=np.float64)


def _as_regressors(name: str, values: ArrayLike, n: int) -> Array:
    array = as_values(name, values)
    if array.ndim != 2 or array.shape[0] != n or array.shape[1] == 0:
        raise ShapeError(f"{name} must have shape ({n}, n_columns >= 1), was {array.shape}")
    rank = int(np.linalg.matrix_rank(array / np.maximum(np.abs(array).max(axis=0), 1e-300)))
    if rank < array.shape[1]:
        raise InputError(
            f"{name} must not be collinear, {array.shape[1]} columns have rank {rank}; drop the "
            "columns that say nothing new (a constant forecast beside a column of ones)"
        )
    return array
