"""No secret in a log line, whatever it hides in."""

import json
import logging

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.serving.security import (
    Scope,
    SignedRequest,
    new_key,
    new_webhook_secret,
    redact,
    redact_secrets,
    sign_request,
)

TOKEN = new_key([Scope.READ], now=1)[1]
SECRET = TOKEN[16:]
WEBHOOK = new_webhook_secret()
SIGNED = sign_request(SignedRequest(method="GET", target=b"/"), token=TOKEN, now=10**9)


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        f"Bearer {TOKEN}",
        TOKEN.encode(),
        f"http://x/?token={TOKEN}&y=1",
        {"Authorization": f"Bearer {TOKEN}"},
        {"a": [{"b": (f"x {TOKEN} y",)}]},
        {"api_key": SECRET},
        {"webhook.secret": SECRET},
        {"x-password": SECRET},
        [f"postgres://user:{SECRET}@host/db"],
        f"bearer {SECRET}",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}",
        ValueError(TOKEN),
        {TOKEN: 1},
    ],
    ids=lambda value: type(value).__name__,  # a token is another one in every process
)
def test_a_secret_is_gone_wherever_it_stood(value):
    assert SECRET not in repr(redact(value))


def test_webhook_secrets_and_signatures_go_too():
    assert WEBHOOK[6:] not in redact(f"key {WEBHOOK}")
    assert SIGNED.split("signature=")[1] not in redact(SIGNED)


def test_the_identifier_of_a_key_stays():
    assert TOKEN[:15] in redact(f"key {TOKEN}")


def test_what_is_no_secret_stays_as_it_is():
    event = {"instrument": "BTC-PERP", "n": 1, "x": 0.5, "ok": True, "none": None, "l": [1, "a"]}
    assert redact(event) == event
    assert redact("a bearer of bad news") == "a bearer of bad news"
    assert redact({"keys": 3, "token_count": 4, "monkey": "x"})["monkey"] == "x"


def test_what_is_too_deep_to_look_at_is_not_written():
    value: object = TOKEN
    for _ in range(20):
        value = [value]
    assert SECRET not in repr(redact(value))


def test_the_processor_keeps_secrets_out_of_a_rendered_line(capsys):
    logger = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            redact_secrets,
            structlog.processors.JSONRenderer(),
        ],
    )
    try:
        raise RuntimeError(f"refused {TOKEN}")
    except RuntimeError:
        logger.exception("failed", headers={"authorization": TOKEN}, url=f"/?k={TOKEN}")
    line = capsys.readouterr().out
    assert SECRET not in line
    assert json.loads(line)["event"] == "failed"
    logging.getLogger().handlers.clear()


@settings(max_examples=100, deadline=None)
@given(before=st.text(max_size=20), after=st.text(" &,;\"')", max_size=5))
def test_text_around_a_token_does_not_save_it(before, after):
    assert SECRET not in redact(f"{before} {TOKEN}{after}")
