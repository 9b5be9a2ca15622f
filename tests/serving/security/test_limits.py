"""Bodies: size, depth and array length, before anything is decoded."""

import asyncio
import json
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.serving.security import BodyLimits, Excess, LimitedBodies, excess_of, read_body

LIMITS = BodyLimits(size=1_000, depth=4, array=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=25,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def width_of(value: object) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value
    if isinstance(inner, list):
        return max(len(inner), *map(width_of, inner), 0)
    return 0


@settings(max_examples=100, deadline=None)
@given(value=VALUES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_what_passes_is_small_shallow_and_narrow_and_nothing_else_is_refused(
    value, indent, ascii_only
):
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")
    found = excess_of(body, limits=LIMITS)
    if len(body) > LIMITS.size:
        assert found is Excess.SIZE
    else:
        small = depth_of(value) <= LIMITS.depth and width_of(value) <= LIMITS.array
        assert (found is None) is small


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200) | st.text('[]{},":\\ a1', max_size=200).map(str.encode))
def test_a_body_that_passes_and_decodes_keeps_the_limits_whatever_its_bytes(body):
    if excess_of(body, limits=LIMITS) is not None:
        return
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    assert depth_of(value) <= LIMITS.depth
    assert width_of(value) <= LIMITS.array


@pytest.mark.parametrize(
    "body",
    [b'"' + b"\\" * 2**20, b'"\\"' * 2**18, b'"' + b'\\"' * 2**19, b"[" * 2**20, b'"a' * 2**19],
)
def test_a_million_bytes_of_malice_take_less_than_a_second(body):
    started = time.process_time()
    excess_of(body[: 2**20], limits=BodyLimits())
    assert time.process_time() - started < 1.0


def chunks(*parts: bytes):
    waiting = [
        {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)}
        for i, part in enumerate(parts)
    ]

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    return receive, waiting


def test_a_body_in_parts_is_one_and_reading_stops_at_the_limit():
    receive, _ = chunks(b"ab", b"", b"cd")
    assert asyncio.run(read_body(receive, limits=LIMITS)) == b"abcd"
    receive, waiting = chunks(*[b"x" * 400] * 10)
    assert asyncio.run(read_body(receive, limits=LIMITS)) is Excess.SIZE
    assert len(waiting) == 7
    receive, _ = chunks(b"x" * 1_001)
    assert asyncio.run(read_body(receive, limits=LIMITS)) is Excess.SIZE


def test_a_client_that_goes_away_is_gone():
    async def receive():
        return {"type": "http.disconnect"}

    assert asyncio.run(read_body(receive, limits=LIMITS)) is Excess.GONE


@pytest.mark.parametrize(
    ("body", "refused"),
    [(b"[1]", None), (b"[" * 9, Excess.DEPTH), (b"x" * 1_001, Excess.SIZE), (b"[1" * 1, None)],
)
def test_the_middleware_refuses_or_hands_on_the_same_bytes(body, refused):
    seen = []

    async def app(scope, receive, send):
        seen.append((await receive())["body"])

    def refuse(excess):
        async def answer(scope, receive, send):
            seen.append(excess)

        return answer

    middleware = LimitedBodies(app, limits=LIMITS, refuse=refuse)

    async def send(message):
        raise AssertionError(message)

    receive, _ = chunks(body)
    asyncio.run(middleware({"type": "http", "method": "POST"}, receive, send))
    assert seen == [body if refused is None else refused]


def test_the_middleware_reads_no_body_of_a_get():
    async def app(scope, receive, send):
        assert (await receive())["body"] == b"x" * 5_000

    def refuse(excess):
        raise AssertionError(excess)

    async def send(message):
        raise AssertionError(message)

    receive, _ = chunks(b"x" * 5_000)
    middleware = LimitedBodies(app, limits=LIMITS, refuse=refuse)
    asyncio.run(middleware({"type": "http", "method": "GET"}, receive, send))
