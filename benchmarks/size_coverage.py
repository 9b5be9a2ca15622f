"""Size and power of the coverage tests, by the p-values they report and by simulated ones.

Per cent of series rejected at a significance level of 5 %, for 250, 1,000 and 2,500 periods and
tail probabilities of 1 and 5 %. Right: independent outcomes of the forecast law. Double: the
volatility is too low, by so much that breaches are twice as frequent as promised. Clusters: the
rate is right, but the volatility moves and the forecast does not see it. All series are drawn
here, from fixed seeds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, signal, special

from foremargin.backtest import (
    basel_traffic_light,
    berkowitz,
    berkowitz_tail,
    binomial_coverage,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    du_escanciano_conditional,
    du_escanciano_unconditional,
    duration_test,
    dynamic_quantile,
    kupiec_pof,
    kupiec_tuff,
    time_between_failures,
)
from foremargin.backtest.coverage.simulated import rank_p_value

Array = NDArray[np.float64]

LENGTHS = (250, 1_000, 2_500)
TAIL_PROBABILITIES = (0.01, 0.05)
HYPOTHESES = ("right", "double", "clusters")
SIGNIFICANCE_LEVEL = 0.05
N_NULL = 999  # one law per test, length and probability; it moves simulated sizes by 0.7 points
N_SERIES = 1_000  # standard errors of 0.7 points at 5 %, of at most 1.6 elsewhere
PERSISTENCE, SPREAD = 0.95, 0.5  # of the log volatility that the forecast does not see


@cache
def count_p_value(test: Callable[..., object], n_breaches: int, n: int, tail: float) -> float:
    """Return the p-value of a test that reads the number of breaches only."""
    outcome = test(np.arange(n) < n_breaches, tail_probability=tail)
    return float(outcome.p_value)  # type: ignore[attr-defined]


def of_count(test: Callable[..., object]) -> Callable[[Array, float], float]:
    """Remember what a test says of each number of breaches."""
    return lambda u, tail: count_p_value(test, int((u < tail).sum()), u.size, tail)


TESTS: dict[str, Callable[[Array, float], float]] = {
    "`kupiec_pof`": of_count(kupiec_pof),
    "`binomial_coverage`": of_count(binomial_coverage),
    "`basel_traffic_light`": of_count(basel_traffic_light),
    "`kupiec_tuff`": lambda u, p: kupiec_tuff(u < p, tail_probability=p).p_value,
    "`time_between_failures`": lambda u, p: (
        time_between_failures(u < p, tail_probability=p).p_value
    ),
    "the same, mixed": lambda u, p: (
        time_between_failures(u < p, tail_probability=p, mixed=True).p_value
    ),
    "`christoffersen_independence`": lambda u, p: christoffersen_independence(u < p).p_value,
    "`christoffersen_conditional_coverage`": lambda u, p: (
        christoffersen_conditional_coverage(u < p, tail_probability=p).p_value
    ),
    "`dynamic_quantile`": lambda u, p: dynamic_quantile(u < p, tail_probability=p).p_value,
    "`duration_test`": lambda u, p: duration_test(u < p).p_value,
    "`berkowitz`": lambda u, p: berkowitz(u).p_value,
    "`berkowitz_tail`": lambda u, p: berkowitz_tail(u, tail_probability=p).p_value,
    "`du_escanciano_unconditional`": lambda u, p: (
        du_escanciano_unconditional(u, tail_probability=p).p_value
    ),
    "`du_escanciano_conditional`": lambda u, p: (
        du_escanciano_conditional(u, tail_probability=p).p_value
    ),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A number of periods and a tail probability."""

    n: int
    tail: float

    def right(self, rng: np.random.Generator) -> Array:
        """PITs of a right forecast."""
        return np.asarray(1.0 - rng.random(self.n))

    def double(self, rng: np.random.Generator) -> Array:
        """PITs of a volatility that is too low: twice the breaches."""
        ratio = special.ndtri(self.tail) / special.ndtri(2.0 * self.tail)
        return np.asarray(special.ndtr(ratio * rng.standard_normal(self.n)))

    def clusters(self, rng: np.random.Generator) -> Array:
        """PITs of a volatility that moves unseen around a level that gives the right rate."""
        shock = SPREAD * np.sqrt(1.0 - PERSISTENCE**2) * rng.standard_normal(self.n)
        shock[0] = SPREAD * rng.standard_normal()  # it starts in its stationary law
        log_sigma = signal.lfilter([1.0], [1.0, -PERSISTENCE], shock)
        sigma = level_of_clusters(self.tail) * np.exp(log_sigma)
        u = special.ndtr(sigma * rng.standard_normal(self.n))
        return np.asarray(np.clip(u, 1e-300, 1.0 - 2.0**-53))


