"""Bundles for the tests: written by hand, so that nothing needs to be trained."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from foremargin.bundles import REQUIRED_FILES, sign

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CONTENTS = {name: f"what {name} holds".encode() for name in REQUIRED_FILES}
WriteBundle = Callable[..., Path]


def _manifest(contents: Mapping[str, bytes], changes: Mapping[str, Any]) -> dict[str, Any]:
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        for name, content in contents.items()
    }
    return {
        "format": 2,
        "name": "small",
        "version": 1,
        "model": "regime-network",
        "run_id": "0123",
        "period_s": 86400.0,
        "history_from": "2018-01-02",
        "trained_until": "2020-02-20",
        "horizons": [1, 5],
        "instruments": ["COIN"],
        "features": ["log_variance_last"],
        "provenance": {},
        "notes": [],
        "files": files,
        **changes,
    }


@pytest.fixture(scope="session")
def key() -> Ed25519PrivateKey:
    return KEY


@pytest.fixture
def write_files(tmp_path: Path) -> WriteBundle:
    """Return a function that writes a signed bundle.

    Keyword arguments: `folder`, `more` files by name, `signed_by` (None for no signature), and
    changes of the manifest.
    """

    def written(
        *,
        folder: str = "bundle",
        more: Mapping[str, bytes] | None = None,
        signed_by: Ed25519PrivateKey | None = KEY,
        **changes: Any,
    ) -> Path:
        contents = {**CONTENTS, **(more or {})}
        path = tmp_path / folder
        path.mkdir()
        for name, content in contents.items():
            (path / name).write_bytes(content)
        raw = json.dumps(_manifest(contents, changes)).encode()
        (path / "manifest.json").write_bytes(raw)
        if signed_by is not None:
            (path / "manifest.sig").write_bytes(sign(raw, signed_by))
        return path

    return written
