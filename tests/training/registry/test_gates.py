"""Gates on forecasts whose quality is known: each fails for its own reason, and only then."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import special

from foremargin.models import TAIL_PROBABILITIES
from foremargin.training import FORECAST_COLUMNS
from foremargin.training.gates import Gate, all_passed, run_gates
from foremargin.training.head_to_head import head_to_head
from foremargin.training.train_config import GatesConfig

N, INSTRUMENTS, NOISE = 900, ("A", "B", "C"), 0.5
FAST = np.full(20, 3.0)
LIMITS = GatesConfig()
Change = Callable[[pd.DataFrame], pd.DataFrame]


def _market(seed: int) -> pd.DataFrame:
    """One instrument: variance follows its own past, and is known up to lognormal noise."""
    rng = np.random.default_rng(seed)
    expected, realized = np.full(N + 1, 4e-4), np.empty(N + 1)
    for t in range(N + 1):
        if t:
            expected[t] = 2e-5 + 0.35 * realized[t - 1] + 0.6 * expected[t - 1]
        realized[t] = expected[t] * np.exp(NOISE * rng.normal() - 0.5 * NOISE**2)
    log_return = np.sqrt(realized) * rng.normal(size=N + 1)
    stress_above = np.quantile(realized, 0.8)
    distance = np.log(expected / stress_above) - 0.5 * NOISE**2
    table = pd.DataFrame(
        {
            "origin": pd.date_range("2020-01-01", periods=N, tz="UTC"),
            "variance": expected[1:],
            "realized_variance": realized[1:],
            "log_return": log_return[1:],
            "stress": (realized[1:] > stress_above).astype(float),
            "stress_now": (realized[:-1] > stress_above).astype(float),
            "stress_probability": special.ndtr(distance[1:] / NOISE),
        }
    )
    z = np.exp(0.5 * NOISE * rng.normal(size=400_000) - 0.25 * NOISE**2) * rng.normal(size=400_000)
    for tail in TAIL_PROBABILITIES:
        quantile = np.quantile(z, 1.0 - tail)
        shortfall = z[z > quantile].mean()
        for side in ("lower", "upper"):
            table[f"var_{side}_{tail:g}"] = quantile * np.sqrt(table["variance"])
            table[f"es_{side}_{tail:g}"] = shortfall * np.sqrt(table["variance"])
    return table


@pytest.fixture(scope="module")
def honest() -> pd.DataFrame:
    """The best forecasts there can be, of three instruments."""
    parts = [_market(10 + i).assign(instrument=name) for i, name in enumerate(INSTRUMENTS)]
    table = pd.concat(parts, ignore_index=True).assign(model="candidate", horizon=1)
    return table.reindex(columns=FORECAST_COLUMNS)


def gates_of(
    candidate: pd.DataFrame,
    opponent: pd.DataFrame,
    *,
    latency_ms: NDArray[np.float64] = FAST,
    limits: GatesConfig = LIMITS,
) -> list[Gate]:
    table = pd.concat([candidate, opponent.assign(model="opponent")], ignore_index=True)
    gates = run_gates(
        table, candidate="candidate", opponents=["opponent"], latency_ms=latency_ms, limits=limits
    )
    return list(gates)


def failed(gates: list[Gate]) -> set[str]:
    return {gate.name for gate in gates if not gate.passed}


def test_honest_forecasts_pass_every_gate_against_themselves(honest: pd.DataFrame) -> None:
    gates = gates_of(honest, honest)
    assert failed(gates) == set()
    assert all_passed(gates)
    assert {gate.name for gate in gates} == {
        *("presence-variance", "presence-tails", "origins", "qlike", "qlike-ratio", "fz0"),
        *("coverage", "hit-rate", "stress-skill", "stress-calibration", "leak-audit"),
        "latency-ms",
    }
    (ratio,) = (gate for gate in gates if gate.name == "qlike-ratio")
    assert ratio.measured == 1.0


def test_no_gates_are_no_pass() -> None:
    assert not all_passed([])


def _worse_variance(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(variance=table["variance"] ** 0.5 * table["variance"].mean() ** 0.5)


def _smaller_tails(table: pd.DataFrame) -> pd.DataFrame:
    columns = [str(c) for c in table if str(c).startswith(("var_", "es_"))]
    return table.assign(**{c: 0.75 * table[c] for c in columns})


def _silent_when_it_matters(table: pd.DataFrame) -> pd.DataFrame:
    wild = table["variance"] > table["variance"].quantile(0.95)
    return table.assign(variance=table["variance"].mask(wild))


def _no_tails_for_one(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{"es_upper_0.05": table["es_upper_0.05"].mask(table.instrument == "C")})


def _sure_of_itself(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(stress_probability=(table["stress_probability"] > 0.3).astype(float))


def _always_alarmed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(stress_probability=0.2 + 0.8 * table["stress_probability"])


def _knows_tomorrow(table: pd.DataFrame) -> pd.DataFrame:
    surprise = table["realized_variance"] / table["variance"]
    return table.assign(variance=table["variance"] * surprise**0.3)


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        pytest.param(_worse_variance, {"qlike", "qlike-ratio"}, id="worse variance"),
        pytest.param(_smaller_tails, {"coverage", "hit-rate", "fz0"}, id="tails too small"),
        pytest.param(_silent_when_it_matters, {"presence-variance"}, id="silent at times"),
        pytest.param(_no_tails_for_one, {"presence-tails"}, id="no tails for an instrument"),
        pytest.param(_sure_of_itself, {"stress-calibration", "stress-skill"}, id="sure of itself"),
        pytest.param(_always_alarmed, {"stress-calibration"}, id="alarmed"),
        pytest.param(_knows_tomorrow, {"leak-audit"}, id="knows tomorrow"),
    ],
)
def test_a_gate_fails_for_its_own_reason(
    change: Change, reasons: set[str], honest: pd.DataFrame
) -> None:
    assert failed(gates_of(change(honest), honest)) == reasons


def test_being_worse_than_an_opponent_that_knows_more_fails_and_says_so(
    honest: pd.DataFrame,
) -> None:
    gates = gates_of(_worse_variance(honest), honest)
    (qlike,) = (gate for gate in gates if gate.name == "qlike")
    assert qlike.measured < 1e-6
    assert "is worse, significantly, 900 origins" in qlike.why
    assert (qlike.against, qlike.horizon) == ("opponent", 1)
    better = gates_of(honest, _worse_variance(honest))
    (qlike,) = (gate for gate in better if gate.name == "qlike")
    assert qlike.measured > 0.999
    assert "is better, significantly" in qlike.why


def test_few_rows_do_not_hide_a_worse_model(honest: pd.DataFrame) -> None:
    few = honest[honest["origin"] < honest["origin"].min() + pd.Timedelta(days=40)]
    gates = gates_of(_worse_variance(few), few)
    by_name = {gate.name: gate for gate in gates}
    assert not by_name["origins"].passed
    assert by_name["origins"].measured == 40.0
    assert not by_name["qlike-ratio"].passed


def test_a_candidate_must_beat_every_opponent(honest: pd.DataFrame) -> None:
    table = pd.concat(
        [
            _worse_variance(honest),
            honest.assign(model="strong"),
            _worse_variance(honest).assign(model="weak"),
        ]
    )
    gates = run_gates(
        table,
        candidate="candidate",
        opponents=["weak", "strong"],
        latency_ms=FAST,
        limits=LIMITS,
    )
    assert {gate.against for gate in gates if not gate.passed} == {"strong"}


def test_a_horizon_that_the_opponent_has_cannot_be_left_out(honest: pd.DataFrame) -> None:
    both = pd.concat([honest, honest.assign(horizon=2)])
    assert "presence-variance" in failed(gates_of(honest, both))
    # A horizon of its own is welcome, and has to pass what needs no opponent.
    gates = gates_of(both, honest)
    assert failed(gates) == set()
    assert {gate.horizon for gate in gates if gate.name == "coverage"} == {1, 2}
    assert {gate.horizon for gate in gates if gate.name == "qlike"} == {1}


def test_probabilities_of_stress_are_asked_for_and_those_of_liquidity_are_not(
    honest: pd.DataFrame,
) -> None:
    silent = gates_of(honest.assign(stress_probability=np.nan), honest)
    assert failed(silent) == {"stress-skill", "stress-calibration"}
    assert "it gives no probability of it" in silent[-3].why
    with_liquidity = honest.assign(
        liquidity_stress=honest["stress"],
        liquidity_stress_now=honest["stress_now"],
        liquidity_stress_probability=1.0 - honest["stress_probability"],
    )
    assert failed(gates_of(with_liquidity, honest)) == {
        "liquidity-stress-skill",
        "liquidity-stress-calibration",
    }


def test_overlapping_outcomes_are_counted_once(honest: pd.DataFrame) -> None:
    longer = honest.assign(horizon=5)
    (coverage,) = (g for g in gates_of(longer, longer) if g.name == "coverage")
    assert f" in {N // 5} at 0.01" in coverage.why


def test_a_slow_forecaster_fails(honest: pd.DataFrame) -> None:
    times = np.full(100, 5.0)
    times[:3] = 3_000.0
    gates = gates_of(honest, honest, latency_ms=times)
    assert failed(gates) == {"latency-ms"}
    assert gates[-1].measured == pytest.approx(3_000.0)


def test_limits_are_those_of_the_experiment(honest: pd.DataFrame) -> None:
    strict = GatesConfig(
        largest_qlike_ratio=0.9,
        hit_rate=(0.0, 0.001),
        smallest_brier_skill=0.99,
        largest_calibration_error=1e-6,
        largest_latency_ms=1.0,
        fewest_origins=10_000,
    )
    assert failed(gates_of(honest, honest, limits=strict)) == {
        *("qlike-ratio", "hit-rate", "stress-skill", "stress-calibration", "latency-ms"),
        "origins",
    }


def test_a_gate_that_measured_nothing_fails_and_writes_null() -> None:
    gate = Gate(name="x", measured=float("nan"), why="nothing there")
    assert not gate.passed
    assert gate.as_dict()["measured"] is None
    assert Gate(name="x", measured=1.0, low=1.0, high=1.0, why="").passed
    assert not Gate(name="x", measured=1.0, high=0.99, why="").passed


def test_a_duel_is_fought_on_the_rows_that_both_have(honest: pd.DataFrame) -> None:
    half = honest[honest["instrument"] != "A"].assign(model="opponent")
    table = pd.concat([honest, half])
    qlike, fz0 = head_to_head(table, "candidate", "opponent")
    assert (qlike.n_rows, qlike.n_origins) == (2 * N, N)
    assert qlike.mean == qlike.other_mean
    assert (qlike.p_value, fz0.loss) == (1.0, "fz0_loss")
    worse = pd.concat([_worse_variance(honest), honest.assign(model="opponent")])
    qlike, _ = head_to_head(worse, "candidate", "opponent")
    mirrored, _ = head_to_head(worse, "opponent", "candidate")
    assert qlike.p_worse + mirrored.p_worse == pytest.approx(1.0)
    assert qlike.p_worse == pytest.approx(qlike.p_value / 2.0)


def test_an_opponent_without_a_row_in_common_is_no_walk_over(honest: pd.DataFrame) -> None:
    elsewhere = honest.assign(instrument="D" + honest["instrument"])
    assert {"origins", "presence-variance", "presence-tails"} <= failed(
        gates_of(honest, elsewhere.head(0))
    )
    by_name = {gate.name: gate for gate in gates_of(honest, elsewhere)}
    assert by_name["origins"].measured == 0.0
    assert not by_name["presence-variance"].passed
