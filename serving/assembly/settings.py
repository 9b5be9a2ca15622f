"""Settings of ``foremargin serve``: one TOML file, every value with a safe default."""

import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from ...errors import InputError
from ..http import HttpSettings
from ..monitor import MonitorSettings
from ..publish import Limits, PublishRule
from ..security import TlsSettings
from ..service import ProcessSettings
from ..settings import ServeSettings


class PublishSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who signs margins, for which contract.

    Attributes
    ----------
    key_file : str
        Private key (hexadecimal), readable by this user alone.
    chain_id : int
        Of the chain.
    contract : str
        Address of the contract, ``0x`` and 40 hexadecimal digits.
    name, version : str
        Of the EIP-712 domain.
    epoch : int
        The contract's, for a service that has signed nothing yet.
    limits, rule : Limits, PublishRule
        What the contract allows, and when an update is due; of every instrument.
    look_s : float
        Seconds between looks at what has come of age without a new quote.
    """

    key_file: str
    chain_id: int
    contract: str
    name: str = "foremargin"
    version: str = "1"
    epoch: int = 1
    limits: Limits = Limits()
    rule: PublishRule = PublishRule()
    look_s: float = 5.0


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts are sent.

    Attributes
    ----------
    url : str
        https, of a host in `hosts`.
    secret_file : str
        Secrets of Standard Webhooks, one a line; all of them sign, for a rotation.
    hosts : tuple of str
        Allowed hosts.
    networks : tuple of str
        Private networks that are meant, such as ``10.1.2.0/24``; none unless named.
    """

    url: str
    secret_file: str
    hosts: tuple[str, ...]
    networks: tuple[str, ...] = ()


class Settings(ServeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of all rooms.

    Attributes
    ----------
    accept_unsigned : bool
        Whether a bundle is served without a key to check it with; for trying only.
    feeds : tuple of tuple of str
        Programs that print observations, each with its arguments; see :mod:`.feeds`.
    follow : str
        ``FOLDER/NAME``: bundles of a tracking store and a registered model, whose champion is
        served; empty for none.
    http, monitor, process : HttpSettings, MonitorSettings, ProcessSettings
        Of the rooms.
    publish : PublishSettings or None
        Without, nothing is signed.
    tls : TlsSettings or None
        Without, plain HTTP.
    webhook : WebhookSettings or None
        Without, alerts are on the page and in the metrics only.
    trace_file : str
        File that OpenTelemetry spans are appended to, a JSON object each; empty makes no traces.
    trace_share : float
        Of the requests for observations that are traced, in (0, 1]; drawn for each.
    """

    accept_unsigned: bool = False
    feeds: tuple[tuple[str, ...], ...] = ()
    follow: str = ""
    http: HttpSettings = HttpSettings()
    monitor: MonitorSettings = MonitorSettings()
    process: ProcessSettings = ProcessSettings()
    publish: PublishSettings | None = None
    tls: TlsSettings | None = None
    webhook: WebhookSettings | None = None
    trace_file: str = ""
    trace_share: float = 1.0


def read_settings(path: Path | None) -> Settings:
    """Read a TOML file; None gives the defaults.

    Raises
    ------
    InputError
        If the file cannot be read or has a key or a value that is none.
    """
    if path is None:
        return Settings()
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Settings)
    except OSError as error:
        raise InputError(f"settings must be a file, {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"settings must be TOML with known keys, {path}: {error}") from error
