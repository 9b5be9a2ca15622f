"""A version of a registered model, what may point to it, and the changes of champion."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ..errors import GateError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

COMPLETE = "complete"
"""Tag ``state`` of a version whose bundle was written to the end."""


class Alias(StrEnum):
    """Names that point to one version each."""

    CHAMPION = "champion"
    """What is served."""
    CHALLENGER = "challenger"
    """What was trained last and has not become champion."""
    SHADOW = "shadow"
    """What runs beside the champion without effect."""


class Action(StrEnum):
    """How a version came to be champion."""

    PROMOTED = "promoted"
    """It passed its gates."""
    FORCED = "forced"
    """Somebody decided so, against its gates."""
    ROLLED_BACK = "rolled-back"
    """The champion after it was taken back."""
    FOUND = "found"
    """The alias was set by other means than these."""


@dataclass(frozen=True, kw_only=True)
class ChampionEvent:
    """One change of champion.

    Attributes
    ----------
    version : int
        Which became champion.
    action : Action
        How.
    at : str
        When, UTC.
    by : str
        User and host.
    reason : str
        Why, for people.
    """

    version: int
    action: Action
    at: str
    by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a registered model.

    Attributes
    ----------
    name : str
        Registered model.
    version : int
        Counted from 1.
    aliases : tuple of str
        That point to it.
    run_id : str
        MLflow run that made it.
    complete : bool
        Whether its bundle was written to the end.
    model : str
        Forecaster or mixture.
    trained_until : str
        Close of the last period of its data, UTC.
    n_gates, n_passed : int
        Gates, and how many of them it passed.
    gated_against : int or None
        Version that was champion when its gates ran; None for the reference models.
    digest : str
        SHA-256 of the manifest of its bundle.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    run_id: str
    complete: bool
    model: str
    trained_until: str
    n_gates: int
    n_passed: int
    gated_against: int | None
    digest: str

    @property
    def passed(self) -> bool:
        """Whether it passed all gates."""
        return self.complete and 0 < self.n_gates == self.n_passed

    def as_dict(self) -> dict[str, object]:
        """Return plain JSON."""
        return {**asdict(self), "passed": self.passed}


def read_version(found: "ModelVersion", aliases: Mapping[str, str]) -> Version:
    """Read a version from its tags; `aliases` are those of the registered model."""
    tags = found.tags
    against = tags.get("gated_against", "")
    number = int(found.version)
    return Version(
        name=found.name,
        version=number,
        aliases=tuple(sorted(a for a, v in aliases.items() if int(v) == number)),
        run_id=found.run_id or "",
        complete=tags.get("state") == COMPLETE,
        model=tags.get("model", ""),
        trained_until=tags.get("trained_until", ""),
        n_gates=int(tags.get("n_gates", "0")),
        n_passed=int(tags.get("n_passed", "0")),
        gated_against=int(against) if against.isdigit() else None,
        digest=tags.get("bundle_digest", ""),
    )


def check_gates(version: Version, against: int | None) -> None:
    """Check that the gates of a version let it follow the present champion `against`.

    Raises
    ------
    GateError
        If they do not.
    """
    if not version.passed:
        raise GateError(
            f"version {version.version} of {version.name} passed {version.n_passed} of "
            f"{version.n_gates} gates and must pass all; see gates.json in its bundle, or give a "
            "reason with --force"
        )
    if version.gated_against != against:
        raise GateError(
            f"version {version.version} of {version.name} must pass its gates against the present "
            f"champion, {opponent_text(against)}, but was compared with "
            f"{opponent_text(version.gated_against)}; train it anew, or give a reason with --force"
        )


def opponent_text(version: int | None) -> str:
    """Name a champion; None stands for the reference models."""
    return "the reference models" if version is None else f"version {version}"


def line_of(events: Sequence[ChampionEvent]) -> list[int]:
    """Return the champions that led to the present one, without those that were taken back."""
    line: list[int] = []
    for event in events:
        if event.action is Action.ROLLED_BACK:
            line.pop()
        else:
            line.append(event.version)
    return line
