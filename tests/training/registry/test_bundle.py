"""Bundles: whole or refused, the same forecasts bit for bit, and no code inside."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from foremargin.bundles import REQUIRED_FILES as FILES
from foremargin.bundles import signing_key, trusted_key
from foremargin.errors import InputError
from foremargin.training import Preparation, Trust, load_bundle
from foremargin.training import bundle as module
from foremargin.training.bundle import Draft, write_bundle

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
MakeDraft = Callable[..., Draft]


@pytest.fixture(scope="module")
def signed(make_draft: MakeDraft, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "signed"
    write_bundle(folder, make_draft(), version=1, key=KEY)
    return folder


@pytest.fixture
def bundle(signed: Path, tmp_path: Path) -> Path:
    """A signed bundle to spoil."""
    shutil.copytree(signed, tmp_path / "bundle")
    return tmp_path / "bundle"


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


def test_a_bundle_forecasts_what_the_trained_model_forecasts(
    signed: Path, trained: Any, later: Preparation
) -> None:
    loaded = load_bundle(signed, trusted=KEY.public_key())
    assert loaded.trust is Trust.VERIFIED
    assert loaded.manifest.model == "log-har"
    assert loaded.manifest.trained_until == "2020-02-20T00:00:00.000000000"
    assert loaded.notes == ("a note",)
    origins = slice(700, later.panel.n_periods)
    wanted = trained.final.forecast(later.history, origins=origins)
    said = loaded.forecaster.forecast(loaded.forecaster.history(later.panel), origins=origins)
    for name in ("variance", "value_at_risk_lower", "expected_shortfall_upper"):
        np.testing.assert_array_equal(getattr(said, name), getattr(wanted, name))
    np.testing.assert_array_equal(said.stress_probability, wanted.stress_probability)


_SERVICE = """
import sys
import numpy as np
from foremargin.features import build_history
from foremargin.training.bundle import load_bundle
bundle = load_bundle(sys.argv[1])
state = bundle.forecaster.past.variance
assert "mlflow" not in sys.modules, "loading a bundle must not import MLflow"
np.save(sys.argv[2], state)
"""


@pytest.mark.slow
def test_another_process_reads_it_without_mlflow(
    signed: Path, trained: Any, tmp_path: Path
) -> None:
    out = tmp_path / "variance.npy"
    subprocess.run([sys.executable, "-c", _SERVICE, str(signed), str(out)], check=True, timeout=120)
    np.testing.assert_array_equal(np.load(out), trained.final.past.variance)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_changed_byte_is_found_in_every_file(name: str, bundle: Path) -> None:
    path = bundle / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"SHA-256|signature"):
        load_bundle(bundle, trusted=KEY.public_key())


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_file_that_is_gone_is_missed(name: str, bundle: Path) -> None:
    (bundle / name).unlink()
    with pytest.raises(InputError, match=f"must hold {name}"):
        load_bundle(bundle, trusted=KEY.public_key())


def test_a_file_that_does_not_belong_there_is_refused(bundle: Path) -> None:
    (bundle / "model.pkl").write_bytes(pickle.dumps(1))
    with pytest.raises(InputError, match=r"only, found .'model.pkl'"):
        load_bundle(bundle)


def _forge(bundle: Path, **changes: object) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_manifest_that_fits_changed_files_needs_the_signature(bundle: Path) -> None:
    _forge(bundle, version=2)
    assert load_bundle(bundle).manifest.version == 2
    assert load_bundle(bundle).trust is Trust.NOT_VERIFIED
    with pytest.raises(InputError, match="the manifest was changed afterwards"):
        load_bundle(bundle, trusted=KEY.public_key())


def test_a_signature_by_another_key_or_none_is_refused(bundle: Path) -> None:
    with pytest.raises(InputError, match="another key made it"):
        load_bundle(bundle, trusted=OTHER.public_key())
    signature = bundle / "manifest.sig"
    right = json.loads(signature.read_text())
    wrongs: list[object] = [{**right, "algorithm": "none"}, {"signature": "zz"}, [], 3]
    for wrong in wrongs:
        signature.write_text(json.dumps(wrong))
        with pytest.raises(InputError, match="must be signed by the trusted key"):
            load_bundle(bundle, trusted=KEY.public_key())
    signature.unlink()
    with pytest.raises(InputError, match="has no signature"):
        load_bundle(bundle, trusted=KEY.public_key())
    assert load_bundle(bundle).trust is Trust.UNSIGNED


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": 1}, "has format 1: an older"),
        ({"horizons": "1"}, "manifest of a bundle: horizons"),
        ({"more": 1}, "manifest of a bundle: more"),
        ({"horizons": [1, 2]}, "must be those of log-har over"),
        ({"model": "har-pooled"}, "must be those of har-pooled"),
        ({"trained_until": "never"}, "must hold times"),
    ],
    ids=str,
)
def test_a_manifest_that_does_not_fit_is_refused(
    changes: dict[str, object], complaint: str, bundle: Path
) -> None:
    _forge(bundle, **changes)
    with pytest.raises(InputError, match=complaint):
        load_bundle(bundle)


def test_nothing_in_a_bundle_is_ever_unpickled(
    make_draft: MakeDraft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    draft = make_draft()
    monkeypatch.setattr(module, "write_state", lambda state: (b"{}", pickle.dumps(Payload())))
    write_bundle(tmp_path / "evil", draft, version=1, key=None)
    with pytest.raises(InputError, match="safetensors"):
        load_bundle(tmp_path / "evil")
    assert not (tmp_path / "executed").exists()


def test_what_is_no_forecaster_is_refused(
    trained: Any, make_draft: MakeDraft, tmp_path: Path
) -> None:
    odd = replace(make_draft(), forecaster=replace(trained.final, fitted=trained.final.past))
    write_bundle(tmp_path / "odd", odd, version=1, key=None)
    with pytest.raises(InputError, match="found Forecast and Forecast"):
        load_bundle(tmp_path / "odd")


def test_a_bundle_appears_whole_or_not_at_all_and_replaces_none(
    make_draft: MakeDraft, tmp_path: Path
) -> None:
    folder = tmp_path / "bundles" / "one"
    digest = write_bundle(folder, make_draft(), version=1, key=None)
    assert load_bundle(folder).digest == digest
    with pytest.raises(InputError, match="folder of its own"):
        write_bundle(folder, make_draft(), version=2, key=None)
    assert load_bundle(folder).manifest.version == 1
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_the_environment_names_the_keys(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FOREMARGIN_SIGNING_KEY", raising=False)
    monkeypatch.delenv("FOREMARGIN_TRUSTED_KEY", raising=False)
    assert signing_key() is None
    assert trusted_key() is None
    private = _write_pem(tmp_path / "signing.pem", KEY)
    monkeypatch.setenv("FOREMARGIN_SIGNING_KEY", str(private))
    found = signing_key()
    assert found is not None
    assert found.public_key() == KEY.public_key()
    public = _write_pem(tmp_path / "trusted.pem", KEY.public_key())
    monkeypatch.setenv("FOREMARGIN_TRUSTED_KEY", str(public))
    assert load_bundle(signed).trust is Trust.VERIFIED
    monkeypatch.setenv(
        "FOREMARGIN_TRUSTED_KEY", str(_write_pem(tmp_path / "other.pem", OTHER.public_key()))
    )
    with pytest.raises(InputError, match="another key"):
        load_bundle(signed)


def test_other_versions_of_packages_are_noted(make_draft: MakeDraft, tmp_path: Path) -> None:
    old = replace(
        make_draft(), provenance={"version.numpy": "1.0", "version.gone-long-ago": "1", "x": "2"}
    )
    write_bundle(tmp_path / "old", old, version=1, key=None)
    notes = load_bundle(tmp_path / "old").notes
    assert notes[1:] == (f"numpy was 1.0 when the model was trained and is {np.__version__} now",)
