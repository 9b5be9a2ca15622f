"""Both clients against a real service: answers, faults, and what is never done twice."""

import hashlib
import hmac
import math
import random
import ssl
import time
from typing import Any

import httpx
import msgspec
import pytest

from foremargin.client import (
    ANY_STATUS,
    AnswerError,
    AsyncClient,
    Bar,
    BearerToken,
    Client,
    NotFreshError,
    OraclePrice,
    ProblemError,
    RetryPolicy,
    Tick,
    TokenSigner,
    UnreachableError,
)
from foremargin.client.exchange import Answer, Attempt, Call, Exchange, Wait
from foremargin.errors import ForemarginError, InputError
from foremargin.serving.observations import Bar as ServedBar
from foremargin.serving.observations import decode_observations

QUICK = RetryPolicy(first_wait_s=0.001, deadline_s=3.0, attempt_s=1.0)
TOKEN = "fm_abcdefghijkl_" + "s" * 43


def test_every_question_has_a_typed_answer(connect, service):
    client = connect()
    assert client.instruments() == ["A", "B", "C/USDT"]
    quote = client.margin("C/USDT")
    assert (quote.instrument, quote.long.initial_margin_bps, quote.status) == ("C/USDT", 503, "ok")
    assert quote.long.components == {"tail": 502.5, "rounding": 0.5}
    assert [q.sequence for q in client.history("C/USDT", limit=2)] == [2, 3]
    forecast = client.forecast("A")
    assert (forecast.sigma, forecast.regime, forecast.liquidity_cost) == (0.02, "calm", None)
    schedule = client.schedule("B")
    assert schedule.expires - schedule.effective == 600 * 10**9
    simulated = client.simulate({"A": 1_000.0, "B": -1_000.0})
    assert simulated.margin == pytest.approx(100.2)
    assert simulated.answer["parts"] == {"scenario": simulated.margin}
    done = client.command("pause", {"why": "drill"})
    assert done == {"name": "pause", "arguments": {"why": "drill"}}
    assert client.health().ready
    service.ready = False
    assert not client.health().ready
    assert "%2F" in next(h.target for h in service.heard if "history" in h.target)


def test_observations_travel_as_the_service_reads_them(connect, service):
    sent = [
        Bar(instrument="A", time=5, open=1.0, high=2.0, low=0.5, close=1.5, more={"volume": 7.0}),
        Tick(instrument="A", time=6, price=1.4),
        OraclePrice(instrument="A", time=7, price=1.4, confidence=0.1, source="o"),
    ]
    receipts = connect().observations(sent)
    assert [r.outcome for r in receipts] == ["accepted"] * 3
    read = decode_observations(service.heard[-1].body)
    assert [type(each).__name__ for each in read] == ["Bar", "Tick", "OraclePrice"]
    assert isinstance(read[0], ServedBar)
    assert read[0].more == {"volume": 7.0}


def test_pages_are_followed_to_the_end(connect, service, make_quote):
    service.publish(*(make_quote(f"N{i:03d}", 1) for i in range(250)))
    client = connect()
    assert [q.instrument for q in client.margins(page=7)] == sorted(service.table.rows)
    wanted = [f"N{i:03d}" for i in range(249, -1, -1)]
    assert [q.instrument for q in client.margins(wanted)] == wanted
    assert list(client.margins([])) == []
    assert [entry.sequence for entry in client.audit(page=3)] == [1, 2, 3, 4, 5, 6, 7]
    assert [entry.sequence for entry in client.audit(after=6)] == [7]


def test_what_is_missing_from_a_page_is_an_error(connect, service):
    client = connect()
    with pytest.raises(AnswerError, match="missing: NONE"):
        list(client.margins(["A", "NONE"]))
    service.extra["next"] = "A"
    with pytest.raises(AnswerError, match="a cursor must lead on, 'A' does not"):
        list(client.margins())
    with pytest.raises(InputError, match="collection of names"):
        list(client.margins("A"))


