"""Variance of a mean of dependent periods."""

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError


def long_run_variance(series: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Weighted sum of autocovariances; ``weights[k]`` belongs to lag k, ``weights[0]`` is 1."""
    n, deviation = len(series), series - series.mean()
    autocovariance = [deviation[k:] @ deviation[: n - k] / n for k in range(len(weights))]
    return float(autocovariance[0] + 2.0 * np.dot(weights[1:], autocovariance[1:]))


def check_varies(difference: NDArray[np.float64], *, rounding: float = 0.0) -> None:
    """Raise if the loss difference has no spread, or only one of at most `rounding`."""
    if np.ptp(difference) <= rounding:
        raise InputError(
            f"the loss difference must vary, was {difference[0]:g} in every period; a constant "
            "has no sampling error, so check that the two series are not shifted copies"
        )


def error_variance(difference: NDArray[np.float64], horizon: int) -> float:
    """Long-run variance of the difference of h-step losses; 0 only for a constant.

    Autocovariances of an h-step error end at lag h - 1 and get equal weights; where they give a
    variance that is not positive, Bartlett weights ``1 - k / horizon`` replace them.
    """
    variance = long_run_variance(difference, np.ones(horizon))
    # A sum of equally weighted autocovariances can cancel to rounding noise, or go negative.
    if variance <= 1e-12 * difference.var():
        variance = long_run_variance(difference, 1.0 - np.arange(horizon) / horizon)
    return variance
