"""Alerts to a webhook."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ...errors import InputError
from ..monitor import Notification, Step, Tracer, make_tracer
from ..ports import Clock
from ..security import Destinations
from ..security.webhook_plan import Attempt, Delivery
from ..security.webhook_sender import WebhookSender
from .settings import WebhookSettings

_encode = msgspec.json.Encoder().encode

ALERT = "foremargin.alert.v1"
"""Type of the message."""


class TracedSender(WebhookSender):
    """A sender with a span of every attempt; what the span says is no secret.

    Parameters
    ----------
    allowed : Destinations
        Where to.
    tracer : Tracer
        Spans.
    **sender
        As of :class:`~foremargin.serving.security.webhook_sender.WebhookSender`.
    """

    def __init__(self, allowed: Destinations, *, tracer: Tracer, **sender: Any) -> None:
        super().__init__(allowed, **sender)
        self._tracer = tracer

    async def send(self, attempt: Attempt) -> Delivery:
        """Make one attempt, and return what became of it."""
        began = time.time_ns()
        delivery = await super().send(attempt)
        self._tracer.record(
            Step.WEBHOOK,
            (),
            span=(began, time.time_ns()),
            failed=delivery is not Delivery.DELIVERED,
            attempt=attempt.number,
            delivery=delivery.value,
        )
        return delivery


class WebhookSink:
    """Hands notifications to the sender; a ``Sink`` of the monitor.

    Parameters
    ----------
    settings : WebhookSettings
        Where to, and the secrets.
    clock : Clock
        Wall clock.
    tracer : Tracer, optional
        Has a span of every attempt.

    Raises
    ------
    InputError
        If the file of secrets cannot be read or holds none.
    """

    def __init__(
        self, settings: WebhookSettings, *, clock: Clock, tracer: Tracer | None = None
    ) -> None:
        self._url = settings.url
        self.sender = TracedSender(
            Destinations(hosts=list(settings.hosts), networks=list(settings.networks)),
            tracer=make_tracer() if tracer is None else tracer,
            keys=_secrets(Path(settings.secret_file)),
            clock=clock,
        )

    async def send(self, notification: Notification) -> None:
        """Queue one; it is tried until its deadline."""
        moment = datetime.fromtimestamp(notification.alert.since / 1e9, tz=UTC)
        message = {"type": ALERT, "timestamp": moment.isoformat(), "data": notification.alert}
        self.sender.post(notification.id, _encode(message), urls=[self._url])


def _secrets(path: Path) -> list[str]:
    try:
        found = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"secrets of webhooks must be a file, {path} cannot be read") from error
    if not found or path.stat().st_mode & 0o077:
        raise InputError(
            f"{path} must hold a secret of webhooks on every line and be readable by its owner "
            "alone (chmod 600)"
        )
    return found
