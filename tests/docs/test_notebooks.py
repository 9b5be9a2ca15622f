"""Notebooks hold no outputs: the docs build runs them, and fails where they fail."""

import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted(DOCS.glob("[!_]*/*.ipynb"))


def test_there_is_a_notebook() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["verdict"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept_with_a_notebook(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_build_runs_every_notebook_and_fails_with_it() -> None:
    settings = (DOCS / "conf.py").read_text(encoding="utf-8").splitlines()
    assert 'nb_execution_mode = "force"' in settings
    assert "nb_execution_raise_on_error = True" in settings
