"""Alerts to a webhook."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ...errors import InputError
from ..monitor import Notification
from ..ports import Clock
from ..security import Destinations
from ..security.webhook_sender import WebhookSender
from .settings import WebhookSettings

_encode = msgspec.json.Encoder().encode

ALERT = "foremargin.alert.v1"
"""Type of the message."""


class WebhookSink:
    """Hands notifications to the sender; a ``Sink`` of the monitor.

    Parameters
    ----------
    settings : WebhookSettings
        Where to, and the secrets.
    clock : Clock
        Wall clock.

    Raises
    ------
    InputError
        If the file of secrets cannot be read or holds none.
    """

    def __init__(self, settings: WebhookSettings, *, clock: Clock) -> None:
        self._url = settings.url
        self.sender = WebhookSender(
            Destinations(hosts=list(settings.hosts), networks=list(settings.networks)),
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