def test_an_unchanged_margin_does_not_travel_again(connect, service, make_quote):
    client = connect()
    first = client.margin("A")
    assert client.margin("A") is first
    assert "if-none-match" in service.heard[-1].headers
    service.publish(make_quote("A", 2))
    assert client.margin("A").sequence == 2


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"status": "stale", "reason": "no bars"}, {}, "one of ok, degraded, was stale .no bars"),
        ({"status": "fallback"}, {}, "was fallback"),
        ({"status": "degraded"}, {"allow": ("ok",)}, "one of ok, was degraded"),
        ({}, {"max_age_s": 4.0}, "at most 4 s old"),
        ({"observed_at": 0}, {"max_age_s": 1e9}, "was inf s"),
        ({"valid_until": 1}, {}, "must be valid now, ran out"),
        ({"valid_until": 1}, {"allow": ANY_STATUS}, "must be valid now"),
    ],
)
def test_a_margin_that_is_not_fresh_raises_and_brings_it(
    connect, service, make_quote, changes, options, reason
):
    service.publish(make_quote("A", 9, **changes))
    client = connect()
    with pytest.raises(NotFreshError, match=reason) as found:
        client.margin("A", **options)
    assert found.value.quote.sequence == 9
    with pytest.raises(NotFreshError, match=reason):
        list(client.margins(["A"], **options))


def test_what_the_caller_allows_passes(connect, service, make_quote):
    service.publish(make_quote("A", 2, status="stale"), make_quote("B", 2, status="degraded"))
    client = connect()
    assert client.margin("A", allow=ANY_STATUS).status == "stale"
    assert client.margin("B", max_age_s=60.0).status == "degraded"


def test_age_grows_while_the_answer_stays_the_same(connect, service, make_fault):
    client = connect()
    client.margin("A", max_age_s=60.0)
    service.faults.append(make_fault(status=304, headers={"age": "59"}))
    with pytest.raises(NotFreshError, match=r"at most 60 s old, was 60\.0"):  # 59 is rounded down
        client.margin("A", max_age_s=60.0)


def test_refusals_are_errors_with_their_type(connect):
    with pytest.raises(ProblemError, match="404 unknown-instrument: there is no") as found:
        connect().margin("NONE")
    assert found.value.type == "https://foremargin.dev/problems/unknown-instrument"
    assert found.value.status == 404
    assert isinstance(found.value, ForemarginError)


def test_a_refusal_that_is_no_problem_document_is_still_one(connect, service, make_fault):
    service.faults.append(make_fault(status=400, body=b"<html>no</html>"))
    with pytest.raises(ProblemError, match="400 Bad Request: <html>no") as found:
        connect().instruments()
    assert found.value.type == "about:blank"


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_what_may_pass_is_tried_again(connect, service, make_fault, status):
    service.faults.extend([make_fault(status=status)] * 2)
    assert connect(retry=QUICK).instruments() == ["A", "B", "C/USDT"]
    assert len(service.heard) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 501, 302])
def test_what_will_not_pass_is_not(connect, service, make_fault, status):
    service.faults.append(make_fault(status=status, headers={"location": "/v1/instruments"}))
    with pytest.raises(ProblemError, match=str(status)):
        connect(retry=QUICK).instruments()
    assert len(service.heard) == 1


def test_a_first_attempt_that_is_still_under_way_is_waited_for(connect, service, make_fault):
    service.faults.append(make_fault(status=409, headers={"retry-after": "0"}))
    assert connect(retry=QUICK).command("resume")["name"] == "resume"


def test_attempts_and_time_run_out(connect, service, make_fault):
    service.faults.extend([make_fault(status=503)] * 10)
    with pytest.raises(ProblemError, match="503"):
        connect(retry=QUICK).instruments()
    assert len(service.heard) == QUICK.attempts


def test_retry_after_is_obeyed_or_not_waited_for_in_vain():
    now = [0.0]
    exchange = Exchange(
        httpx.URL("http://a"),
        credentials=None,
        retry=RetryPolicy(deadline_s=100.0),
        rng=random.Random(1),
        monotonic=lambda: now[0],
    )
    plan = exchange.ask(Call(method="GET", path="/"))
    first = next(plan)
    assert isinstance(first, Attempt)
    assert first.timeout_s == 5.0
    assert plan.send(_busy("7")) == Wait(7.0)
    now[0] = 97.0
    second = plan.send(None)
    assert isinstance(second, Attempt)
    assert second.timeout_s == 3.0
    with pytest.raises(ProblemError, match="503") as found:
        plan.send(_busy("3"))  # would end at the deadline itself
    assert found.value.retry_after_s == 3.0


def _busy(seconds: str) -> Answer:
    headers = httpx.Headers({"retry-after": seconds})
    return Answer(status=503, headers=headers, body=b"", elapsed_s=0.1)


