"""Fan-out of the stream hub: a burst at sixteen times the usual rate, slow readers beside fast.

A hub behind a real server on loopback, in a process of its own. The usual rate is a new quote of
one of 50 instruments every 50 ms; the burst sends sixteen times as many. A second process holds the
crowd of subscribers, which take bytes as they come; a slow one takes four kilobytes every tenth of
a second, a tenth of the burst. Four more subscribers in this process read every event and note how
long after its publication it arrived, and how many were conflated. The second table is the hub
alone. Nothing here fails on time.
"""

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import connect

from foremargin.client import Changed, Follower
from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status
from foremargin.serving.stream import Hub, make_stream_routes

PORT = 8_799
INSTRUMENTS = [f"I{i:02d}-PERP" for i in range(50)]
USUAL_S = 0.05
BURST = 16
SECONDS = 4.0
PROBES = 4


class SystemClock:
    """The machine's."""

    def now(self) -> int:
        """Return ns since 1970 UTC."""
        return time.time_ns()


def quote(instrument: str, sequence: int) -> Quote:
    """Return a quote of usual size whose time is now."""
    now = time.time_ns()
    side = SideMargin(
        initial_margin_bps=512,
        maintenance_margin_bps=410,
        components={"tail": 480.25, "liquidity": 31.25, "rounding": 0.5},
    )
    calculation = Calculation(
        instrument=instrument,
        basis=Basis.NETWORK,
        observed_at=now,
        long=side,
        short=side,
        horizon_periods=24,
        horizon_s=86_400,
        tail_probability=0.01,
        sigma=0.0213,
        sigma_lower=0.0181,
        sigma_upper=0.0262,
        regime="calm",
        stress_probability=0.034,
    )
    return Quote(
        instrument=instrument,
        sequence=sequence,
        status=Status.OK,
        basis=Basis.NETWORK,
        reason="",
        observed_at=now,
        quoted_at=now,
        valid_until=now + 10**12,
        long=side,
        short=side,
        calculation=calculation,
    )


def quotes() -> Iterator[Quote]:
    """Yield new quotes, one instrument after the other, for ever."""
    number = 0
    while True:
        number += 1
        yield from (quote(name, number) for name in INSTRUMENTS)


def serve() -> None:
    """Serve a hub that publishes at the rate that the last request asked for."""
    hub = Hub(SystemClock())
    routes = make_stream_routes(hub, authorise=lambda _: None)
    pace = {"wait_s": USUAL_S}

    async def publish() -> None:
        source, due = quotes(), time.monotonic()
        hub.publish([next(source) for _ in INSTRUMENTS])
        while True:
            hub.publish([next(source)])
            due = max(due + pace["wait_s"], time.monotonic() - 0.1)
            await asyncio.sleep(due - time.monotonic())

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "http" and scope["path"].startswith("/pace/"):
            pace["wait_s"] = float(scope["path"].rpartition("/")[2])
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        await Starlette(routes=routes)(scope, receive, send)

    async def main() -> None:
        config = uvicorn.Config(
            app, port=PORT, log_level="error", ws_per_message_deflate=False, lifespan="off"
        )
        publisher = asyncio.create_task(publish())
        await uvicorn.Server(config).serve()
        publisher.cancel()

    import uvloop

    uvloop.run(main())


@dataclass
class Reader:
    """What a subscriber saw."""

    latency_ms: list[float] = field(default_factory=list)
    missed: int = 0


async def read(reader: Reader) -> None:
    """Follow the stream and note ages."""
    follower = Follower()
    async with connect(
        f"ws://127.0.0.1:{PORT}/v1/stream",
        subprotocols=["foremargin.batch.v1"],  # type: ignore[list-item]
        compression=None,
        max_size=2**24,
    ) as line:
        await line.send('{"type":"subscribe","instruments":"all"}')
        async for frame in line:
            for event in follower.receive(frame):
                if isinstance(event, Changed):
                    reader.latency_ms.append((time.time_ns() - event.quote.quoted_at) / 1e6)
                    reader.missed += event.missed


async def take(size: int, wait_s: float) -> None:
    """Subscribe by hand and take bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT, limit=size)
    writer.write(b"GET /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    while await reader.read(size):
        if wait_s:
            await asyncio.sleep(wait_s)


def crowd(fast: int, slow: int) -> None:
    """Hold subscribers until the process ends."""

    async def all_of_them() -> None:
        await asyncio.gather(
            *(take(65_536, 0.0) for _ in range(fast)), *(take(4_096, 0.1) for _ in range(slow))
        )

    asyncio.run(all_of_them())


async def pace(wait_s: float) -> None:
    """Tell the publisher its rate."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(f"GET /pace/{wait_s} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
    await reader.read()
    writer.close()


async def measured(fast: int, slow: int) -> list[dict[str, object]]:
    """Return latencies at the usual rate and in the burst."""
    readers = [Reader() for _ in range(PROBES)]
    tasks = [asyncio.create_task(read(reader)) for reader in readers]
    await asyncio.sleep(1.0)
    rows: list[dict[str, object]] = []
    for name, factor in (("usual", 1), ("burst", BURST)):
        await pace(USUAL_S / factor)
        await asyncio.sleep(0.5)
        for reader in readers:
            reader.latency_ms.clear()
            reader.missed = 0
        await asyncio.sleep(SECONDS)
        latency = np.concatenate([reader.latency_ms for reader in readers])
        total = len(latency) + sum(reader.missed for reader in readers)
        rows.append(
            {
                "fast": fast,
                "slow": slow,
                "rate": name,
                "probe events/s": len(latency) / SECONDS / PROBES,
                "conflated": 1.0 - len(latency) / total,
                "p50 ms": float(np.quantile(latency, 0.5)),
                "p99 ms": float(np.quantile(latency, 0.99)),
                "largest ms": float(latency.max()),
            }
        )
    await pace(USUAL_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return rows


def hub_alone() -> pd.DataFrame:
    """Return what publishing and reading cost without a network, microseconds of this core."""
    rows = []
    source = quotes()
    for subscribers in (1, 100, 1_000):
        hub = Hub(SystemClock())
        readers = [hub.subscribe(None, wake=lambda: None) for _ in range(subscribers)]
        hub.publish([next(source) for _ in INSTRUMENTS])
        for reader in readers:
            list(reader.round())
        batch, start = [next(source) for _ in range(200)], time.process_time()
        for each in batch:
            hub.publish([each])
        published, start = time.process_time() - start, time.process_time()
        events = sum(len(chunk) for reader in readers for chunk in reader.round())
        rows.append(
            {
                "subscribers": subscribers,
                "publish µs": published / len(batch) * 1e6,
                "event µs": (time.process_time() - start) / events * 1e6,
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the tables."""
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, daemon=True)
    server.start()
    wait_for_server()
    rows = []
    for fast, slow in ((0, 0), (100, 0), (300, 0), (400, 0), (300, 100)):
        others = context.Process(target=crowd, args=(fast, slow), daemon=True)
        others.start()
        time.sleep(8.0)  # the process starts, and the snapshots are read
        rows += asyncio.run(measured(fast, slow))
        others.terminate()
        others.join()
    server.terminate()
    print(pd.DataFrame(rows).round(2).to_string(index=False))
    print(hub_alone().round(2).to_string(index=False))


def wait_for_server() -> None:
    """Return once the server accepts connections; it is given a minute."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", PORT)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server must start within a minute, did not")


if __name__ == "__main__":
    main()
