"""The same models by `arch`: the independent reference, and the slow path where a search fails."""

from typing import Any

import numpy as np
from arch.univariate import EGARCH, GARCH, ConstantMean, Normal, SkewStudent, StudentsT, ZeroMean
from arch.univariate.volatility import VolatilityProcess
from numpy.typing import NDArray

from ...errors import ConvergenceError
from .kernel_rows import rescale
from .options import ALL_PARAMETERS, Distribution, GarchModel, Mean, StartVariance, Volatility
from .recursion import MEAN_ABSOLUTE_NORMAL

Array = NDArray[np.float64]

_TYPICAL = {"mu": 0.0, "omega": 0.05, "alpha[1]": 0.05, "gamma[1]": 0.0, "beta[1]": 0.9}
_TYPICAL_LOG = {"mu": 0.0, "omega": 0.0, "alpha[1]": 0.1, "gamma[1]": 0.0, "beta[1]": 0.95}

# Its names for ours; the degrees of freedom have two.
_NAMES = {"mu": "mu", "omega": "omega", "alpha[1]": "alpha", "gamma[1]": "gamma"}
_NAMES |= {"beta[1]": "beta", "nu": "nu", "eta": "nu", "lambda": "lambda"}

_OPTIONS = {"maxiter": 1_000}  # ten times the optimiser's default, which EGARCH sometimes reaches


class _MeanSquareGarch(GARCH):
    """GARCH whose start-up variance moves with the mean, as the published benchmarks have it."""

    def compute_variance(
        self,
        parameters: Any,
        resids: Any,
        sigma2: Any,
        backcast: Any,
        var_bounds: Any,
    ) -> Any:
        start = float(np.mean(np.square(resids)))
        return super().compute_variance(parameters, resids, sigma2, start, var_bounds)


class _MeanSquareEgarch(EGARCH):
    """EGARCH with the same start, as a log variance, and a presample residual of zero."""

    def compute_variance(
        self,
        parameters: Any,
        resids: Any,
        sigma2: Any,
        backcast: Any,
        var_bounds: Any,
    ) -> Any:
        start = float(np.log(np.mean(np.square(resids))))
        start -= MEAN_ABSOLUTE_NORMAL * parameters[1] / max(parameters[3], 1e-9)
        return super().compute_variance(parameters, resids, sigma2, start, var_bounds)


def fit_with_arch(log_return: Array, model: GarchModel) -> tuple[Array, float]:
    """Return the estimate of one series by `arch`, and its log-likelihood.

    Parameters
    ----------
    log_return : ndarray, shape (n,)
        Finite; they vary.
    model : GarchModel
        What to estimate.

    Returns
    -------
    theta : ndarray, shape (7,)
        One value for each of `ALL_PARAMETERS`, in the units of the returns.
    log_likelihood : float
        Of the returns as they were given.

    Raises
    ------
    ConvergenceError
        If the optimiser stops without a solution from two starts.
    """
    free_mean = model.mean is Mean.CONSTANT
    centre = np.mean(log_return) if free_mean else 0.0
    # The optimiser wants a series of scale about one; nothing outside ever sees it.
    scale = float(np.sqrt(np.mean((log_return - centre) ** 2)))
    result = _estimate(
        (ConstantMean if free_mean else ZeroMean)(
            log_return / scale,
            volatility=_process(model),
            distribution=_law(model.distribution),
            rescale=False,
        ),
        name=f"{model.volatility}-{model.distribution}",
    )
    named = {_NAMES[str(name)]: float(value) for name, value in result.params.items()}
    theta = np.array([named.get(name, 0.0) for name in ALL_PARAMETERS])
    rescale(theta, scale, model.plan().volatility)
    return theta, float(result.loglikelihood) - len(log_return) * float(np.log(scale))


def _process(model: GarchModel) -> VolatilityProcess:
    mean_square = model.start_variance is StartVariance.MEAN_SQUARE
    if model.volatility is Volatility.EGARCH:
        return _MeanSquareEgarch(p=1, o=1, q=1) if mean_square else EGARCH(p=1, o=1, q=1)
    o = 1 if model.volatility is Volatility.GJR else 0
    return _MeanSquareGarch(p=1, o=o, q=1) if mean_square else GARCH(p=1, o=o, q=1)


def _law(distribution: Distribution) -> Normal | StudentsT | SkewStudent:
    if distribution is Distribution.NORMAL:
        return Normal()
    return StudentsT() if distribution is Distribution.T else SkewStudent()


def _estimate(model: ConstantMean | ZeroMean, *, name: str) -> Any:
    result = model.fit(disp="off", show_warning=False, options=_OPTIONS)
    if result.convergence_flag != 0:
        # A second start, at values typical of returns, saves most of the failures.
        typical = _TYPICAL_LOG if isinstance(model.volatility, EGARCH) else _TYPICAL
        names = [str(name) for name in result.params.index]
        again = [typical.get(name, float(result.params[name])) for name in names]
        result = model.fit(
            disp="off", show_warning=False, starting_values=np.array(again), options=_OPTIONS
        )
    if result.convergence_flag != 0 or not np.isfinite(result.loglikelihood):
        raise ConvergenceError(
            f"{name}: the optimiser stopped with flag {result.convergence_flag} "
            f"({result.optimization_result.message}); try a longer window or another distribution"
        )
    return result
