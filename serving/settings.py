"""Settings of the service: one TOML file, every value with a safe default."""

import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from ..errors import InputError


class FallbackSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is answered when the calculator or its data are gone.

    Attributes
    ----------
    fixed_initial_bps, fixed_maintenance_bps : int
        Conservative margin of the lowest rung, basis points.
    stale_after_s, fixed_after_s : float
        Age of the market data from which a margin is stale, and from which the fixed one is
        answered if it is the higher; seconds beyond the end of the period.
    add_on_per_hour : float
        Relative rise of a stale margin per hour of age.
    largest_add_on : float
        Largest relative rise.
    """

    fixed_initial_bps: int = 5_000
    fixed_maintenance_bps: int = 4_000
    stale_after_s: float = 900.0
    fixed_after_s: float = 86_400.0
    add_on_per_hour: float = 0.05
    largest_add_on: float = 1.0


class ServeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that ``foremargin serve`` can be told.

    Attributes
    ----------
    host, port : str, int
        Where it listens; loopback unless told otherwise.
    state_dir : str
        Journal, snapshots, keys of the service.
    bundle : str
        Folder of the bundle to start with; empty for the last active one.
    trusted_key : str
        File of the public key that bundles must be signed with; empty reads
        ``FOREMARGIN_TRUSTED_KEY``.
    keys_file : str
        File of API keys (hashes); without one only reads from loopback are answered.
    fallback : FallbackSettings
        See there.
    """

    host: str = "127.0.0.1"
    port: int = 8750
    state_dir: str = "out/serve"
    bundle: str = ""
    trusted_key: str = ""
    keys_file: str = ""
    fallback: FallbackSettings = FallbackSettings()


def read_settings(path: Path | None) -> ServeSettings:
    """Read a TOML file; None gives the defaults.

    Raises
    ------
    InputError
        If the file cannot be read or has a key or a value that is none.
    """
    if path is None:
        return ServeSettings()
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), ServeSettings)
    except OSError as error:
        raise InputError(f"settings must be a file, {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"settings must be TOML with known keys, {path}: {error}") from error
