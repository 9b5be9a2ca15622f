"""What the README promises."""

import re
from pathlib import Path

import pytest

from foremargin.calibrate import REACTIVE_POLICIES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_python_example_prints_what_the_readme_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, printed = re.findall(r"```(?:python)?\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_number_of_reactive_policies_is_right() -> None:
    # All of them and the best one scaled to the cost of the predictive policy.
    assert f"the best of {len(REACTIVE_POLICIES) + 1} reactive" in README


def test_the_first_code_stands_early() -> None:
    first = next(i for i, line in enumerate(README.splitlines(), 1) if line.startswith("    make"))
    assert first <= 35
