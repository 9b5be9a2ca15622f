"""The assembled service through real sockets."""

import asyncio
from typing import Any

import httpx

from foremargin.serving.assembly import Application, Settings
from foremargin.serving.assembly.run import make_server

PORTFOLIO = {"positions": [{"instrument": "BTC", "notional": 1e6}]}


async def _asked(application: Application, monkeypatch: Any) -> list[httpx.Response]:
    server = make_server(application, Settings(port=0))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            slow = [await client.get("/v1/instruments"), await client.get("/v1/margins/NONE")]

            async def never(*_: object) -> None:
                raise AssertionError("the long way was taken")

            monkeypatch.setattr(application.app, "_app", never)
            read = await client.get("/v1/margins/BTC")
            tag = {"if-none-match": read.headers["etag"]}
            return [*slow, read, await client.get("/v1/margins/BTC", headers=tag)]
    finally:
        server.should_exit = True
        await serving


def test_the_assembled_service_answers_reads_by_the_hot_protocol(make_application, monkeypatch):
    application = make_application(publish=None)
    said = asyncio.run(_asked(application, monkeypatch))
    assert [answer.status_code for answer in said] == [200, 404, 200, 304]
    assert said[2].json()["instrument"] == "BTC"
    assert "date" in said[2].headers
    assert application.metrics.answers() == (4, 0)
