"""The whole service under load from other processes, on one machine.

Starts the demonstration's service with keys and a signing key of its own, and prints: cold start
and memory; reads and what-if at 1 and 16 connections beside an application that answers constant
bytes, by ``wrk``, which must be on the path; and a tick to its published, signed update, read by
who waits for it over a connection that stays open. Some three minutes; ``faults.py`` is the run in
which things break.
"""

import http.client
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from foremargin.client import BearerToken, Client, ClientError, Tick
from foremargin.serving.security import Scope, create_key
from foremargin.serving.security.principals import Rate

PORT = 8791
URL = f"http://127.0.0.1:{PORT}"
HEADERS: dict[str, str] = {}
PORTFOLIO = {
    "positions": [
        {"instrument": name, "notional": 1e6 * (-1) ** k}
        for k, name in enumerate(("SP500", "NASDAQ", "WTI") * 3 + ("SP500",))
    ]
}


class Running:
    """A service in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("a"),
        )

    def first(self, path: str, *, limit_s: float = 30.0) -> float:
        """Wait until a path is answered; return seconds since the start."""
        while time.perf_counter() - self.began < limit_s:
            connection = http.client.HTTPConnection("127.0.0.1", PORT)
            try:
                connection.request("GET", path, headers=HEADERS)
                if connection.getresponse().status == 200:
                    return time.perf_counter() - self.began
            except OSError:
                time.sleep(0.005)
            finally:
                connection.close()
        raise SystemExit(f"{path} is not answered after {limit_s:g} s")

    def until(self, *statuses: str, limit_s: float = 120.0) -> float:
        """Wait until every margin has one of these statuses; return seconds since the start."""
        while time.perf_counter() - self.began < limit_s:
            try:
                quotes = get("/v1/margins")["quotes"]
            except OSError:
                time.sleep(0.01)
                continue
            if quotes and all(quote["status"] in statuses for quote in quotes):
                return time.perf_counter() - self.began
            time.sleep(0.02)
        raise SystemExit(f"no {statuses} after {limit_s:g} s; see {self.folder / 'log'}")

    def memory_mb(self) -> float:
        """Resident memory of the front."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024.0

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


def get(path: str) -> Any:
    """Read JSON."""
    request = urllib.request.Request(f"{URL}{path}", headers=HEADERS)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def serve(folder: Path) -> None:
    """Run the service."""
    from msgspec.structs import replace

    from foremargin.serving.assembly import Application, Deployment, run
    from foremargin.serving.demo.plan import INSTRUMENTS, ReplayClock
    from foremargin.serving.demo.start import demo_settings
    from foremargin.serving.http import HttpSettings
    from foremargin.serving.journal import Snapshots
    from foremargin.serving.publish import Limits, PublishRule, RegimeLimit
    from foremargin.serving.security import RateLimits
    from foremargin.serving.service import CalculatorProcess

    step = RegimeLimit(rise_bps=2_000, fall_bps=2_000, period_s=1)
    began, plenty = float((folder / "began").read_text()), Rate(1e6, 1_000_000)
    settings = demo_settings(folder, host="127.0.0.1", port=PORT, speed=1.0, began=began)
    assert settings.publish is not None
    settings = replace(
        settings,
        http=HttpSettings(rates=RateLimits(loopback=plenty, address=plenty, stranger=plenty)),
        # A consumer that takes a step every second, so that no tick has to wait for one.
        publish=replace(
            settings.publish,
            rule=PublishRule(deviation_bps=0, heartbeat_s=604_800),
            limits=Limits(max_age_s=604_800, unknown=step, calm=step, elevated=step, stressed=step),
        ),
        keys_file=str(folder / "keys.json"),
    )
    deployment = Deployment(
        instruments=INSTRUMENTS,
        calculator=CalculatorProcess(
            "foremargin.serving.demo.calculator:calculator",
            arguments=dict,
            snapshots=Snapshots(folder / "calculator"),
        ),
    )
    run(Application(settings, deployment, clock=ReplayClock(1.0, began=began)), settings)


def load(
    path: str, *, connections: int, seconds: int, body: bytes | None = None, url: str = URL
) -> dict[str, Any]:
    """Load with wrk; return requests a second, percentiles in ms, and what was no success."""
    command = [
        *("wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--latency"),
        *("-H", f"Authorization: {HEADERS['Authorization']}"),
        f"{url}{path}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        if body is not None:
            script = Path(folder) / "post.lua"
            script.write_text(
                f'wrk.method = "POST"\nwrk.body = {json.dumps(body.decode())}\n'
                'wrk.headers["Content-Type"] = "application/json"\n'
            )
            command[1:1] = ["-s", str(script)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"(50|99)%\s+([\d.]+\w+)", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    total = re.search(r"(\d+) requests in", text)
    return {
        "rps": float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0]),
        "p50": _ms(found["50"]),
        "p99": _ms(found["99"]),
        "bad": int(bad.group(1)) if bad else 0,
        "requests": int(total.group(1)) if total else 0,
    }


