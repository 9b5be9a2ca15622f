"""Bundles while running: swapped whole, never to an older one by accident, and written down."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foremargin.errors import InputError
from foremargin.serving.bundles import Action, BundleStore, LoadedBundle
from foremargin.serving.bundles import store as module

Write = Callable[..., Path]
OpenStore = Callable[[], BundleStore]


def _version(bundle: LoadedBundle | None) -> int | None:
    return None if bundle is None else bundle.manifest.version


def test_what_is_activated_is_served_and_survives_a_restart(
    write: Write, open_store: OpenStore
) -> None:
    store = open_store()
    assert store.active() is None
    bundle = store.activate(write(), by="an operator")
    assert store.active() is bundle
    assert bundle.name == "small/1"
    assert bundle.network is not None
    assert "state.json" not in bundle.files.contents, "what only training reads is let go"
    again = open_store()
    assert _version(again.active()) == 1
    (event,) = again.history()
    assert (event.action, event.by, event.at) == (Action.ACTIVATED, "an operator", 1)
    assert event.bundle.digest == bundle.files.digest


def test_a_second_activation_of_the_same_bundle_changes_nothing(
    write: Write, open_store: OpenStore
) -> None:
    store, folder = open_store(), write()
    store.activate(folder)
    store.activate(folder)
    assert len(store.history()) == 1


def test_rollback_walks_back_along_what_was_served(write: Write, open_store: OpenStore) -> None:
    store = open_store()
    for version in (1, 2, 3):
        store.activate(write(version))
    assert _version(store.rollback(by="a")) == 2
    assert _version(open_store().active()) == 2
    assert _version(store.rollback()) == 1
    with pytest.raises(InputError, match="served before the present one"):
        store.rollback()
    assert _version(store.activate(write(4))) == 4
    assert _version(store.rollback()) == 1
    actions = [event.action.value for event in store.history()]
    assert actions == ["activated"] * 3 + ["rolled-back"] * 2 + ["activated", "rolled-back"]


def test_an_older_version_is_refused_whatever_came_between(
    write: Write, open_store: OpenStore
) -> None:
    store, old = open_store(), write(1)
    store.activate(write(2))
    with pytest.raises(InputError, match="must not be older than version 2"):
        store.activate(old)
    store.activate(write(1, name="other"))
    with pytest.raises(InputError, match="must not be older than version 2"):
        store.activate(old)
    assert _version(open_store().active()) == 1
    assert len(store.history()) == 2


def test_one_number_is_one_bundle(write: Write, open_store: OpenStore) -> None:
    store = open_store()
    store.activate(write(1))
    other = write(1, folder="again", more={"gates.json": b"[]"})
    with pytest.raises(InputError, match="another bundle with the same number"):
        store.activate(other)


def test_a_bundle_that_is_refused_leaves_the_old_one(
    write: Write, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    first = store.activate(write(1))
    with pytest.raises(InputError, match="has no signature"):
        store.activate(write(2, signed_by=None))
    with pytest.raises(InputError, match=r"network\.json of a bundle must be JSON"):
        store.activate(write(3, more={"network.json": b"{"}))
    assert store.active() is first

    def full(folder: Path, record: object) -> None:
        raise InputError("no space left")

    monkeypatch.setattr(module, "write_record", full)
    with pytest.raises(InputError, match="no space left"):
        store.activate(write(4))
    with pytest.raises(InputError, match="no space left"):
        store.shadow(write(5))
    assert store.active() is first, "what is not on the disk does not take effect"
    assert store.shadowed() is None
    assert _version(open_store().active()) == 1


def test_a_bundle_that_changed_under_the_service_is_not_served_after_a_restart(
    write: Write, open_store: OpenStore
) -> None:
    store, folder = open_store(), write(1)
    served = store.activate(folder)
    folder.rename(folder.parent / "away")
    write(1, more={"gates.json": b"[]"})
    assert store.active() is served
    with pytest.raises(InputError, match="must be the bundle that was served"):
        open_store().active()


def test_a_challenger_runs_beside(write: Write, open_store: OpenStore) -> None:
    store = open_store()
    store.activate(write(2))
    beside = store.shadow(write(1), by="b")
    assert store.shadowed() is beside
    assert _version(store.active()) == 2
    assert _version(open_store().shadowed()) == 1
    assert store.shadow(None, by="b") is None
    assert store.shadow(None) is None
    assert open_store().shadowed() is None
    assert [e.action.value for e in store.history()] == ["activated", "shadowed", "unshadowed"]


def test_the_champion_of_training_is_followed(
    write: Write, open_store: OpenStore, promote: Callable[[Path], None], tmp_path: Path
) -> None:
    store, bundles = open_store(), tmp_path / "bundles"
    assert store.follow(bundles, "small") is None
    first = write(1)
    promote(first)
    assert _version(store.follow(bundles, "small")) == 1
    assert store.follow(bundles, "small") is None
    promote(write(2))
    assert _version(store.follow(bundles, "small")) == 2
    assert store.history()[-1].by == "promoted by somebody"
    store.rollback()
    assert store.follow(bundles, "small") is None, "rolled back here: it does not come back"
    promote(write(3))
    assert _version(store.follow(bundles, "small")) == 3
    promote(first)
    with pytest.raises(InputError, match="must not be older than version 3"):
        store.follow(bundles, "small")
    assert _version(store.active()) == 3


def test_a_bundle_that_was_exchanged_after_promotion_is_not_followed(
    write: Write, open_store: OpenStore, promote: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = write(1)
    promote(folder)
    folder.rename(folder.parent / "away")
    write(1, more={"gates.json": b"[]"})
    with pytest.raises(InputError, match="must be the bundle that was promoted"):
        open_store().follow(tmp_path / "bundles", "small")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}x",
        b"[" * 10_000,
        b'{"format": 2}',
        b'{"events": [{"action": "rolled-back", "at": 1, "by": "", "bundle": '
        b'{"name": "a", "version": 1, "digest": "", "folder": ""}}]}',
        b"\xff",
    ],
)
def test_a_record_that_is_none_is_refused(
    raw: bytes, open_store: OpenStore, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "active.json").write_bytes(raw)
    with pytest.raises(InputError, match=r"must be the record|must have format 1"):
        open_store().active()


def test_without_a_key_nothing_is_served_unless_told(write: Write, tmp_path: Path) -> None:
    folder = write(1, signed_by=None)
    with pytest.raises(InputError, match="checked with a trusted key"):
        BundleStore(tmp_path / "state", None).activate(folder)
    store = BundleStore(tmp_path / "state", None, accept_unsigned=True)
    assert _version(store.activate(folder)) == 1
