"""The service under faults: ``python -m foremargin.benchmarks.under_faults.service FOLDER``.

It is put together as ``foremargin serve --bundle`` does it, with a clock that replays and may be
wrong by what the file ``skew`` says (seconds), and a log-HAR that is silent while the file
``rung-silent`` is there.
"""

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from foremargin.bundles import trusted_key
from foremargin.serving.assembly import Application, Deployment, Settings, run
from foremargin.serving.assembly.deployed import ServedBundles
from foremargin.serving.bundles import BundleStore
from foremargin.serving.http import HttpSettings
from foremargin.serving.journal import Snapshots
from foremargin.serving.security import Rate, RateLimits
from foremargin.serving.service import CalculatorProcess, ProcessSettings
from foremargin.serving.settings import FallbackSettings

from .market import INSTRUMENTS, replayed

FALLBACK = FallbackSettings(
    fixed_initial_bps=120,
    fixed_maintenance_bps=100,
    stale_after_s=3_600.0,
    fixed_after_s=18_000.0,
    add_on_per_hour=0.1,
)
"""Stale after two rows, fixed after ten; the fixed margin is above some and below others."""


class SkewedClock:
    """The replayed time, and what the file says on top of it."""

    def __init__(self, folder: Path) -> None:
        self._skew = folder / "skew"
        self._replay = json.loads((folder / "replay.json").read_text())

    def now(self) -> int:
        """Return ns UTC."""
        try:
            skew = int(float(self._skew.read_text()) * 1e9)
        except (OSError, ValueError):
            skew = 0
        return replayed(**self._replay) + skew


def calculator(flag: str, **told: Any) -> Any:
    """Return the calculator of a bundle, whose log-HAR says nothing while there is a file."""
    import numpy as np

    from foremargin.serving.calculator import deployed
    from foremargin.serving.calculator.rungs import LinearRung

    speak, path = LinearRung.advance, Path(flag)

    def advance(rung: LinearRung, rows: Any, features: Any) -> Any:
        said = speak(rung, rows, features)
        return np.full_like(said, np.nan) if path.exists() else said

    LinearRung.advance = advance  # type: ignore[method-assign, assignment]
    return deployed.calculator(**told)


def main(folder: Path, port: int) -> None:
    """Serve until it is ended."""
    state, plenty = folder / "disk" / "state", Rate(1e6, 1_000_000)
    settings = Settings(
        port=port,
        state_dir=str(state),
        keys_file=str(folder / "keys.json"),
        fallback=FALLBACK,
        feeds=((sys.executable, "-m", f"{__package__}.market", str(folder)),),
        http=HttpSettings(rates=RateLimits(loopback=plenty, address=plenty, stranger=plenty)),
        process=ProcessSettings(snapshot_records=200, longest_backoff_s=2.0),
    )
    store = BundleStore(state / "bundles", trusted_key(folder / "trusted.pem"))
    store.activate(folder / "bundle") if not (state / "bundles").exists() else None
    bundles = ServedBundles(store)
    assert sorted(bundles.instruments) == sorted(INSTRUMENTS)
    deployment = Deployment(
        instruments=bundles.instruments,
        calculator=CalculatorProcess(
            f"{__package__}.service:calculator",
            arguments=partial(_told, bundles, str(folder / "rung-silent")),
            snapshots=Snapshots(state / "calculator"),
            settings=settings.process,
        ),
        bundles=bundles,
    )
    run(Application(settings, deployment, clock=SkewedClock(folder)), settings)


def _told(bundles: ServedBundles, flag: str) -> Mapping[str, Any]:
    return {"flag": flag, **bundles.arguments()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
