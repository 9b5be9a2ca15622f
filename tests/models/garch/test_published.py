"""Mark against pound, 1984 to 1991: the published estimates of a GARCH and an EGARCH model."""

from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.models import fit_garch_batch
from foremargin.models.garch.standard_errors import ErrorKind

Array = NDArray[np.float64]

# Fiorentini, Calzolari and Panattoni (1996); Bollerslev and Ghysels (1996); for percent returns
GARCH = {"mu": -0.00619041, "omega": 0.0107613, "alpha": 0.153134, "beta": 0.805974}
GARCH_ERRORS = {
    "hessian": [0.00846212, 0.00285271, 0.0265228, 0.0335527],
    "opg": [0.00843359, 0.00132298, 0.0139737, 0.0165604],
    "robust": [0.00918935, 0.00649319, 0.0535317, 0.0724614],
}
# The benchmark that rugarch carries, which calls the term of the sign alpha and that of size gamma.
EGARCH = {
    "mu": -0.01167873487,
    "omega": -0.12633933747,
    "alpha": 0.33305592776,
    "gamma": -0.03845788444,
    "beta": 0.91265373928,
}


def log_relative_error(got: float, published: float) -> float:
    """Return the number of digits that agree."""
    return float(-np.log10(abs(got - published) / abs(published)))


@pytest.fixture(scope="module")
def percent(market_data: Path) -> Array:
    table = pd.read_csv(market_data / "garch_benchmark" / "dem2gbp.csv")
    return table["return_pct"].to_numpy(dtype=float)


def test_the_garch_estimates_agree_to_five_digits(percent: Array) -> None:
    batch = fit_garch_batch(percent[None, :], start_variance="mean-square")
    assert batch.param_names == tuple(GARCH)
    assert batch.converged.all()
    for got, (name, published) in zip(batch.params[0], GARCH.items(), strict=True):
        # 6.8, 5.04, 6.4 and 6.4 were reached; omega is published to six digits.
        assert log_relative_error(got, published) >= 5.0, name
    np.testing.assert_allclose(batch.log_likelihood, -1106.60788, atol=5e-6)  # its known digits


@pytest.mark.parametrize("kind", get_args(ErrorKind))
def test_the_garch_standard_errors_agree_to_five_digits(percent: Array, kind: ErrorKind) -> None:
    errors = fit_garch_batch(percent).standard_errors(kind)[0]
    for got, published in zip(errors, GARCH_ERRORS[kind], strict=True):
        assert log_relative_error(got, published) >= 5.0


def test_the_egarch_estimates_agree_to_four_digits_but_for_the_two_that_hang_on_the_mean(
    percent: Array,
) -> None:
    batch = fit_garch_batch(percent, volatility="egarch")
    got = dict(zip(batch.param_names, batch.params[0], strict=True))
    for name in ("omega", "alpha", "beta"):
        # 4.5, 5.2 and 5.9 were reached
        assert log_relative_error(got[name], EGARCH[name]) >= 4.0, name
    # The likelihood is no summit in the published mean: it rises by 1e-4 from there, and the mean
    # moves by a hundredth of its standard error. Gamma goes with it.
    assert abs(got["mu"] - EGARCH["mu"]) < 0.015 * batch.standard_errors("hessian")[0, 0]
    assert log_relative_error(got["gamma"], EGARCH["gamma"]) > 2.5
    held = fit_garch_batch(percent - EGARCH["mu"], volatility="egarch", mean="zero")
    gain = batch.log_likelihood[0] - held.log_likelihood[0]
    np.testing.assert_allclose(gain, 1e-4, rtol=0.2)
