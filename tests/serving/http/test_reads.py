"""Reads: the fast path answers what the documented routes answer, byte for byte."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.serving.http import Additions, HttpSettings
from foremargin.serving.http.cursors import read_cursor, write_cursor
from foremargin.serving.http.problems import ProblemError
from foremargin.serving.http.reads import matches
from foremargin.serving.quote import Calculation, Quote
from foremargin.serving.security import RateLimiter

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


URLS = (
    *("/v1/margins/BTC-PERP", "/v1/margins/BTC%2FUSDT:USDT", "/v1/margins/BTC/USDT:USDT"),
    *("/v1/margins/NEW-PERP", "/v1/margins/NONE", "/v1/margins/", "/v1/margins/a%20b"),
    *("/v1/margins/BTC-PERP/history", "/v1/forecasts/BTC-PERP", "/v1/forecasts/NEW-PERP"),
    *("/v1/forecasts/NONE", "/v1/margins/BTC-PERP?x=1"),
)


def test_a_margin_is_the_bytes_of_the_table(build, call, tokens, service):
    answer = call(build(), "GET", "/v1/margins/BTC-PERP", token=tokens["read"])
    row = service.table.rows["BTC-PERP"]
    assert answer.content == row.body
    assert answer.headers["etag"].encode() == row.etag
    assert answer.headers["cache-control"] == "no-cache"
    assert msgspec.json.decode(answer.content, type=Quote) == row.quote


def test_a_forecast_is_the_calculation_and_carries_the_status_of_the_quote(
    build, call, tokens, service
):
    answer = call(build(), "GET", "/v1/forecasts/BTC-PERP", token=tokens["read"])
    calculation = service.table.rows["BTC-PERP"].quote.calculation
    assert msgspec.json.decode(answer.content, type=Calculation) == calculation
    assert answer.headers["foremargin-status"] == "ok"


def test_a_new_quote_is_answered_at_once_on_both_reads(build, call, tokens, service, quote_of):
    app = build()
    before = [call(app, "GET", f"/v1/{what}/BTC-PERP", token=tokens["read"]) for what in READS]
    service.table.write([quote_of("BTC-PERP", sequence=2, bps=3_000)])
    after = [call(app, "GET", f"/v1/{what}/BTC-PERP", token=tokens["read"]) for what in READS]
    for old, new in zip(before, after, strict=True):
        assert old.headers["etag"] != new.headers["etag"]
        assert new.json()["long"]["initial_margin_bps"] == 3_000


READS = ("margins", "forecasts")


@pytest.mark.parametrize("what", READS)
def test_a_known_tag_is_answered_304_without_a_body(build, call, tokens, what):
    app, url = build(), f"/v1/{what}/BTC-PERP"
    tag = call(app, "GET", url, token=tokens["read"]).headers["etag"]
    for sent in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = call(app, "GET", url, token=tokens["read"], headers={"if-none-match": sent})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert "age" in answer.headers
        assert "content-length" not in answer.headers
    other = call(app, "GET", url, token=tokens["read"], headers={"if-none-match": '"x"'})
    assert other.status_code == 200


def test_age_grows_by_whole_seconds_and_is_never_negative(build, call, tokens, clock):
    app = build(limiter=RateLimiter())

    def age():
        found = call(app, "GET", "/v1/margins/BTC-PERP", token=tokens["read"])
        return found.headers.get("age")

    assert age() == "0"
    clock.step(61.9)
    assert age() == "61"
    clock.step(-300)
    assert age() == "0"


def test_a_margin_that_knows_no_market_has_no_age(build, call, tokens):
    answer = call(build(), "GET", "/v1/margins/NEW-PERP", token=tokens["read"])
    assert "age" not in answer.headers
    assert answer.json()["status"] == answer.headers["foremargin-status"] == "fallback"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_answer_has_the_headers_of_security(build, call, tokens, scheme):
    app = build()
    for method, url in (
        *(("GET", "/v1/margins/BTC-PERP"), ("GET", "/v1/margins"), ("GET", "/none")),
        *(("POST", "/v1/observations"), ("GET", "/livez"), ("GET", "/v1/margins/NONE")),
    ):
        base = f"{scheme}://127.0.0.1:8750"
        answer = call(app, method, url, token=tokens["all"], base=base)
        assert SAFE.items() <= dict(answer.headers).items()
        assert ("strict-transport-security" in answer.headers) == (scheme == "https")
        assert answer.headers["cache-control"] in ("no-cache", "no-store")


@pytest.mark.parametrize("url", ["/v1/margins/BTC-PERP", "/v1/margins"])
def test_a_traceparent_comes_back_and_what_is_none_does_not(build, call, tokens, url):
    app = build()
    answer = call(app, "GET", url, token=tokens["read"], headers={"traceparent": TRACE})
    assert answer.headers["traceparent"] == TRACE
    nothing = f"00-{'0' * 32}-{'1' * 16}-01"
    for trace in ("", "x", TRACE.upper(), TRACE.replace("00-4", "ff-4"), nothing):
        answer = call(app, "GET", url, token=tokens["read"], headers={"traceparent": trace})
        assert "traceparent" not in answer.headers


def test_pages_go_through_all_instruments_once_and_in_order(build, call, tokens, service):
    app, after, found = build(), "", []
    for _ in range(10):
        page = call(app, "GET", f"/v1/margins?limit=2{after}", token=tokens["read"]).json()
        found += [quote["instrument"] for quote in page["quotes"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == sorted(service.table.rows)
    names = call(app, "GET", "/v1/instruments", token=tokens["read"]).json()["instruments"]
    assert names == found


def test_a_batch_gives_the_quotes_in_the_order_asked_for(build, call, tokens, service):
    url = "/v1/margins?instruments=SOL-PERP,BTC-PERP,SOL-PERP"
    answer = call(build(), "GET", url, token=tokens["read"])
    rows = service.table.rows
    bodies = rows["SOL-PERP"].body + b"," + rows["BTC-PERP"].body
    assert answer.content == b'{"quotes":[' + bodies + b'],"next":null}'


WRONG = {
    "instruments=BTC-PERP,NONE": "unknown-instrument",
    "instruments=": "invalid-parameter",
    "instruments=BTC-PERP&after=x": "invalid-parameter",
    "instruments=a,b,c,d,e,f": "too-many-items",
    "limit=0": "invalid-parameter",
    "limit=x": "invalid-parameter",
    "after=nonsense": "invalid-cursor",
    "after=%C3%A9": "invalid-cursor",
}


def test_a_wrong_batch_is_a_problem(build, call, tokens):
    app = build(settings=HttpSettings(instruments=5))
    for query, code in WRONG.items():
        answer = call(app, "GET", f"/v1/margins?{query}", token=tokens["read"])
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"https://foremargin.dev/problems/{code}"
        assert answer.json()["status"] == answer.status_code


def test_the_audit_trail_is_paged_and_a_cursor_of_another_list_is_refused(
    build, call, tokens, service
):
    app = build()
    for number in range(5):
        service._write("command", "k", {"n": number})
    first = call(app, "GET", "/v1/audit?limit=2", token=tokens["read"]).json()
    assert [entry["sequence"] for entry in first["entries"]] == [1, 2]
    rest = call(app, "GET", f"/v1/audit?after={first['next']}", token=tokens["read"]).json()
    assert [entry["sequence"] for entry in rest["entries"]] == [3, 4, 5]
    assert rest["next"] is None
    plain = call(app, "GET", "/v1/audit?after=4", token=tokens["read"]).json()
    assert [entry["sequence"] for entry in plain["entries"]] == [5]
    wrong = call(app, "GET", f"/v1/margins?after={first['next']}", token=tokens["read"])
    assert wrong.json()["type"].endswith("/invalid-cursor")


@given(position=st.text(max_size=64), of=st.sampled_from(["margins", "audit"]))
def test_a_cursor_gives_its_position_back_and_only_to_its_own_list(position, of):
    cursor = write_cursor(position, of=of)
    assert read_cursor(cursor, of=of) == position
    with pytest.raises(ProblemError, match="not one of this list"):
        read_cursor(cursor, of="other")


@given(cursor=st.text(max_size=60), position=st.text(max_size=9), at=st.integers(0, 30))
def test_a_made_up_or_changed_cursor_is_refused(cursor, position, at):
    with pytest.raises(ProblemError, match="not one of this list"):
        read_cursor(cursor, of="margins")
    good = write_cursor(position, of="margins")
    at %= len(good) - 1  # bits at the very end may be padding
    changed = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
    with pytest.raises(ProblemError, match="not one of this list"):
        read_cursor(changed, of="margins")


@given(tag=st.from_regex(rb'"[a-z0-9-]{1,12}"', fullmatch=True), others=st.lists(st.just(b'"q q"')))
def test_a_tag_matches_itself_in_any_list(tag, others):
    assert matches(b" , ".join([*others, tag, b'"z"']), etag=tag)
    assert not matches(b",".join([*others, b'"!"']), etag=tag)


def test_history_schedule_and_updates(build, call, tokens, service, quote_of):
    app = build()
    service.quotes["BTC-PERP"] += [quote_of("BTC-PERP", sequence=n) for n in (2, 3)]
    url = "/v1/margins/BTC-PERP/history?limit=2"
    found = call(app, "GET", url, token=tokens["read"]).json()["quotes"]
    assert [quote["sequence"] for quote in found] == [2, 3]
    schedule = call(app, "GET", "/v1/schedules/NEW-PERP", token=tokens["read"]).json()
    quote = service.table.rows["NEW-PERP"].quote
    assert (schedule["effective"], schedule["expires"]) == (quote.quoted_at, quote.valid_until)
    assert schedule["horizon_s"] is None
    assert schedule["long"] == msgspec.to_builtins(quote.long)
    update = call(app, "GET", "/v1/updates/BTC-PERP", token=tokens["read"])
    assert update.json() == {"market": "BTC-PERP"}
    missing = call(app, "GET", "/v1/updates/ETH-PERP", token=tokens["read"])
    assert missing.json()["type"].endswith("/no-update")
    assert call(app, "GET", "/v1/updates/batch", token=tokens["read"]).json() == {"root": "0x00"}
    none = build(additions=Additions())
    for url in ("/v1/updates/batch", "/v1/updates/BTC-PERP", "/metrics"):
        answer = call(none, "GET", url, token=tokens["read"])
        assert answer.json()["type"].endswith("/not-offered")


def test_ready_says_why_not_and_details_only_to_readers(build, call, tokens, service):
    app = build()
    assert call(app, "GET", "/readyz").json() == {"ready": True, "reasons": []}
    told = call(app, "GET", "/readyz", token=tokens["read"]).json()
    assert told["bundle"] == "b7"
    service.ready = False
    answer = call(app, "GET", "/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["the calculator is gone"])
    assert "bundle" not in answer.json()
    assert call(app, "GET", "/livez").json() == {"alive": True}
    # The margins are answered all the same.
    assert call(app, "GET", "/v1/margins/BTC-PERP", token=tokens["read"]).status_code == 200


def test_metrics_are_those_of_the_callable(build, call, tokens):
    answer = call(build(), "GET", "/metrics", token=tokens["read"])
    assert answer.text == "up 1\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"


def test_the_observer_is_told_route_and_status_on_both_paths(build, call, tokens):
    seen: list[tuple[str, int]] = []
    app = build(additions=Additions(observer=lambda route, status, _: seen.append((route, status))))
    for url in ("/v1/margins/BTC-PERP", "/v1/margins/NONE", "/v1/instruments", "/none"):
        call(app, "GET", url, token=tokens["read"])
    call(app, "POST", "/v1/portfolios:simulate", token=tokens["read"])
    assert seen == [
        ("/v1/margins/{instrument}", 200),
        ("/v1/margins/{instrument}", 404),
        ("/v1/instruments", 200),
        ("other", 404),
        ("/v1/portfolios:simulate", 403),
    ]


def test_problems_are_json_objects_with_the_members_of_the_rfc(build, call, tokens):
    answer = call(build(), "GET", "/v1/margins/NONE", token=tokens["read"])
    assert {"type", "title", "status", "detail"} <= json.loads(answer.content).keys()
