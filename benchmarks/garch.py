"""Batched GARCH beside `arch`: likelihoods, seconds per fit, rolling windows, one pass.

Two hundred windows of 1,000 real returns: daily and hourly ones of the perpetuals and coins of the
data folder, and daily ones of the two stock indices inside `arch`. Needs ``FOREMARGIN_DATA``.

- *below*: windows on which the log-likelihood is more than 1e-4 below that of `arch`.
- *ratio*: seconds of `arch` over seconds per fit, all windows in one call on all threads; medians
  of runs that take turns, so that a busy machine slows both.
- *by core*: the same in processor time, which leaves out threads and other work of the machine.
- *pass*: one likelihood with its gradient, in processor time; a fit is some dozens of them.
"""

import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from arch.data import nasdaq, sp500
from arch.univariate import EGARCH, GARCH, ConstantMean, Normal, SkewStudent, StudentsT
from numpy.typing import NDArray

from foremargin.markets import load_panel
from foremargin.models import GarchBatch, fit_garch_batch, fit_garch_rolling

Array = NDArray[np.float64]

N_WINDOWS, N_PERIODS, N_ROLLING = 200, 1_000, 10_000
REPEATS = 5
N_TIMED = 40  # windows that `arch` is timed on, spread over all
LAWS: dict[str, Callable[[], Normal | StudentsT | SkewStudent]] = {
    "normal": Normal,
    "t": StudentsT,
    "skewt": SkewStudent,
}


def main() -> None:
    """Print the tables."""
    series = real_series(Path(os.environ["FOREMARGIN_DATA"]))
    windows = draw_windows(series, seed=4)
    print(f"{N_WINDOWS} windows of {N_PERIODS} returns; times are medians of {REPEATS} runs")
    header = ("model", "below", "largest gap", "converged", "passes", "us/pass", "us/fit")
    print(
        ("{:<16}{:>6}{:>14}{:>11}{:>8}{:>9}{:>9}" + 2 * "{:>9}").format(*header, "ratio", "by core")
    )
    for volatility in ("garch", "gjr", "egarch"):
        for distribution in LAWS:
            compare(windows, volatility, distribution)
    longest = max(series, key=len)
    print(f"\n{N_ROLLING:,} windows of {N_PERIODS} returns, one period apart")
    for volatility, distribution in (("garch", "normal"), ("gjr", "t")):
        rolling(longest[-N_ROLLING - N_PERIODS + 1 :], volatility, distribution)


def real_series(data: Path) -> list[Array]:
    """Return every series of log returns that has a window."""
    out = [np.diff(np.log(m.load()["Adj Close"].to_numpy(float))) for m in (sp500, nasdaq)]
    for folder in ("perp_klines_1h", "spot_klines_1h", "spot_klines_1h_early"):
        for period in ("1D", "1h"):
            columns = load_panel(data / folder, period=period).log_return.T
            out += [column[np.isfinite(column)] for column in columns]
    return [column for column in out if len(column) >= N_PERIODS]


def draw_windows(series: list[Array], *, seed: int) -> Array:
    """Return windows of random series at random places, shape (N_WINDOWS, N_PERIODS)."""
    rng = np.random.default_rng(seed)
    out = np.empty((N_WINDOWS, N_PERIODS))
    for i in range(N_WINDOWS):
        column = series[rng.integers(len(series))]
        first = rng.integers(len(column) - N_PERIODS + 1)
        out[i] = column[first : first + N_PERIODS]
    return out


def compare(windows: Array, volatility: str, distribution: str) -> None:
    """Print one model's line."""

    def ours() -> GarchBatch:
        return fit_garch_batch(
            windows,
            volatility=volatility,
            distribution=distribution,
            start_variance="exponential",
        )

    batch = ours()  # compiles on first use
    theirs = np.array([fit_by_arch(own, volatility, distribution) for own in windows])
    gap = theirs - batch.log_likelihood
    timed = windows[:: N_WINDOWS // N_TIMED]

    def arch() -> list[float]:
        return [fit_by_arch(own, volatility, distribution) for own in timed]

    ratio, by_core, per_fit, per_pass = [], [], [], []
    for _ in range(REPEATS):
        wall, cpu = seconds(ours)
        arch_wall, arch_cpu = seconds(arch)
        ratio.append(arch_wall / len(timed) / (wall / N_WINDOWS))
        by_core.append(arch_cpu / len(timed) / (cpu / N_WINDOWS))
        per_fit.append(wall / N_WINDOWS)
        per_pass.append(cpu / batch.passes.sum())
    print(
        f"{volatility + '-' + distribution:<16}{int(np.sum(gap > 1e-4)):>6}{gap.max():>14.1e}"
        f"{batch.converged.mean():>11.1%}{batch.passes.mean():>8.0f}"
        f"{1e6 * statistics.median(per_pass):>9.2f}{1e6 * statistics.median(per_fit):>9.0f}"
        f"{statistics.median(ratio):>9.0f}{statistics.median(by_core):>9.0f}",
        flush=True,
    )


def fit_by_arch(own: Array, volatility: str, distribution: str) -> float:
    """Return the log-likelihood that `arch` reaches, minus infinity if it fails."""
    scale = own.std()
    process = EGARCH(1, 1, 1) if volatility == "egarch" else GARCH(1, int(volatility == "gjr"), 1)
    law = LAWS[distribution]()
    model = ConstantMean(own / scale, volatility=process, distribution=law, rescale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = model.fit(disp="off", show_warning=False)
    return float(result.loglikelihood) - len(own) * float(np.log(scale))


def rolling(log_return: Array, volatility: str, distribution: str) -> None:
    """Print seconds and passes of a rolling estimation."""

    def work() -> GarchBatch:
        return fit_garch_rolling(
            log_return, window=N_PERIODS, volatility=volatility, distribution=distribution
        )

    batch = work()
    runs = [seconds(work) for _ in range(REPEATS)]
    taken, cpu = (statistics.median(run[k] for run in runs) for k in (0, 1))
    print(
        f"{volatility}-{distribution}: {taken:.2f} s ({cpu:.2f} s of processor), "
        f"{batch.passes.mean():.1f} passes a window, {batch.converged.mean():.2%} converged"
    )


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall-clock and the processor time of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
