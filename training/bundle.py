"""Bundles: a folder with everything that a service needs to forecast, and no code.

Every file has its SHA-256 in the manifest, and the manifest may be signed. The digests tell
accidents: a file that was cut, mixed up or edited. Only the signature tells an attacker who can
write to the folder, and only to a reader who was given the public key; whoever holds the private
key, or can change this package, is trusted.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeGuard

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..bundles import (
    FORMAT,
    MANIFEST,
    OPTIONAL_FILES,
    REQUIRED_FILES,
    SIGNATURE,
    FileRecord,
    Manifest,
    Trust,
    read_verified,
    sign,
    trusted_key,
)
from ..errors import InputError
from ..models import FittedForecaster, Forecast, from_state, read_state, to_state, write_state
from .final import FinalForecaster

_PACKAGE_TAG = "version."


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A bundle that was read and found to be whole.

    Attributes
    ----------
    folder : Path
        Where it lies.
    manifest : Manifest
        What it is.
    digest : str
        SHA-256 of the manifest, and through it of every file.
    trust : Trust
        What is known about who made it.
    forecaster : FinalForecaster
        Forecasts exactly what it forecast when it was written.
    contents : mapping of str to bytes
        The files as they were when their digests were taken.
    """

    folder: Path
    manifest: Manifest
    digest: str
    trust: Trust
    forecaster: FinalForecaster
    contents: Mapping[str, bytes]

    @property
    def notes(self) -> tuple[str, ...]:
        """What its makers noted, and packages whose versions are others than they were."""
        return (*self.manifest.notes, *_changed_packages(self.manifest.provenance))


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """A bundle that is still to be written; see :class:`Manifest` for the fields.

    Attributes
    ----------
    name, run_id : str
        Registered model, and MLflow run.
    instruments : tuple of str
        Of the training data.
    provenance : mapping of str to str
        Tags of the run.
    notes : tuple of str
        What a reader must know.
    forecaster : FinalForecaster
        What is deployed.
    files : mapping of str to bytes
        ``experiment.yaml``, ``gates.json`` and ``forecasts.parquet``, and any of
        :data:`foremargin.bundles.OPTIONAL_FILES`.
    """

    name: str
    run_id: str
    instruments: tuple[str, ...]
    provenance: Mapping[str, str]
    notes: tuple[str, ...]
    forecaster: FinalForecaster
    files: Mapping[str, bytes]


def write_bundle(folder: Path, draft: Draft, *, version: int, key: Ed25519PrivateKey | None) -> str:
    """Write a bundle; the folder appears whole or not at all.

    Parameters
    ----------
    folder : Path
        Must not be there yet.
    draft : Draft
        What to write.
    version : int
        Of the registered model.
    key : Ed25519PrivateKey or None
        Signs the manifest.

    Returns
    -------
    str
        SHA-256 of the manifest.

    Raises
    ------
    InputError
        If the folder exists or cannot be made.
    """
    contents = _contents(draft)
    manifest = _manifest(draft, contents, version).model_dump_json(indent=2).encode()
    written = {**contents, MANIFEST: manifest}
    if key is not None:
        written[SIGNATURE] = sign(manifest, key)
    partial = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        for name, content in written.items():
            (partial / name).write_bytes(content)
        partial.rename(folder)
    except OSError as error:
        raise InputError(
            f"a bundle must have a folder of its own, but {folder} cannot be made: {error.strerror}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return hashlib.sha256(manifest).hexdigest()


def load_bundle(folder: Path | str, *, trusted: Ed25519PublicKey | None = None) -> Bundle:
    """Read a bundle, every byte of which is what its manifest says; MLflow is not needed.

    Parameters
    ----------
    folder : Path or str
        The bundle.
    trusted : Ed25519PublicKey, optional
        Refuses a bundle that this key has not signed; by default the key in the file that the
        environment variable ``FOREMARGIN_TRUSTED_KEY`` names, and without one every bundle whose
        digests are right is accepted.

    Raises
    ------
    InputError
        If anything was changed, is missing or too much, or the signature is not the trusted one.
    """
    files = read_verified(folder, trusted=trusted or trusted_key())
    return Bundle(
        folder=files.folder,
        manifest=files.manifest,
        digest=files.digest,
        trust=files.trust,
        forecaster=_forecaster(files.folder, files.manifest, files.contents),
        contents=files.contents,
    )


def _contents(draft: Draft) -> dict[str, bytes]:
    state, weights = write_state(to_state(draft.forecaster.fitted))
    past, errors = write_state(to_state(draft.forecaster.past))
    made = {
        "state.json": state,
        "weights.safetensors": weights,
        "calibration.json": past,
        "calibration.safetensors": errors,
        **draft.files,
    }
    unknown = sorted(set(made) - {*REQUIRED_FILES, *OPTIONAL_FILES})
    if unknown:
        raise InputError(f"a bundle may hold {list(OPTIONAL_FILES)} too, found {unknown}")
    return made


def _manifest(draft: Draft, contents: Mapping[str, bytes], version: int) -> Manifest:
    final = draft.forecaster
    return Manifest(
        format=FORMAT,
        name=draft.name,
        version=version,
        model=final.model,
        run_id=draft.run_id,
        period_s=final.period.total_seconds(),
        history_from=str(final.history_from),
        trained_until=str(final.trained_until),
        horizons=final.horizons,
        instruments=draft.instruments,
        features=final.features,
        provenance=dict(draft.provenance),
        notes=draft.notes,
        files={
            name: FileRecord(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
            for name, content in contents.items()
        },
    )


def _forecaster(folder: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> FinalForecaster:
    fitted = from_state(read_state(contents["state.json"], contents["weights.safetensors"]))
    past = from_state(read_state(contents["calibration.json"], contents["calibration.safetensors"]))
    if not _is_fitted(fitted) or not isinstance(past, Forecast):
        raise InputError(
            f"a bundle must hold a fitted forecaster and its past forecasts, found "
            f"{type(fitted).__name__} and {type(past).__name__} in {folder}"
        )
    if (past.model, past.horizons) != (manifest.model, manifest.horizons):
        raise InputError(
            f"the past forecasts in {folder} must be those of {manifest.model} over "
            f"{manifest.horizons}, were of {past.model} over {past.horizons}"
        )
    try:
        return FinalForecaster(
            fitted=fitted,
            past=past,
            features=manifest.features,
            period=pd.Timedelta(seconds=manifest.period_s),
            history_from=np.datetime64(manifest.history_from),
            trained_until=np.datetime64(manifest.trained_until),
        )
    except ValueError as error:
        raise InputError(f"the manifest of {folder} must hold times, found {error}") from error


def _is_fitted(value: object) -> TypeGuard[FittedForecaster]:
    return callable(getattr(value, "forecast", None)) and hasattr(value, "notes")


def _changed_packages(provenance: Mapping[str, str]) -> tuple[str, ...]:
    changed = []
    for tag, then in sorted(provenance.items()):
        package = tag.removeprefix(_PACKAGE_TAG)
        now = None if package == tag else _installed(package)
        if now not in (None, then):
            changed.append(f"{package} was {then} when the model was trained and is {now} now")
    return tuple(changed)


def _installed(package: str) -> str | None:
    """Version of a package; None where it is not needed and not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