def test_a_connection_that_drops_is_tried_again(connect, service):
    service.wire.refuse = 1
    service.wire.cut_answers = 1
    assert connect(retry=QUICK).margin("A").instrument == "A"
    assert service.wire.opened == 3


def test_a_key_is_made_once_and_kept_over_attempts(connect, service, make_fault):
    service.wire.cut_answers = 1  # taken, and the answer is lost
    service.faults.extend([make_fault(), make_fault(status=503)])
    tick = Tick(instrument="A", time=1, price=2.0)
    client = connect(retry=QUICK)
    assert client.observations([tick])[0].outcome == "accepted"
    assert len({h.headers["idempotency-key"] for h in service.heard}) == 1
    assert len(service.heard) == 3
    assert len(service.taken) == 1
    client.observations([tick])
    assert len(service.taken) == 2


def test_after_an_unreachable_service_the_key_is_there_to_ask_again(connect, service):
    client = connect(retry=QUICK)
    tick = Tick(instrument="A", time=1, price=2.0)
    service.wire.cut_answers = 10
    with pytest.raises(UnreachableError, match="must answer POST /v1/observations") as found:
        client.observations([tick])
    service.wire.cut_answers = 0
    client.observations([tick], idempotency_key=found.value.idempotency_key)
    assert len(service.taken) == 1
    with pytest.raises(ProblemError, match="422"):
        client.observations([], idempotency_key=found.value.idempotency_key)


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "é", 'a"b', "a" * 129])
def test_a_key_that_no_header_can_carry_is_not_sent(connect, service, key):
    with pytest.raises(InputError, match="an idempotency key must be 1 to 128"):
        connect().command("pause", idempotency_key=key)
    assert service.heard == []


@pytest.mark.parametrize("fault", [{"wait_s": 2.0}, {"drip": True}], ids=["late", "drop by drop"])
def test_a_slow_answer_ends_with_the_attempt(connect, service, make_fault, fault):
    service.faults.extend([make_fault(**fault)] * 2)
    retry = RetryPolicy(attempt_s=0.3, deadline_s=0.8, first_wait_s=0.001, attempts=2)
    start = time.monotonic()
    with pytest.raises(UnreachableError, match="Timeout"):
        connect(retry=retry).instruments()
    assert time.monotonic() - start < 1.5


def test_the_deadline_holds_over_all_attempts(connect, service, make_fault):
    service.faults.extend([make_fault(wait_s=2.0)] * 9)
    retry = RetryPolicy(attempt_s=0.3, deadline_s=0.5, first_wait_s=0.001, attempts=9)
    start = time.monotonic()
    with pytest.raises(UnreachableError, match="Timeout"):
        connect(retry=retry).instruments()
    assert 0.3 < time.monotonic() - start < 1.2


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"instruments":[1]}', b'{"instruments":null}']
)
def test_an_answer_of_another_form_is_an_error(connect, service, make_fault, body):
    service.faults.append(make_fault(status=200, body=body))
    with pytest.raises(AnswerError, match="InstrumentList as JSON"):
        connect().instruments()


def test_the_margin_of_another_instrument_is_refused(connect, service, make_fault, make_quote):
    service.faults.append(make_fault(status=200, body=msgspec.json.encode(make_quote("B", 1))))
    with pytest.raises(AnswerError, match="must be that of A, was that of B"):
        connect().margin("A")


def test_words_and_fields_of_a_newer_service_pass(connect, service, make_fault, make_quote):
    newer = msgspec.to_builtins(make_quote("A", 1))
    newer |= {"colour": "blue", "basis": "oracle-consensus"}
    newer["long"]["tier"] = [1]
    service.faults.append(make_fault(status=200, body=msgspec.json.encode(newer)))
    assert connect().margin("A").basis == "oracle-consensus"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_say_are_not_sent(connect, service, value):
    client = connect()
    with pytest.raises(InputError, match="must be finite"):
        client.simulate({"A": value})
    with pytest.raises(InputError, match="numbers of A must be finite"):
        client.observations([Tick(instrument="A", time=1, price=value)])
    bar = Bar(instrument="A", time=1, open=1.0, high=1.0, low=1.0, close=1.0, more={"v": value})
    with pytest.raises(InputError, match=r"found \{'v'"):
        client.observations([bar])
    assert service.heard == []


