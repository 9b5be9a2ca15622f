"""How often the tests of loss differences reject, where nothing is better and where something is.

Three models, a significance level of 5 % (10 % for the confidence set), simulated losses with a
fixed seed. Where the hypothesis holds a share near the level is right; where it does not, marked
by a star, the share is the power. Takes no data, and less than three minutes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from scipy import signal, stats

from foremargin.backtest import (
    detectable_difference,
    diebold_mariano,
    giacomini_white,
    model_confidence_set,
    multivariate_giacomini_white,
    quantile_loss,
    superior_predictive_ability,
)

Array = NDArray[np.float64]

N_TRIALS = 1_000
N_BOOTSTRAP_TRIALS = 200  # the bootstrap tests take fifty times as long,
BOOTSTRAP_LENGTH = 250  # and are tried at this length only
N_RESAMPLES = 99
LENGTHS = (250, 1_000)
OVERLAP = 5
STATE = 25  # periods that a state lasts
TAIL = 0.01


@dataclass(frozen=True, kw_only=True)
class World:
    """How losses of three models come about, and what a test is told about them."""

    name: str
    losses: Callable[[np.random.Generator, int, int], Array]  # to (trials, periods, 3)
    horizon: int = 1
    is_equal: bool = True  # whether the hypothesis of DM, SPA and the set holds
    is_unpredictable: bool = True  # whether that of the conditional tests holds


def normal(rng: np.random.Generator, trials: int, n: int) -> Array:
    """Draw independent noise on a common shock."""
    return rng.exponential(1.0, (trials, n, 1)) + rng.standard_normal((trials, n, 3))


def fat_tails(rng: np.random.Generator, trials: int, n: int) -> Array:
    """Draw Student t noise with four degrees of freedom."""
    return rng.standard_t(4, (trials, n, 3))


def clusters(rng: np.random.Generator, trials: int, n: int) -> Array:
    """Draw noise that is three times as large in three tenths of the states."""
    states = rng.random((trials, n // STATE, 1)) < 0.3
    return np.repeat(1.0 + 2.0 * states, STATE, axis=1) * rng.standard_normal((trials, n, 3))


def overlaps(rng: np.random.Generator, trials: int, n: int) -> Array:
    """Make sums of five periods, one new period each time."""
    noise = rng.standard_normal((trials, n + OVERLAP - 1, 3))
    windows = np.lib.stride_tricks.sliding_window_view(noise, OVERLAP, axis=1)
    return np.asarray(windows.sum(axis=-1))


def autocorrelated(rng: np.random.Generator, trials: int, n: int) -> Array:
    """Draw first-order autoregressions with a coefficient of 0.4."""
    noise = rng.standard_normal((trials, n + 50, 3))
    return np.asarray(signal.lfilter([1.0], [1.0, -0.4], noise, axis=1)[:, 50:])


def tails(rng: np.random.Generator, trials: int, n: int) -> Array:
    """Score margins by the quantile loss at 1 %; each misses the truth by 20 % either way."""
    loss = rng.standard_t(5, (trials, n, 1))
    margin = stats.t.isf(TAIL, 5) * np.exp(0.2 * rng.standard_normal((trials, n, 3)))
    return quantile_loss(np.repeat(loss, 3, axis=2), margin, tail_probability=TAIL)


def worse(rng: np.random.Generator, trials: int, n: int) -> Array:
    """Make the first model worse by 0.15 standard deviations of its noise."""
    return np.asarray(normal(rng, trials, n) + np.array([0.15, 0.0, 0.0]))


def state(n: int) -> Array:
    """Alternate calm and stress, 0 and 1."""
    return (np.arange(n) // STATE % 2).astype(np.float64)


def by_state(rng: np.random.Generator, trials: int, n: int) -> Array:
    """Make the first model better in calm and worse in stress by 0.3, and equal on average."""
    shift = (state(n) - 0.5)[:, None] * np.array([0.6, 0.0, 0.0])
    return np.asarray(normal(rng, trials, n) + shift)


WORLDS = (
    World(name="independent", losses=normal),
    World(name="fat tails (t, 4 df)", losses=fat_tails),
    World(name="clusters of volatility", losses=clusters),
    World(name="1 % quantile losses", losses=tails),
    World(name="overlap of 5, horizon=5", losses=overlaps, horizon=OVERLAP),
    World(name="overlap of 5, horizon=1", losses=overlaps, is_unpredictable=False),
    World(name="AR(1) 0.4, horizon=1", losses=autocorrelated, is_unpredictable=False),
    # Five periods later a correlation of 0.4^5 = 0.01 is left.
    World(name="AR(1) 0.4, horizon=5", losses=autocorrelated, horizon=5),
    World(name="worse by 0.15", losses=worse, is_equal=False, is_unpredictable=False),
    World(name="better by state", losses=by_state, is_unpredictable=False),
)


def cells(world: World, n: int, rng: np.random.Generator) -> Iterator[str]:
    """Yield the share of rejections of every test, in the order of the header."""
    tables = world.losses(rng, N_TRIALS, n)
    h, known = world.horizon, np.column_stack([np.ones(n), state(n)])
    pairs = [(table[:, 0], table[:, 1]) for table in tables]
    equal = "" if world.is_equal else "*"
    unpredictable = "" if world.is_unpredictable else "*"
    yield share(diebold_mariano(*pair, horizon=h).p_value for pair in pairs) + equal
    conditional = (
        (giacomini_white(*pair, horizon=h).p_value for pair in pairs),
        (giacomini_white(*pair, instruments=known, horizon=h).p_value for pair in pairs),
        (multivariate_giacomini_white(table, horizon=h).p_value for table in tables),
    )
    for p_values in conditional:
        yield share(p_values) + unpredictable
    if n != BOOTSTRAP_LENGTH:
        yield from ("", "")
        return
    some, block = tables[:N_BOOTSTRAP_TRIALS], max(4 * h, 5)
    yield share(superior(table, block) for table in some) + equal
    yield share((in_set(table, block) for table in some), level=0.1) + equal


def superior(losses: Array, block: int) -> float:
    """Return the p-value of the hypothesis that no model is better than the first."""
    return superior_predictive_ability(
        losses, benchmark=0, block_length=block, n_resamples=N_RESAMPLES
    ).p_value


def in_set(losses: Array, block: int) -> float:
    """Return the p-value of the first model in the confidence set."""
    result = model_confidence_set(losses, size=0.1, block_length=block, n_resamples=N_RESAMPLES)
    return float(result.p_values[0])


def share(p_values: Iterable[float], *, level: float = 0.05) -> str:
    """Write the share of p-values of at most `level`."""
    return f"{np.mean([p_value <= level for p_value in p_values]):.3f}"


def detectable() -> None:
    """Print what a Diebold-Mariano test is likely to find, and how often it does."""
    print("\n## Detectable differences: 80 % power at 5 %\n")
    print("| losses | n | said | of a standard deviation of the difference | found |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for world in (WORLDS[0], WORLDS[1], WORLDS[3], WORLDS[4]):
        for n in LENGTHS:
            rng = np.random.default_rng([2, n])
            pilot = world.losses(rng, 1, 200_000)[0]
            gap = detectable_difference(
                pilot[:, 0], pilot[:, 1], horizon=world.horizon, n_periods=n
            ).absolute
            tables = world.losses(rng, N_TRIALS, n)
            found = share(
                diebold_mariano(t[:, 0] + gap, t[:, 1], horizon=world.horizon).p_value
                for t in tables
            )
            spread = (pilot[:, 0] - pilot[:, 1]).std()
            print(f"| {world.name} | {n} | {gap:.4f} | {gap / spread:.3f} | {found} |")


def main() -> None:
    """Print both tables as Markdown."""
    start = perf_counter()
    print("## Shares of rejections\n")
    print("| losses | n | DM | GW | GW, state | MGW | SPA | MCS drops it |")
    print("| --- | ---: " + "| ---: " * 6 + "|")
    for world in WORLDS:
        for n in LENGTHS:
            row = " | ".join(cells(world, n, np.random.default_rng([1, n])))
            print(f"| {world.name} | {n} | {row} |", flush=True)
    detectable()
    print(f"\n{perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
