"""What traces cost: processor time of the service for a tick, without and with them.

Journal, ladder, table, stream, monitor and publisher in this process, and a calculator of next to
no work, so that what is measured is the service. Ticks come one after the other, each once the
quote of the one before is shown. Modes take turns, so that load on the machine meets all of them;
middle of the rounds, and the smallest. About a minute.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from foremargin.serving.assembly import Application, Deployment, PublishSettings, Settings
from foremargin.serving.observations import Observation, Tick
from foremargin.serving.quote import Basis, Calculation, SideMargin
from foremargin.serving.service import InProcessCalculator

SECOND = 10**9
ROUNDS, TICKS = 7, 300
MODES: dict[str, dict[str, Any]] = {
    "without": {},
    "share 0.01": {"trace_file": "spans.jsonl", "trace_share": 0.01},
    "all": {"trace_file": "spans.jsonl"},
}


class Last:
    """Margins from the last digits of the price."""

    def __init__(self) -> None:
        self.shown: dict[str, Calculation] = {}

    def apply(self, observations: list[Observation]) -> list[Calculation]:
        """Return a calculation for every tick."""
        made = [calculated(one) for one in observations if isinstance(one, Tick)]
        self.shown.update((one.instrument, one) for one in made)
        return made

    def current(self) -> list[Calculation]:
        """Return what was said last."""
        return list(self.shown.values())

    def snapshot(self) -> bytes:
        """Return nothing: it needs no state."""
        return b""

    def restore(self, content: bytes) -> None:
        """Take nothing."""


def calculated(tick: Tick) -> Calculation:
    """Return the margin of a tick."""
    bps = 500 + round(100.0 * tick.price) % 1_000
    side = SideMargin(
        initial_margin_bps=bps, maintenance_margin_bps=bps // 2, components={"target": float(bps)}
    )
    return Calculation(
        instrument=tick.instrument,
        basis=Basis.NETWORK,
        observed_at=tick.time,
        long=side,
        short=side,
        horizon_periods=1,
        horizon_s=3_600,
        tail_probability=0.01,
        sigma=0.01,
        sigma_lower=None,
        sigma_upper=None,
        regime="calm",
    )


class Clock:
    """Time goes on with every tick."""

    def __init__(self) -> None:
        self.time = 1_700_000_000 * SECOND

    def now(self) -> int:
        """Return ns UTC."""
        return self.time


async def measured(folder: Path, changes: dict[str, Any]) -> float:
    """Return microseconds of processor time for a tick."""
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text("11" * 32)
    named = {**changes, **({"trace_file": str(folder / "spans")} if changes else {})}
    publish = PublishSettings(key_file=str(key), chain_id=1, contract="0x" + "11" * 20)
    settings = Settings(state_dir=str(folder / "state"), publish=publish, **named)
    clock = Clock()
    calculator = InProcessCalculator(Last())
    deployment = Deployment(instruments=("A",), calculator=calculator)
    application = Application(settings, deployment, clock=clock)
    async with application.app.lifespan():
        for warm in (True, False):
            began = time.process_time()
            for n in range(20 if warm else TICKS):
                clock.time += SECOND
                tick = Tick(instrument="A", time=clock.time, price=100.0 + 0.05 * (n % 7))
                await application._from_feed([tick])
                while application.service.table.rows["A"].quote.observed_at < clock.time:
                    await asyncio.sleep(0.0002)
        took = time.process_time() - began
    return took / TICKS * 1e6


def main() -> None:
    """Print a line for each mode."""
    modes = {name: MODES[name] for name in sys.argv[1:] or MODES}
    took: dict[str, list[float]] = {name: [] for name in modes}
    for _ in range(ROUNDS):
        for name, changes in modes.items():
            with tempfile.TemporaryDirectory() as folder:
                took[name].append(asyncio.run(measured(Path(folder), changes)))
    first = next(iter(took.values()))
    for name, values in took.items():
        middle = statistics.median(values)
        ratio = statistics.median(a / b for a, b in zip(values, first, strict=True))
        print(f"{name:12} {middle:7.0f} us a tick, smallest {min(values):7.0f}, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
