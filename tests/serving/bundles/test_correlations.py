"""Correlations in a bundle: whole, damaged, missing; and bundles that cannot be served."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from foremargin.bundles import check_served, read_verified
from foremargin.errors import InputError
from foremargin.serving.bundles import BundleStore

Write = Callable[..., Path]
OpenStore = Callable[[], BundleStore]

COMMON = np.array([[300, 200, 200], [200, 300, 200], [200, 200, 300]], dtype=np.int32)


def matrix(first: float, second: float, third: float) -> np.ndarray:
    return np.array([[1.0, first, second], [first, 1.0, third], [second, third, 1.0]])


def packed(correlation: np.ndarray, common: np.ndarray = COMMON) -> bytes:
    return save({"correlation": correlation, "common": common})


@pytest.fixture
def written(write: Write) -> Callable[[bytes], Path]:
    """Return a function that writes a bundle of three instruments with a file of correlations."""
    return lambda content: write(
        instruments=("A", "B", "C"), more={"correlations.safetensors": content}
    )


def test_correlations_of_a_bundle_are_read(
    written: Callable[[bytes], Path], open_store: OpenStore
) -> None:
    wanted = matrix(0.9, -0.2, 0.1)
    bundle = open_store().activate(written(packed(wanted)))
    assert bundle.correlations is not None
    np.testing.assert_array_equal(bundle.correlations.correlation, wanted)
    np.testing.assert_array_equal(bundle.correlations.common, COMMON)
    assert not bundle.correlations.correlation.flags.writeable
    again = open_store().active()
    assert again is not None
    assert again.correlations is not None


def test_older_bundle_has_none(write: Write, open_store: OpenStore) -> None:
    assert open_store().activate(write()).correlations is None


def _nan() -> np.ndarray:
    out = matrix(0.9, 0.1, 0.1)
    out[0, 1] = out[1, 0] = np.nan
    return out


def _lopsided() -> np.ndarray:
    out = matrix(0.9, 0.1, 0.1)
    out[0, 1] = 0.8
    return out


WRONG = {
    "indefinite": (packed(matrix(0.9, -0.9, 0.9)), "positive semidefinite"),
    "nan": (packed(_nan()), "finite"),
    "lopsided": (packed(_lopsided()), "symmetric"),
    "diagonal": (packed(matrix(0.1, 0.1, 0.1) * 1.1), "ones on the diagonal"),
    "beyond-one": (packed(matrix(1.2, 1.2, 1.2)), "finite correlations"),
    "counts": (packed(matrix(0.1, 0.1, 0.1), -COMMON), "counts of periods"),
    "size": (packed(np.eye(2), COMMON[:2, :2]), r"of 3 by 3, found"),
    "single": (packed(np.eye(3, dtype=np.float32)), r"of 3 by 3, found"),
    "without-counts": (save({"correlation": np.eye(3)}), r"of 3 by 3, found"),
    "more": (save({"correlation": np.eye(3), "common": COMMON, "x": COMMON}), "of 3 by 3, found"),
    "cut": (packed(np.eye(3))[:-1], "must be safetensors"),
    "empty": (b"", "must be safetensors"),
}


@pytest.mark.parametrize(("content", "match"), WRONG.values(), ids=WRONG)
def test_what_is_no_correlation_matrix_is_refused_though_it_is_signed(
    content: bytes, match: str, written: Callable[[bytes], Path], open_store: OpenStore
) -> None:
    store = open_store()
    with pytest.raises(InputError, match=match):
        store.activate(written(content))
    assert store.active() is None


def test_damaged_file_is_refused(written: Callable[[bytes], Path], open_store: OpenStore) -> None:
    folder = written(packed(np.eye(3)))
    file = folder / "correlations.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"correlations\.safetensors must have the SHA-256"):
        open_store().activate(folder)


NOTE = "a service cannot make margins of this bundle: features need VIX"


def test_bundle_that_cannot_be_served_is_refused_for_the_reason_that_was_noted(
    write: Write,
) -> None:
    files = read_verified(write(notes=("a fit was slow", NOTE)), trusted=None)
    with pytest.raises(
        InputError, match=r"training noted: a service cannot .*: features need VIX$"
    ):
        check_served(files.folder, files.manifest)


def test_bundle_without_a_note_is_refused_and_says_so(write: Write) -> None:
    files = read_verified(write(), trusted=None)
    with pytest.raises(InputError, match="no note of its training says why; train it"):
        check_served(files.folder, files.manifest)


def test_bundle_with_the_state_of_a_service_can_be_served(write: Write) -> None:
    state = {"serving.json": b"{}", "serving.safetensors": save({"a": np.ones(1)})}
    files = read_verified(write(more=state), trusted=None)
    check_served(files.folder, files.manifest)


def test_store_that_checks_changes_nothing_for_a_bundle_that_it_refuses(
    write: Write, tmp_path: Path, open_store: OpenStore, promote: Callable[[Path], None]
) -> None:
    state = {"serving.json": b"{}", "serving.safetensors": save({"a": np.ones(1)})}
    good, bad = write(1, more=state), write(2, notes=(NOTE,))
    key = open_store()._trusted
    store = BundleStore(
        tmp_path / "state", key, check=lambda files: check_served(files.folder, files.manifest)
    )
    store.activate(good)
    events = store.history()
    promote(bad)
    for change in (
        store.activate,
        store.shadow,
        lambda folder: store.follow(folder.parent, "small"),
    ):
        with pytest.raises(InputError, match="features need VIX"):
            change(bad)
    active = store.active()
    assert active is not None
    assert (active.name, store.history()) == ("small/1", events)
