"""The file of keys: what it keeps, who may open it, and what happens to a damaged one."""

import os
from pathlib import Path

import msgspec
import pytest

from foremargin.errors import InputError
from foremargin.serving.security import KeyStore, Rate, Scope, create_key, new_key, revoke_key
from foremargin.serving.security.keys import secret_digest, split_token


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inner" / "keys.json"


def test_a_key_comes_back_from_its_file_and_its_secret_is_not_in_it(path, clock):
    record, token = create_key(path, [Scope.READ], now=clock.now(), label="desk")
    parts = split_token(token.encode())
    assert parts is not None
    assert KeyStore(path).keys == {record.id: record}
    assert parts[1] not in path.read_bytes()
    assert secret_digest(parts[1], salt=bytes.fromhex(record.salt)).hex() == record.digest


def test_two_keys_share_neither_salt_nor_secret_nor_identifier(clock):
    one, other = (new_key([Scope.READ], now=clock.now()) for _ in range(2))
    assert len({one[1], other[1]}) == len({one[0].salt, other[0].salt}) == 2
    assert one[0].id != other[0].id


def test_the_signing_key_is_kept_only_for_keys_that_sign_and_is_not_the_digest(clock):
    plain, _ = new_key([Scope.READ], now=clock.now())
    signs, _ = new_key([Scope.READ], now=clock.now(), signs=True)
    assert plain.signing_key == ""
    assert len(signs.signing_key) == 64
    assert signs.signing_key != signs.digest


def test_the_file_is_for_its_owner_alone(path, clock):
    create_key(path, [Scope.READ], now=clock.now())
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_may_open_is_refused(path, clock, mode):
    create_key(path, [Scope.READ], now=clock.now())
    path.chmod(mode)
    with pytest.raises(InputError, match="nobody else may open the keys file"):
        KeyStore(path)


@pytest.fixture
def mounted(path, clock):
    """A secret as Kubernetes mounts it: keys.json -> ..data/keys.json, ..data -> ..one."""
    record, _ = create_key(path, [Scope.READ], now=clock.now())
    mount = path.parent / "mount"
    (mount / "..one").mkdir(parents=True)
    path.rename(mount / "..one" / "keys.json")
    (mount / "..data").symlink_to("..one")
    (mount / "keys.json").symlink_to("..data/keys.json")
    return mount, record


def test_a_mounted_secret_is_read_and_read_again_when_its_link_is_swapped(mounted, path, clock):
    mount, record = mounted
    store = KeyStore(mount / "keys.json")
    assert list(store.keys) == [record.id]
    assert not store.reload()
    other, _ = create_key(mount / "..two" / "keys.json", [Scope.ADMIN], now=clock.now())
    (mount / "..new").symlink_to("..two")
    (mount / "..new").replace(mount / "..data")
    assert store.reload()
    assert list(store.keys) == [other.id]
    absolute = path.parent / "link.json"
    absolute.symlink_to(mount / "..two" / "keys.json")
    assert list(KeyStore(absolute).keys) == [other.id]


@pytest.mark.parametrize("folder", [".", "..one", "mount's parent"])
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_link_that_others_may_turn_is_refused(mounted, folder, mode):
    mount, _ = mounted
    where = mount.parent if folder == "mount's parent" else mount / folder
    where.chmod(mode)
    with pytest.raises(InputError, match="nobody else may turn the link"):
        KeyStore(mount / "keys.json")
    where.chmod(0o700)
    KeyStore(mount / "keys.json")


def test_a_link_through_a_folder_of_somebody_else_is_refused(mounted, monkeypatch):
    mount, _ = mounted
    real = Path.stat

    def others(self, *, follow_symlinks=True):
        status = real(self, follow_symlinks=follow_symlinks)
        if self.name != "..one":
            return status
        return os.stat_result((*status[:4], 4_321, *status[5:]))

    monkeypatch.setattr(Path, "stat", others)
    with pytest.raises(InputError, match="is of 4321"):
        KeyStore(mount / "keys.json")


def test_a_link_to_a_file_that_others_may_open_is_refused(mounted):
    mount, _ = mounted
    (mount / "..one" / "keys.json").chmod(0o640)
    with pytest.raises(InputError, match="nobody else may open the keys file"):
        KeyStore(mount / "keys.json")


def test_links_that_lead_nowhere_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("none")
    for name in ("a", "c"):
        with pytest.raises(InputError, match="the keys file must be"):
            KeyStore(tmp_path / name)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="must be a regular file"):
        KeyStore(tmp_path)
    with pytest.raises(InputError, match="must be there"):
        KeyStore(tmp_path / "none.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[", b"\xff", b"[" * 100_000, b'{"keys":[{"id":"x"}]}', b'{"keys":[],"more":1}'],
)
def test_a_file_that_holds_no_keys_is_refused(tmp_path, content):
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InputError, match="must hold keys"):
        KeyStore(path)


def test_another_version_and_an_identifier_twice_are_refused(path, clock):
    record, _ = create_key(path, [Scope.READ], now=clock.now())
    found = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**found, "version": 2}))
    with pytest.raises(InputError, match="must have version 1"):
        KeyStore(path)
    path.write_bytes(msgspec.json.encode({**found, "keys": found["keys"] * 2}))
    with pytest.raises(InputError, match="has an identifier twice"):
        KeyStore(path)
    assert record.id in path.read_text()


def test_a_second_key_leaves_the_first_and_no_other_file(path, clock):
    first, _ = create_key(path, [Scope.READ], now=clock.now())
    second, _ = create_key(path, [Scope.ADMIN], now=clock.now())
    assert list(KeyStore(path).keys) == [first.id, second.id]
    assert sorted(os.listdir(path.parent)) == [".keys.json.lock", "keys.json"]


def test_revoking_twice_keeps_the_first_moment(path, clock):
    record, _ = create_key(path, [Scope.READ], now=clock.now())
    assert revoke_key(path, record.id, now=5).revoked == 5
    assert revoke_key(path, record.id, now=9).revoked == 5
    assert KeyStore(path).keys[record.id].revoked == 5
    with pytest.raises(InputError, match="found no 'nobody'"):
        revoke_key(path, "nobody", now=5)


def test_a_store_reads_again_only_what_changed_and_keeps_the_keys_if_it_cannot(path, clock):
    record, _ = create_key(path, [Scope.READ], now=clock.now())
    store = KeyStore(path)
    assert not store.reload()
    create_key(path, [Scope.READ], now=clock.now())
    assert store.reload()
    assert len(store.keys) == 2
    path.write_text("nonsense")
    with pytest.raises(InputError, match="must hold keys"):
        store.reload()
    assert record.id in store.keys


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scopes": []}, "at least one scope"),
        ({"scopes": ["read"], "expires": 1}, "must expire after now"),
        ({"scopes": ["read"], "rate": Rate(0.0, 1)}, "must be positive and finite"),
        ({"scopes": ["read"], "rate": Rate(float("nan"), 1)}, "must be positive and finite"),
        ({"scopes": ["read"], "rate": Rate(1.0, 0)}, "must be positive and finite"),
    ],
)
def test_a_key_that_could_not_be_used_is_not_made(clock, given, message):
    with pytest.raises(InputError, match=message):
        new_key(**{**given, "scopes": map(Scope, given["scopes"])}, now=clock.now())


@pytest.mark.parametrize(
    "text", [b"", b"fm_", b"fm_abc_def", b"fm_abcdefghijkl_" + b"x" * 42, b"xx" * 40, b"\xff\xff"]
)
def test_what_is_no_token_has_no_parts(text):
    assert split_token(text) is None
