"""The hot protocol: the same answers as the long way, in order, and never another framing."""

import asyncio
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.serving.http import HttpSettings
from foremargin.serving.http.framing import body_length, read_fields
from foremargin.serving.http.visits import Head, Pending, Visitor
from foremargin.serving.security import Allowance, BodyLimits

from .wires import BODY, Server, answers, compare, cut, get, post

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def unanswered(server):
    """Make a server whose application may not be asked."""

    async def never(*_):
        raise AssertionError("the long way was taken")

    server.config.loaded_app._app = never
    server.config.loaded_app._serve = never
    return server


# --- the same answers -------------------------------------------------------------------------


PATHS = (
    "/v1/margins/BTC-PERP",
    "/v1/margins/NEW-PERP",
    "/v1/margins/BTC/USDT:USDT",
    "/v1/margins/BTC%2FUSDT:USDT",
    "/v1/margins/NOBODY",
    "/v1/margins/history",
    "/v1/margins/BTC-PERP/history",
    "/v1/margins/BTC-PERP?x=1",
    "/v1/margins/",
    "/v1/margins/" + "x" * 70,
    "/v1/forecasts/BTC-PERP",
    "/v1/forecasts/NEW-PERP",
    "/v1/portfolios:simulate",
    "http://127.0.0.1:8750/v1/margins/BTC-PERP",
    "//v1/margins/BTC-PERP",
)


@pytest.mark.parametrize("who", ["read", "all", "simulate", "signs", "nobody", "wrong"])
def test_reads_are_answered_as_the_long_way_answers_them(run, both, tokens, clock, who):
    clock.step(7.5)
    token = {"nobody": "", "wrong": "fm_x"}.get(who) or tokens.get(who, "")
    servers = both()
    for path, tag in product(PATHS, ("", '"no"', "*", 'W/"1-17979cfe362a0000"')):
        headers = [f"traceparent: {TRACE}", *([f"If-None-Match: {tag}"] if tag else [])]
        assert len(compare(run, servers, [get(path, *headers, token=token)])) == 1


def test_reads_are_answered_by_the_hot_table(run, build, tokens, clock):
    clock.step(7.5)
    server = unanswered(Server(build()))

    async def ask():
        wire = server.connect()
        for path in ("/v1/margins/BTC-PERP", "/v1/margins/BTC/USDT:USDT", "/v1/forecasts/BTC-PERP"):
            said = answers(await server.send(wire, get(path, token=tokens["read"])))
            assert [status for status, _, _ in said] == [b"HTTP/1.1 200 OK"]
            assert said[0][1][b"age: 7"] == 1
        said = answers(await server.send(wire, post(token=tokens["simulate"])))
        assert [status for status, _, _ in said] == [b"HTTP/1.1 200 OK"]

    run(ask())


@pytest.mark.parametrize(
    "request_",
    [
        post(b""),
        post(b"{"),
        post(b"\xff"),
        post(b"{}"),
        post(b'{"positions":[]}'),
        post(b'{"positions":[{"instrument":"NOBODY","notional":1}]}'),
        post(kind="text/plain"),
        post(kind="Application/JSON ; charset=utf-8"),
        post(BODY, "Origin: http://127.0.0.1:8750"),
        post(BODY, "Origin: https://evil.example"),
        post(BODY, "X-Forwarded-For: 9.9.9.9"),
        post(b"x" * 3_000),
        post(BODY, "Expect: 100-continue"),
        post(path="/v1/portfolios:simulat"),
        post().replace(b"127.0.0.1:8750", b"evil.example"),
        post().replace(b"POST", b"PUT"),
    ],
    ids=lambda request_: None,
)
@pytest.mark.parametrize("keys", [True, False], ids=["keys", "open"])
def test_what_if_is_answered_as_the_long_way_answers_it(run, both, tokens, keys, request_):
    servers = both(keys=keys, settings=HttpSettings(body=BodyLimits(size=2_000)))
    key = f"\r\nAuthorization: Bearer {tokens['simulate']}\r\n\r\n".encode()
    with_key = request_.replace(b"\r\n\r\n", key, 1)
    for sent, address in product((request_, with_key), ("127.0.0.1", "10.0.0.9", "not an address")):
        assert compare(run, servers, [sent], address=address)


