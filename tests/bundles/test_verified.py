"""A bundle is whole and signed, or it is refused; nothing in it is parsed or run before."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from foremargin.bundles import REQUIRED_FILES, Trust, read_verified, sign
from foremargin.bundles import verified as module
from foremargin.errors import InputError

WriteBundle = Callable[..., Path]
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


@pytest.fixture
def read(key: Ed25519PrivateKey) -> Callable[[Path], module.VerifiedFiles]:
    return lambda folder: read_verified(folder, trusted=key.public_key(), require_signature=True)


def _resigned(folder: Path, key: Ed25519PrivateKey, **changes: Any) -> Path:
    """Change a manifest and sign it again, as whoever holds the key could."""
    path = folder / "manifest.json"
    raw = json.dumps({**json.loads(path.read_text()), **changes}).encode()
    path.write_bytes(raw)
    (folder / "manifest.sig").write_bytes(sign(raw, key))
    return folder


def test_what_was_written_is_read(write_files: WriteBundle, read: Any) -> None:
    found = read(write_files(more={"model.onnx": b"a network", "serving.json": b"{}"}))
    assert found.trust is Trust.VERIFIED
    assert set(found.contents) == {*REQUIRED_FILES, "model.onnx", "serving.json"}
    assert found.contents["model.onnx"] == b"a network"
    assert found.manifest.version == 1


def test_every_file_is_opened_once(
    write_files: WriteBundle, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, opened = write_files(), []
    real = os.open

    def counted(path: Any, *arguments: Any, **more: Any) -> int:
        opened.append(str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", counted)
    read(folder)
    assert sorted(opened) == sorted([str(folder), *REQUIRED_FILES, "manifest.json", "manifest.sig"])


def test_a_service_can_insist_on_a_key(write_files: WriteBundle) -> None:
    folder = write_files(signed_by=None)
    assert read_verified(folder, trusted=None).trust is Trust.UNSIGNED
    with pytest.raises(InputError, match="checked with a trusted key, but none was given"):
        read_verified(folder, trusted=None, require_signature=True)


def test_unsigned_and_wrongly_signed_bundles_are_refused(
    write_files: WriteBundle, read: Any
) -> None:
    with pytest.raises(InputError, match="has no signature"):
        read(write_files(folder="unsigned", signed_by=None))
    with pytest.raises(InputError, match="another key made it"):
        read(write_files(folder="other", signed_by=OTHER))


def test_the_signature_is_checked_before_the_manifest_is_parsed(
    write_files: WriteBundle, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "parse_manifest", lambda *_: pytest.fail("was parsed"))
    with pytest.raises(InputError, match="signed by the trusted key"):
        read(write_files(signed_by=OTHER))


@pytest.mark.parametrize("name", [*REQUIRED_FILES, "manifest.json"])
def test_a_changed_byte_or_another_size_is_found(
    name: str, write_files: WriteBundle, read: Any
) -> None:
    for k, spoil in enumerate((lambda b: b[:-1], lambda b: b + b"x", lambda b: b"X" + b[1:])):
        folder = write_files(folder=str(k))
        (folder / name).write_bytes(spoil((folder / name).read_bytes()))
        with pytest.raises(InputError, match=r"SHA-256|signature"):
            read(folder)


@pytest.mark.parametrize("name", [*REQUIRED_FILES, "manifest.json"])
def test_a_link_is_refused_wherever_it_points(
    name: str, write_files: WriteBundle, read: Any, tmp_path: Path
) -> None:
    folder = write_files()
    shutil.move(folder / name, tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="is a link or something else"):
        read(folder)


def test_a_pipe_or_a_folder_is_refused_without_waiting(write_files: WriteBundle, read: Any) -> None:
    folder = write_files(folder="pipe")
    (folder / "state.json").unlink()
    os.mkfifo(folder / "state.json")
    with pytest.raises(InputError, match="plain files"):
        read(folder)
    folder = write_files(folder="folder")
    (folder / "gates.json").unlink()
    (folder / "gates.json").mkdir()
    with pytest.raises(InputError, match="plain files"):
        read(folder)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "state.json/../../outside", "", "model.pkl", "a\x00b"]
)
def test_a_signed_manifest_cannot_name_files_elsewhere(
    name: str, write_files: WriteBundle, read: Any, key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    folder = write_files()
    files = json.loads((folder / "manifest.json").read_text())["files"]
    record = {"sha256": "0" * 64, "size_bytes": 6}
    with pytest.raises(InputError, match="may hold"):
        read(_resigned(folder, key, files={**files, name: record}))


def test_surplus_files_and_missing_ones_are_refused(write_files: WriteBundle, read: Any) -> None:
    folder = write_files(folder="surplus")
    (folder / "model.pkl").write_bytes(pickle.dumps(1))
    with pytest.raises(InputError, match=r"files of a bundle only, found .'model.pkl'"):
        read(folder)
    folder = write_files(folder="undeclared")
    (folder / "model.onnx").write_bytes(b"known by name, but the manifest does not name it")
    with pytest.raises(InputError, match=r"files of a bundle only, found .'model.onnx'"):
        read(folder)
    folder = write_files(folder="missing")
    (folder / "gates.json").unlink()
    with pytest.raises(InputError, match=r"must hold gates\.json"):
        read(folder)
    with pytest.raises(InputError, match="folder that can be read"):
        read(folder / "gates.json")


def test_an_older_format_says_so(
    write_files: WriteBundle, read: Any, key: Ed25519PrivateKey
) -> None:
    with pytest.raises(InputError, match="has format 1: an older version of foremargin wrote it"):
        read(write_files(folder="old", format=1))
    with pytest.raises(InputError, match="has format 3: a newer version"):
        read(write_files(folder="new", format=3, more_fields={"of": "tomorrow"}))


def test_a_manifest_of_a_million_entries_is_refused_in_a_moment(
    write_files: WriteBundle, read: Any, key: Ed25519PrivateKey
) -> None:
    record = {"sha256": "0" * 64, "size_bytes": 1}
    folder = write_files(folder="few", files={str(k): record for k in range(20_000)})
    with pytest.raises(InputError, match="and 19980 more"):
        read(folder)
    raw = b'{"files": {' + b",".join(b'"%d": {}' % k for k in range(1_000_000)) + b"}}"
    folder = write_files(folder="many")
    (folder / "manifest.json").write_bytes(raw)
    (folder / "manifest.sig").write_bytes(sign(raw, key))
    with pytest.raises(InputError, match="must be at most 4194304 bytes"):
        read(folder)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b"", b"\xff", b"null", b"1e999"]
)
def test_a_manifest_that_is_none_is_refused(
    raw: bytes, write_files: WriteBundle, read: Any, key: Ed25519PrivateKey
) -> None:
    folder = write_files()
    (folder / "manifest.json").write_bytes(raw)
    (folder / "manifest.sig").write_bytes(sign(raw, key))
    with pytest.raises(InputError, match="is not the manifest of a bundle"):
        read(folder)


def test_a_signature_that_is_none_is_refused(write_files: WriteBundle, read: Any) -> None:
    for k, raw in enumerate([b"[" * 4_000, b"{}", b"", b'{"algorithm": "none"}', b"x" * 5_000]):
        folder = write_files(folder=str(k))
        (folder / "manifest.sig").write_bytes(raw)
        with pytest.raises(InputError, match=r"signed by the trusted key|at most 4096 bytes"):
            read(folder)


def test_sizes_that_no_bundle_has_are_refused_before_anything_is_read(
    write_files: WriteBundle, read: Any, key: Ed25519PrivateKey
) -> None:
    folder = write_files()
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files["state.json"]["size_bytes"] = 2**62
    with pytest.raises(InputError, match="must be at most 2147483648 bytes"):
        read(_resigned(folder, key, files=files))


def test_a_pickle_under_any_name_is_not_run(
    write_files: WriteBundle, read: Any, tmp_path: Path
) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    evil = pickle.dumps(Payload())
    names = ("model.onnx", "serving.safetensors", "serving.json", "network.json")
    assert read(write_files(more=dict.fromkeys(names, evil))).contents["model.onnx"] == evil
    assert not (tmp_path / "executed").exists()


def test_reading_needs_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys, foremargin.bundles;"
        "print([m for m in ('numpy', 'pandas', 'torch', 'mlflow', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
