"""The experiments that the page on training shows can be run."""

import re
from pathlib import Path

import pytest

from foremargin.training import load_experiment
from foremargin.training.tuning import searched

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "training.md"
SHOWN = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", SHOWN, ids=range(len(SHOWN)))
def test_every_experiment_of_the_page_is_valid(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    experiment = load_experiment(path)
    assert experiment.forecasters()


def test_the_page_shows_a_search_and_a_schedule(tmp_path: Path) -> None:
    experiments = []
    for i, text in enumerate(SHOWN):
        path = tmp_path / f"{i}.yaml"
        path.write_text(text, encoding="utf-8")
        experiments.append(load_experiment(path))
    schedule, search = experiments
    assert schedule.schedule().warm_starts
    assert searched(search).trials == 20
