"""Half hours of a synthetic market, a signed bundle that was fitted on them, and their feed.

``python -m foremargin.benchmarks.under_faults.market FOLDER`` is the feed: it prints each row of
bars at its close in the replayed time. When it is started again it prints all of them anew, as a
venue does that is asked for what was missed. While the file ``feed-dead`` is there it ends at once.
"""

import hashlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

SPEED = 1_800.0
"""Seconds of the replay in a second of now: half an hour each second."""

PERIOD_S = 1_800
INSTRUMENTS = ("SYN1", "SYN2", "SYN3", "SYN4")
TAIL_PROBABILITY = 0.01
_DAYS, _TRAINED, _FIRST = 150, 4_300, 1_500
_FEED_DEAD = "feed-dead"


def replayed(began: float, start: int) -> int:
    """Return the time of the replay, ns UTC: `start` was at `began` (seconds since 1970)."""
    return start + int((time.time() - began) * SPEED * 1e9)


def prepare(folder: Path) -> None:
    """Write a bundle, its public key, the bars that follow its data, and when they begin."""
    import numpy as np
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from foremargin.features import build_history
    from foremargin.markets.synthetic import CRYPTO, simulate_market

    spec = replace(CRYPTO, bar="30min", days=_DAYS, start="2024-01-01")
    panel = simulate_market(spec, rng=np.random.default_rng(7)).panel(period="30min")
    history = build_history(panel.rows(0, _TRAINED), horizons=(1,), features=("core",))
    key = Ed25519PrivateKey.generate()
    _write_bundle(folder / "bundle", _serving_files(history), panel=panel, key=key)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "trusted.pem").write_bytes(public)
    bars = [_bars(panel, row) for row in range(_TRAINED, panel.n_periods)]
    (folder / "bars.jsonl").write_bytes(b"\n".join(bars) + b"\n")
    start = int(panel.time[_TRAINED - 1].astype("datetime64[ns]").astype(np.int64))
    # The first rows are over when it starts, so that something waits for the calculator.
    (folder / "replay.json").write_text(json.dumps({"began": time.time() - 5.0, "start": start}))


def _serving_files(history: Any) -> dict[str, bytes]:  # heavy types are imported late
    import numpy as np

    from foremargin.calibrate import Predictive
    from foremargin.calibrate.export import RungDraft, export_serving_state
    from foremargin.models import Distribution, Garch, LogHar, Volatility

    drafts = []
    garch = Garch(volatility=Volatility.GJR, distribution=Distribution.T)
    for basis, forecaster in (("linear", LogHar()), ("garch", garch)):
        early = forecaster.fit(history.upto(_FIRST), rng=np.random.default_rng(0))
        past = early.forecast(history, origins=slice(_FIRST, history.panel.n_periods))
        fitted = forecaster.fit(history, rng=np.random.default_rng(0))
        drafts.append(RungDraft(basis=basis, past=past, fitted=fitted))
    return export_serving_state(
        history,
        drafts,
        policy=Predictive(model="log-har"),
        horizon=1,
        tail_probability=TAIL_PROBABILITY,
    )


def _write_bundle(path: Path, contents: dict[str, bytes], *, panel: Any, key: Any) -> None:
    from foremargin.bundles import REQUIRED_FILES, sign

    files = {name: b"{}" for name in REQUIRED_FILES} | contents
    manifest = {
        **{"format": 2, "name": "half-hours", "version": 1, "model": "log-har", "run_id": "0"},
        **{"period_s": float(PERIOD_S), "history_from": str(panel.time[0])[:10]},
        **{"trained_until": str(panel.time[_TRAINED - 1])[:10], "horizons": [1]},
        **{"instruments": list(panel.instruments), "features": [], "provenance": {}, "notes": []},
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
            for name, content in files.items()
        },
    }
    path.mkdir(parents=True)
    raw = json.dumps(manifest).encode()
    for name, content in {**files, "manifest.json": raw, "manifest.sig": sign(raw, key)}.items():
        (path / name).write_bytes(content)


def _bars(panel: Any, row: int) -> bytes:
    import numpy as np

    from foremargin.serving.observations import Bar, encode_observations

    bars = []
    for i in np.flatnonzero(panel.present[row]):
        values = {name: float(field[row, i]) for name, field in panel.fields.items()}
        prices = {name: values.pop(name) for name in ("open", "high", "low")}
        bars.append(
            Bar(
                instrument=panel.instruments[i],
                time=int(panel.time[row].astype("datetime64[ns]").astype(np.int64)),
                close=float(panel.close[row, i]),
                more={name: one for name, one in values.items() if np.isfinite(one)},
                **prices,
            )
        )
    return encode_observations(bars)


def feed(folder: Path) -> int:
    """Print rows for as long as the feed is not dead; return the exit status."""
    replay = json.loads((folder / "replay.json").read_text())
    for line in (folder / "bars.jsonl").read_bytes().splitlines():
        closes = json.loads(line)[0]["time"]
        while (ahead := closes - replayed(**replay)) > 0:
            time.sleep(min(ahead / 1e9 / SPEED, 0.2))
        if (folder / _FEED_DEAD).exists():
            return 1
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(feed(Path(sys.argv[1])))
