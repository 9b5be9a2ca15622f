"""Who comes in: scopes, hosts, origins, limits, signatures."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from foremargin.serving.http import Additions, HttpSettings
from foremargin.serving.http.access import scope_needed
from foremargin.serving.security import (
    BodyLimits,
    Rate,
    RateLimits,
    Scope,
    SignedRequest,
    revoke_key,
    sign_request,
)

BODY = {"positions": [{"instrument": "BTC-PERP", "notional": 1.0}]}
TICK = [{"type": "tick", "instrument": "BTC-PERP", "time": 5, "price": 4.0}]
KEY = {"idempotency-key": "k1"}
CALLS: dict[Scope, tuple[str, str, dict[str, Any]]] = {
    Scope.READ: ("GET", "/v1/margins/BTC-PERP", {}),
    Scope.SIMULATE: ("POST", "/v1/portfolios:simulate", {"json": BODY}),
    Scope.PUBLISH: ("POST", "/v1/observations", {"json": TICK, "headers": KEY}),
    Scope.ADMIN: ("POST", "/v1/commands/pause", {"json": {}, "headers": KEY}),
}


class Unread:
    """A body that must not be asked for."""

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        raise AssertionError("the body was read")


def code_of(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"].rsplit("/", 1)[1])


def test_a_key_does_what_its_scope_says_and_nothing_else(build, call, tokens):
    app = build()
    for held, needed in product(Scope, Scope):
        method, url, rest = CALLS[needed]
        answer = call(app, method, url, token=tokens[held.value], **rest)
        assert answer.status_code == (200 if held is needed else 403)
        if held is not needed:
            assert code_of(answer) == "forbidden"
            assert answer.json()["scope"] == needed.value


def test_without_keys_this_machine_reads_and_simulates(build, call):
    app = build(keys=False)
    for needed, (method, url, rest) in CALLS.items():
        allowed = needed in (Scope.READ, Scope.SIMULATE)
        assert call(app, method, url, **rest).status_code == (200 if allowed else 403)
        away = call(app, method, url, address="10.0.0.9", **rest)
        assert (away.status_code, code_of(away)) == (401, "unauthenticated")


def test_without_keys_whoever_comes_through_a_proxy_is_not_this_machine(build, call):
    app, headers = build(keys=False), ("x-forwarded-for", "forwarded", "x-real-ip", "via")
    for url, header in product(("/v1/margins/BTC-PERP", "/v1/instruments"), headers):
        assert call(app, "GET", url).status_code == 200
        assert call(app, "GET", url, headers={header: "127.0.0.1"}).status_code == 401


def test_without_keys_another_host_is_refused(build, call, tokens):
    without, with_keys = build(keys=False), build()
    hosts = ("evil.example", "evil.example:8750", "127.0.0.1.evil.example", "")
    for host, url in product(hosts, ("/v1/margins/BTC-PERP", "/v1/instruments", "/")):
        answer = call(without, "GET", url, headers={"host": host})
        assert (answer.status_code, code_of(answer)) == (421, "misdirected")
        known = call(with_keys, "GET", url, headers={"host": host}, token=tokens["read"])
        assert known.status_code == (404 if url == "/" else 200)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8750", "LOCALHOST", "[::1]:8750", "[::1]"]
)
def test_without_keys_every_name_of_this_machine_is_fine(build, call, host):
    answer = call(build(keys=False), "GET", "/v1/margins/BTC-PERP", headers={"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:3000", "null", "[::"])
def test_without_keys_a_page_of_another_site_cannot_post(build, call, origin):
    app, url = build(keys=False), "/v1/portfolios:simulate"
    answer = call(app, "POST", url, json=BODY, headers={"origin": origin})
    assert (answer.status_code, code_of(answer)) == (403, "foreign-origin")
    own = {"origin": "http://127.0.0.1:8750", "host": "127.0.0.1:8750"}
    assert call(app, "POST", url, json=BODY, headers=own).status_code == 200


def test_a_revoked_key_is_refused_on_the_fast_path_within_seconds(build, call, tokens, clock):
    app, token = build(), tokens["read"]
    assert call(app, "GET", "/v1/margins/BTC-PERP", token=token).status_code == 200
    revoke_key(Path(tokens["file"]), token.split("_")[1], now=clock.now())
    clock.step(5.1)
    answer = call(app, "GET", "/v1/margins/BTC-PERP", token=token)
    assert (answer.status_code, answer.json()["reason"]) == (401, "revoked")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("url", ["/v1/margins/BTC-PERP", "/v1/instruments"])
def test_a_limit_says_what_is_left_and_when_to_come_again(build, call, tokens, clock, url):
    app = build()
    left = []
    for _ in range(3):
        answer = call(app, "GET", url, token=tokens["slow"])
        assert answer.headers["ratelimit-limit"] == "3"
        left.append(answer.headers["ratelimit-remaining"])
    assert left == ["2", "1", "0"]
    answer = call(app, "GET", url, token=tokens["slow"])
    assert (answer.status_code, code_of(answer)) == (429, "rate-limited")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["ratelimit-remaining"] == "0"
    clock.step(1.0)
    assert call(app, "GET", url, token=tokens["slow"]).status_code == 200


def test_an_address_has_a_limit_over_all_its_keys(build, call, tokens):
    app = build(settings=HttpSettings(rates=RateLimits(address=Rate(1.0, 4))))
    url = "/v1/margins/BTC-PERP"
    statuses = [
        call(app, "GET", url, token=tokens[name]).status_code for name in ["read", "all"] * 3
    ]
    assert statuses == [200] * 4 + [429] * 2
    assert call(app, "GET", url, token=tokens["read"], address="9.9.9.9").status_code == 200


def test_failures_of_an_address_are_limited_and_do_not_lock_out_its_good_key(build, call, tokens):
    app = build(settings=HttpSettings(rates=RateLimits(stranger=Rate(1.0, 3))))
    statuses = [
        call(app, "GET", "/v1/margins/BTC-PERP", token="fm_wrong").status_code for _ in range(5)
    ]
    assert statuses == [401] * 3 + [429] * 2
    assert call(app, "GET", "/livez").status_code == 429
    good = call(app, "GET", "/v1/margins/BTC-PERP", token=tokens["read"])
    assert good.status_code == 200


def test_a_key_that_signs_publishes_signed_once_and_never_otherwise(build, call, tokens, clock):
    app, token = build(), tokens["signs"]
    content = b'[{"type":"tick","instrument":"BTC-PERP","time":5,"price":4.0}]'
    request = SignedRequest(method="POST", target=b"/v1/observations", body=content)
    signature = sign_request(request, token=token, now=clock.now())
    headers = {**KEY, "content-type": "application/json", "authorization": signature}

    def post(body: bytes, **more: str):
        return call(app, "POST", "/v1/observations", content=body, headers={**headers, **more})

    changed = post(content.replace(b"4.0", b"5.0"))
    assert changed.json()["reason"] == "signature"
    assert post(content).status_code == 200
    assert post(content).json()["reason"] == "replay"
    clock.step(31)
    assert post(content).json()["reason"] == "skew"
    plain = call(app, "POST", "/v1/observations", token=token, json=TICK, headers=KEY)
    assert plain.json()["reason"] == "must-sign"


@pytest.mark.parametrize(
    "url", ["/v1/margins/BTC-PERP", "/v1/margins/BTC%2FUSDT:USDT", "/v1/audit?limit=3"]
)
def test_reads_can_be_signed_too(build, call, tokens, clock, url):
    request = SignedRequest(method="GET", target=url.encode())
    signature = sign_request(request, token=tokens["signs"], now=clock.now())
    headers = {"authorization": signature}
    app = build()
    assert call(app, "GET", url, headers=headers).status_code == 200
    assert call(app, "GET", url, headers=headers).json()["reason"] == "replay"


def test_a_signature_with_an_old_time_or_no_key_is_refused_before_its_body_is_read(
    build, call, tokens, clock
):
    request = SignedRequest(method="POST", target=b"/v1/observations", body=b"[]")
    old = sign_request(request, token=tokens["signs"], now=clock.now() - 31 * 10**9)
    new = sign_request(request, token=tokens["signs"], now=clock.now())
    unknown = new.replace(tokens["signs"].split("_")[1], "a" * 12)

    for signature, reason in (
        (old, "skew"),
        (unknown, "unknown"),
        ("FM1-HMAC-SHA256 x", "malformed"),
    ):
        answer = call(
            build(),
            "POST",
            "/v1/observations",
            content=Unread(),
            headers={"authorization": signature},
        )
        assert (answer.status_code, answer.json()["reason"]) == (401, reason)


def test_a_body_is_not_read_for_a_caller_without_a_key(build, call):
    assert call(build(), "POST", "/v1/observations", content=Unread()).status_code == 401


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[" * 17 + b"]" * 17, "body-too-deep"),
        (b"[" + b"1," * 300 + b"1]", "too-many-items"),
        (b'"' + b"x" * 3_000 + b'"', "body-too-large"),
        (b"[", "malformed-body"),
        (b"\xff", "malformed-body"),
        (b"{}", "invalid-body"),
        (b"[]", "invalid-body"),
    ],
)
def test_bodies_beyond_the_limits_or_reason_are_problems(build, call, tokens, content, code):
    app = build(settings=HttpSettings(body=BodyLimits(size=2_000, depth=16, array=300)))
    headers = {**KEY, "content-type": "application/json"}
    answer = call(
        app, "POST", "/v1/observations", token=tokens["publish"], content=content, headers=headers
    )
    assert code_of(answer) == code


def test_a_body_that_hides_its_length_is_cut_off(build, call, tokens):
    sent = []

    async def body():
        for number in range(100):
            sent.append(number)
            yield b"x" * 1_000

    app = build(settings=HttpSettings(body=BodyLimits(size=5_000)))
    answer = call(app, "POST", "/v1/observations", token=tokens["publish"], content=body())
    assert (answer.status_code, code_of(answer)) == (413, "body-too-large")


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_a_body_that_does_not_say_json_is_refused(build, call, tokens, kind):
    answer = call(
        build(),
        "POST",
        "/v1/portfolios:simulate",
        token=tokens["simulate"],
        content=b"{}",
        headers={"content-type": kind},
    )
    assert (answer.status_code, code_of(answer)) == (415, "unsupported-media-type")


def test_what_is_not_listed_needs_admin_unless_it_reads_a_page():
    assert scope_needed("POST", "/anything") is Scope.ADMIN
    assert scope_needed("DELETE", "/v1/margins/x") is Scope.ADMIN
    assert scope_needed("GET", "/v1/anything") is Scope.READ
    assert scope_needed("GET", "/v2/models/m") is Scope.READ
    assert scope_needed("POST", "/v2/models/m/infer") is Scope.SIMULATE
    assert scope_needed("GET", "/metrics") is Scope.READ
    for path in ("/", "/app.js", "/livez", "/v2/health/live", "/v1", "/openapi.json"):
        assert scope_needed("GET", path) is None


@pytest.fixture
def added():
    async def page(request):
        return HTMLResponse("<h1>page</h1>")

    async def stream(request):
        async def parts():
            yield b"data: 1\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")

    async def socket(websocket):
        await websocket.accept()
        await websocket.send_text(websocket.state.principal.id)
        await websocket.close()

    return Additions(
        routes=[
            Route("/", page),
            Route("/v1/events", stream),
            WebSocketRoute("/v1/stream", socket),
        ]
    )


def test_added_routes_stand_behind_the_same_door(build, call, tokens, added):
    app = build(additions=added)
    page = call(app, "GET", "/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert call(app, "GET", "/v1/events").status_code == 401
    events = call(app, "GET", "/v1/events", token=tokens["read"])
    assert (events.status_code, events.text) == (200, "data: 1\n\n")


def open_socket(runner, app, *, headers, address="127.0.0.1", extensions=None):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/v1/stream",
        "raw_path": b"/v1/stream",
        "query_string": b"",
        "scheme": "ws",
        "headers": headers,
        "client": (address, 1),
        "subprotocols": [],
        "extensions": extensions or {},
    }
    runner.run(app(scope, receive, send))
    return sent


def test_a_socket_needs_a_key_and_a_page_of_another_site_cannot_open_one(
    build, call, tokens, added
):
    host = (b"host", b"127.0.0.1:8750")
    bearer = (b"authorization", f"Bearer {tokens['read']}".encode())
    app = build(additions=added)
    opened = open_socket(call.runner, app, headers=[host, bearer])
    assert [message["type"] for message in opened][:2] == ["websocket.accept", "websocket.send"]
    refused = open_socket(call.runner, app, headers=[host])
    assert refused == [{"type": "websocket.close", "code": 1008}]
    told = open_socket(call.runner, app, headers=[host], extensions={"websocket.http.response": {}})
    assert told[0]["status"] == 401
    without = build(keys=False, additions=added)
    assert open_socket(call.runner, without, headers=[host])[0]["type"] == "websocket.accept"
    foreign = [host, (b"origin", b"https://evil.example")]
    assert open_socket(call.runner, without, headers=foreign) == refused
    away = open_socket(call.runner, without, headers=[host], address="10.0.0.9")
    assert away == refused
