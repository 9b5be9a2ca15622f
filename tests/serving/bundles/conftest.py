"""Signed bundles that can be loaded, written by hand."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from safetensors.numpy import save

from foremargin.bundles import REQUIRED_FILES, Promotion, sign, write_promotion
from foremargin.models.network.graph import Graph
from foremargin.serving.bundles import BundleStore

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def key() -> Ed25519PrivateKey:
    return KEY


@pytest.fixture(scope="session")
def graph() -> bytes:
    """A network of one operation: it doubles its features."""
    onnx = pytest.importorskip("onnx")
    made = Graph(onnx)
    made.output("Mul", "features", made.number(2.0), name="log_variance")
    shape = {"features": ("batch", 2)}
    return made.model(inputs=shape, outputs={"log_variance": ("batch", 2)}, metadata={})


@pytest.fixture
def write(tmp_path: Path, graph: bytes) -> Write:
    """Return a function that writes a bundle.

    Keyword arguments: `version`, `name`, `folder`, `more` files by name, `signed_by`,
    `instruments`, `notes`, `network`.
    """

    def written(
        version: int = 1,
        *,
        name: str = "small",
        folder: str | None = None,
        more: Mapping[str, bytes] | None = None,
        signed_by: Ed25519PrivateKey | None = KEY,
        instruments: Sequence[str] = ("COIN",),
        notes: Sequence[str] = (),
        network: bool = True,
    ) -> Path:
        contents = {one: b"{}" for one in REQUIRED_FILES}
        if network:
            contents |= {"model.onnx": graph, "network.json": b"{}"}
            contents |= {"network.safetensors": save({"a": np.ones(2)})}
        contents |= more or {}
        files = {
            one: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
            for one, content in contents.items()
        }
        manifest: dict[str, Any] = {
            **{"format": 2, "name": name, "version": version, "model": "regime-network"},
            **{"run_id": "0123", "period_s": 86400.0, "history_from": "2018-01-02"},
            **{"trained_until": "2020-02-20", "horizons": [1], "instruments": instruments},
            **{"features": [], "provenance": {}, "notes": notes, "files": files},
        }
        path = tmp_path / "bundles" / (folder or f"{name}-v{version}")
        path.mkdir(parents=True)
        for one, content in contents.items():
            (path / one).write_bytes(content)
        raw = json.dumps(manifest).encode()
        (path / "manifest.json").write_bytes(raw)
        if signed_by is not None:
            (path / "manifest.sig").write_bytes(sign(raw, signed_by))
        return path

    return written


@pytest.fixture
def promote(tmp_path: Path) -> Callable[[Path], None]:
    """Return a function that points to a bundle, as training does."""

    def promoted(folder: Path) -> None:
        raw = (folder / "manifest.json").read_bytes()
        read = json.loads(raw)
        write_promotion(
            folder.parent,
            Promotion(
                name=read["name"],
                version=read["version"],
                folder=folder.name,
                digest=hashlib.sha256(raw).hexdigest(),
                at="2026-01-01",
                by="somebody",
            ),
        )

    return promoted


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[[], BundleStore]:
    """Return a function that opens the store of the test, as a restarted process would."""
    ticks = iter(range(1, 1_000))
    return lambda: BundleStore(tmp_path / "state", KEY.public_key(), now=lambda: next(ticks))
