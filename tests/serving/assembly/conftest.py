"""A small honest calculator, and services that are put together around it."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.serving.assembly import Application, Deployment, PublishSettings, Settings
from foremargin.serving.observations import Bar, Observation
from foremargin.serving.quote import Basis, Calculation, SideMargin
from foremargin.serving.service import CalculatorHost, InProcessCalculator

HOUR = 3_600_000_000_000
START = 480_000 * HOUR  # in 2024
NAMES = ("BTC", "ETH")
CONTRACT = "0x" + "00" * 19 + "01"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        return self.time


class RangeCalculator:
    """Margin of three ranges of the last bar, volatility of one."""

    def __init__(self) -> None:
        self.shown: dict[str, Calculation] = {}

    def apply(self, observations: list[Observation]) -> list[Calculation]:
        made = [_calculated(one) for one in observations if isinstance(one, Bar)]
        self.shown.update((one.instrument, one) for one in made)
        return made

    def current(self) -> list[Calculation]:
        return list(self.shown.values())

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.shown)

    def restore(self, content: bytes) -> None:
        self.shown = msgspec.msgpack.decode(content, type=dict[str, Calculation])


def _calculated(bar: Bar) -> Calculation:
    sigma = (bar.high - bar.low) / bar.close
    bps = max(round(3e4 * sigma), 2)
    side = SideMargin(
        initial_margin_bps=bps, maintenance_margin_bps=bps // 2, components={"target": float(bps)}
    )
    return Calculation(
        instrument=bar.instrument,
        basis=Basis.LINEAR,
        observed_at=bar.time,
        long=side,
        short=side,
        horizon_periods=1,
        horizon_s=3_600,
        tail_probability=0.01,
        sigma=sigma,
        sigma_lower=None,
        sigma_upper=None,
        regime="calm",
        model="range/1",
        bundle="ab" * 32,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_bar() -> Callable[..., Bar]:
    """Return a function that makes a bar; its range is a part of its close."""

    def make(name: str, hour: int, close: float = 100.0, *, width: float = 0.01) -> Bar:
        low, high = close * (1.0 - width / 2.0), close * (1.0 + width / 2.0)
        return Bar(
            instrument=name, time=START + hour * HOUR, open=close, high=high, low=low, close=close
        )

    return make


@pytest.fixture
def make_application(tmp_path: Path, clock: Clock) -> Callable[..., Application]:
    """Return a function that puts a service together; settings and correlations may be given."""
    key = tmp_path / "signer.key"
    key.touch(mode=0o600)
    key.write_text("11" * 32)

    def make(
        *,
        calculator: CalculatorHost | None = None,
        correlation: NDArray[np.float64] | None = None,
        **changes: object,
    ) -> Application:
        settings = Settings(
            state_dir=str(tmp_path / "state"),
            publish=PublishSettings(key_file=str(key), chain_id=1, contract=CONTRACT),
        )
        settings = msgspec.structs.replace(settings, **changes)
        if calculator is None:
            calculator = InProcessCalculator(RangeCalculator())
        deployment = Deployment(instruments=NAMES, calculator=calculator, correlation=correlation)
        return Application(settings, deployment, clock=clock)

    return make
