"""HTTP: reads and portfolio what-if from a second process, by three ways to the same bytes.

One uvicorn worker (uvloop) per way and wrk on the same machine, at 1 and 16 connections, with a
key, a limit per key and every header. "hot" is our protocol in front of uvicorn's; "asgi" the same
application with ``fast_path=False`` under uvicorn's own: the same checks, and FastAPI's routing
behind them. "constant" is an ASGI application that returns the bytes of a margin and checks
nothing: what sockets, uvicorn and ASGI cost by themselves. All three run at the same time and are
asked in turns; medians of the rounds. "cpu us" is the processor time of the server per request: it
hardly depends on what else the machine does, where requests a second do. Three minutes on two
cores. Needs wrk.
"""

import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from foremargin.serving.http import HttpSettings, make_app
from foremargin.serving.http.protocol import HotProtocol
from foremargin.serving.http.scenarios import forecast_scenarios
from foremargin.serving.http.whatif import TableScenarios
from foremargin.serving.observations import Observation
from foremargin.serving.ports import AuditEntry, Receipt
from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status
from foremargin.serving.security import (
    Authenticator,
    KeyStore,
    Rate,
    RateLimits,
    Scope,
    create_key,
    uvicorn_arguments,
)
from foremargin.serving.table import QuoteTable

INSTRUMENTS, POSITIONS = 100, 10
SECONDS, CONNECTIONS, ROUNDS = 3, (1, 16), 3
KINDS = ("constant", "asgi", "hot")
NAMES = [f"PERP-{number}" for number in range(INSTRUMENTS)]
PLENTY = Rate(1e6, 1_000_000)


class WallClock:
    """The clock of the machine."""

    def now(self) -> int:
        """Return ns UTC."""
        return time.time_ns()


class Fixed:
    """Quotes that do not change."""

    def __init__(self) -> None:
        self.table = QuoteTable()
        self.table.write(_quote(name) for name in NAMES)

    async def accept(self, observations: Sequence[Observation], *, by: str) -> list[Receipt]:
        """Take nothing."""
        raise NotImplementedError

    def audit(self, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """Return nothing."""
        return []

    def history(self, instrument: str, *, limit: int) -> Sequence[Quote]:
        """Return the last quote."""
        return [self.table.rows[instrument].quote]

    def health(self) -> Mapping[str, Any]:
        """Return that it is ready."""
        return {"ready": True}

    async def command(self, name: str, arguments: Mapping[str, Any], *, by: str) -> dict[str, Any]:
        """Do nothing."""
        raise NotImplementedError


def _quote(name: str) -> Quote:
    now = time.time_ns()
    side = SideMargin(
        initial_margin_bps=1_250,
        maintenance_margin_bps=1_000,
        components={"volatility": 1_100.0, "liquidity": 149.5, "rounding": 0.5},
    )
    calculation = Calculation(
        instrument=name,
        basis=Basis.NETWORK,
        observed_at=now,
        long=side,
        short=side,
        horizon_periods=24,
        horizon_s=86_400,
        tail_probability=0.01,
        sigma=0.03,
        sigma_lower=0.02,
        sigma_upper=0.05,
        regime="calm",
    )
    return Quote(
        instrument=name,
        sequence=1,
        status=Status.OK,
        basis=Basis.NETWORK,
        reason="",
        observed_at=now,
        quoted_at=now,
        valid_until=now + 3_600_000_000_000,
        long=side,
        short=side,
        calculation=calculation,
    )


def constant(body: bytes) -> Any:
    """Return an application that returns the same bytes to everybody."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def serve(kind: str, port: int, keys: str) -> None:
    """Serve until terminated."""
    service, clock = Fixed(), WallClock()
    arguments = uvicorn_arguments("127.0.0.1", port, has_keys=True)
    if kind == "constant":
        app = constant(service.table.rows[NAMES[7]].body)
        arguments["lifespan"] = "off"
    else:
        covariance = 0.03**2 * (0.6 + 0.4 * np.eye(INSTRUMENTS))
        app = make_app(
            service,
            clock=clock,
            scenarios=TableScenarios(forecast_scenarios(NAMES, covariance), service.table),
            authenticator=Authenticator(KeyStore(Path(keys)), clock=clock),
            settings=HttpSettings(fast_path=kind == "hot", rates=RateLimits(address=PLENTY)),
        )
    if kind == "hot":
        arguments["http"] = HotProtocol
    uvicorn.run(app, **arguments, log_level="error")


Row = tuple[float, float, float, float]


def measure(url: str, script: Path, connections: int, *, server: int) -> tuple[Row, int]:
    """Return requests a second, median and 99 % latency (ms), cpu us; and answers not 2xx."""
    before = _cpu_s(server)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script)]
    said = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([0-9.]+)", said)[1])  # type: ignore[index]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    count = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    cpu = (_cpu_s(server) - before) / count * 1e6
    median, tail = _milliseconds(said, "50%"), _milliseconds(said, "99%")
    return (rate, median, tail, cpu), int(bad[1]) if bad else 0


def _cpu_s(process: int) -> float:
    """Return user and system time of a process, seconds; NaN where there is no /proc."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _milliseconds(said: str, share: str) -> float:
    found = re.search(rf"{share}\s+([0-9.]+)(us|ms|s)\b", said)
    assert found is not None
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]


