"""The pointer to the champion: whole or absent, and of one model."""

import os
from pathlib import Path

import pytest

from foremargin.bundles import (
    CHAMPION,
    Promotion,
    read_promotion,
    write_atomically,
    write_promotion,
)
from foremargin.errors import InputError

FIRST = Promotion(
    name="small", version=1, folder="small-v1", digest="ab", at="2026-01-01", by="somebody"
)


def test_what_was_promoted_is_read(tmp_path: Path) -> None:
    assert read_promotion(tmp_path, "small") is None
    write_promotion(tmp_path, FIRST)
    second = FIRST.model_copy(update={"version": 2, "folder": "small-v2"})
    write_promotion(tmp_path, second)
    assert read_promotion(tmp_path, "small") == second
    assert [path.name for path in (tmp_path / "small").iterdir()] == [CHAMPION]


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[" * 10_000, b"x" * 100_000, b'{"folder": "../elsewhere"}']
)
def test_a_file_that_points_nowhere_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / CHAMPION).write_bytes(raw)
    with pytest.raises(InputError, match="must point to a champion"):
        read_promotion(tmp_path, "small")


@pytest.mark.parametrize("folder", ["..", ".", "a/b", "/a", "small-v1\n", ""])
def test_a_pointer_stays_in_its_folder(folder: str, tmp_path: Path) -> None:
    write_promotion(tmp_path, FIRST)
    path = tmp_path / "small" / CHAMPION
    path.write_text(FIRST.model_copy(update={"folder": folder}).model_dump_json())
    with pytest.raises(InputError, match="must point to a champion"):
        read_promotion(tmp_path, "small")


def test_a_pointer_of_another_model_is_refused(tmp_path: Path) -> None:
    write_promotion(tmp_path, FIRST)
    (tmp_path / "small").rename(tmp_path / "other")
    with pytest.raises(InputError, match="must be of other, was of 'small'"):
        read_promotion(tmp_path, "other")


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
