"""The rooms put together: settings, one application, and how it is run."""

from .application import Application, Deployment
from .run import run
from .settings import PublishSettings, Settings, WebhookSettings, read_settings

__all__ = [
    "Application",
    "Deployment",
    "PublishSettings",
    "Settings",
    "WebhookSettings",
    "read_settings",
    "run",
]