def _script(folder: Path, token: str, *, post: bool) -> Path:
    lines = [f'wrk.headers["Authorization"] = "Bearer {token}"']
    if post:
        positions = ",".join(
            f'{{"instrument":"{name}","notional":{(-1) ** i * 1e5 * (i + 1)}}}'
            for i, name in enumerate(NAMES[:POSITIONS])
        )
        lines += [
            'wrk.method = "POST"',
            'wrk.headers["Content-Type"] = "application/json"',
            f"wrk.body = '{{\"positions\":[{positions}]}}'",
        ]
    path = folder / ("post.lua" if post else "get.lua")
    path.write_text("\n".join(lines))
    return path


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server did not start")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def main() -> None:
    """Print the table."""
    if shutil.which("wrk") is None:
        print("wrk is not installed: nothing was measured")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = folder / "keys.json"
        scopes = [Scope.READ, Scope.SIMULATE]
        token = create_key(keys, scopes, now=time.time_ns(), rate=PLENTY)[1]
        scripts = {post: _script(folder, token, post=post) for post in (False, True)}
        servers = {kind: _start(kind, str(keys)) for kind in KINDS}
        try:
            _print(_rounds(servers, scripts))
        finally:
            for process, _ in servers.values():
                process.terminate()
                process.join()


def _start(kind: str, keys: str) -> tuple[Any, int]:
    port = _free_port()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(kind, port, keys), daemon=True
    )
    process.start()
    _wait(port)
    return process, port


def _rounds(
    servers: Mapping[str, tuple[Any, int]], scripts: Mapping[bool, Path]
) -> dict[tuple[str, int], dict[str, Row]]:
    """Return the medians by what is asked, connections and way."""
    asked = [
        ("margin", "/v1/margins/PERP-7"),
        ("forecast", "/v1/forecasts/PERP-7"),
        (f"what-if, {POSITIONS} positions x 64", "/v1/portfolios:simulate"),
    ]
    rows: dict[tuple[str, int], dict[str, list[Row]]] = {}
    for _ in range(ROUNDS):
        for what, path in asked:
            for connections in CONNECTIONS:
                for kind, (process, port) in servers.items():
                    row, bad = measure(
                        f"http://127.0.0.1:{port}{path}",
                        scripts["simulate" in path],
                        connections,
                        server=process.pid,
                    )
                    if bad:
                        sys.exit(f"{bad} answers of {kind} to {what} were not 2xx")
                    kinds = rows.setdefault((what, connections), {})
                    kinds.setdefault(kind, []).append(row)
    return {
        case: {kind: _median(found) for kind, found in kinds.items()}
        for case, kinds in rows.items()
    }


def _median(rows: Sequence[Row]) -> Row:
    rate, median, tail, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
    return rate, median, tail, cpu


def _print(found: Mapping[tuple[str, int], Mapping[str, Row]]) -> None:
    columns = ("req/s", "ratio", "p50 ms", "p99 ms", "cpu us", "ratio")
    heads = "".join(f"{name:>9}" for name in columns)
    print(f"{'what':28}{'conns':>5}  {'way':10}{heads}")
    for (what, connections), kinds in found.items():
        beside = kinds["asgi"]
        for kind, (rate, median, tail, cpu) in kinds.items():
            print(
                f"{what:28}{connections:5}  {kind:10}{rate:9,.0f}{rate / beside[0]:8.1f}x"
                f"{median:9.2f}{tail:9.2f}{cpu:9.0f}{cpu / beside[3]:8.2f}x"
            )


if __name__ == "__main__":
    main()
