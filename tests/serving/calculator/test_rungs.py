"""A rung that is broken, late, or silent is passed over, and never takes the calculator down."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.serving.calculator import Calculator
from foremargin.serving.quote import Basis

TRAINED = 640


@dataclass
class Network:
    """Half as much again as log-har; `does` replaces what it says of its next rows."""

    served: Any
    does: list[Any] = field(default_factory=list)
    rows: int = 0
    name: str = "net"
    basis: Basis = Basis.NETWORK
    probabilities: dict[str, Any] = field(default_factory=dict)

    def advance(self, rows, features):
        time = rows.time[-1]
        row = int(np.searchsorted(self.served.panel.time, time))
        self.rows += 1
        variance = 1.5 * self.served.past["log-har"].variance[row - 250]
        return self.does.pop(0)(variance) if self.does else variance

    def snapshot(self):
        return str(self.rows).encode()

    def restore(self, saved):
        self.rows = int(saved)


def _raise(variance):
    raise RuntimeError("no such node")


def _step(calculator, served, row):
    out = calculator.apply(served.bars(row)) + calculator.close_until(served.times()[row])
    return {one.instrument: one for one in out}


def _load(served, network, **options):
    return Calculator.load(served.files, rungs=[network] if network else [], **options)


def test_the_best_rung_is_used_and_tells_its_probabilities(with_network):
    stress = np.array([[0.2, 0.3], [np.nan, 0.1], [7.0, 0.1]])
    network = Network(with_network, probabilities={"stress_probability": stress})
    calculator = _load(with_network, network, model="m/1", bundle="ab")
    found = {one.instrument: one for one in calculator.current()}
    assert {one.basis for one in found.values()} == {"network"}
    assert found["COIN"].stress_probability == 0.2
    assert found["INDEX" if "INDEX" in found else "LATE"].stress_probability is None
    assert (found["COIN"].model, found["COIN"].bundle, found["COIN"].reason) == ("m/1", "ab", "")


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (_raise, "network: broken, raised RuntimeError: no such node"),
        (lambda v: v[:1], "network: broken, raised ValueError: variance of shape"),
        (lambda v: v * np.nan, "network: no forecast"),
        (lambda v: -v, "network: no forecast"),
        (lambda v: v * np.inf, "network: no forecast"),
    ],
)
def test_a_rung_that_fails_is_passed_over_and_the_margin_does_not_fall(with_network, does, reason):
    calculator = _load(with_network, Network(with_network, [lambda v: v, does]))
    before = _step(calculator, with_network, TRAINED)["COIN"]
    assert before.basis == "linear"
    assert before.reason.startswith(reason)
    assert before.long.components["target"] == pytest.approx(
        _load(with_network, Network(with_network)).current()[0].long.components["target"], rel=0.5
    )
    after = _step(calculator, with_network, TRAINED + 1)["COIN"]
    assert after.basis == ("linear" if "broken" in reason else "network")


def test_going_down_holds_the_target_of_the_better_rung(with_network):
    calculator = _load(with_network, Network(with_network, [lambda v: 9.0 * v, _raise]))
    high = {one.instrument: one for one in calculator.current()}["COIN"]
    for row in range(TRAINED, TRAINED + 5):
        now = _step(calculator, with_network, row)["COIN"]
        assert now.basis == "linear"
        assert now.long.components["target"] >= high.long.components["target"]


def test_without_any_better_rung_the_recursion_answers_even_without_features(served):
    calculator = Calculator.load(served.files)

    def explode(row):
        raise ArithmeticError("a feature")

    stream: Any = calculator._margins.stream
    stream.update = explode
    now = _step(calculator, served, TRAINED)["COIN"]
    assert (now.basis, now.regime) == ("garch", "unknown")
    assert now.reason == "linear: without features"
    assert set(calculator.broken) == {"log-har", "features"}
    saved = calculator.snapshot()
    again = Calculator.load(served.files)
    again.restore(saved)
    assert again.broken == calculator.broken
    now = _step(again, served, TRAINED + 1)["COIN"]
    assert now.basis == "garch"


def test_a_rung_that_is_late_is_not_waited_for_and_stays_in_step(with_network):
    gate = threading.Event()

    def wait(variance):
        gate.wait(20.0)
        return variance

    network = Network(with_network, [lambda v: v, wait])
    calculator = _load(with_network, network, deadline_s=0.2)
    now = _step(calculator, with_network, TRAINED)["COIN"]
    assert (now.basis, now.reason) == ("linear", "network: late, took more than 0.2 s")
    gate.set()
    calculator.snapshot()  # waits until it has caught up
    assert network.rows == 2
    now = _step(calculator, with_network, TRAINED + 1)["COIN"]
    assert now.basis == "network"
    calculator.close()


def test_a_rung_goes_on_from_a_snapshot_or_is_said_not_to(with_network):
    network = Network(with_network)
    calculator = _load(with_network, network)
    _step(calculator, with_network, TRAINED)
    saved = calculator.snapshot()
    other = Network(with_network)
    again = _load(with_network, other)
    again.restore(saved)
    assert other.rows == network.rows == 2
    alone = _load(with_network, None)
    assert alone.current()[0].reason == "network: not loaded"
    alone.restore(saved)
    assert alone.broken == {"net": "not loaded"}
    again.restore(alone.snapshot())
    assert again.broken == {"net": "not there when the snapshot was taken"}


def test_rungs_that_nobody_asked_for_are_refused(with_network, served):
    network = Network(with_network)
    with pytest.raises(InputError, match="must be those that the state asks for"):
        _load(served, network)
    with pytest.raises(InputError, match="each once"):
        Calculator.load(with_network.files, rungs=[network, network])
    network.basis = Basis.LINEAR
    with pytest.raises(InputError, match="must be of the rung network, was of linear"):
        _load(with_network, network)
