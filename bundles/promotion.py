"""The pointer to the champion: a small file that training writes and a service looks at.

It only says where to look. What lies there is believed for its signature, and whether it may
replace what is served is decided by the service.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError
from .atomic import write_atomically

CHAMPION = "champion.json"
"""File with the pointer, in a folder that is named after the registered model."""

_LARGEST = 16 * 2**10
_Plain = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*[A-Za-z0-9]$", max_length=200)]


class Promotion(BaseModel):
    """Which version of a registered model is champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Registered model."""
    version: Annotated[int, Field(ge=1)]
    """Of the registered model."""
    folder: _Plain
    """Name of the folder with its bundle, beside that of the pointer."""
    digest: str
    """SHA-256 of its manifest, hexadecimal."""
    at: str
    """When it became champion, UTC."""
    by: str
    """Who made it so."""


def write_promotion(bundles: Path, promotion: Promotion) -> None:
    """Point to a champion.

    Parameters
    ----------
    bundles : Path
        The folder that holds the bundles.
    promotion : Promotion
        The champion.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    content = promotion.model_dump_json(indent=1).encode()
    write_atomically(bundles / promotion.name / CHAMPION, content)


def read_promotion(bundles: Path, name: str) -> Promotion | None:
    """Return the champion of a registered model; None if there never was one.

    Raises
    ------
    InputError
        If the file is there and holds something else.
    """
    path = bundles / name / CHAMPION
    try:
        with open(path, "rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a file that can be read: {error}") from error
    try:
        promotion = Promotion.model_validate_json(raw)
    except ValidationError as error:
        raise InputError(
            f"{path} must point to a champion, but does not: {error.errors()[0]['msg']}"
        ) from error
    if promotion.name != name:
        raise InputError(f"{path} must be of {name}, was of {promotion.name[:60]!r}")
    return promotion
