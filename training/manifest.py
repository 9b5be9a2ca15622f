"""The manifest of a bundle: what it is, where it comes from, and the digest of every file."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import InputError

FORMAT = 1
"""Version of the folder; a reader refuses any other."""

FILES = (
    "state.json",
    "weights.safetensors",
    "calibration.json",
    "calibration.safetensors",
    "experiment.yaml",
    "gates.json",
    "forecasts.parquet",
)
"""What a bundle holds beside its manifest and signature."""

MANIFEST = "manifest.json"
"""File with the manifest."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Strict):
    """One file of a bundle."""

    sha256: str
    size_bytes: int


class Manifest(_Strict):
    """What a bundle is: written last, and signed."""

    format: int
    """Version of the folder."""
    name: str
    """Registered model."""
    version: int
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
        If it is none, or of another format.
    """
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{folder / MANIFEST} is not the manifest of a bundle: {where}: {first['msg']}"
        ) from error
    if manifest.format != FORMAT or set(manifest.files) != set(FILES):
        raise InputError(
            f"a bundle must have format {FORMAT} and the files {list(FILES)}, found format "
            f"{manifest.format} and {sorted(manifest.files)} in {folder}; train it anew"
        )
    return manifest
