"""Keys come from files that the environment names; what is no key is refused."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from foremargin.bundles import signing_key, trusted_key
from foremargin.errors import InputError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def _write_pem(path: Path, key: Any) -> Path:
    if hasattr(key, "private_bytes"):
        form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        content = key.private_bytes(serialization.Encoding.PEM, *form)
    else:
        content = key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["nothing", "other form", "other curve", "the wrong half"])
def test_a_file_without_a_key_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = X25519PrivateKey.generate()
    for variable, read, wrong, half in (
        ("FOREMARGIN_SIGNING_KEY", signing_key, curve, KEY.public_key()),
        ("FOREMARGIN_TRUSTED_KEY", trusted_key, curve.public_key(), KEY),
    ):
        path = tmp_path / variable
        if kind == "other form":
            path.write_text("no key")
        elif kind == "other curve":
            _write_pem(path, wrong)
        elif kind == "the wrong half":
            _write_pem(path, half)
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(InputError, match=variable):
            read()