def test_every_attempt_is_signed_anew_over_what_was_sent(connect, service, make_fault):
    service.faults.append(make_fault(status=503))
    client = connect(retry=QUICK, credentials=TokenSigner(TOKEN))
    client.simulate({"C/USDT": 1.0})
    client.history("C/USDT", limit=1)
    nonces = set()
    for heard in service.heard:
        scheme, _, fields = heard.headers["authorization"].partition(" ")
        said = dict(field.split("=") for field in fields.split(","))
        timestamp, nonce = said["time"], said["nonce"]
        digest = hashlib.sha256(heard.body).hexdigest()
        sent = (heard.method, heard.target, timestamp, nonce, digest)
        text = "\n".join((scheme, said["key"], *sent))
        key = hmac.digest(b"s" * 43, b"foremargin request signing v1", "sha256")
        assert said["signature"] == hmac.new(key, text.encode(), "sha256").hexdigest()
        assert abs(int(timestamp) - time.time()) < 30
        assert "s" * 43 not in str(heard.headers)
        nonces.add(nonce)
    assert len(nonces) == len(service.heard) == 3


def test_signatures_are_the_reference_values():
    # Computed with `openssl dgst -sha256 -hmac`, and from the derived key with
    # `openssl dgst -sha256 -mac HMAC -macopt hexkey:`.
    options: Any = {"clock": lambda: 1_700_000_000_999_999_999, "nonce": lambda: "n" * 22}
    header = TokenSigner(TOKEN, **options).headers("POST", "/v1/x?a=1", b"{}")["authorization"]
    scheme, fields = header.split(" ")
    assert scheme == "FM1-HMAC-SHA256"
    assert fields.split(",") == [
        "key=abcdefghijkl",
        "time=1700000000",
        "nonce=" + "n" * 22,
        "signature=c97158139a9bb18bc6de815aae12d363a9c4d2de3f9ba10798fbbb496b21097f",
    ]


def test_a_secret_is_shown_nowhere_and_sent_in_the_clear_only_here(connect, service):
    connect(credentials=BearerToken(TOKEN)).instruments()
    assert service.heard[-1].headers["authorization"] == f"Bearer {TOKEN}"
    for made in (BearerToken(TOKEN), TokenSigner(TOKEN)):
        assert "sss" not in repr(made)
    with pytest.raises(InputError, match="over https beyond this machine"):
        Client("http://margins.example", credentials=BearerToken(TOKEN))
    for address in ("https://margins.example", "http://[::1]:8750", "http://localhost"):
        Client(address, credentials=BearerToken(TOKEN)).close()
    with pytest.raises(InputError, match="fm_<id>_<secret>") as found:
        BearerToken("sss")
    assert "sss" not in str(found.value)


def test_tls_is_for_https_and_looks_whom_it_talks_to():
    usual = ssl.create_default_context()
    Client("https://margins.example", tls=usual).close()
    with pytest.raises(InputError, match="tls must be for an https address, found http"):
        Client("http://127.0.0.1:8750", tls=usual)
    blind = ssl.create_default_context()
    blind.check_hostname = False
    with pytest.raises(InputError, match="must check the service's certificate and name"):
        Client("https://margins.example", tls=blind)
    blind.verify_mode = ssl.CERT_NONE
    with pytest.raises(InputError, match="must check the service's certificate and name"):
        AsyncClient("https://margins.example", tls=blind)
    half = ssl.create_default_context()
    half.verify_mode = ssl.CERT_OPTIONAL
    with pytest.raises(InputError, match="must check the service's certificate and name"):
        Client("https://margins.example", tls=half)


@pytest.mark.parametrize("address", ["", "margins.example", "ftp://a", "http://a/v1", "http://a?b"])
def test_an_address_is_a_host(address):
    with pytest.raises(InputError, match="address must be"):
        Client(address)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_is_no_step_in_a_path(connect, name):
    with pytest.raises(InputError, match="must be a word"):
        connect().margin(name)


def test_waits_are_spread_and_bounded():
    policy, rng = RetryPolicy(first_wait_s=0.1, longest_wait_s=2.0), random.Random(1)
    for n in range(100):
        waits = [policy.wait_s(n, rng=rng) for _ in range(50)]
        most = min(2.0, 0.1 * 2**n)
        assert 0.0 <= min(waits) < 0.5 * most < max(waits) <= most
    assert policy.wait_s(0, rng=rng, at_least_s=7.0) == 7.0
    with pytest.raises(InputError, match="attempts must be from 1"):
        RetryPolicy(attempts=0)
