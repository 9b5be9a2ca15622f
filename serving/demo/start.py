"""Start the demonstration in a folder of its own."""

import secrets
import sys
import time
from pathlib import Path

from ..assembly import Application, Deployment, PublishSettings, Settings, run
from ..journal import Snapshots
from ..monitor import MonitorSettings
from ..publish import Limits, PublishRule
from ..service import CalculatorProcess
from ..settings import FallbackSettings
from .plan import DAY_S, INSTRUMENTS, ReplayClock

_LONG_WEEKEND_S = 4.0 * DAY_S  # daily data are not late before it is over
_CONTRACT = "0x" + "00" * 19 + "01"


def run_demo(folder: Path, *, host: str, port: int, speed: float) -> None:
    """Replay daily data through the whole service until it is told to stop.

    Parameters
    ----------
    folder : Path
        Journal and keys; empty or not there yet.
    host, port : str, int
        Where to listen.
    speed : float
        Seconds of the past in a second of now; 86,400 is a day a second.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began = time.time()
    settings = demo_settings(folder, host=host, port=port, speed=speed, began=began)
    deployment = Deployment(
        instruments=INSTRUMENTS,
        calculator=CalculatorProcess(
            "foremargin.serving.demo.calculator:calculator",
            arguments=dict,
            snapshots=Snapshots(folder / "calculator"),
        ),
    )
    run(Application(settings, deployment, clock=ReplayClock(speed, began=began)), settings)


def demo_settings(folder: Path, *, host: str, port: int, speed: float, began: float) -> Settings:
    """Return the settings of a demonstration that began at a moment (seconds since 1970, UTC)."""
    return Settings(
        host=host,
        port=port,
        state_dir=str(folder),
        feeds=((sys.executable, "-m", f"{__package__}.feed", str(speed), str(began)),),
        fallback=FallbackSettings(stale_after_s=_LONG_WEEKEND_S, fixed_after_s=30.0 * DAY_S),
        monitor=MonitorSettings(stale_after_s=_LONG_WEEKEND_S),
        publish=PublishSettings(
            key_file=str(_key(folder)),
            chain_id=31_337,
            contract=_CONTRACT,
            limits=Limits(max_age_s=int(_LONG_WEEKEND_S + DAY_S)),
            rule=PublishRule(heartbeat_s=int(7 * DAY_S)),
            look_s=5.0,
        ),
    )


def _key(folder: Path) -> Path:
    """Make a signing key for this demonstration alone."""
    path = folder / "demo.key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path