@cache
def level_of_clusters(tail: float) -> float:
    """Return the level of volatility at which the lognormal mixture breaches at the right rate."""
    node, weight = np.polynomial.hermite_e.hermegauss(80)
    weight = weight / weight.sum()
    threshold = special.ndtri(tail)

    def excess(level: float) -> float:
        rate = weight @ special.ndtr(threshold / (level * np.exp(SPREAD * node)))
        return float(rate) - tail

    return float(optimize.brentq(excess, 0.1, 2.0))


def p_values(draw: Callable[[np.random.Generator], Array], n: int, seed: int, tail: float) -> Array:
    """Return the p-values of every test on `n` series, shape (n_tests, n)."""
    rng = np.random.default_rng(seed)
    series = (draw(rng) for _ in range(n))
    return np.array([[test(u, tail) for test in TESTS.values()] for u in series]).T


def rejected(case: Case) -> Iterator[tuple[str, str, Array]]:
    """Yield for each hypothesis the per cent rejected by reported and by simulated p-values."""
    null = p_values(case.right, N_NULL, 1, case.tail)
    draws = (case.right, case.double, case.clusters)
    for seed, (name, draw) in enumerate(zip(HYPOTHESES, draws, strict=True), start=2):
        seen = p_values(draw, N_SERIES, seed, case.tail)
        # What the reported p-values are worth under the hypothesis is seen on both samples.
        reported = np.concatenate([seen, null], axis=1) if name == "right" else seen
        yield name, "reported", 100.0 * (reported < SIGNIFICANCE_LEVEL).mean(axis=1)
        rng = np.random.default_rng(0)
        rank = [
            [rank_p_value(p_value, law, rng=rng) for p_value in row]
            for row, law in zip(seen, null, strict=True)
        ]
        yield name, "simulated", 100.0 * (np.array(rank) <= SIGNIFICANCE_LEVEL).mean(axis=1)


def table(tail: float) -> pd.DataFrame:
    """Return one row per test, one column per hypothesis and length: reported / simulated."""
    columns = {}
    for n in LENGTHS:
        found = {(name, kind): share for name, kind, share in rejected(Case(n=n, tail=tail))}
        for name in HYPOTHESES:
            pairs = zip(found[name, "reported"], found[name, "simulated"], strict=True)
            columns[name, n] = [f"{one:.0f} / {other:.0f}" for one, other in pairs]
    frame = pd.DataFrame(columns, index=pd.Index(list(TESTS), name="test"))
    return frame[[(name, n) for name in HYPOTHESES for n in LENGTHS]]


def main() -> None:
    """Print a table per tail probability, as Markdown."""
    for tail in TAIL_PROBABILITIES:
        print(f"\nPer cent rejected at {SIGNIFICANCE_LEVEL:.0%}, tail probability {tail:.0%}\n")
        frame = table(tail)
        head = [f"{name} {n:,}" for name in HYPOTHESES for n in LENGTHS]
        print(f"| test | {' | '.join(head)} |")
        print(f"| --- | {' | '.join('---:' for _ in head)} |")
        for test, row in frame.iterrows():
            print(f"| {test} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
