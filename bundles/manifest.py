"""The manifest of a bundle: what it is, where it comes from, and the digest of every file."""

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError

FORMAT = 2
"""Version of the folder; a reader refuses any other."""

REQUIRED_FILES = (
    "state.json",
    "weights.safetensors",
    "calibration.json",
    "calibration.safetensors",
    "experiment.yaml",
    "gates.json",
    "forecasts.parquet",
)
"""What every bundle holds beside its manifest and signature."""

SERVING_FILES = ("serving.json", "serving.safetensors")
"""The state that a service starts from; a bundle without it cannot be served."""

CORRELATIONS = "correlations.safetensors"
"""File with the correlations that what-if starts from; a bundle may be served without it."""

PRIOR_CORRELATION = 0.5
"""Of a pair about which nothing is known: between no hedge and no diversification."""

MOST_CORRELATED = 1_000
"""Instruments that have correlations, the first of the bundle: their number goes by its square."""

OPTIONAL_FILES = (
    "model.onnx",
    "network.json",
    "network.safetensors",
    *SERVING_FILES,
    CORRELATIONS,
)
"""What it may hold too: the network, what feeds it, and what a service starts from."""

NOT_SERVED = "a service cannot make margins of this bundle"
"""How the note begins by which training says why :data:`SERVING_FILES` are missing."""

MANIFEST = "manifest.json"
"""File with the manifest."""

SIGNATURE = "manifest.sig"
"""File with the signature of the manifest; a bundle need not have one."""

_Size = Annotated[int, Field(ge=0)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Strict):
    """One file of a bundle."""

    sha256: _Digest
    size_bytes: _Size


class Manifest(_Strict):
    """What a bundle is: written last, and signed."""

    format: int
    """Version of the folder."""
    name: str
    """Registered model."""
    version: Annotated[int, Field(ge=1)]
    """Of the registered model."""
    model: str
    """Forecaster or mixture."""
    run_id: str
    """MLflow run that made it."""
    period_s: float
    """Length of a period, seconds."""
    history_from: str
    """Close of the first period of the training data, UTC."""
    trained_until: str
    """Close of their last period, UTC."""
    horizons: tuple[int, ...]
    """Numbers of own periods ahead."""
    instruments: tuple[str, ...]
    """Of the training data."""
    features: tuple[str, ...]
    """What the model looks at."""
    provenance: dict[str, str]
    """Code, packages and data, as the run carries them."""
    notes: tuple[str, ...]
    """What a reader must know, for example fits that did not converge."""
    files: dict[str, FileRecord]
    """By name."""


def parse_manifest(folder: Path, raw: bytes) -> Manifest:
    """Read the manifest of a bundle.

    Parameters
    ----------
    folder : Path
        Where it was found, for the message.
    raw : bytes
        The file.

    Raises
    ------
    InputError
        If it is none, is of another format, or names files that no bundle has.
    """
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        _refuse_other_format(folder, raw)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{folder / MANIFEST} is not the manifest of a bundle: {where[:200]}: {first['msg']}"
        ) from error
    if manifest.format != FORMAT:
        raise _other_format(folder, manifest.format)
    found = set(manifest.files)
    if not set(REQUIRED_FILES) <= found <= {*REQUIRED_FILES, *OPTIONAL_FILES}:
        raise InputError(
            f"a bundle must hold the files {list(REQUIRED_FILES)}, may hold "
            f"{list(OPTIONAL_FILES)} and no other, found {_few(found)} in {folder}"
        )
    return manifest


def check_served(folder: Path, manifest: Manifest) -> None:
    """Refuse a bundle without :data:`SERVING_FILES`, for the reason that its training noted.

    Parameters
    ----------
    folder : Path
        Where it was found, for the message.
    manifest : Manifest
        What it is.

    Raises
    ------
    InputError
        If a service cannot make margins of it.
    """
    missing = [name for name in SERVING_FILES if name not in manifest.files]
    if not missing:
        return
    noted = [note for note in manifest.notes if note.startswith(NOT_SERVED)]
    if noted:
        advice = f"its training noted: {'; '.join(noted)[:1_000]}"
    else:
        advice = "no note of its training says why; train it with this version of foremargin"
    raise InputError(
        f"a bundle must hold {list(SERVING_FILES)} to be served, {folder} lacks {missing}: {advice}"
    )


def _refuse_other_format(folder: Path, raw: bytes) -> None:
    """Say which format it is rather than which field of it is unknown."""
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError):
        return
    found = read.get("format") if isinstance(read, dict) else None
    if isinstance(found, int) and found != FORMAT:
        raise _other_format(folder, found)


def _other_format(folder: Path, found: int) -> InputError:
    age = "an older" if found < FORMAT else "a newer"
    return InputError(
        f"a bundle must have format {FORMAT}, but {folder} has format {found}: {age} version of "
        "foremargin wrote it; train it anew, or read it with that version"
    )


def _few(names: set[str]) -> str:
    """Show names that somebody else chose: some of them, and not all of each."""
    shown = [name[:60] for name in sorted(names)[:20]]
    more = len(names) - len(shown)
    return f"{shown} and {more} more" if more else f"{shown}"
