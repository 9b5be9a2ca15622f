"""The assembled service through real sockets."""

import asyncio
import ssl
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from foremargin.client import (
    AsyncClient,
    Client,
    RetryPolicy,
    Snapshot,
    Transport,
    UnreachableError,
)
from foremargin.serving.assembly import Application, Settings
from foremargin.serving.assembly.run import make_server
from foremargin.serving.security import TlsSettings

PORTFOLIO = {"positions": [{"instrument": "BTC", "notional": 1e6}]}


@asynccontextmanager
async def _served(application: Application, settings: Settings) -> Any:
    """Yield the port."""
    server = make_server(application, settings)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def _take_only_the_short_way(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr(application.app, "_app", never)


async def _asked(application: Application, monkeypatch: Any) -> list[httpx.Response]:
    async with (
        _served(application, Settings(port=0)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        slow = [await client.get("/v1/instruments"), await client.get("/v1/margins/NONE")]
        _take_only_the_short_way(application, monkeypatch)
        read = await client.get("/v1/margins/BTC")
        tag = {"if-none-match": read.headers["etag"]}
        return [*slow, read, await client.get("/v1/margins/BTC", headers=tag)]


def test_the_assembled_service_answers_reads_by_the_hot_protocol(make_application, monkeypatch):
    application = make_application(publish=None)
    said = asyncio.run(_asked(application, monkeypatch))
    assert [answer.status_code for answer in said] == [200, 404, 200, 304]
    assert said[2].json()["instrument"] == "BTC"
    assert "date" in said[2].headers
    assert application.metrics.answers() == (4, 0)


def _once(**more: Any) -> dict[str, Any]:
    return {"retry": RetryPolicy(attempts=1), **more}


async def _asked_by_tls(
    application: Application,
    settings: Settings,
    client: ssl.SSLContext,
    authority: Path,
    monkeypatch: Any,
) -> list[str]:
    anonymous = ssl.create_default_context(cafile=authority)
    async with _served(application, settings) as port:
        address = f"https://localhost:{port}"

        def block() -> list[str]:
            with Client(address, **_once(tls=client)) as known:
                said = [known.margin("BTC", allow=("fallback",)).instrument]
                for transport in Transport:
                    with known.stream(["ETH"], transport=transport) as stream:
                        first = next(iter(stream))
                        assert isinstance(first, Snapshot), first
                        said += first.quotes
            for options in (_once(), _once(tls=anonymous)):
                with (
                    Client(address, **options) as stranger,
                    pytest.raises(UnreachableError) as raised,
                ):
                    stranger.margin("BTC")
                said.append(str(raised.value))
            return said

        said = await asyncio.to_thread(block)
        async with AsyncClient(address, **_once(tls=client)) as known:
            async with known.stream(["ETH"], transport=Transport.WEBSOCKET) as stream:
                async for event in stream:
                    assert isinstance(event, Snapshot), event
                    said += event.quotes
                    break
            _take_only_the_short_way(application, monkeypatch)
            said.append((await known.margin("BTC", allow=("fallback",))).instrument)
        return said


def test_with_mutual_tls_clients_that_show_a_certificate_are_answered_and_by_the_hot_protocol(
    make_application, certificates, clock, monkeypatch
):
    clock.time = time.time_ns()  # a client refuses what is not valid any more
    tls = TlsSettings(
        certificate=str(certificates / "server.pem"),
        key=str(certificates / "server.key"),
        client_authority=str(certificates / "ca.pem"),
    )
    authority = certificates / "ca.pem"
    client = ssl.create_default_context(cafile=authority)
    client.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    settings = Settings(host="localhost", port=0, tls=tls)
    application = make_application(publish=None)
    said = asyncio.run(_asked_by_tls(application, settings, client, authority, monkeypatch))
    assert said[:3] == ["BTC", "ETH", "ETH"]
    assert "certificate verify failed" in said[3].lower()  # of an authority unknown to it
    assert said[5:] == ["ETH", "BTC"]
