"""Webhooks: signatures, where they may go, when they are tried again, and that nothing leads on."""

import asyncio
import ssl
from random import Random

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from foremargin.errors import InputError
from foremargin.serving.security import (
    Attempt,
    Delivery,
    Destinations,
    RetryRule,
    WebhookPlan,
    new_webhook_secret,
    verify_webhook,
    webhook_headers,
)
from foremargin.serving.security.webhook_addresses import check_addresses, read_target
from foremargin.serving.security.webhook_sender import WebhookSender

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
BODY = b'{"alert":"coverage"}'
LISTED = Destinations(hosts=["hooks.example.org"])
URL = "https://hooks.example.org/in?x=1"


def test_the_reference_vector_of_the_specification():
    # From the test suite of the Standard Webhooks libraries (msg_p5jXN8AQM9LWM0D4loKWxJek).
    headers = webhook_headers(
        b'{"test": 2432232314}',
        identifier="msg_p5jXN8AQM9LWM0D4loKWxJek",
        now=1_614_265_330 * SECOND,
        keys=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signature_holds_for_its_body_and_no_other():
    key = new_webhook_secret()
    headers = webhook_headers(BODY, identifier="m1", now=NOW, keys=[key])
    assert verify_webhook(BODY, headers, keys=[key], now=NOW) == "m1"
    title_case = {name.title(): value for name, value in headers.items()}
    assert verify_webhook(BODY, title_case, keys=[key], now=NOW) == "m1"
    for body, changed in (
        (BODY + b" ", {}),
        (BODY, {"webhook-id": "m2"}),
        (BODY, {"webhook-timestamp": str(NOW // SECOND + 1)}),
        (BODY, {"webhook-signature": "v1,AAAA"}),
        (BODY, {"webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}),
    ):
        with pytest.raises(InputError, match="must be made with a known key"):
            verify_webhook(body, {**headers, **changed}, keys=[key], now=NOW)


def test_during_rotation_the_old_and_the_new_key_both_hold():
    old, new, foreign = (new_webhook_secret() for _ in range(3))
    headers = webhook_headers(BODY, identifier="m1", now=NOW, keys=[new, old])
    for keys in ([old], [new], [foreign, old]):
        assert verify_webhook(BODY, headers, keys=keys, now=NOW) == "m1"
    with pytest.raises(InputError, match="must be made with a known key"):
        verify_webhook(BODY, headers, keys=[foreign], now=NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_five_minutes_are_borne_and_no_more(seconds):
    key = new_webhook_secret()
    headers = webhook_headers(BODY, identifier="m1", now=NOW, keys=[key])
    near = NOW + (abs(seconds) - 1) * SECOND * (1 if seconds > 0 else -1)
    assert verify_webhook(BODY, headers, keys=[key], now=near) == "m1"
    with pytest.raises(InputError, match="must be within 300 s"):
        verify_webhook(BODY, headers, keys=[key], now=NOW + seconds * SECOND)


def test_missing_headers_and_things_that_are_no_keys_are_named():
    key = new_webhook_secret()
    headers = webhook_headers(BODY, identifier="m1", now=NOW, keys=[key])
    with pytest.raises(InputError, match="must have the header webhook-signature"):
        verify_webhook(
            BODY, {k: v for k, v in headers.items() if "sig" not in k}, keys=[key], now=NOW
        )
    with pytest.raises(InputError, match="must be seconds"):
        verify_webhook(BODY, {**headers, "webhook-timestamp": "x"}, keys=[key], now=NOW)
    with pytest.raises(InputError, match="24 to 64 bytes"):
        webhook_headers(BODY, identifier="m1", now=NOW, keys=["whsec_c2hvcnQ="])
    with pytest.raises(InputError, match="at least one key"):
        webhook_headers(BODY, identifier="m1", now=NOW, keys=[])
    with pytest.raises(InputError, match="letters, digits"):
        webhook_headers(BODY, identifier="m.1", now=NOW, keys=[key])


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/in",
        "https://hooks.example.org:8443/in",
        "https://hooks.example.org.evil.example/in",
        "https://evil.example/hooks.example.org",
        "https://user@hooks.example.org/in",
        "https://hooks.example.org@evil.example/in",
        "https://hooks.example.org\\@evil.example/in",
        "https://hooks.example.org/in\r\nx: y",
        "file:///etc/passwd",
        "//hooks.example.org/in",
        "https:///in",
        "https://[::1/in",
        "https://hooks.example.org:99999/",
        "",
    ],
)
def test_a_url_that_is_not_plainly_on_the_list_is_refused(url):
    with pytest.raises(InputError, match="a webhook must go to"):
        read_target(url, allowed=LISTED)


def test_case_and_a_last_dot_of_a_host_do_not_matter():
    for url in ("https://HOOKS.example.org/in?x=1", "https://hooks.example.org./in?x=1"):
        assert read_target(url, allowed=LISTED) == read_target(URL, allowed=LISTED)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("2002:7f00:1::", "2001:0:7f00:1::"),
    ],
)
def test_addresses_of_our_own_network_are_refused_even_among_good_ones(address):
    with pytest.raises(InputError, match="must go to public addresses"):
        check_addresses(["93.184.216.34", address], allowed=LISTED)


def test_public_addresses_pass_and_private_ones_only_if_listed():
    assert check_addresses(["93.184.216.34"], allowed=LISTED) == "93.184.216.34"
    assert check_addresses(["2606:4700::1111"], allowed=LISTED) == "2606:4700::1111"
    inside = Destinations(hosts=["x"], networks=["10.1.0.0/16"])
    assert check_addresses(["10.1.2.3"], allowed=inside) == "10.1.2.3"
    assert check_addresses(["::ffff:10.1.2.3"], allowed=inside) == "::ffff:10.1.2.3"
    with pytest.raises(InputError, match="must go to public addresses"):
        check_addresses(["10.2.0.1"], allowed=inside)
    with pytest.raises(InputError, match="found none"):
        check_addresses([], allowed=inside)


RULE = RetryRule(first_s=4.0, largest_s=30.0, deadline_s=100.0, capacity=6)


class Plan(RuleBasedStateMachine):
    """Every message ends in exactly one way, waits grow, and nothing is sent twice at once."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = WebhookPlan(RULE, rng=Random(1))
        self.now = NOW
        self.open: list[Attempt] = []
        self.waiting: dict[tuple[str, str], int] = {}
        self.numbers: dict[tuple[str, str], int] = {}
        self.gone: set[str] = set()

    @rule(number=st.integers(0, 4), urls=st.sets(st.sampled_from(["u1", "u2"]), min_size=1))
    def add(self, number: int, urls: set[str]) -> None:
        keys = {(f"m{number}", url) for url in urls if url not in self.gone} - set(self.waiting)
        if len(self.waiting) + len(keys) > RULE.capacity:
            with pytest.raises(InputError, match="may wait"):
                self.plan.add(f"m{number}", BODY, urls=sorted(urls), now=self.now)
            return
        assert self.plan.add(f"m{number}", BODY, urls=sorted(urls), now=self.now) == len(keys)
        self.waiting.update(dict.fromkeys(keys, self.now))
        self.numbers.update(dict.fromkeys(keys, 0))

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    @rule()
    def send(self) -> None:
        for attempt in self.plan.due(now=self.now):
            key = (attempt.identifier, attempt.url)
            assert key in self.waiting
            assert key not in {(one.identifier, one.url) for one in self.open}
            self.numbers[key] += 1
            assert attempt.number == self.numbers[key]
            self.open.append(attempt)

    @precondition(lambda self: self.open)
    @rule(how=st.sampled_from(["fine", "gone", "bad"]), asked=st.none() | st.floats(0.0, 60.0))
    def answer(self, how: str, asked: float | None) -> None:
        attempt = self.open.pop(0)
        key = (attempt.identifier, attempt.url)
        if how == "fine":
            assert self.plan.delivered(attempt) is Delivery.DELIVERED
            self.waiting.pop(key, None)
        elif how == "gone":
            assert self.plan.refused(attempt) is Delivery.REFUSED
            self.gone.add(attempt.url)
            self.waiting = {k: v for k, v in self.waiting.items() if k[1] != attempt.url}
            self.open = [one for one in self.open if one.url != attempt.url]
        else:
            found = self.plan.failed(attempt, now=self.now, retry_after_s=asked)
            doubled = min(RULE.first_s * 2.0 ** (attempt.number - 1), RULE.largest_s)
            age = (self.now - self.waiting[key]) / SECOND
            longest, shortest = max(doubled, asked or 0.0), max(doubled / 2, asked or 0.0)
            if found is Delivery.GIVEN_UP:
                assert age + longest > RULE.deadline_s
                del self.waiting[key]
            else:
                assert found is Delivery.WAITS
                assert age + shortest <= RULE.deadline_s + 1e-6

    @invariant()
    def it_keeps_what_is_open(self) -> None:
        assert len(self.plan) == len(self.waiting)
        assert self.plan.gone == self.gone
        idle = len(self.waiting) > len(self.open)
        assert (self.plan.next_due() is not None) is idle


TestPlan = Plan.TestCase
TestPlan.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


class Receiver:
    """Answers what it is told, and keeps what came."""

    def __init__(self, *statuses: int, headers: dict[str, str] | None = None) -> None:
        self.statuses = list(statuses)
        self.headers = headers or {}
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self.statuses.pop(0), headers=self.headers)


def sender_of(receiver, clock, *, addresses=("93.184.216.34",), plan=None) -> WebhookSender:
    async def resolver(host: str, port: int) -> list[str]:
        assert (host, port) == ("hooks.example.org", 443)
        return list(addresses)

    return WebhookSender(
        LISTED,
        keys=[KEY],
        clock=clock,
        plan=plan or WebhookPlan(RULE, rng=Random(1)),
        resolver=resolver,
        transport=httpx.MockTransport(receiver),
    )


KEY = new_webhook_secret()


def test_what_is_sent_goes_to_the_checked_address_with_the_name_of_the_host(clock):
    receiver = Receiver(204)
    sender = sender_of(receiver, clock)
    assert sender.post("m1", BODY, urls=[URL]) == 1
    assert asyncio.run(sender.send_due()) == [Delivery.DELIVERED]
    (request,) = receiver.requests
    assert str(request.url) == "https://93.184.216.34/in?x=1"
    assert request.headers["host"] == "hooks.example.org"
    assert request.extensions["sni_hostname"] == "hooks.example.org"
    assert verify_webhook(request.content, request.headers, keys=[KEY], now=clock.now()) == "m1"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(clock, status):
    receiver = Receiver(status, headers={"location": "http://169.254.169.254/latest"})
    sender = sender_of(receiver, clock)
    sender.post("m1", BODY, urls=[URL])
    assert asyncio.run(sender.send_due()) == [Delivery.WAITS]
    assert len(receiver.requests) == 1


def test_a_name_that_leads_inside_is_not_connected_to(clock, caplog):
    receiver = Receiver()
    sender = sender_of(receiver, clock, addresses=["10.0.0.5"])
    sender.post("m1", BODY, urls=[URL])
    assert asyncio.run(sender.send_due()) == [Delivery.WAITS]
    assert receiver.requests == []
    assert "must go to public addresses" in caplog.text


def test_failures_are_tried_again_with_the_same_identifier_and_a_fresh_signature(clock):
    receiver = Receiver(500, 429, 200, headers={"retry-after": "20"})
    sender = sender_of(receiver, clock)
    sender.post("m1", BODY, urls=[URL])

    async def all_of_it() -> list[Delivery]:
        found = await sender.send_due()
        clock.step(19.9)
        assert await sender.send_due() == []
        clock.step(0.2)
        found += await sender.send_due()
        clock.step(20.1)
        return found + await sender.send_due()

    assert asyncio.run(all_of_it()) == [Delivery.WAITS, Delivery.WAITS, Delivery.DELIVERED]
    assert {request.headers["webhook-id"] for request in receiver.requests} == {"m1"}
    assert len({request.headers["webhook-timestamp"] for request in receiver.requests}) == 3


def test_a_receiver_that_is_gone_gets_nothing_more(clock):
    receiver = Receiver(410)
    sender = sender_of(receiver, clock)
    sender.post("m1", BODY, urls=[URL])
    assert asyncio.run(sender.send_due()) == [Delivery.REFUSED]
    assert sender.post("m2", BODY, urls=[URL]) == 0


def test_errors_of_the_network_are_failures_and_say_no_secret(clock, caplog):
    def receiver(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"no {KEY}") from ssl.SSLError()

    sender = sender_of(receiver, clock)
    sender.post("m1", BODY, urls=[URL])
    assert asyncio.run(sender.send_due()) == [Delivery.WAITS]
    assert "ConnectError" in caplog.text
    assert KEY not in caplog.text


def test_a_url_that_is_not_listed_is_refused_before_it_waits(clock):
    sender = sender_of(Receiver(), clock)
    with pytest.raises(InputError, match="must go to a listed host"):
        sender.post("m1", BODY, urls=["https://evil.example/"])


def test_the_loop_sends_what_is_posted_while_it_runs(clock):
    receiver = Receiver(200)
    sender = sender_of(receiver, clock)

    async def play() -> None:
        task = asyncio.create_task(sender.run())
        await asyncio.sleep(0)
        sender.post("m1", BODY, urls=[URL])
        for _ in range(100):
            await asyncio.sleep(0)
            if receiver.requests:
                break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    assert len(receiver.requests) == 1
