"""Which code ran."""

import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def git_state() -> tuple[str, str]:
    """Return the commit of the code and whether the tree was clean (``true`` or ``false``).

    Both are ``unknown`` when the package does not run from a git checkout of its own.
    """
    inside = _git("rev-parse", "--show-toplevel")
    commit = _git("rev-parse", "HEAD")
    if inside is None or commit is None or Path(inside).resolve() != _ROOT:
        return "unknown", "unknown"
    return commit, "true" if _git("status", "--porcelain") == "" else "false"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