def _ms(text: str) -> float:
    value, unit = re.findall(r"([\d.]+)(\w+)", text)[0]
    return float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def bare() -> None:
    """Load an application that answers constant bytes: what uvicorn and the sockets cost alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bare.py").write_text(
            "H = [(b'content-type', b'application/json'), (b'content-length', b'1500')]\n"
            "async def app(scope, receive, send):\n"
            "    await send({'type': 'http.response.start', 'status': 200, 'headers': H})\n"
            "    await send({'type': 'http.response.body', 'body': b'x' * 1500})\n"
        )
        command = [sys.executable, "-m", "uvicorn", "bare:app", "--port", str(PORT + 1)]
        command += ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off"]
        command += ["--no-access-log", "--log-level", "error"]
        process = subprocess.Popen(command, cwd=folder)
        time.sleep(2.0)
        for connections in (1, 16):
            made = load("/", connections=connections, seconds=6, url=f"http://127.0.0.1:{PORT + 1}")
            show("constant bytes", connections, made)
        process.terminate()
        process.wait(10)


def show(name: str, connections: int, made: dict[str, Any]) -> None:
    """Print a row."""
    print(
        f"{name:16s} {connections:2d} connections  {made['rps']:8,.0f} requests/s  "
        f"p50 {made['p50']:.2f} ms  p99 {made['p99']:.2f} ms  no success {made['bad']}",
        flush=True,
    )


def ticks(client: Client, *, n: int) -> list[float]:
    """Send falling prices; return ms from each until its signed update was read by who waits."""
    taken = []
    price = last_close() * 0.97
    with ThreadPoolExecutor(1) as thread:
        waiter = http.client.HTTPConnection("127.0.0.1", PORT)
        tag, _ = update(waiter, "", wait_s=0)
        for _ in range(n):
            now, reading = replay_now(), thread.submit(update, waiter, tag, wait_s=2)
            time.sleep(0.05)
            sent = time.perf_counter()
            client.observations([Tick(instrument="SP500", time=now, price=price)])
            newer, read = reading.result()
            if newer != tag:
                taken.append(1e3 * (read - sent))
            tag = newer
            price *= 1.0 - 0.06 / n
            time.sleep(1.1)
    return taken


def update(connection: http.client.HTTPConnection, tag: str, *, wait_s: int) -> tuple[str, float]:
    """Read the signed update after one; return its tag and when it was there."""
    headers = {"Prefer": f"wait={wait_s}", **HEADERS, **({"If-None-Match": tag} if tag else {})}
    connection.request("GET", "/v1/updates/SP500", headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.headers.get("ETag", tag), time.perf_counter()


def last_close() -> float:
    """Return the last close that the service took."""
    from foremargin.serving.demo.feed import days

    observed = get("/v1/margins/SP500")["observed_at"]
    wanted = ("SP500", observed)
    return next(
        bar.close for bars in days() for bar in bars if (bar.instrument, bar.time) == wanted
    )


def replay_now() -> int:
    """Return the moment that the service thinks it is."""
    return int(get("/v1/alerts")["now"])


def main() -> None:
    """Print the tables."""
    if shutil.which("wrk") is None:
        print("needs wrk, which is not on the path: nothing was measured")
        return
    folder = Path(tempfile.mkdtemp(prefix="foremargin-load-"))
    (folder / "began").write_text(str(time.time() - 3_600.0))
    scopes, plenty = (Scope.READ, Scope.SIMULATE, Scope.PUBLISH), Rate(1e6, 1_000_000)
    _, token = create_key(folder / "keys.json", scopes, now=0, rate=plenty)
    HEADERS["Authorization"] = f"Bearer {token}"
    service = Running(folder)
    print(f"first margin          {service.first('/v1/margins/SP500'):.2f} s")
    print(f"first of other routes {service.first('/v1/margins'):.2f} s")
    print(f"first calculated      {service.until('ok'):.2f} s")
    print(f"memory of the front   {service.memory_mb():.0f} MB")
    bare()
    body = json.dumps(PORTFOLIO).encode()
    for name, path, sent in (
        ("margin read", "/v1/margins/SP500", None),
        ("forecast read", "/v1/forecasts/SP500", None),
        ("what-if 10 x 64", "/v1/portfolios:simulate", body),
    ):
        for connections in (1, 16):
            made = load(path, connections=connections, seconds=6, body=sent)
            show(name, connections, made)
    with Client(URL, credentials=BearerToken(token)) as client:
        try:
            taken = sorted(ticks(client, n=60))
        except ClientError as error:
            print(f"ticks: {error}")
            taken = []
    if taken:
        largest = taken[-1]
        print(
            f"tick to signed update, {len(taken)} of 60 published: p50 "
            f"{statistics.median(taken):.2f} ms  largest {largest:.2f} ms"
        )
    before = service.memory_mb()
    made = load("/v1/margins/SP500", connections=16, seconds=30)
    print(f"memory over {made['requests']:,} reads  {before:.1f} to {service.memory_mb():.1f} MB")
    service.stop()
    shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    else:
        main()
