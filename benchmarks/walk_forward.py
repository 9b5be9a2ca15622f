"""Time of one fit and of one block of forecasts per model, beside fits by `arch` alone.

The unit is one fit as a walk-forward run makes it: all instruments of the data sets inside
`arch`, their last 2,500 returns for the GARCH family and their whole past for the others, and
then the forecasts of the 91 days that follow, over three horizons. The baseline is
``arch_model(...).fit()`` of a GARCH(1,1) with normal errors on the same returns, one per
instrument.

With ``FOREMARGIN_DATA``, a second table is the whole default run on the eight perpetuals, daily
from hourly bars: processor time of all fits and forecasts of each model, and of taking up what an
earlier run has finished.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from arch import arch_model

from foremargin.features import History, build_history
from foremargin.markets import load_panel
from foremargin.models import ALL_FORECASTERS, Forecaster, RegimeNetwork
from foremargin.training import Execution, stream, walk_forward

WINDOW = 2_500  # returns of a GARCH fit
BLOCK_DAYS = 91
REPEATS = 3
FORECAST_SHARE = 0.2  # of the periods before the first forecast, as in the experiment `bars`


def main() -> None:
    """Print the table."""
    history = build_history(load_panel("arch"), horizons=[1, 5, 10])
    # Early enough that all three instruments still trade, late enough to fill every window.
    first = int(np.searchsorted(history.panel.time, np.datetime64("2018-06-01")))
    block = np.datetime64("2018-06-01") + np.timedelta64(BLOCK_DAYS, "D")
    origins = slice(first, int(np.searchsorted(history.panel.time, block)))
    past = history.upto(first)
    baseline = median_seconds(lambda: fit_baseline(past), repeats=REPEATS)
    print(f"{history.panel.n_instruments} instruments, {first} periods, to {BLOCK_DAYS} days ahead")
    print(f"{'model':<16}{'fit, s':>10}{'forecast, s':>13}{'fit / arch':>12}")
    print(f"{'arch alone':<16}{baseline:>10.3f}{'':>13}{1.0:>12.2f}")
    for forecaster in ALL_FORECASTERS:
        fit, forecast = time_model(forecaster, past, history, origins)
        print(f"{forecaster.name:<16}{fit:>10.3f}{forecast:>13.3f}{fit / baseline:>12.2f}")
    data = os.environ.get("FOREMARGIN_DATA")
    if data:
        whole_run(Path(data) / "perp_klines_1h")


def whole_run(folder: Path) -> None:
    """Print the processor time of the walk-forward of every model on a folder of bars."""
    history = build_history(load_panel(str(folder), period="1D"), horizons=[1, 5, 10])
    first = int(FORECAST_SHARE * history.panel.n_periods)
    print(
        f"\n{history.panel.n_instruments} instruments, {history.panel.n_periods} periods, one core"
    )
    print(f"{'model':<16}{'fits':>6}{'run, s':>10}{'taken up, s':>13}")
    total = total_kept = 0.0
    with tempfile.TemporaryDirectory() as blocks:
        execution = Execution(blocks=Path(blocks))
        for forecaster in ALL_FORECASTERS:
            taken = []
            for _ in range(2):
                start = time.process_time()
                walked = walk_forward(
                    history, [forecaster], first_row=first, seed=0, execution=execution
                )
                taken.append(time.process_time() - start)
            print(f"{forecaster.name:<16}{walked.n_kept:>6}{taken[0]:>10.1f}{taken[1]:>13.2f}")
            total, total_kept = total + taken[0], total_kept + taken[1]
    print(f"{'all':<16}{'':>6}{total:>10.1f}{total_kept:>13.2f}")


def fit_baseline(past: History) -> None:
    """Fit a GARCH(1,1) per instrument with `arch`, in percent as it wants it."""
    for column in past.panel.log_return.T:
        known = column[np.isfinite(column)][-WINDOW:]
        arch_model(100.0 * known, vol="GARCH", p=1, q=1).fit(disp="off", show_warning=False)


def time_model(
    forecaster: Forecaster, past: History, history: History, origins: slice
) -> tuple[float, float]:
    """Return the seconds of a fit and of the forecasts of a block."""

    def fit() -> None:
        forecaster.fit(past, rng=stream(0, forecaster.name))

    fitted = forecaster.fit(past, rng=stream(0, forecaster.name))
    # The network takes seconds, which one fit measures well enough.
    repeats = 1 if isinstance(forecaster, RegimeNetwork) else REPEATS
    fitted.forecast(history, origins=origins)  # compiles what is compiled on first use
    return (
        median_seconds(fit, repeats=repeats),
        median_seconds(lambda: fitted.forecast(history, origins=origins), repeats=REPEATS),
    )


def median_seconds(work: Callable[[], object], *, repeats: int) -> float:
    """Return the median wall-clock time of some runs."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
