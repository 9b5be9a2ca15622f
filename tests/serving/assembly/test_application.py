"""The rooms together: from an observation to a margin, a signed update, a page and a metric."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from foremargin.errors import InputError
from foremargin.serving.observations import encode_observations
from foremargin.serving.security import Scope, create_key
from foremargin.serving.service.culprits import LeftOut, Omissions

HOUR = 3_600_000_000_000


@asynccontextmanager
async def running(application, headers=None):
    """Start an application, and ask it over ASGI."""
    async with application.app.lifespan():
        transport = httpx.ASGITransport(application.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers or {}
        ) as client:
            yield client


async def until(client, path, holds, *, tries=400):
    """Read until something holds; return the answer."""
    for _ in range(tries):
        answer = await client.get(path)
        if answer.status_code == 200 and holds(answer.json()):
            return answer.json()
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} said {answer.status_code} {answer.text[:300]}")


@pytest.fixture
def keys(tmp_path: Path):
    path = tmp_path / "keys.json"
    _, token = create_key(path, [Scope.READ, Scope.SIMULATE, Scope.PUBLISH], now=0)
    return path, {"Authorization": f"Bearer {token}"}


def test_the_monitor_hears_of_a_record_that_was_left_out(make_application, clock):
    async def scenario():
        application = make_application(publish=None)
        async with running(application) as client:
            left_out = LeftOut(3, "it ended the calculator")
            application.service.core.left_out = Omissions(1, left_out, clock.time)
            for _ in range(300):
                metrics = (await client.get("/metrics")).text
                if "foremargin_records_left_out 1.0" in metrics:
                    break
                await asyncio.sleep(0.01)
            assert "foremargin_records_left_out 1.0" in metrics
            (told,) = application.monitor.evaluate()
            assert told.alert.summary.endswith("record 3: it ended the calculator")

    asyncio.run(scenario())


def test_observation_becomes_margin_signed_update_and_metric(
    make_application, make_bar, clock, keys
):
    path, headers = keys

    async def scenario():
        application = make_application(keys_file=str(path))
        async with running(application, headers) as client:
            before = (await client.get("/v1/margins/BTC")).json()
            assert (before["status"], before["basis"]) == ("fallback", "fixed")
            clock.time += HOUR
            bars = [make_bar("BTC", 1, width=0.02), make_bar("ETH", 1, width=0.03)]
            sent = await client.post(
                "/v1/observations",
                content=encode_observations(bars),
                headers={"Idempotency-Key": "one", "Content-Type": "application/json"},
            )
            assert [one["outcome"] for one in sent.json()["receipts"]] == ["accepted"] * 2
            quote = await until(client, "/v1/margins/BTC", lambda q: q["status"] == "ok")
            assert quote["long"]["initial_margin_bps"] == 600
            update = await until(
                client, "/v1/updates/BTC", lambda u: u["message"]["longInitialBps"] == 600
            )
            assert int(update["message"]["prevSeq"]) == int(update["message"]["seq"]) - 1
            metrics = (await client.get("/metrics")).text
            assert 'foremargin_observations_total{outcome="accepted"} 2.0' in metrics
            alerts = (await client.get("/v1/alerts")).json()
            assert alerts["now"] == clock.time

    asyncio.run(scenario())


def test_restart_goes_on_with_sequences_and_signs_nothing_else_under_a_number(
    make_application, make_bar, clock
):
    async def first():
        application = make_application()
        async with running(application) as client:
            clock.time += HOUR
            await application._from_feed([make_bar("BTC", 1)])
            quote = await until(client, "/v1/margins/BTC", lambda q: q["status"] == "ok")
            bps = quote["long"]["initial_margin_bps"]
            update = await until(
                client, "/v1/updates/BTC", lambda u: u["message"]["longInitialBps"] == bps
            )
            return quote, update

    async def second():
        application = make_application()
        async with running(application) as client:
            quote = (await client.get("/v1/margins/BTC")).json()
            update = (await client.get("/v1/updates/BTC")).json()
            audit = (await client.get("/v1/audit")).json()["entries"]
            return quote, update, {entry["kind"] for entry in audit}

    quote, update = asyncio.run(first())
    again, same, kinds = asyncio.run(second())
    assert again["sequence"] >= quote["sequence"]
    assert again["long"]["initial_margin_bps"] >= quote["long"]["initial_margin_bps"]
    assert int(same["message"]["seq"]) >= int(update["message"]["seq"])
    if same["message"]["seq"] == update["message"]["seq"]:
        assert same == update
    assert {"observations", "quotes", "published"} <= kinds


def test_signing_key_that_cannot_be_used_is_said_before_anything_starts(make_application, tmp_path):
    (tmp_path / "signer.key").unlink()
    with pytest.raises(InputError, match=r"signer\.key"):
        make_application()


def test_without_keys_this_machine_reads_and_nobody_publishes(make_application, make_bar, clock):
    async def scenario():
        async with running(make_application()) as client:
            assert (await client.get("/v1/margins/ETH")).status_code == 200
            refused = await client.post(
                "/v1/observations",
                content=encode_observations([make_bar("BTC", 1)]),
                headers={"Idempotency-Key": "one", "Content-Type": "application/json"},
            )
            assert refused.status_code in (401, 403)
            assert refused.headers["content-type"] == "application/problem+json"

    asyncio.run(scenario())


def test_hedge_costs_less_than_its_parts_and_one_position_its_own_margin(
    make_application, make_bar, clock
):
    async def scenario():
        application = make_application()
        async with running(application) as client:
            clock.time += HOUR
            await application._from_feed([make_bar("BTC", 1), make_bar("ETH", 1)])
            await until(client, "/v1/margins/ETH", lambda q: q["status"] == "ok")

            async def margin(**positions):
                body = {
                    "positions": [{"instrument": k, "notional": v} for k, v in positions.items()]
                }
                answer = await client.post("/v1/portfolios:simulate", json=body)
                assert answer.status_code == 200, answer.text
                return answer.json()

            alone = await margin(BTC=10_000.0)
            assert alone["initial_margin"] == 300.0
            hedged = await margin(BTC=10_000.0, ETH=-10_000.0)
            assert hedged["initial_margin"] < hedged["sum_of_margins"] == 600.0

    asyncio.run(scenario())