@pytest.mark.parametrize("header", ["X-Forwarded-For: 127.0.0.1", "Via: 1.1 x", "X-Real-IP: ::1"])
def test_without_keys_nobody_behind_a_proxy_is_read_to(run, both, header):
    for sent in (get("/v1/margins/BTC-PERP", header), post(BODY, header)):
        said = compare(run, both(keys=False), [sent])
        assert said[0][0] == b"HTTP/1.1 401 Unauthorized"


# --- framing ----------------------------------------------------------------------------------

SMUGGLED = [
    b"GET /v1/margins/BTC-PERP HTTP/1.1\nHost: 127.0.0.1\n\n",
    b"GET /v1/margins/BTC-PERP HTTP/1.1\r\nHost: 127.0.0.1\n\r\n\r\n",
    b"GET /v1/margins/BTC-PERP HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
    b"get /v1/margins/BTC-PERP HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET  /v1/margins/BTC-PERP HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"\r\nGET /v1/margins/BTC-PERP HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /v1/margins/BTC-PERP HTTP/1.1\r\n\r\n" + get(),
    get("/v1/margins/BTC-PERP", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    get("/v1/margins/BTC-PERP", "Content-Length: 4") + b"GET ",
    get("/v1/margins/BTC-PERP", "Content-Length: 0"),
    get("/v1/margins/BTC-PERP", f"Content-Length: {len(get())}") + get(),
    get("/v1/margins/BTC-PERP", "X : a"),
    get("/v1/margins/BTC-PERP", "X: a", " folded"),
    get("/v1/margins/BTC-PERP", "X: a\0b"),
    get("/v1/margins/BTC-PERP", "X: a\x7fb"),
    get("/v1/margins/BTC-PERP", "X:"),
    get("/v1/margins/BTC-PERP", "If-None-Match: * "),
    get("/v1/margins/BTC-PERP", "If-None-Match:\t*"),
    get("/v1/margins/BTC-PERP", "Host: localhost"),
    get("/v1/margins/BTC-PERP", "Connection: close"),
    get("/v1/margins/BTC-PERP", "Connection: keep-alive, Upgrade", "Upgrade: h2c"),
    get("/v1/margins/BTC-PERP", "Proxy-Connection: close"),
    post(BODY, "Content-Length: 3"),
    post(BODY, "Transfer-Encoding: chunked"),
    post().replace(b"Content-Length: ", b"Content-Length: +"),
    post().replace(b"Content-Length: ", b"Content-Length: 0x"),
    post().replace(b"Content-Length: 5", b"Content-Length: 0005"),
    post().replace(b"Content-Length: 56\r\n", b""),
    post().replace(b"Content-Length: 56", b"Content-Length: 99999999999999999999"),
    post().replace(b"Content-Length: 56", b"Content-Length : 56"),
]


@pytest.mark.parametrize("sent", SMUGGLED, ids=range(len(SMUGGLED)))
def test_what_could_be_framed_differently_is_framed_by_httptools(run, both, sent):
    for packets in ([sent], [sent + get()], [get() + sent + get("/v1/forecasts/BTC-PERP")]):
        compare(run, both(keys=False), packets)


def test_a_packet_that_looks_plain_within_another_message_is_not_a_request(run, both):
    body = get()
    head = post(body, "Origin: https://evil.example")[: -len(body)]  # refused before its body came
    for first in (b"GET /livez HTTP/1.1\r\nX: a", head, post(body)[: -len(body)]):
        servers = both(keys=False, settings=HttpSettings(body_timeout_s=0.02))
        compare(run, servers, [first, body, get("/v1/forecasts/BTC-PERP")])


@pytest.mark.parametrize("place", range(len(SMUGGLED)))
def test_no_head_that_could_be_framed_differently_is_plain(place):
    line, _, rest = SMUGGLED[place].partition(b"\r\n")
    fields = read_fields(rest.partition(b"\r\n\r\n")[0] + b"\r\n")
    method = line.split(b" ")[0]
    plain = fields is not None and body_length(fields) is not None
    if fields is None:
        return
    if plain and method == b"POST":  # a plain number, or none: the table asks for one
        assert fields.get(b"content-length", b"").isdigit() or b"content-length" not in fields
    elif plain:
        exact = line == b"GET /v1/margins/BTC-PERP HTTP/1.1"
        assert not exact or b"content-length" in fields


_NAMES = st.sampled_from(
    ["Host", "host", "Accept", "If-None-Match", "Connection", "Content-Length"]
)
_VALUES = st.sampled_from(
    ["127.0.0.1", "localhost:8750", "*/*", "*", '"x"', "keep-alive", "close", "0", "3", "56", "a b"]
)
_HEADERS = st.lists(st.tuples(_NAMES, _VALUES), max_size=3)
_TARGETS = st.sampled_from([*PATHS[:4], PATHS[6], "/livez", "/v1/instruments"])
_READS = st.builds(
    lambda path, headers: get(path, *(f"{name}: {value}" for name, value in headers)),
    _TARGETS,
    _HEADERS,
)
_WORKS = st.builds(
    lambda body, headers: post(body, *(f"{name}: {value}" for name, value in headers)),
    st.sampled_from([BODY, b"", b"{}", BODY + b" "]),
    _HEADERS,
)
_PLAIN = st.sampled_from([get(), get("/v1/forecasts/ETH-PERP"), post()])
_STREAMS = st.lists(_PLAIN | _PLAIN | _READS | _WORKS, min_size=1, max_size=4).map(b"".join)
_EDITS = st.lists(
    st.tuples(
        st.integers(0, 4_000),
        st.integers(0, 2),
        st.sampled_from(
            [b"", b"\n", b"\r", b"\r\n", b" ", b"\t", b":", b"\0", b"\xff", b"0", b"G"]
        ),
    ),
    max_size=2,
)


def test_any_bytes_in_any_packets_are_answered_the_same(run, both):
    servers = both(keys=False, settings=HttpSettings(body_timeout_s=0.02))

    @settings(max_examples=150, deadline=None)
    @given(stream=_STREAMS, edits=_EDITS, places=st.lists(st.integers(0, 4_000), max_size=4))
    def check(stream, edits, places):
        for place, removed, put in edits:
            at = place % (len(stream) + 1)
            stream = stream[:at] + put + stream[at + removed :]
        compare(run, servers, cut(stream, places))

    check()


@pytest.mark.parametrize(
    "header",
    ["Transfer-Encoding: chunked", "Inference-Header-Content-Length: 5", "TE: trailers"],
)
def test_headers_that_are_not_plain_are_not_plain_when_they_come_again(build, header):
    door = build().hot._door
    good = b"Host: 127.0.0.1:8750\r\n"
    bad = good + header.encode() + b"\r\n"
    visitor = Visitor("127.0.0.1", "http")
    assert visitor.reads(good, door)
    assert [visitor.reads(bad, door) for _ in range(2)] == [False, False]
    assert visitor.reads(good, door)


def test_the_date_of_an_answer_is_that_of_the_server_now(run, build):
    async def dates(server):
        wire = server.connect()
        said = await server.send(wire, get())
        server.state.default_headers = [(b"date", b"later")]
        return said, await server.send(wire, get())

    before, after = run(dates(unanswered(Server(build(keys=False)))))
    assert b"\r\ndate: now\r\n" in before
    assert b"\r\ndate: later\r\n" in after


def test_an_answer_that_is_there_when_its_time_is_over_is_not_late(run):
    async def late(is_there):
        future = asyncio.get_running_loop().create_future()
        if is_there:
            future.set_result(None)
        allowance = Allowance(allowed=True, limit=1, remaining=1, wait_s=0.0)
        pending = Pending(
            future, template="", head=Head(), scheme="http", allowance=allowance, started=0.0
        )
        pending.give_up()
        return pending.is_late

    assert [run(late(one)) for one in (True, False)] == [False, True]
