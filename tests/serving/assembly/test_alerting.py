"""An alert becomes a message to the webhook of the settings, signed with all secrets."""

import asyncio
import base64

import msgspec
import pytest

from foremargin.errors import InputError
from foremargin.serving.assembly import WebhookSettings, alerting
from foremargin.serving.monitor import Notification
from foremargin.serving.monitor.alerts import Alert, State
from foremargin.tests.serving.assembly.quotes import START

SECRETS = ["whsec_" + base64.b64encode(bytes([k]) * 32).decode() for k in (1, 2)]


@pytest.fixture
def make_settings(tmp_path):
    def make(text, *, mode=0o600):
        file = tmp_path / "webhook.secrets"
        file.write_text(text)
        file.chmod(mode)
        return WebhookSettings(
            url="https://alerts.example/hook",
            secret_file=str(file),
            hosts=("alerts.example",),
            networks=("10.1.2.0/24",),
        )

    return make


def test_an_alert_is_posted_under_its_own_id_with_its_own_time(make_settings, clock, monkeypatch):
    made, posted = [], []

    class Sender:
        def __init__(self, allowed, *, keys, clock, tracer):
            made.append((allowed, keys, clock))

        def post(self, identifier, body, *, urls):
            posted.append((identifier, msgspec.json.decode(body), urls))

    monkeypatch.setattr(alerting, "TracedSender", Sender)
    sink = alerting.WebhookSink(make_settings("\n".join(SECRETS) + "\n\n"), clock=clock)
    alert = Alert(
        rule="stale",
        subject="BTC",
        severity="page",
        state=State.FIRING,
        since=START,
        changed_at=START + 1,
        value=1.0,
        threshold=0.5,
        summary="old",
    )
    asyncio.run(sink.send(Notification(id="n-1", alert=alert)))
    allowed, keys, _ = made[0]
    assert (list(allowed.hosts), list(allowed.networks)) == (["alerts.example"], ["10.1.2.0/24"])
    assert keys == SECRETS
    identifier, said, urls = posted[0]
    assert (identifier, urls) == ("n-1", ["https://alerts.example/hook"])
    assert (said["type"], said["data"]["rule"]) == ("foremargin.alert.v1", "stale")
    assert said["timestamp"] == "2024-10-04T00:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "mode"),
    [("", 0o600), (" \n\n", 0o600), (SECRETS[0], 0o644), (SECRETS[0], 0o640)],
    ids=["empty", "blank", "world", "group"],
)
def test_secrets_must_be_there_and_secret(make_settings, clock, text, mode):
    with pytest.raises(InputError, match=r"must hold a secret .* by its owner alone"):
        alerting.WebhookSink(make_settings(text, mode=mode), clock=clock)


def test_a_file_of_secrets_that_is_none_is_said(make_settings, clock, tmp_path):
    settings = make_settings(SECRETS[0])
    (tmp_path / "webhook.secrets").unlink()
    with pytest.raises(InputError, match=r"webhook\.secrets cannot be read"):
        alerting.WebhookSink(settings, clock=clock)
