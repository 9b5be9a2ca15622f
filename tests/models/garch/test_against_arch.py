"""Windows of real returns: nowhere is `arch` more likely. All two hundred are in `benchmarks/`."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arch.data import nasdaq, sp500
from arch.univariate import EGARCH, GARCH, ConstantMean, Normal, SkewStudent, StudentsT
from numpy.typing import NDArray

from foremargin.markets import load_panel
from foremargin.models import fit_garch_batch

Array = NDArray[np.float64]

N_PERIODS = 1_000
LAWS: dict[str, Callable[[], Normal | StudentsT | SkewStudent]] = {
    "normal": Normal,
    "t": StudentsT,
    "skewt": SkewStudent,
}


@pytest.fixture(scope="module")
def windows(market_data: Path) -> Array:
    """Take twelve windows of daily returns: three of stock indices, nine of perpetuals."""
    indices = [np.diff(np.log(m.load()["Adj Close"].to_numpy(float))) for m in (sp500, nasdaq)]
    panel = load_panel(market_data / "perp_klines_1h", period="1D")
    columns = [column[np.isfinite(column)] for column in panel.log_return.T]
    out = [indices[0][:N_PERIODS], indices[0][-N_PERIODS:], indices[1][1_200:][:N_PERIODS]]
    out += [column[-N_PERIODS:] for column in columns]
    out.append(columns[0][:N_PERIODS])
    return np.array(out)


@pytest.mark.slow
@pytest.mark.parametrize("distribution", list(LAWS))
@pytest.mark.parametrize("volatility", ["garch", "gjr", "egarch"])
def test_no_likelihood_is_below_that_of_arch(
    windows: Array, volatility: str, distribution: str
) -> None:
    batch = fit_garch_batch(
        windows,
        volatility=volatility,
        distribution=distribution,
        start_variance="exponential",
    )
    assert batch.converged.mean() > 0.9
    for own, got in zip(windows, batch.log_likelihood, strict=True):
        scale = own.std()
        process = (
            EGARCH(1, 1, 1) if volatility == "egarch" else GARCH(1, int(volatility == "gjr"), 1)
        )
        law = LAWS[distribution]()
        model = ConstantMean(own / scale, volatility=process, distribution=law, rescale=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its derivatives take roots of what is negative
            theirs = model.fit(disp="off", show_warning=False).loglikelihood
        assert got + N_PERIODS * np.log(scale) > theirs - 1e-4
