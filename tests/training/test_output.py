from pathlib import Path

import pytest

from foremargin.errors import InputError
from foremargin.training.output import complete_or_nothing


def test_files_appear_together_and_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "run"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("keep")
    (folder / "a.txt").write_text("old")
    with complete_or_nothing(folder) as partial:
        (partial / "a.txt").write_text("new")
        (partial / "b.txt").write_text("new")
        assert (folder / "a.txt").read_text() == "old"
    assert sorted(p.name for p in folder.iterdir()) == ["a.txt", "b.txt", "mine.txt"]
    assert (folder / "a.txt").read_text() == "new"
    assert [p.name for p in folder.parent.iterdir()] == ["run"]


def test_an_interrupted_run_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def interrupted() -> None:
        with complete_or_nothing(folder) as partial:
            (partial / "a.txt").write_text("half")
            raise KeyboardInterrupt("ctrl-c")

    with pytest.raises(KeyboardInterrupt, match="ctrl-c"):
        interrupted()
    assert list(folder.iterdir()) == []
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".run.partial").mkdir()
    (tmp_path / ".run.partial" / "half.txt").write_text("half")
    with complete_or_nothing(tmp_path / "run") as partial:
        (partial / "a.txt").write_text("new")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["a.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with (
        pytest.raises(InputError, match="the output folder must be a folder"),
        complete_or_nothing(tmp_path / "run"),
    ):
        pass
